import os
import re
import subprocess
import sys

import pytest

from resnet_shortcuts.cli.cost_command import _request
from resnet_shortcuts.cli.verify_command import _table
from resnet_shortcuts.tables import FORMATS, render

COMMANDS = [
    "train",
    "compare",
    "report",
    "paper",
    "export",
    "plan",
    "reproduce",
    "shortcuts",
    "doctor",
    "runs",
    "cost",
    "slurm",
    "verify",
]
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


def test_without_arguments_the_five_commands_that_matter_with_an_example_each(rsc):
    done = rsc()
    assert (done.returncode, done.stderr) == (0, "")
    examples = re.findall(r"^  (rsc .*?)(?=  )", done.stdout, re.MULTILINE)
    assert [example.split()[1] for example in examples] == ["train", "compare", "report", "plan", "shortcuts"]
    assert max(map(len, done.stdout.splitlines())) <= 80
    listed = re.findall(r"^  (\w+)  ", rsc("--help").stdout.split("Commands:")[1], re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


def test_help_cuts_no_line_short(rsc):
    assert "..." not in rsc("--help", COLUMNS="80").stdout.split("Commands:")[1]


@pytest.mark.parametrize(("typed", "offered"), [("rsc co", ["compare", "cost"]), ("rsc compare --ba", ["--baseline"])])
def test_completion_imports_nothing_heavy(typed, offered):
    code = (
        "import sys\n"
        "from resnet_shortcuts.cli import main\n"
        "try: main([])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    completion = {"_RSC_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **completion}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == offered


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("resnet_shortcuts.config.experiment_config", ["torch", "pandas", "torchvision"]),
        ("resnet_shortcuts.experiments.plan", ["torch", "pandas", "torchvision"]),
        ("resnet_shortcuts.experiments.store", ["torch", "pandas", "torchvision"]),
        ("resnet_shortcuts.experiments.runner", ["torch", "pandas", "torchvision"]),
        ("resnet_shortcuts.shortcuts.catalogue", ["torch", "numpy", "pandas"]),
        ("resnet_shortcuts.analysis.reading", ["torch", "torchvision"]),
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
        (["shortcuts", ""], "unknown shortcut ''"),
        (["train"], "--config"),
        (["compare", "--format", "jsn"], "did you mean 'json'?"),
        (["runs", "--prune", "-o", "x.json"], "--prune and -o exclude each other"),
        (["cost"], "--config and --network: exactly one is needed"),
        (["cost", "--network", "cifar-resnet-21"], "cifar-resnet-20"),
        (["cost", "--network", "cifar-resnet-20", "--input", "32"], "3x32x32"),
        (["cost", "--network", "cifar-resnet-20", "--network", "imagenet-resnet-18"], "give --input and --classes"),
        (["cost", "--network", "cifar-resnet-20", "--seconds", "5"], "--measure"),
        (["cost", "--network", "cifar-resnet-20", "--measure", "--seconds", "inf"], "--seconds"),
        (["cost", "--network", "cifar-resnet-20", "--set", "run.device=cpu"], "--set does nothing here"),
        (["cost", "--config", "x.yaml", "--batch-size", "32"], "--batch-size does nothing here"),
        (["cost", "--config", "x.yaml", "--baseline", "B"], "--baseline does nothing here"),
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


@pytest.mark.parametrize(
    "arguments", [["train", "--config", "\x1b[31mred.yaml"], ["shortcuts", "\x9b2J"], ["train", "--\x1b]0;t\x07"]]
)
def test_an_error_names_no_control_character_raw(rsc, arguments):
    done = rsc(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stderr)
    assert "\\x" in done.stderr


def test_one_shortcut_in_markdown_says_what_the_screen_says(rsc):
    told, markdown = (rsc("shortcuts", "max-pad", *extra).stdout for extra in ((), ("--format", "markdown")))
    lines = [re.sub(r"\\(.)", r"\1", line) for line in markdown.splitlines() if line.startswith("|")]
    facts = [line.strip("| ").split(" | ", 1) for line in lines[2:]]
    assert len(facts) == 15
    for key, value in facts:
        assert f"{key} {value}" in " ".join(told.split())


def test_a_strategy_asked_for_that_cannot_serve_is_an_error_of_cost(rsc):
    """PyramidNet goes from 16 to 21 channels, of which no whole number of copies can be made."""
    done = rsc("cost", "--network", "cifar-pyramidnet-20", "--shortcut", "avg-duplicate", "--batch-size", 2)
    assert done.returncode == 1
    assert "avg-duplicate" in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: cifar-pyramidnet-20: shortcut 'avg-duplicate' cannot serve this block")


@pytest.mark.parametrize(
    ("network", "shape", "classes"), [("cifar-resnet-8", (3, 32, 32), 10), ("imagenet-resnet-18", (3, 224, 224), 1000)]
)
def test_costs_are_by_default_of_the_images_that_the_network_was_designed_for(network, shape, classes):
    changes = {"target": 0.02, "passes": ("counts",)}
    request = _request([network], ["A"], None, None, 8, "cpu", "fp32", "A", changes)
    assert (request.input_shape, request.num_classes) == (shape, classes)
    given = _request([network], ["A"], "1x8x8", 4, 8, "cpu", "fp32", "A", changes)
    assert (given.input_shape, given.num_classes) == ((1, 8, 8), 4)


@pytest.mark.parametrize(
    ("passes", "expected"), [(("counts", "time"), ["stride-pad", "max-pad"]), (("counts",), ["max-pad"])]
)
def test_timing_one_strategy_times_the_baseline_that_its_ratio_refers_to(passes, expected):
    changes = {"target": 0.02, "passes": passes}
    asked = _request(["cifar-resnet-8"], ["max-pad"], "3x32x32", 10, 8, "cpu", "fp32", "A", changes)
    assert list(asked.shortcuts) == expected


@pytest.mark.parametrize("format_", FORMATS)
def test_what_verify_measured_is_in_every_format(format_):
    row = {
        "strategy": "max-pad",
        "property": "rank",
        "on": "noise",
        "measured": 0.25,
        "declared": 0.5,
        "ok": False,
        "note": "so",
    }
    rows = [row, {**row, "measured": [1.0, 2.0], "declared": None, "ok": None}]
    text = render([_table(rows)], format_)
    assert all(word in text for word in ("max-pad", "rank", "noise", "0.25", "0.5"))
    assert ("NO" in text) is (format_ in ("table", "markdown", "latex"))
