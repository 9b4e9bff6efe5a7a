"""Figures of a comparison: accuracies, differences (forest), and strategies by network, each with its words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from resnet_shortcuts import garbage_collector
from resnet_shortcuts.analysis import statistics
from resnet_shortcuts.analysis.cost_figure import COSTS, cost_figure
from resnet_shortcuts.analysis.drawing import FAINT, FORMATS, INK, PANEL, Drawing, canvas, legend, looks, room
from resnet_shortcuts.analysis.experiment_records import in_order, pretty_network
from resnet_shortcuts.analysis.result_tables import verdict_rows
from resnet_shortcuts.analysis.verdicts import BETTER, WORSE, Comparison, Verdicts
from resnet_shortcuts.words import counted

_MEAN, _SEEDS = -0.14, 0.24  # of a row: where the mean with its interval lies, and the seeds below it

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@garbage_collector.at_rest()
def figures(verdicts: Verdicts) -> list[Drawing]:
    """Every figure that the results allow, in the order of the report."""
    from resnet_shortcuts.analysis.curves import curve_figures

    drawings = [accuracy_figure(verdicts), forest_figure(verdicts), network_figure(verdicts)]
    drawings += [cost_figure(verdicts.record, cost) for cost in COSTS]
    drawings += curve_figures(verdicts.record)
    return [drawing for drawing in drawings if drawing is not None]


def figure_files(drawings: Sequence[Drawing]) -> Iterator[tuple[str, bytes]]:
    """File name and content of every figure as SVG, PNG and PDF."""
    for drawing in drawings:
        for format_ in FORMATS:
            yield f"{drawing.name}.{format_}", drawing.render(format_)


def accuracy_figure(verdicts: Verdicts) -> Drawing | None:
    """Test accuracy of every strategy: the mean with its unadjusted 95 % interval, below it a small mark a seed."""
    finished = [run for run in verdicts.record.runs if run.finished]
    if not finished:
        return None
    networks = in_order(run.network for run in finished)
    names = in_order(key[1] for key in verdicts.failures)
    style = looks(names)
    with _panels(len(networks), names, row=0.4) as (figure, axes):
        for axis, network in zip(axes, networks, strict=True):
            for place, name in enumerate(names):
                runs = [run for run in finished if (run.network, run.shortcut) == (network, name)]
                _strip(axis, place, [run.test_accuracy or 0.0 for run in runs], style[name])
            _rows(axis, names, "test accuracy, %\nbars: 95 %, unadjusted; small marks: seeds")
            axis.set_title(pretty_network(network))
    return Drawing(
        "accuracy",
        f"Accuracy of each strategy: {verdicts.record.regime.sentence()}",
        _accuracy_words(verdicts),
        figure,
    )


def _strip(axis: Axes, place: int, values: Sequence[float], style: dict[str, str]) -> None:
    if not values:
        return
    mean = math.fsum(values) / len(values)
    interval = statistics.mean_interval(values)
    error = None if interval is None else [[mean - interval[0]], [interval[1] - mean]]
    axis.errorbar(
        mean, place + _MEAN, xerr=error, color=style["color"], marker=style["marker"], markersize=8, capsize=4,
        linewidth=1.6, markeredgecolor=INK, markeredgewidth=0.8,
    )  # fmt: skip
    spread = [place + _SEEDS + 0.05 * (i % 3 - 1) for i in range(len(values))]
    axis.scatter(values, spread, s=20, color=style["color"], marker=style["marker"], edgecolors=INK, linewidths=0.7)


def _accuracy_words(verdicts: Verdicts) -> str:
    parts = []
    for row in verdict_rows(verdicts):
        if row["accuracy_mean"] is not None:
            parts.append(f"{row['shortcut']} on {pretty_network(row['network'])} {row['accuracy_mean']:.2f} %")
    return (
        "Mean test accuracy: "
        + ", ".join(parts)
        + ". Bars are unadjusted 95 % intervals, the small marks below them single seeds."
    )


def forest_figure(verdicts: Verdicts) -> Drawing | None:
    """Differences to the baseline with unadjusted 95 % intervals; what so few seeds could not have seen is shaded."""
    shown = [one for one in verdicts.comparisons if one.n >= 2]
    if not shown:
        return None
    networks = in_order(one.network for one in shown)
    names = in_order(one.shortcut for one in shown)
    style = looks(in_order(key[1] for key in verdicts.failures))
    with _panels(len(networks), names) as (figure, axes):
        for axis, network in zip(axes, networks, strict=True):
            axis.axvline(0, color=INK, linewidth=1)
            for side in (-verdicts.margin, verdicts.margin):
                axis.axvline(side, color=FAINT, linewidth=1, linestyle=":")
            for one in shown:
                if one.network == network:
                    _difference(axis, names.index(one.shortcut), one, style[one.shortcut])
            _rows(axis, names, f"difference to {verdicts.baseline}, points\nbars: 95 %, unadjusted")
            axis.set_title(pretty_network(network))
    words = "; ".join(
        f"{one.shortcut} on {pretty_network(one.network)} {one.test.mean:+.2f} points "
        f"({one.test.low:+.2f} to {one.test.high:+.2f}), {one.words()}"
        for one in shown
    )
    note = (
        f"Differences to {verdicts.baseline} with 95 % intervals, not adjusted for each other: {words}. Shaded: "
        "differences too small to be seen with this many seeds (80 % power at Holm's first step). Dotted: the margin "
        f"of {counted(verdicts.margin, 'point')}. "
        "Filled: better or worse; hollow: not."
    )
    return Drawing(
        "differences", f"Difference to {verdicts.baseline}: {verdicts.record.regime.sentence()}", note, figure
    )


def _difference(axis: Axes, place: int, one: Comparison, style: dict[str, str]) -> None:
    if one.detectable:
        axis.barh(place, 2 * one.detectable, left=-one.detectable, height=0.72, color=FAINT, alpha=0.18, linewidth=0)
    error = [[one.test.mean - one.test.low], [one.test.high - one.test.mean]]
    settled = one.verdict in (BETTER, WORSE)
    axis.errorbar(
        one.test.mean, place, xerr=error, color=style["color"], marker=style["marker"], markersize=8, capsize=4,
        linewidth=1.6, fillstyle="full" if settled else "none", markeredgewidth=1.4,
    )  # fmt: skip


def network_figure(verdicts: Verdicts) -> Drawing | None:
    """How each strategy's difference to the baseline goes from network to network; for two networks and more."""
    shown = [one for one in verdicts.comparisons if one.n >= 2]
    networks = in_order(one.network for one in shown)
    if len(networks) < 2:
        return None
    names = in_order(one.shortcut for one in shown)
    style = looks(in_order(key[1] for key in verdicts.failures))
    labels, right = [pretty_network(name) for name in networks], 0.55 + room(names)
    height = len(networks) * (0.13 * len(names) + 0.25)
    with canvas((PANEL, height), left=room(labels), right=right) as (figure, axes):
        axis = axes[0]
        axis.axvline(0, color=INK, linewidth=1)
        for place, name in enumerate(names):
            here = [one for one in shown if one.shortcut == name]
            shift = 0.8 * ((place + 0.5) / len(names) - 0.5)
            means = [one.test.mean for one in here]
            errors = [[one.test.mean - one.test.low for one in here], [one.test.high - one.test.mean for one in here]]
            axis.errorbar(
                means, [networks.index(one.network) + shift for one in here], xerr=errors, color=style[name]["color"],
                marker=style[name]["marker"], markersize=6, capsize=2, linewidth=0, elinewidth=1.2, label=name,
            )  # fmt: skip
        _rows(axis, labels, f"difference to {verdicts.baseline}, points\nbars: 95 %, unadjusted")
        legend(figure, axis, right)
    words = ". ".join(
        f"{name}: "
        + ", ".join(f"{one.test.mean:+.2f} on {pretty_network(one.network)}" for one in shown if one.shortcut == name)
        for name in names
    )
    title = f"Difference to {verdicts.baseline} by network: {verdicts.record.regime.sentence()}"
    return Drawing(
        "networks",
        title,
        f"Points of accuracy against {verdicts.baseline}, unadjusted 95 % intervals. {words}.",
        figure,
    )


def _panels(
    networks: int, names: Sequence[str], row: float = 0.32
) -> AbstractContextManager[tuple[Figure, list[Axes]]]:
    """A canvas with a panel a network, two side by side at most, and a row of so many inches a name."""
    return canvas((PANEL, row * len(names) + 0.2), min(2, networks), panels=networks, left=room(names))


def _rows(axis: Axes, names: Sequence[str], label: str) -> None:
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel(label)
    axis.ticklabel_format(axis="x", useOffset=False, style="plain")
