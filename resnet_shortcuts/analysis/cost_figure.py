"""Accuracy against what it costs, with the Pareto front; and what memory and time are made of."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resnet_shortcuts.analysis import statistics
from resnet_shortcuts.analysis.drawing import (
    COLOURS,
    DOUBLE,
    FAINT,
    Drawing,
    Look,
    beyond,
    canvas,
    core_range,
    label_beside,
    pareto,
    series_styles,
    text_width,
)
from resnet_shortcuts.analysis.experiment_records import CostRecord, ExperimentRecord, in_order, pretty_network
from resnet_shortcuts.analysis.forest_figure import file_name
from resnet_shortcuts.analysis.summary import Row, rows_of
from resnet_shortcuts.tables.escaping import escape_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COSTS = {
    "step_ms": ("training step, ms", 1.0),
    "peak_memory_bytes": ("peak memory of training, MiB", 2.0**20),
    "activation_bytes": ("activation memory, MiB", 2.0**20),
    "parameters": ("parameters, thousands", 1e3),
    "multiply_adds": ("multiply-adds, millions", 1e6),
}
"""What accuracy is drawn against: axis label and unit. Training time is the step's, many times."""


@dataclass(frozen=True)
class Point:
    """A strategy in a panel: its cost in the unit of the axis, with an interval where that is a time, and accuracy.

    ``trusted``: no run failed, so that the mean is over all seeds, and nothing disturbed the measurement.
    """

    name: str
    x: float
    x_interval: tuple[float, float] | None
    y: float
    half: float | None
    trusted: bool

    @property
    def across(self) -> list[list[float]] | None:
        """How far the interval of the cost reaches to the left and to the right."""
        if self.x_interval is None:
            return None
        return [[max(0.0, self.x - self.x_interval[0])], [max(0.0, self.x_interval[1] - self.x)]]

    def label(self, limits: tuple[float, float]) -> str:
        """Its name; with the accuracy where the point lies beyond the axis."""
        return f"{self.name}{beyond(self.y, limits, f'{self.y:.1f}')}"

    def words(self) -> str:
        """'projection-all (92.10 % at 61.3)'."""
        return f"{self.name} ({self.y:.2f} % at {self.x:,.4g})"


def cost_figure(record: ExperimentRecord, network: str | None = None, look: Look = DOUBLE) -> Drawing | None:
    """Mean accuracy with its 95 % interval on one network (default: the first), a panel a cost, as many as fit."""
    rows = rows_of(record)
    chosen = network or next((row.network for row in rows), "")
    costs = {cost.shortcut: cost for cost in record.costs if cost.network == chosen}
    of_network = [row for row in rows if row.network == chosen]
    measured = {key: points for key in COSTS if (points := _points(of_network, costs, key))}
    telling = {key: points for key, points in measured.items() if len({point.x for point in points}) > 1} or measured
    panels = dict(itertools.islice(telling.items(), look.costs))
    if not panels:
        return None
    style = series_styles(row.shortcut for row in rows)
    labels = [point.label(_limits(points)) for points in panels.values() for point in points]
    left, right = text_width(["88.88"], look) + 3.6 * look.em, text_width(labels, look) + 1.6 * look.em
    height = max(12.0, 1.3 * max(map(len, panels.values())))
    with canvas(look, len(panels), height, left=left, right=right, above=2.6) as (figure, axes):
        for axis, (key, points) in zip(axes, panels.items(), strict=True):
            _panel(axis, key, points, style, look)
            axis.set_xlabel(COSTS[key][0])
            axis.set_ylabel("accuracy, %\nbars: 95 %, unadjusted")
    note = _note(record, panels)
    title = f"Accuracy against cost: {record.regime.sentence(pretty_network(chosen))}"
    alt = " ".join([*(_words(key, points) for key, points in panels.items()), note])
    hover = {f"{key}-{place}": point.words() for key, points in panels.items() for place, point in enumerate(points)}
    return Drawing(f"cost-{file_name(chosen)}", title, alt, figure, note, look, hover)


