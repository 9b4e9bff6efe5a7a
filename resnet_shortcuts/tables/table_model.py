"""The table model: columns that know their unit and how their values are written, and rows of plain values.

Every format is rendered from this model, so no number is formatted twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Kind = Literal[
    "text", "count", "large", "percent", "points", "mebibytes", "milliseconds", "seconds", "p", "number", "interval",
    "range", "ratios", "durations"
]  # fmt: skip
PAIRS = ("interval", "range", "ratios", "durations")  # the ends of an interval: two columns in CSV
MISSING = "–"
NARROWEST = 14
"""Characters that a column of long text keeps at least, however narrow the terminal."""


@dataclass(frozen=True)
class Column:
    """One column: its key in the rows, its heading (with the unit) and the kind of its values.

    ``mebibytes`` are stored in bytes and written in MiB; ``interval`` and ``range`` are pairs of percentage points,
    ``ratios`` of ratios, ``durations`` of milliseconds. ``formatter`` overrides how the kind is written. ``label``:
    names the row, and is repeated where a wide table is split. ``wrap``: long text, broken over lines. ``priority``: a
    narrow terminal leaves out the column with the highest number first, and never one with 0. ``tone`` gives the colour
    of a cell's text, empty for none.
    """

    key: str
    heading: str
    kind: Kind = "text"
    label: bool = False
    wrap: bool = False
    priority: int = 0
    formatter: Callable[[Any], str] | None = None
    tone: Callable[[str], str] | None = None

    def text(self, value: Any) -> str:
        """The value as people read it, on one line; a dash where there is none."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return MISSING
        return " ".join((self.formatter or _FORMATTERS[self.kind])(value).split())

    @property
    def numeric(self) -> bool:
        """Whether values are numbers, aligned right."""
        return self.kind != "text"


@dataclass(frozen=True)
class Table:
    """Rows of one kind under their columns, with a title and the notes that must be read with them.

    Rows may hold more keys than there are columns; JSON writes them all, with ``facts`` beside the rows. ``prose``
    tables hold sentences: a terminal shows each row as a paragraph. ``dense``: one space between columns, and headings
    on one line.
    """

    kind: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    title: str = ""
    notes: Sequence[str] = ()
    prose: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    dense: bool = False

    @property
    def gap(self) -> int:
        """Spaces between columns on a terminal."""
        return 1 if self.dense else 2

    def heading(self, column: Column) -> str:
        """The heading with each of its parts (name, what of it, unit) on a line, so that columns stay narrow."""
        return column.heading if self.dense else column.heading.replace(", ", "\n")

    def texts(self) -> list[list[str]]:
        """Every cell as text, row by row in the order of the columns."""
        return [[column.text(row.get(column.key)) for column in self.columns] for row in self.rows]

    def only(self, keys: Sequence[str]) -> Table:
        """The same table with only these columns, in this order."""
        by_key = {column.key: column for column in self.columns}
        return replace(self, columns=[by_key[key] for key in keys if key in by_key])

    def paragraphs(self) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
        """Of each row of a prose table: its labels, its first cell, and (heading, cell) of the others that have one."""
        for row in self.texts():
            cells = list(zip(self.columns, row, strict=True))
            labels = " ".join(cell for column, cell in cells if column.label)
            rest = [(column.heading, cell) for column, cell in cells if not column.label and cell != MISSING]
            yield labels, rest[0][1] if rest else "", rest[1:]


def parts(table: Table, cells: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """Column numbers of each part that fits into ``width`` characters; where there are several, labels come first."""
    needs = []
    for i, column in enumerate(table.columns):
        longest = max((len(row[i]) for row in cells), default=1)
        heading = max(len(line) for line in table.heading(column).split("\n"))
        needs.append(max(min(longest, NARROWEST) if column.wrap else longest, heading) + table.gap)
    if sum(needs) <= width + table.gap:
        return [list(range(len(needs)))]
    labels = [i for i, column in enumerate(table.columns) if column.label]
    start = sum(needs[i] for i in labels)
    finished: list[list[int]] = []
    current, used = list(labels), start
    for i in range(len(table.columns)):
        if i in labels:
            continue
        if used + needs[i] > width + table.gap and len(current) > len(labels):
            finished.append(current)
            current, used = list(labels), start
        current.append(i)
        used += needs[i]
    return [*finished, current]


def signed(value: float, places: int = 2) -> str:
    """A number with its sign, typeset; one that rounds to 0 has none."""
    text = f"{value:+.{places}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def _large(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.2f} {unit}"
    return f"{value:g}"


def _milliseconds(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


_FORMATTERS: dict[str, Callable[[Any], str]] = {
    "text": str,
    "count": lambda value: f"{value:,}",
    "large": _large,
    "percent": lambda value: f"{value:.2f}",
    "points": signed,
    "mebibytes": lambda value: f"{value / 2**20:.1f}",
    "milliseconds": _milliseconds,
    "seconds": lambda value: f"{value:,.0f}" if value >= 100 else f"{value:.3g}",
    "p": lambda value: "< 0.001" if value < 0.001 else f"{value:.3f}",
    "number": lambda value: f"{value:.2f}".replace("-", "−"),
    "interval": lambda value: f"{signed(value[0])} to {signed(value[1])}",
    "range": lambda value: f"{value[0]:.2f} to {value[1]:.2f}",
    "ratios": lambda value: f"{value[0]:.3f} to {value[1]:.3f}",
    "durations": lambda value: " to ".join(_milliseconds(end) for end in value),
}
