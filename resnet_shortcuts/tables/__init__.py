"""The one table model of every command, with a renderer and an escaping function for each format.

`render` writes tables as terminal text, Markdown, CSV, LaTeX or JSON. Needs no torch, NumPy or pandas.
"""

from __future__ import annotations

from collections.abc import Sequence

from resnet_shortcuts.tables.data_formats import csv_text, json_text
from resnet_shortcuts.tables.markup_formats import latex, markdown
from resnet_shortcuts.tables.table_model import MISSING, Column, Table
from resnet_shortcuts.tables.terminal_format import terminal

FORMATS = ("table", "markdown", "csv", "latex", "json")
EXTENSIONS = {".txt": "table", ".md": "markdown", ".csv": "csv", ".tex": "latex", ".json": "json"}
_OF_DATA = {"csv": csv_text, "json": json_text}
_OF_DOCUMENTS = {"markdown": markdown, "latex": latex}

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "MISSING",
    "Column",
    "Table",
    "csv_text",
    "json_text",
    "latex",
    "markdown",
    "render",
    "terminal",
]


def render(
    tables: Sequence[Table],
    format_: str,
    *,
    data: Table | None = None,
    width: int = 80,
    color: bool = False,
    unicode: bool = True,
) -> str:
    """The tables in one of `FORMATS`; ``width``, ``color`` and ``unicode`` describe the terminal.

    CSV and JSON hold a single table: ``data``, or without it the first of ``tables``.
    """
    if format_ == "table":
        return terminal(tables, width=width, color=color, unicode=unicode)
    if format_ in _OF_DATA:
        return _OF_DATA[format_](data or tables[0])
    return _OF_DOCUMENTS[format_](tables)
