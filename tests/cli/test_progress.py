"""Progress on a terminal shows names as text, whatever is in them."""

import contextlib
import io
import os
import pty
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from resnet_shortcuts.cli.output import deliver, say
from resnet_shortcuts.cli.progress import StageProgress, SweepProgress
from tests.cli.conftest import Rsc

HOSTILE = "evil\x1b]0;owned\x07[red]"


def shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch, act: object) -> str:
    leader, follower = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with io.TextIOWrapper(os.fdopen(follower, "wb"), line_buffering=True) as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        act()  # type: ignore[operator]
        terminal.flush()
        os.set_blocking(leader, False)
        text = b""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(leader, 65536):
                text += chunk
    os.close(leader)
    return text.decode()


def test_the_sweep_shows_hostile_names_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    run = SimpleNamespace(network="net", shortcut=HOSTILE, seed=0, run_id="0")

    def sweep() -> None:
        with SweepProgress(10, 1) as progress:
            for kind in ("started", "warning", "progress"):
                progress(SimpleNamespace(finished=0, total=2, run=run, kind=kind, step=3, text=HOSTILE))  # type: ignore[arg-type]
            progress._display.refresh()

    text = shown_on_a_terminal(monkeypatch, sweep)
    assert "\x1b]0;" not in text
    assert "warning: net evil\\x1b]0;owned\\x07[red] seed 0: evil\\x1b]0;owned\\x07[red]" in text.replace("\r\n", "")
    assert "0 of 2 runs done" in text


def test_a_stage_shows_hostile_names_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown_on_a_terminal(monkeypatch, lambda: StageProgress()(HOSTILE, 2, 2))
    assert "\x1b]0;" not in text
    assert "evil\\x1b]0;owned\\x07[red]: 2 of 2" in text


def screen_of(text: str) -> list[str]:
    """The lines that a terminal shows after this output, as far as the commands use its control sequences."""
    lines, at, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x1b]", text):
        if token == "\n":
            at, lines = at + 1, [*lines, ""] if at + 1 == len(lines) else lines
        elif token == "\r":
            column = 0
        elif token.endswith("A") and len(token) > 1:
            at -= int(token[2:-1] or 1)
        elif token == "\x1b[2K":
            lines[at] = ""
        elif not token.startswith("\x1b"):
            lines[at] = lines[at].ljust(column)[:column] + token + lines[at][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


def test_a_live_line_is_gone_before_anything_else_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        monkeypatch.setattr(sys, "stdout", sys.stderr)
        StageProgress()("counting", 1, 9)
        say("a word")
        StageProgress()("counting", 2, 9)
        deliver("the table", None)
        StageProgress()("timing " * 30, 3, 9)
        StageProgress()("timing", 4, 9)
        with SweepProgress(10, 1):
            say("begun")

    monkeypatch.setenv("COLUMNS", "40")
    lines = screen_of(shown_on_a_terminal(monkeypatch, work))
    assert [line for line in lines if line] == ["a word", "the table", "begun"]


def test_training_without_a_cost_pass_leaves_whole_lines_on_a_terminal(rsc: Rsc) -> None:
    leader, follower = pty.openpty()
    environment = {**rsc.environment, "TERM": "xterm", "COLUMNS": "100"}
    command = rsc.command("train", "--config", rsc.config(), "--set", "seeds=1", "--set", "train.epochs=1")
    with subprocess.Popen(command, cwd=rsc.folder, env=environment, stdout=follower, stderr=follower) as process:
        os.close(follower)
        text = b""
        with contextlib.suppress(OSError):  # of Linux, once nobody holds the other end
            while chunk := os.read(leader, 65536):
                text += chunk
    os.close(leader)
    assert process.returncode == 0, text
    lines = screen_of(text.decode())
    for start, within in (("wrote ", "table.json"), ("ResNet-8, ", "Margin ±")):
        (line,) = [line for line in lines if within in line]
        assert line.startswith(start)
