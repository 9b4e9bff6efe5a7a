"""Command lines at random: each ends with a documented exit code and one-line errors, never with an internal one.

No word here makes a command that trains or measures. ``make torture`` tries 10,000.
"""

import contextlib
import io
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from resnet_shortcuts.cli import main
from resnet_shortcuts.errors import Exit

CASES = 1000 * int(os.environ["RSC_TORTURE"]) if "RSC_TORTURE" in os.environ else 300
COMMANDS = ["train", "compare", "report", "paper", "plan", "shortcuts", "runs", "cost", "verify", "trian", ""]
FILES = ["wrong.yaml", "nowhere.yaml", "latin.yaml", ".", "", "x" * 300, "~", "-", "é", "\udcff", "a\nb", "\x1b[31m"]
OPTIONS = ["--config", "-c", "--set", "--results", "--data-root", "--format", "-o", "--output", "--jobs", "--baseline",
           "--margin", "--network", "--shortcut", "--input", "--seconds", "--gradients", "--device", "--precision",
           "--batch-size"]  # fmt: skip
FLAGS = ["--debg", "--help", "-h", "--version", "--wait", "--no-wait", "--prune", "--yes", "--measure", "--precise",
         "--claims", "--", "-x"]  # fmt: skip
VALUES = ["table", "json", "jsn", "csv", "out.json", "out.xyz", "no/such/out.json", "0", "-1", "1e999", "nan", "1",
          "cifar-resnet-21", "3x32x32", "0x0x0", "cuda:99", "fp16", "train.lr=fast", "train.lr", "=", "a.b.c=[",
          "run.device=tpu", "name=..", "seeds={a: 1}", "train.schedule=cosine", "shortcuts=[./no.py:X]", "junk", "A",
          "maxpool", "./no.py:X"]  # fmt: skip
words = st.sampled_from(FLAGS) | st.sampled_from(FILES) | st.sampled_from(VALUES) | st.text("-=.x0é{[:", max_size=4)
pairs = st.tuples(st.sampled_from(OPTIONS), st.sampled_from(FILES + VALUES))
parts = st.lists(words.map(lambda word: (word,)) | pairs, max_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lines")
    (folder / "wrong.yaml").write_text("data: {source: digits, train_size: 2000}\ntrain: 3\nzzz: 1\n")
    (folder / "latin.yaml").write_bytes(b"name: \xe9\n")
    (folder / "results" / "junk").mkdir(parents=True)
    (folder / "results" / "junk" / "plan.json").write_text("{")
    (folder / "out.json").mkdir()
    return folder


@settings(max_examples=CASES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(command=st.sampled_from(COMMANDS), parts=parts)
@example(command="train", parts=[("wrong.yaml",), ("--config", "wrong.yaml")])
@example(command="plan", parts=[])
@example(command="runs", parts=[("junk",)])
@example(command="--versoin", parts=[])
def test_any_command_line_ends_in_a_documented_way(folder: Path, command: str, parts: list[tuple[str, ...]]) -> None:
    arguments = [command, *(word for part in parts for word in part)]
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main(arguments)
    code = ended.value.code
    assert code in set(Exit), arguments
    complaint = err.getvalue()
    assert "internal" not in complaint, (arguments, complaint)
    assert "Traceback" not in complaint, (arguments, complaint)
    if code != Exit.OK and "Usage:" not in complaint:
        lines = complaint.splitlines()
        assert lines, arguments
        assert all(line.startswith(("error: ", "warning: ")) for line in lines), (arguments, complaint)
        assert all(line.count(": ") >= 2 and "valid: :" not in line for line in lines), (arguments, complaint)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    from resnet_shortcuts import __version__

    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"rsc {__version__}\n")


@pytest.mark.parametrize("command", ["train", "plan", "cost"])
def test_a_config_as_an_argument_is_the_same_as_by_option(
    folder: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    complaints = []
    for arguments in ([command, "wrong.yaml"], [command, "--config", "wrong.yaml"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == Exit.USAGE
        complaints.append(capsys.readouterr().err)
    assert complaints[0] == complaints[1]
    assert "wrong.yaml:3: " in complaints[0]
