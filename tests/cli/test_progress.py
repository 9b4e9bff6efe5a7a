"""Progress on a terminal shows names as text, whatever is in them."""

import contextlib
import io
import os
import pty
import sys
from types import SimpleNamespace

import pytest

from resnet_shortcuts.cli.progress import StageProgress, SweepProgress

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
