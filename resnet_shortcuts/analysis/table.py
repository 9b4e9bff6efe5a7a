"""The one table model: columns that know their unit and how their values are written, and rows of plain values.

Every rendering (terminal, Markdown, CSV, LaTeX, JSON, HTML) works from this model, so no number is formatted twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "text", "count", "large", "percent", "points", "mebibytes", "milliseconds", "seconds", "p", "number", "interval",
    "range", "ratios", "durations"
]  # fmt: skip
PAIRS = ("interval", "range", "ratios", "durations")  # the ends of an interval: two columns in CSV
NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """One column: its key in the data, its heading (with the unit) and the kind of its values.

    ``mebibytes`` are stored in bytes and written in MiB; ``interval`` and ``range`` are pairs of percentage points,
    ``ratios`` of ratios, ``durations`` of milliseconds.
    """

    key: str
    heading: str
    kind: Kind = "text"
    label: bool = False  # names the row; repeated where a wide table is split

    def text(self, value: Any) -> str:
        """The value as people read it; a dash where there is none."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return NOTHING
        return _WRITERS[self.kind](value)

    @property
    def numeric(self) -> bool:
        """Whether values are numbers, set flush right."""
        return self.kind != "text"


@dataclass(frozen=True)
class Table:
    """Rows of one kind under their columns, with a title and the notes that must be read with them.

    ``prose`` tables hold sentences: a terminal shows each row as a paragraph.
    """

    kind: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    title: str = ""
    notes: Sequence[str] = field(default_factory=tuple)
    prose: bool = False

    def texts(self) -> list[list[str]]:
        """Every cell as text, row by row in the order of the columns."""
        return [[column.text(row.get(column.key)) for column in self.columns] for row in self.rows]

    def only(self, keys: Sequence[str]) -> Table:
        """The same table with these columns alone, in this order."""
        by_key = {column.key: column for column in self.columns}
        return Table(
            self.kind, [by_key[key] for key in keys if key in by_key], self.rows, self.title, self.notes, self.prose
        )


def _large(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.2f} {unit}"
    return f"{value:g}"


def _seconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _milliseconds(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _interval(value: Sequence[float]) -> str:
    return f"{_signed(value[0])} to {_signed(value[1])}"


def _signed(value: float) -> str:
    text = f"{value:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text.replace("-", "−")


_WRITERS: dict[str, Callable[[Any], str]] = {
    "text": str,
    "count": lambda value: f"{value:,}",
    "large": _large,
    "percent": lambda value: f"{value:.2f}",
    "points": _signed,
    "mebibytes": lambda value: f"{value / 2**20:.1f}",
    "milliseconds": _milliseconds,
    "seconds": _seconds,
    "p": _p,
    "number": lambda value: f"{value:.2f}".replace("-", "−"),
    "interval": _interval,
    "range": lambda value: f"{value[0]:.2f} to {value[1]:.2f}",
    "ratios": lambda value: f"{value[0]:.3f} to {value[1]:.3f}",
    "durations": lambda value: " to ".join(_milliseconds(end) for end in value),
}
