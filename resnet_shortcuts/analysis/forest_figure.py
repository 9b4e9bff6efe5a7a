"""The forest: differences to the baseline with their intervals, best first, and what each strategy costs beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from resnet_shortcuts.analysis.drawing import COLOURS, DOUBLE, FAINT, Drawing, Look, canvas, core_range, text_width
from resnet_shortcuts.analysis.experiment_records import pretty_network
from resnet_shortcuts.analysis.overview import UNRELIABLE, overview_tables
from resnet_shortcuts.analysis.procedure import Interval
from resnet_shortcuts.analysis.verdicts import Pair, Verdicts, finished_by_seed
from resnet_shortcuts.tables import MISSING
from resnet_shortcuts.tables.escaping import escape_figure
from resnet_shortcuts.tables.table_model import signed
from resnet_shortcuts.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COSTS = {"time": "time", "peak": "memory", "parameters": "parameters"}
_NARROW, _WIDE, _ROOM = 80, 100, 50
"""Columns of the terminal whose table is drawn: times without or, in a figure of ``_ROOM`` em, with their intervals."""
_MEAN, _SEEDS = -0.13, 0.27  # of a row: where the mean with its interval lies, and the seeds below it


@dataclass(frozen=True)
class Mark:
    """How a verdict is drawn: colour and shape, filled where something was decided."""

    colour: str
    shape: str
    fill: Literal["full", "none"] = "full"


MARKS = {
    "better": Mark(COLOURS[2], "^"),
    "equivalent": Mark(COLOURS[0], "s"),
    "worse": Mark(COLOURS[1], "v"),
}
OPEN = Mark("#7F7F7F", "o", "none")


def mark_of(verdict: str) -> Mark:
    """The mark of a verdict; one that decides nothing is hollow and grey."""
    return next((mark for word, mark in MARKS.items() if verdict.startswith(word)), OPEN)


@dataclass(frozen=True)
class Row:
    """One strategy: its difference in points, None where there is none, seed by seed, and its costs as text."""

    name: str
    label: str
    verdict: str
    difference: Interval | None
    by_seed: Sequence[float]
    costs: dict[str, str]

    @property
    def span(self) -> tuple[float, float] | None:
        """From the lowest to the highest of what is drawn; None where nothing is."""
        if self.difference is None:
            return None
        ends = [end for end in (self.difference.low, self.difference.high) if not math.isnan(end)]
        values = [self.difference.mean, *ends, *self.by_seed]
        return min(values), max(values)

    def words(self) -> str:
        """'projection-all +0.61 points (+0.42 to +0.80), better; time +10 %'."""
        if self.difference is None:
            return f"{self.name} {self.verdict}"
        low, high = self.difference.low, self.difference.high
        interval = "" if math.isnan(low) else f" ({signed(low)} to {signed(high)})"
        costs = "".join(f", {heading} {text}" for heading, text in self.costs.items() if text != MISSING)
        return f"{self.name} {signed(self.difference.mean)} points{interval}, {self.verdict}{costs}"


def forest_figure(verdicts: Verdicts, network: str, look: Look = DOUBLE) -> Drawing | None:
    """Differences to the baseline on one network, best first; None where no difference is known."""
    rows = _rows(verdicts, network, _WIDE if look.width >= _ROOM * look.em else _NARROW)
    spans = [row.span for row in rows if row.span is not None]
    if not spans:
        return None
    low, high = core_range([*spans, (0.0, 0.0)])
    limits = (min(low, -0.1 * (high - low)), max(high, 0.1 * (high - low)))
    left, gap = text_width([row.label for row in rows], look) + look.em, 0.9 * look.em
    widths = [text_width([heading, *(row.costs[heading] for row in rows)], look) + gap for heading in rows[0].costs]
    margins = {"left": left, "right": sum(widths) + 0.9 * look.em, "above": 3.4, "below": 4.6}
    with canvas(look, 1, 2.0 * len(rows), columns=1, **margins) as (figure, (axis,)):
        axis.set_xlim(*limits)
        axis.set_yticks(range(len(rows)), [escape_figure(row.label) for row in rows])
        axis.tick_params(axis="y", length=0)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.grid(visible=False, axis="y")
        axis.locator_params(axis="x", nbins=5)
        axis.axvline(0, color=look.ink, linewidth=0.1 * look.font)
        axis.axvspan(-verdicts.margin, verdicts.margin, color=FAINT, alpha=0.13, linewidth=0)
        for place, row in enumerate(rows):
            _draw(axis, place, row, limits, look)
        _legend(axis, rows, left, look)
        _cost_columns(axis, rows, widths, look)
        axis.set_xlabel(escape_figure(f"accuracy, points above {verdicts.baseline}\n{_bars(verdicts)}"))
    note = _note(verdicts, rows, limits)
    title = f"Difference to {verdicts.baseline}: {verdicts.record.regime.sentence(pretty_network(network))}"
    hover = {f"row-{place}": row.words() for place, row in enumerate(rows) if row.difference is not None}
    words = "; ".join(row.words() for row in rows)
    alt = f"Differences to {verdicts.baseline}, {_bars(verdicts)}: {words}. {note}"
    return Drawing(f"differences-{file_name(network)}", title, alt, figure, note, look, hover)


def file_name(network: str) -> str:
    """The network's name as part of a file name: a plan that was received may name anything."""
    return "".join(letter if letter.isalnum() or letter in "_.-" else "-" for letter in network)


