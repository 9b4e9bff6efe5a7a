import subprocess
import sys

import pytest

COMMANDS = ["train", "compare", "plan", "shortcuts", "doctor", "runs", "cost", "verify"]
# Typer itself brings pydantic in for a command's options; that is all it may be.
HEAVY = ["torch", "torchvision", "pandas", "scipy", "matplotlib", "numpy", "sklearn", "yaml"]


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_imports_nothing_heavy(command):
    arguments = [command, "--help"] if command else ["--help"]
    code = (
        "import sys\n"
        "from resnet_shortcuts.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage: rsc" in done.stdout


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("resnet_shortcuts.experiments.config", ["torch", "pandas", "torchvision"]),
        ("resnet_shortcuts.experiments.plan", ["torch", "pandas", "torchvision"]),
        ("resnet_shortcuts.experiments.store", ["torch", "pandas", "torchvision"]),
        ("resnet_shortcuts.experiments.runner", ["torch", "pandas", "torchvision"]),
        ("resnet_shortcuts.shortcuts.catalogue", ["torch", "numpy", "pandas"]),
        ("resnet_shortcuts.analysis.read", ["torch", "torchvision"]),
        ("resnet_shortcuts.analysis.summary", ["torch", "torchvision"]),
    ],
)
def test_modules_that_must_start_at_once_do_not_import_torch(module, heavy):
    code = f"import sys, {module}\nfound = [name for name in {heavy!r} if name in sys.modules]\nassert not found, found"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rnus"], "did you mean 'runs'?"),
        (["train", "--confg", "x"], "did you mean '--config'?"),
        (["shortcuts", "max-pda"], "max-pad"),
        (["train"], "--config"),
        (["compare", "--format", "jsn"], "did you mean 'json'?"),
        (["runs", "--prune", "-o", "x.json"], "--prune and -o exclude each other"),
        (["cost"], "--config and --network: exactly one is needed"),
        (["cost", "--network", "cifar-resnet-21"], "cifar-resnet-20"),
        (["cost", "--network", "cifar-resnet-20", "--input", "32"], "3x32x32"),
        (["cost", "--network", "cifar-resnet-20", "--seconds", "5"], "--measure"),
    ],
)
def test_a_wrong_word_is_one_line_with_what_was_meant(rsc, arguments, told):
    done = rsc(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert told in lines[0]