def _points(rows: Sequence[Row], costs: dict[str, CostRecord], key: str) -> list[Point]:
    points, unit = [], COSTS[key][1]
    for row in rows:
        cost = costs.get(row.shortcut)
        value = None if cost is None else getattr(cost, key)
        if cost is None or value is None or row.accuracy_mean is None:
            continue
        trusted = not row.failed and not (key == "step_ms" and cost.disturbed)
        interval = cost.step_ms_interval if key == "step_ms" else None
        points.append(Point(row.shortcut, value / unit, interval, row.accuracy_mean, half_width(row), trusted))
    return points


def _front(points: Sequence[Point]) -> list[Point]:
    """The Pareto front of the points; none where a number in it cannot be trusted."""
    front = [points[i] for i in pareto([point.x for point in points], [point.y for point in points])]
    return front if all(point.trusted for point in points) else []


def _panel(axis: Axes, key: str, points: Sequence[Point], style: dict[str, dict[str, Any]], look: Look) -> None:
    limits = _limits(points)
    axis.set_ylim(*limits)
    shown = [point for point in points if limits[0] <= point.y <= limits[1]]
    front = [point for point in _front(points) if point in shown]
    if len(front) > 1:
        ends = [point.x for point in front], [point.y for point in front]
        axis.plot(*ends, color=FAINT, linestyle="--", zorder=1, label="Pareto front")
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), borderpad=0.1, borderaxespad=0.3)
    for place, point in enumerate(points):
        if point in shown:
            marks = axis.errorbar(
                point.x, point.y, yerr=point.half, xerr=point.across, linestyle="none", elinewidth=0.1 * look.font,
                fillstyle="full" if point.trusted else "none", **style[point.name],
            )  # fmt: skip
            marks[0].set_gid(f"{key}-{place}")
    axis.margins(x=0.08)
    width = axis.get_window_extent().width / axis.figure.dpi / look.em
    axis.locator_params(axis="x", nbins=min(4, max(2, int(width / 4.5))))
    axis.locator_params(axis="y", nbins=5)
    axis.ticklabel_format(axis="y", useOffset=False, style="plain")
    axis.xaxis.set_major_formatter("{x:,.10g}")
    label_beside(axis, [(p.x, p.y, p.label(limits), style[p.name]["color"]) for p in points], look)


def _limits(points: Sequence[Point]) -> tuple[float, float]:
    return core_range([(point.y - (point.half or 0.0), point.y + (point.half or 0.0)) for point in points])


def half_width(row: Row) -> float | None:
    """Half of the unadjusted 95 % t interval of a row's mean accuracy, in points; None with fewer than two runs."""
    finished = row.runs - row.failed
    if row.accuracy_sd is None or finished < 2:
        return None
    return statistics.critical(finished - 1, statistics.ALPHA) * row.accuracy_sd / math.sqrt(finished)


def _words(key: str, points: Sequence[Point]) -> str:
    front = ", ".join(point.words() for point in _front(points))
    label = COSTS[key][0]
    return f"On the Pareto front of accuracy against {label}: {front}." if front else f"{label}: no Pareto front."


def _note(record: ExperimentRecord, panels: dict[str, list[Point]]) -> str:
    """What the front does not say: it joins means, and ranks nothing that intervals or noise leave open."""
    parts = []
    if any(_front(points) for points in panels.values()):
        front = "The Pareto front joins means: between strategies whose accuracy intervals overlap it ranks nothing"
        parts.append(f"{front}{_under_noise(record) if _front(panels.get('step_ms', ())) else ''}.")
    if not all(point.trusted for points in panels.values() for point in points):
        parts.append("Hollow: not to be trusted (runs failed, or other programs ran meanwhile), so no front is drawn.")
    return " ".join(parts)