def _rows(verdicts: Verdicts, network: str, width: int) -> list[Row]:
    table = overview_tables(verdicts, network)(width)[0]
    columns = {column.key: column for column in table.columns}
    costs = {key: heading for key, heading in _COSTS.items() if key in columns}
    if len(costs) > 1:
        costs.pop("parameters", None)
    theirs = finished_by_seed(verdicts.cells.get((network, verdicts.baseline), ()))
    rows = []
    for row in table.rows:
        name = row["shortcut"]
        difference = row["difference"][0] if row["difference"] else None
        by_seed = Pair(finished_by_seed(verdicts.cells.get((network, name), ())), theirs).differences
        failed = f"; fails {row['failed']}" if row["failed"] else ""
        texts = {heading: columns[key].text(row.get(key)) for key, heading in costs.items()}
        label = f"{row['letter']} {name}".strip()
        rows.append(Row(name, label, f"{row['verdict']}{failed}", difference, by_seed if difference else [], texts))
    return rows


def _bars(verdicts: Verdicts) -> str:
    return "bars: 95 %, " + ("simultaneous" if verdicts.sealed else "unadjusted")


def _draw(axis: Axes, place: int, row: Row, limits: tuple[float, float], look: Look) -> None:
    """One strategy: interval and mean, its seeds below; in words where there is none, or it lies beyond the axis."""
    mark, interval = mark_of(row.verdict), row.difference
    if interval is None:
        align = "left" if limits[1] >= -limits[0] else "right"  # where there is more room
        axis.text(0, place, f" {escape_figure(row.verdict)} ", va="center_baseline", ha=align, color=look.ink)
        return
    if not limits[0] <= interval.mean <= limits[1]:
        below = interval.mean < limits[0]
        value = _value(interval, axis, look)
        text = f" ◀ {value}" if below else f"{value} ▶ "
        side, align = (limits[0], "left") if below else (limits[1], "right")
        axis.text(side, place, text, va="center_baseline", ha=align, color=mark.colour)
        return
    reach = None if math.isnan(interval.low) else [[interval.mean - interval.low], [interval.high - interval.mean]]
    marks = axis.errorbar(
        interval.mean, place + _MEAN, xerr=reach, capsize=0.25 * look.font, color=mark.colour, marker=mark.shape,
        fillstyle=mark.fill,
    )  # fmt: skip
    marks[0].set_gid(f"row-{place}")
    spread = [place + _SEEDS + 0.06 * (i % 3 - 1) for i in range(len(row.by_seed))]
    size, edge = (0.34 * look.font) ** 2, 0.05 * look.font
    axis.scatter(row.by_seed, spread, s=size, color=mark.colour, edgecolors=look.ink, linewidths=edge)


def _value(interval: Interval, axis: Axes, look: Look) -> str:
    """A difference in words, with its interval where the panel is wide enough."""
    text = signed(interval.mean)
    ends = "" if math.isnan(interval.low) else f" ({signed(interval.low)} to {signed(interval.high)})"
    room = axis.get_window_extent().width / axis.figure.dpi
    return f"{text}{ends}" if text_width([f"{text}{ends}"], look) + 3 * look.em < room else text


def _legend(axis: Axes, rows: Sequence[Row], left: float, look: Look) -> None:
    """What the colours say, over the panel; only of verdicts that are there."""
    from matplotlib.lines import Line2D

    drawn = [row for row in rows if row.difference is not None]
    shown = {word: mark for word, mark in MARKS.items() if any(mark_of(row.verdict) == mark for row in drawn)}
    if any(mark_of(row.verdict) == OPEN for row in drawn):
        shown["inconclusive" if any("inconclusive" in row.verdict for row in drawn) else "no verdict"] = OPEN
    handles = [
        Line2D([], [], color=mark.colour, marker=mark.shape, linestyle="none", fillstyle=mark.fill, label=word)
        for word, mark in shown.items()
    ]
    box, inch = axis.get_window_extent(), axis.figure.dpi
    corner = ((0.3 * look.em - left) * inch / box.width, 1 + 1.6 * look.em * inch / box.height)
    axis.legend(
        handles=handles, loc="lower left", bbox_to_anchor=corner, ncols=max(1, len(handles)), handletextpad=0.2,
        borderpad=0, columnspacing=1.0, borderaxespad=0, handlelength=1.2,
    )  # fmt: skip


def _cost_columns(axis: Axes, rows: Sequence[Row], widths: Sequence[float], look: Look) -> None:
    """The costs as columns of text to the right of the panel, each under its heading."""
    inch = axis.figure.dpi / axis.get_window_extent().width
    edge = 1 + 0.6 * look.em * inch
    across: Any = axis.get_yaxis_transform()
    for heading, width in zip(rows[0].costs, widths, strict=True):
        edge += width * inch
        axis.text(edge, -0.62, heading, transform=across, ha="right", va="bottom", color=look.ink)
        for place, row in enumerate(rows):
            text = escape_figure(row.costs[heading])
            axis.text(edge, place, text, transform=across, ha="right", va="center_baseline", color=look.ink)


def _note(verdicts: Verdicts, rows: Sequence[Row], limits: tuple[float, float]) -> str:
    parts = [f"Small marks: single seeds. Grey band: the margin of {counted(verdicts.margin, 'point')}."]
    outside = [row.name for row in rows if row.difference and not limits[0] <= row.difference.mean <= limits[1]]
    if outside:
        parts.append(f"Beyond the axis, so that the others can be told apart: {', '.join(outside)}.")
    if "memory" in rows[0].costs:
        parts.append("Memory: the peak of training.")
    if any(UNRELIABLE in text for row in rows for text in row.costs.values()):
        parts.append(f"{UNRELIABLE}: a time that noise or other programs may have made.")
    if not verdicts.sealed:
        parts.append("Intervals are not adjusted for each other.")
    return " ".join(parts)
