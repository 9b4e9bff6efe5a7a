"""How commands print: data on standard output or into a file, chatter on standard error."""

import io
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resnet_shortcuts.errors import EnvironmentFault, UsageError
from resnet_shortcuts.suggestions import did_you_mean

ELSEWHERE = 100
"""Columns of a table that goes into a file or a pipe."""

TABLE_OR_JSON = {".json": "json", ".txt": "table"}
"""The extensions of commands that know these two formats."""


def say(text: str) -> None:
    """One line of chatter, on standard error."""
    print(text, file=sys.stderr, flush=True)


def as_json(kind: str, rows: Sequence[Any], **more: Any) -> str:
    """The one JSON object that every ``--format json`` prints: ``{"schema": 1, "kind": ..., "rows": [...]}``."""
    return json.dumps(
        {"schema": 1, "kind": kind, "rows": list(rows), **more}, indent=2, ensure_ascii=False, allow_nan=False
    )


def chosen_format(format_: str | None, output: Path | None, extensions: dict[str, str], default: str) -> str:
    """The format that ``--format`` names, else the one of the output file's extension, else the default.

    Raises UsageError for an unknown name or extension, and where the two contradict each other.
    """
    known = list(dict.fromkeys([default, *extensions.values()]))
    if format_ is not None and format_ not in known:
        raise UsageError(f"unknown format '{format_}'", "--format", did_you_mean(format_, known))
    if output is None:
        return format_ or default
    of_file = extensions.get(output.suffix.lower())
    if of_file is None:
        raise UsageError(f"no format is known for '{output.name}'", "-o", f"use one of {', '.join(extensions)}")
    if format_ is not None and format_ != of_file:
        raise UsageError(
            f"--format {format_} and -o {output.name} contradict each other", "-o", "leave one of them out"
        )
    return of_file


def deliver(text: str, output: Path | None) -> None:
    """Print ``text``, or write it durably to ``output`` and say so on standard error."""
    if output is None:
        try:
            sys.stdout.write(text if text.endswith("\n") else text + "\n")
            sys.stdout.flush()
        except OSError as error:
            # Python would complain again at exit, when it flushes what could not be written.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise EnvironmentFault("cannot write", "standard output", error.strerror or str(error)) from error
        return
    from resnet_shortcuts.durable import write_file

    write_file(output, (text if text.endswith("\n") else text + "\n").encode())
    say(f"wrote {output}")


def columns(to_screen: bool) -> int:
    """How wide tables may be: COLUMNS where it is set, else as the terminal is; 100 where they go elsewhere."""
    return max(20, shutil.get_terminal_size((ELSEWHERE, 24)).columns) if to_screen else ELSEWHERE


def as_text(renderable: Any, *, to_screen: bool) -> str:
    """What Rich draws, as wide as it may be; plain where it does not go to a terminal."""
    from rich.console import Console

    terminal = to_screen and sys.stdout.isatty()
    stream = io.StringIO()
    Console(file=stream, width=columns(to_screen), force_terminal=terminal).print(renderable)
    return stream.getvalue()