def _under_noise(record: ExperimentRecord) -> str:
    noise = max((each.noise for each in record.costs if each.noise is not None), default=None)
    share = "" if noise is None else f" ({100 * noise:.2g} %, from a strategy timed against itself)"
    return f", nor do times that differ by less than the measurement's noise{share}"


def breakdown_figure(record: ExperimentRecord, network: str, look: Look = DOUBLE) -> Drawing | None:
    """What costs are made of on one network: activations and the rest of peak memory, and the time of a step."""
    costs = [cost for cost in record.costs if cost.network == network]
    memory, timed = [c for c in costs if c.peak_memory_bytes], [c for c in costs if c.step_ms]
    panels = [(draw, chosen) for draw, chosen in ((_memory_bars, memory), (_time_bars, timed)) if chosen]
    if not panels:
        return None
    names = in_order(cost.shortcut for _, chosen in panels for cost in chosen)
    left, height = text_width(names, look) + look.em, 1.5 * len(names)
    with canvas(look, len(panels), height, left=left, right=2.4 * look.em, above=2.4) as (figure, axes):
        for axis, (draw, chosen) in zip(axes, panels, strict=True):
            axis.set_yticks(range(len(names)), [escape_figure(name) for name in names])
            axis.tick_params(axis="y", length=0)
            axis.set_ylim(len(names) - 0.5, -0.5)
            axis.grid(visible=False, axis="y")
            draw(axis, [names.index(cost.shortcut) for cost in chosen], chosen, look)
            axis.locator_params(axis="x", nbins=4)
    words = [f"{c.shortcut} {_parts(c)}" for c in memory] + [f"{c.shortcut} {c.step_ms:.4g} ms" for c in timed]
    title = f"What memory and time go to: {record.regime.sentence(pretty_network(network))}"
    note = "Activations: what the forward pass keeps for the backward pass. Bars of time: the median step, 95 %."
    if any(cost.disturbed for cost in timed):
        note += " Other programs ran while steps were timed: the times are not to be trusted."
    return Drawing(f"breakdown-{file_name(network)}", title, f"{'; '.join(words)}. {note}", figure, note, look)


def memory_parts(cost: CostRecord) -> tuple[float, float]:
    """Peak memory in MiB as activations and everything else; the parts are never more than the whole."""
    peak = (cost.peak_memory_bytes or 0) / 2**20
    activations = min(peak, (cost.activation_bytes or 0) / 2**20)
    return activations, peak - activations


def _parts(cost: CostRecord) -> str:
    activations, rest = memory_parts(cost)
    return f"{activations + rest:.0f} MiB, {activations:.0f} of them activations"


def _memory_bars(axis: Axes, places: Sequence[int], costs: Sequence[CostRecord], look: Look) -> None:
    parts = [memory_parts(cost) for cost in costs]
    kept, rest = [part[0] for part in parts], [part[1] for part in parts]
    axis.barh(places, kept, height=0.62, color=COLOURS[0], label="activations")
    axis.barh(places, rest, left=kept, height=0.62, color=FAINT, label="everything else")
    axis.set_xlabel("peak memory of training, MiB")
    axis.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=2, handlelength=1, columnspacing=1, borderpad=0.1,
        borderaxespad=0.3, handletextpad=0.4,
    )  # fmt: skip


def _time_bars(axis: Axes, places: Sequence[int], costs: Sequence[CostRecord], look: Look) -> None:
    for place, cost in zip(places, costs, strict=True):
        step = cost.step_ms or 0.0
        low, high = cost.step_ms_interval or (step, step)
        axis.barh(
            place, step, height=0.62, color="none" if cost.disturbed else COLOURS[4], edgecolor=COLOURS[4],
            xerr=[[max(0.0, step - low)], [max(0.0, high - step)]], ecolor=look.ink, capsize=0.2 * look.font,
        )  # fmt: skip
    axis.set_xlabel("training step, ms")
