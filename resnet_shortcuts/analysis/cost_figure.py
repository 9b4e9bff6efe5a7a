"""Accuracy against what it costs, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from resnet_shortcuts.analysis import statistics
from resnet_shortcuts.analysis.drawing import FAINT, PANEL, Drawing, canvas, legend, looks, pareto, room
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, pretty_network
from resnet_shortcuts.analysis.summary import Row, rows_of
from resnet_shortcuts.tables.escaping import escape_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COSTS = {
    "parameters": ("parameters", 1.0),
    "multiply_adds": ("multiply-adds, millions", 1e6),
    "saved_bytes": ("saved for backward, MiB", 2.0**20),
    "peak_memory_bytes": ("peak memory, MiB", 2.0**20),
    "step_ms": ("training step, ms", 1.0),
    "train_seconds": ("training time alone, computed, s", 1.0),
}
_FIRST_CHOICES = ("step_ms", "saved_bytes", "parameters")
Point = tuple[float, float, Row]  # cost in the unit of its axis, mean accuracy in percent, and the row of both


def cost_figure(record: ExperimentRecord, cost: str | None = None) -> Drawing | None:
    """Mean accuracy (with its 95 % interval) against one cost, a panel a network; None where nothing was measured.

    Without ``cost``, the first of step time, saved bytes and parameters that was measured for two strategies or more.
    """
    rows = rows_of(record)
    if cost is None:
        measured = [key for key in _FIRST_CHOICES if sum(map(len, _points(rows, key).values())) > 1]
        return cost_figure(record, measured[0]) if measured else None
    points = _points(rows, cost)
    if not points:
        return None
    style = looks(row.shortcut for row in rows)
    label, _ = COSTS[cost]
    right = 0.55 + room([*style, "Pareto front"])
    with canvas((PANEL, 2.7), min(2, len(points)), panels=len(points), right=right) as (figure, axes):
        for axis, (network, of_network) in zip(axes, points.items(), strict=True):
            _panel(axis, of_network, label, style)
            axis.set_title(escape_figure(pretty_network(network)))
        legend(figure, axes[0], right)
    title = f"Accuracy against {label.split(',')[0]}: {record.regime.sentence()}"
    note = _reading(record, cost)
    words = [_words(network, of_network, label) for network, of_network in points.items()]
    return Drawing(f"cost-{cost.replace('_', '-')}", title, " ".join([*words, note]), figure, note)


def _points(rows: Sequence[Row], cost: str) -> dict[str, list[Point]]:
    """The points of each network that has any."""
    points: dict[str, list[Point]] = {}
    for row in rows:
        if row.accuracy_mean is not None and getattr(row, cost) is not None:
            point = (getattr(row, cost) / COSTS[cost][1], row.accuracy_mean, row)
            points.setdefault(row.network, []).append(point)
    return points


def _reading(record: ExperimentRecord, cost: str) -> str:
    """What the front does not say: it joins means, and ranks nothing that intervals or noise leave open."""
    note = "The Pareto front joins means: between strategies whose accuracy intervals overlap it ranks nothing"
    if cost not in ("step_ms", "train_seconds"):
        return f"{note}."
    noise = max((each.noise for each in record.costs if each.noise is not None), default=None)
    share = "" if noise is None else f" ({100 * noise:.2g} %, from a strategy timed against itself)"
    return f"{note}, nor do times that differ by less than the measurement's noise{share}."


def _front(points: Sequence[Point]) -> list[Point]:
    return [points[i] for i in pareto([x for x, _, _ in points], [y for _, y, _ in points])]


def _panel(axis: Axes, points: Sequence[Point], label: str, style: dict[str, dict[str, Any]]) -> None:
    front = _front(points)
    axis.plot(
        [x for x, _, _ in front], [y for _, y, _ in front], color=FAINT, linestyle="--", linewidth=1.2, zorder=1,
        label="Pareto front" if len(front) > 1 else None,
    )  # fmt: skip
    for x, y, row in points:
        axis.errorbar(
            x, y, yerr=half_width(row), linestyle="none", capsize=3, label=escape_figure(row.shortcut), markersize=7,
            markeredgecolor="white", markeredgewidth=0.5, **style[row.shortcut],
        )  # fmt: skip
    axis.set_xlabel(label)
    axis.set_ylabel("accuracy, %; 95 %, unadjusted")
    axis.margins(0.08)
    axis.ticklabel_format(axis="y", useOffset=False, style="plain")
    axis.locator_params(axis="x", nbins=4)
    axis.xaxis.set_major_formatter("{x:,.10g}")


def half_width(row: Row) -> float | None:
    """Half of the unadjusted 95 % t interval of a row's mean accuracy, in points; None with fewer than two runs."""
    finished = row.runs - row.failed
    if row.accuracy_sd is None or finished < 2:
        return None
    return statistics.critical(finished - 1, statistics.ALPHA) * row.accuracy_sd / math.sqrt(finished)


def _words(network: str, points: Sequence[Point], label: str) -> str:
    front = ", ".join(f"{row.shortcut} ({y:.2f} % at {x:,.4g})" for x, y, row in _front(points))
    return f"{pretty_network(network)}: on the Pareto front of accuracy against {label}: {front}."
