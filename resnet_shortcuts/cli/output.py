"""How commands print: data on standard output or into a file, chatter on standard error."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from resnet_shortcuts import tables
from resnet_shortcuts.errors import EnvironmentFault, UsageError
from resnet_shortcuts.suggestions import did_you_mean
from resnet_shortcuts.tables import Table
from resnet_shortcuts.tables.escaping import escape_terminal

FILE_WIDTH = 100
"""Columns of a table that goes into a file or a pipe."""


class Screen(TypedDict):
    """What the place that text goes to can show; the keywords of `tables.render`."""

    width: int
    color: bool
    unicode: bool


_ERASE = "\r\x1b[2K"
_live = False
"""Whether the terminal's last line is a live one, which is erased before anything else is printed."""


def say(text: str) -> None:
    """Chatter on standard error; control characters in it are made visible."""
    end_live_line()
    print(escape_terminal(text), file=sys.stderr, flush=True)


def show_live_line(text: str) -> None:
    """Write a line on standard error, a terminal, that the next text replaces; what does not fit is cut off."""
    global _live
    line = escape_terminal(text).replace("\n", " ")[: max(1, shutil.get_terminal_size().columns - 1)]
    print(f"{_ERASE}{line}", end="", file=sys.stderr, flush=True)
    _live = True


def end_live_line() -> None:
    """Erase the live line, where there is one."""
    global _live
    if _live:
        print(_ERASE, end="", file=sys.stderr, flush=True)
    _live = False


def screen(to_screen: bool = True) -> Screen:
    """Width, colour and character set of standard output, or those of a file."""
    terminal = to_screen and sys.stdout.isatty()
    width = max(20, shutil.get_terminal_size((FILE_WIDTH, 24)).columns) if to_screen else FILE_WIDTH
    knows_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    return Screen(width=width, color=terminal and "NO_COLOR" not in os.environ, unicode=knows_unicode or not to_screen)


def chosen_format(format_: str | None, output: Path | None, extensions: Mapping[str, str] = tables.EXTENSIONS) -> str:
    """The format that ``--format`` names, else the one of the output file's extension, else the first known one.

    Raises UsageError for an unknown name or extension, and where the two contradict each other.
    """
    known = list(dict.fromkeys(extensions.values()))
    if format_ is not None and format_ not in known:
        raise UsageError(f"unknown format '{format_}'", "--format", did_you_mean(format_, known))
    if output is None:
        return format_ or known[0]
    of_file = extensions.get(output.suffix.lower())
    if of_file is None:
        raise UsageError(f"no format is known for '{output.name}'", "-o", f"use one of {', '.join(extensions)}")
    if format_ is not None and format_ != of_file:
        raise UsageError(
            f"--format {format_} and -o {output.name} contradict each other", "-o", "leave one of them out"
        )
    return of_file


def show(shown: Sequence[Table], format_: str, output: Path | None, data: Table | None = None) -> None:
    """Deliver tables in this format; ``data`` is the table that CSV and JSON hold, if not the first one."""
    deliver(tables.render(shown, format_, data=data, **screen(output is None)), output)


def deliver(text: str, output: Path | None) -> None:
    """Print ``text``, or write it durably to ``output`` and say so on standard error."""
    if output is not None:
        from resnet_shortcuts.durable import write_file

        write_file(output, text.encode())
        say(f"wrote {output}")
        return
    end_live_line()
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except OSError as error:
        # Python would complain again at exit, when it flushes what could not be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # `| head` has merely seen enough
            raise EnvironmentFault("cannot write", "standard output", error.strerror or str(error)) from error
