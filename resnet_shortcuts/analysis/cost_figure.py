"""Accuracy against what it costs, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from resnet_shortcuts.analysis import statistics
from resnet_shortcuts.analysis.drawing import FAINT, PANEL, Drawing, canvas, legend, looks, pareto, room
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, in_order, pretty_network
from resnet_shortcuts.analysis.summary import Row, rows_of

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


def cost_figure(record: ExperimentRecord, cost: str | None = None) -> Drawing | None:
    """Mean accuracy (with its 95 % interval) against one cost, a panel a network; None where nothing was measured.

    Without ``cost``, the first of step time, saved bytes and parameters that was measured for two strategies or more.
    """
    rows = rows_of(record)
    chosen = cost or next((key for key in ("step_ms", "saved_bytes", "parameters") if _measured(rows, key) > 1), None)
    if chosen is None or not _measured(rows, chosen):
        return None
    networks = [name for name in in_order(row.network for row in rows) if _points(rows, name, chosen)]
    style = looks(row.shortcut for row in rows)
    label, _ = COSTS[chosen]
    right = 0.55 + room([*style, "Pareto front"])
    with canvas((PANEL, 2.7), min(2, len(networks)), panels=len(networks), right=right) as (figure, axes):
        for axis, network in zip(axes, networks, strict=True):
            _panel(axis, _points(rows, network, chosen), chosen, style)
            axis.set_title(pretty_network(network))
        legend(figure, axes[0], right)
    title = f"Accuracy against {label.split(',')[0]}: " + record.regime.sentence()
    note = _reading(record, chosen)
    words = f"{_words(rows, networks, chosen)} {note}"
    return Drawing(f"cost-{chosen.replace('_', '-')}", title, words, figure, note)


def _reading(record: ExperimentRecord, cost: str) -> str:
    """What the front does not say: it joins means, and ranks nothing that intervals or noise leave open."""
    note = "The Pareto front joins means: between strategies whose accuracy intervals overlap it ranks nothing"
    if cost not in ("step_ms", "train_seconds"):
        return f"{note}."
    noises = [one.noise for one in record.costs if one.noise is not None]
    much = f" ({100 * max(noises):.2g} %, from a strategy timed against itself)" if noises else ""
    return f"{note}, nor do times that differ by less than the measurement's noise{much}."


def _measured(rows: Sequence[Row], cost: str) -> int:
    return sum(row.accuracy_mean is not None and getattr(row, cost) is not None for row in rows)


def _points(rows: Sequence[Row], network: str, cost: str) -> list[Row]:
    here = [row for row in rows if row.network == network]
    return [row for row in here if row.accuracy_mean is not None and getattr(row, cost) is not None]


def _panel(axis: Axes, rows: Sequence[Row], cost: str, style: dict[str, dict[str, str]]) -> None:
    label, unit = COSTS[cost]
    xs = [getattr(row, cost) / unit for row in rows]
    ys = [row.accuracy_mean or 0.0 for row in rows]
    front = pareto(xs, ys)
    axis.plot(
        [xs[i] for i in front], [ys[i] for i in front], color=FAINT, linestyle="--", linewidth=1.2, zorder=1,
        label="Pareto front" if len(front) > 1 else None,
    )  # fmt: skip
    for x, y, row in zip(xs, ys, rows, strict=True):
        axis.errorbar(x, y, yerr=half_width(row), linestyle="none", capsize=3, label=row.shortcut, **kind(style, row))
    axis.set_xlabel(label)
    axis.set_ylabel("accuracy, %; 95 %, unadjusted")
    axis.margins(0.08)
    axis.ticklabel_format(axis="y", useOffset=False, style="plain")
    axis.locator_params(axis="x", nbins=4)
    axis.xaxis.set_major_formatter("{x:,.10g}")


def kind(style: dict[str, dict[str, str]], row: Row) -> dict[str, Any]:
    """Keywords of a point of this row."""
    return {**style[row.shortcut], "markersize": 7, "markeredgecolor": "white", "markeredgewidth": 0.5}


def half_width(row: Row) -> float | None:
    """Half of the unadjusted 95 % t interval of a row's mean accuracy, in points; None with fewer than two runs."""
    finished = row.runs - row.failed
    if row.accuracy_sd is None or finished < 2:
        return None
    return statistics.critical(finished - 1, statistics.ALPHA) * row.accuracy_sd / math.sqrt(finished)


def _words(rows: Sequence[Row], networks: Sequence[str], cost: str) -> str:
    label, unit = COSTS[cost]
    parts = []
    for network in networks:
        points = _points(rows, network, cost)
        front = pareto([getattr(row, cost) for row in points], [row.accuracy_mean or 0.0 for row in points])
        on_it = ", ".join(
            f"{points[i].shortcut} ({points[i].accuracy_mean:.2f} % at {getattr(points[i], cost) / unit:,.4g})"
            for i in front
        )
        parts.append(f"{pretty_network(network)}: on the Pareto front of accuracy against {label}: {on_it}.")
    return " ".join(parts)
