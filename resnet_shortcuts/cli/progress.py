"""Live progress of a sweep, on standard error: redrawn on a terminal, a line now and then elsewhere."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from resnet_shortcuts.cli.output import end_live_line, say, show_live_line
from resnet_shortcuts.tables.escaping import escape_terminal
from resnet_shortcuts.words import counted

if TYPE_CHECKING:
    from resnet_shortcuts.experiments.runner import SweepEvent

LINE_SECONDS = 20.0
"""Off a terminal a line at most this often, so that logs are not flooded; failures and warnings are always shown."""
_ENDED = {"done", "diverged", "failed"}


class SweepProgress:
    """Runs done of how many, what is running, time left; given to ``run_plan`` as its ``progress``."""

    def __init__(self, steps: int, jobs: int) -> None:
        self.steps, self.jobs = steps, jobs
        self.began = self.shown = time.monotonic()
        self.running: dict[str, tuple[str, int]] = {}
        self.trained = self.finished = self.total = 0
        self._display: Any = None

    def __enter__(self) -> Self:
        if self.jobs and sys.stderr.isatty():  # in this process a debugger may be at work there
            from rich.console import Console
            from rich.live import Live

            end_live_line()
            # While it is shown, what `say` prints appears above it.
            self._display = Live(console=Console(stderr=True), refresh_per_second=4, transient=True)
            self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._display is not None:
            self._display.stop()

    def __call__(self, event: "SweepEvent") -> None:
        """Take in one event of the sweep."""
        self.finished, self.total = event.finished, event.total
        if event.run is not None:
            label = f"{event.run.network} {event.run.shortcut} seed {event.run.seed}"
            if event.kind in {"started", "progress"}:
                self.running[event.run.run_id] = (label, event.step)
            elif event.kind in {*_ENDED, "elsewhere", "waiting"}:
                self.running.pop(event.run.run_id, None)
            self.trained += event.kind in _ENDED
            if event.kind in {"warning", "failed", "diverged"}:
                say(f"{event.kind}: {label}: {event.text}")
            elif event.kind == "waiting":
                say(f"waiting for {label}: {event.text}")
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        if self._display is not None:
            from rich.text import Text

            self._display.update(Text(escape_terminal(self._text())))
        elif self.running and now - self.shown >= LINE_SECONDS:
            self.shown = now
            say(self._text().splitlines()[0])

    def _text(self) -> str:
        left = self.seconds_left()
        ending = "" if left is None else f", about {duration(left)} left"
        lines = [f"{self.finished} of {counted(self.total, 'run')} done{ending}"]
        lines += [f"  {label}: step {step} of {self.steps}" for label, step in self.running.values()]
        return "\n".join(lines)

    def seconds_left(self) -> float | None:
        """Elapsed time that is left, by what has been trained in this sweep so far; None before anything has."""
        share = sum(step / max(self.steps, 1) for _, step in self.running.values())
        worked = self.trained + share
        if worked < 0.2:
            return None
        return (time.monotonic() - self.began) / worked * max(self.total - self.finished - share, 0.0)


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, rounded for reading."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class StageProgress:
    """A named piece of work with a count (decoding images, the cost pass); silent where it is over in a moment."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.shown = 0.0
        self.first: dict[str, tuple[float, int]] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` is reached."""
        now = time.monotonic()
        on_terminal = sys.stderr.isatty()
        if now - self.shown < (0.1 if on_terminal else LINE_SECONDS) and done < total:
            return
        line = f"{what}: {done:,} of {total:,}{self._left(what, done, total, now)}"
        if on_terminal and done < total:
            show_live_line(line)
        elif on_terminal or now - self.began >= LINE_SECONDS:
            say(line)
        else:
            return
        self.shown = now

    def _left(self, what: str, done: int, total: int, now: float) -> str:
        """The time left, once five seconds of the work show how fast it goes."""
        began, first = self.first.setdefault(what, (now, done))
        if now - began < 5 or first >= done or done >= total:
            return ""
        return f", about {duration((now - began) / (done - first) * (total - done))} left"


def say_waiting() -> None:
    """Say why nothing happens: times are taken by one process at a time."""
    say("waiting for another cost pass on this machine to end")
