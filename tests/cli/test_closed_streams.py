"""Whatever becomes of the standard streams, the same is trained, written and returned."""

import shlex
import subprocess
from pathlib import Path

import pytest

SHELL = {
    "stderr into a closed pipe": "RSC 2>&1 >/dev/null | head -1",
    "both into a closed pipe": "RSC 2>&1 | head -1",
    "a pipe that nobody ever reads": "RSC 2>&1 | true",
    "stdout closed": "RSC >&-",
    "stderr closed": "RSC 2>&-",
    "stdin and stdout closed": "RSC <&- >&-",
    "all closed": "RSC <&- >&- 2>&-",
    "a full disk behind stderr": "RSC 2>/dev/full",
}
FILES = {"config.yaml", "plan.json", "table.csv", "table.json", "table.md"}


def shell(rsc, script, *arguments):
    command = shlex.join(rsc.command(*arguments))
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", script.replace("RSC", command)],
        cwd=rsc.folder, env=rsc.environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip


@pytest.mark.parametrize("script", SHELL.values(), ids=SHELL)
def test_training_does_not_depend_on_who_reads_what_it_prints(rsc, script):
    done = shell(rsc, script, "train", "--config", rsc.config(), "--set", "seeds=1", "--jobs", "0")
    assert done.returncode == 0, done.stderr
    folder = rsc.folder / "results" / "tiny"
    assert {path.name for path in folder.iterdir()} >= FILES
    assert len(list((folder / "runs").iterdir())) == 2
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("script", SHELL.values(), ids=SHELL)
@pytest.mark.parametrize(("command", "code"), [(["compare", "nothing"], 2), (["runs"], 0)])
def test_the_exit_code_does_not_depend_on_the_streams(trained, script, command, code):
    done = shell(trained, script, *command)
    assert done.returncode == code, done.stderr
    if "2>&-" in script:
        assert "error" not in done.stdout, "an error line never goes to standard output"


def test_workers_train_on_when_the_terminal_is_gone(rsc):
    done = shell(rsc, "RSC 2>&1 | head -1", "train", "--config", rsc.config(), "--set", "seeds=1", "--jobs", "1")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert len(list((rsc.folder / "results" / "tiny" / "runs").iterdir())) == 2


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_no_file_takes_the_number_of_a_closed_stream(rsc, stream):
    """What is printed would go into it."""
    code = (
        "import os, sys; from resnet_shortcuts.cli.streams import make_unbreakable; make_unbreakable()\n"
        "file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY); assert file > 2\n"
        "print('out'); print('error', file=sys.stderr); os.write(1, b'out'); os.write(2, b'error')\n"
    )
    command = shlex.join([*rsc.command()[:1], "-c", code, "target"])
    done = subprocess.run(
        ["bash", "-c", f"{command} {stream}>&-"], cwd=rsc.folder, env=rsc.environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert Path(rsc.folder / "target").read_bytes() == b""
