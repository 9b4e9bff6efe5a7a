"""How commands print: data on standard output or into a file, chatter on standard error."""

import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resnet_shortcuts.errors import EnvironmentFault, UsageError
from resnet_shortcuts.names import did_you_mean

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
            if not isinstance(error, BrokenPipeError):  # `| head` has merely seen enough
                raise EnvironmentFault("cannot write", "standard output", error.strerror or str(error)) from error
        return
    from resnet_shortcuts.durable import write_file

    write_file(output, (text if text.endswith("\n") else text + "\n").encode())
    say(f"wrote {output}")


def as_text(renderable: Any, *, to_screen: bool, piped_width: int = 100) -> str:
    """What Rich draws, as wide as the terminal, or ``piped_width`` columns and plain where it goes elsewhere."""
    from rich.console import Console

    terminal = to_screen and sys.stdout.isatty()
    width = os.get_terminal_size().columns if terminal else piped_width
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=terminal).print(renderable)
    return stream.getvalue()
