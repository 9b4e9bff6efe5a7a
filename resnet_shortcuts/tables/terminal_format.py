"""Tables for a terminal: fitted to its width, in colour or not, in Unicode or ASCII."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from resnet_shortcuts.tables.escaping import escape_terminal
from resnet_shortcuts.tables.table_model import Column, Table, parts

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

_ASCII = str.maketrans(
    {"–": "-", "−": "-", "±": "+-", "×": "x", "≥": ">=", "≤": "<=", "…": "...", "’": "'", "²": "2", "▲": "^", "▼": "v"}
)
_NO_BREAK = "\u00a0"
_LAID_OUT_BY_RICH = 500
"""Rows of a table that is broken into lines and fitted; a longer one is for searching, a line a row."""


def terminal(tables: Sequence[Table], *, width: int = 80, color: bool = False, unicode: bool = True) -> str:
    """Tables for a terminal of ``width`` columns.

    Columns of a priority give way first; a table that is still too wide is split, its label columns repeated. Without
    ``unicode`` the text is ASCII; without ``color`` it holds no escape sequences.
    """
    text = "\n".join(_terminal_table(_fitted(table, width), width, color, unicode) for table in tables)
    return text if unicode else to_ascii(text)


def to_ascii(text: str) -> str:
    """The text for a terminal that shows ASCII only."""
    return text.translate(_ASCII).encode("ascii", "replace").decode()


def fill(text: str, width: int, indent: str = "  ") -> str:
    """Each line of the text broken at ``width``, what follows indented; a command stays whole, to be copied.

    No break parts a number from its '%'.
    """
    lines: list[str] = []
    for line in escape_terminal(text).split("\n"):
        lines += [line] if line.startswith("rsc ") else textwrap.wrap(
            line.replace(" %", f"{_NO_BREAK}%"), max(20, width), subsequent_indent=indent, break_long_words=False,
            break_on_hyphens=False,
        )  # fmt: skip
    return "\n".join(lines).replace(_NO_BREAK, " ")


def paragraph(text: str, style: str = "", *, width: int = 80, color: bool = False, unicode: bool = True) -> str:
    """A paragraph for a terminal in one style; commands within stay on lines of their own. Empty text stays empty."""
    from rich.text import Text

    if not text:
        return ""
    stream = io.StringIO()
    lines = fill(text if unicode else to_ascii(text), width, indent="")
    _console(stream, width, color).print(Text(lines, style=style), soft_wrap=True)
    return stream.getvalue()


def first_that_fits(tables: Sequence[Table], width: int, unicode: bool = True) -> Table:
    """The first of the tables that needs no splitting at this width, else the last."""
    for table in tables:
        cells = [[cell if unicode else to_ascii(cell) for cell in row] for row in table.texts()]
        if len(parts(table, cells, width)) == 1:
            return table
    return tables[-1]


def _fitted(table: Table, width: int) -> Table:
    """The table without the columns whose priority is lowest, as few as make it fit; a note names them."""
    kept, dropped = table, []
    while len(parts(kept, kept.texts(), width)) > 1 and not table.prose:
        last = max(kept.columns, key=lambda column: column.priority)
        if not last.priority:
            return table
        dropped.append(last.heading)
        kept = kept.only([column.key for column in kept.columns if column is not last])
    if not dropped:
        return table
    return replace(kept, notes=[*kept.notes, f"Too narrow for: {', '.join(dropped)}. Every column: --format csv."])


def _terminal_table(table: Table, width: int, color: bool, unicode: bool) -> str:
    from rich.text import Text

    def shown(text: str) -> str:
        return escape_terminal(text) if unicode else to_ascii(escape_terminal(text))

    stream = io.StringIO()
    console = _console(stream, width, color)
    if table.title:
        console.print(Text(fill(table.title, width), style="bold"))
    if table.prose:
        console.print(Text(shown(_paragraphs(table, width))))
    cells = [[shown(cell) for cell in row] for row in table.texts()]
    for part in () if table.prose else parts(table, cells, width):
        columns, rows = [table.columns[i] for i in part], [[row[i] for i in part] for row in cells]
        if len(rows) > _LAID_OUT_BY_RICH:
            stream.write(_long_table(columns, rows))
        else:
            console.print(_rich_table(table, columns, rows, unicode))
        console.print()
    for note in table.notes:
        console.print(Text(fill(note, width), style="dim"), soft_wrap=True)
    lines = [line.rstrip() for line in stream.getvalue().rstrip().splitlines()]
    return "\n".join(lines) + "\n"


def _console(stream: io.StringIO, width: int, color: bool) -> Console:
    from rich.console import Console

    return Console(
        file=stream, width=width, force_terminal=color, no_color=not color, color_system="standard" if color else None,
        highlight=False, markup=False, emoji=False, legacy_windows=False,
    )  # fmt: skip


def _rich_table(table: Table, columns: Sequence[Column], rows: Sequence[Sequence[str]], unicode: bool) -> RichTable:
    from rich.table import Table as RichTable
    from rich.text import Text

    rich_table = RichTable(box=None, pad_edge=False, padding=(0, table.gap, 0, 0), header_style="bold")
    for column in columns:
        overflow = "fold" if column.wrap else "ellipsis" if unicode else "crop"
        heading = escape_terminal(table.heading(column))
        rich_table.add_column(
            Text(heading if unicode else to_ascii(heading)), justify="right" if column.numeric else "left",
            no_wrap=not column.wrap, overflow=overflow,  # type: ignore[arg-type]
        )  # fmt: skip
    for row in rows:
        cells = zip(columns, row, strict=True)
        rich_table.add_row(*(Text(cell, style=column.tone(cell) if column.tone else "") for column, cell in cells))
    return rich_table


def _long_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """A line a row, however long its text: rich takes half a millisecond a row to break lines."""
    lines = [[column.heading for column in columns], *rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    sides = [">" if column.numeric else "<" for column in columns]
    layout = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    return "".join(f"{layout.format(*line)}\n" for line in lines)


def _paragraphs(table: Table, width: int) -> str:
    lines = []
    for names, first, others in table.paragraphs():
        lines.append(f"{names} {first}".strip())
        lines += [f"  {heading}: {cell}" for heading, cell in others]
    return "\n".join(fill(line, width - 2) for line in lines)
