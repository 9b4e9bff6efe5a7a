"""Figures of a comparison: accuracies, differences (forest), and strategies by network, each with its words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from resnet_shortcuts import garbage_collector
from resnet_shortcuts.analysis import statistics
from resnet_shortcuts.analysis.cost_figure import COSTS, cost_figure
from resnet_shortcuts.analysis.drawing import FAINT, FORMATS, INK, PANEL, Drawing, canvas, legend, looks, room
from resnet_shortcuts.analysis.experiment_records import in_order, pretty_network
from resnet_shortcuts.analysis.result_tables import verdict_rows
from resnet_shortcuts.analysis.summary import accuracies
from resnet_shortcuts.analysis.verdicts import BETTER, WORSE, Comparison, Verdicts
from resnet_shortcuts.tables.escaping import escape_figure
from resnet_shortcuts.words import counted

_MEAN, _SEEDS = -0.14, 0.24  # of a row: where the mean with its interval lies, and the seeds below it

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@garbage_collector.at_rest()
def figures(verdicts: Verdicts) -> list[Drawing]:
    """Every figure that the results allow, in the order of the report."""
    from resnet_shortcuts.analysis.curves import curve_figures
    from resnet_shortcuts.analysis.rate_figure import rate_figure

    drawings = [accuracy_figure(verdicts), forest_figure(verdicts), network_figure(verdicts)]
    drawings += [cost_figure(verdicts.record, cost) for cost in COSTS]
    drawings += [*curve_figures(verdicts.record), rate_figure(verdicts.record)]
    return [drawing for drawing in drawings if drawing is not None]


def figure_files(drawings: Sequence[Drawing]) -> Iterator[tuple[str, bytes]]:
    """File name and content of every figure as SVG, PNG and PDF."""
    for drawing in drawings:
        for format_ in FORMATS:
            yield f"{drawing.name}.{format_}", drawing.render(format_)


def accuracy_figure(verdicts: Verdicts) -> Drawing | None:
    """Test accuracy of every strategy: the mean with its unadjusted 95 % interval, below it a small mark a seed."""
    networks = in_order(run.network for run in verdicts.record.runs if run.finished)
    if not networks:
        return None
    names, style = _strategies(verdicts)
    label = "test accuracy, %\nbars: 95 %, unadjusted; small marks: seeds"
    with _panels(networks, names, label, row=0.4) as (figure, axes):
        for axis, network in zip(axes, networks, strict=True):
            for place, name in enumerate(names):
                _strip(axis, place, accuracies(verdicts.cells.get((network, name), ())), style[name])
    means = ", ".join(
        f"{row['shortcut']} on {pretty_network(row['network'])} {row['accuracy_mean']:.2f} %"
        for row in verdict_rows(verdicts)
        if row["accuracy_mean"] is not None
    )
    alt = f"Mean test accuracy: {means}. Bars are unadjusted 95 % intervals, the small marks below them single seeds."
    return Drawing("accuracy", f"Accuracy of each strategy: {verdicts.record.regime.sentence()}", alt, figure)


def _strip(axis: Axes, place: int, values: Sequence[float], style: dict[str, Any]) -> None:
    mean, _ = statistics.mean_and_sd(values)
    if mean is None:
        return
    interval = statistics.mean_interval(values)
    error = None if interval is None else [[mean - interval[0]], [interval[1] - mean]]
    axis.errorbar(
        mean, place + _MEAN, xerr=error, markersize=8, capsize=4, linewidth=1.6, markeredgecolor=INK,
        markeredgewidth=0.8, **style,
    )  # fmt: skip
    spread = [place + _SEEDS + 0.05 * (i % 3 - 1) for i in range(len(values))]
    axis.scatter(values, spread, s=20, edgecolors=INK, linewidths=0.7, **style)


def forest_figure(verdicts: Verdicts) -> Drawing | None:
    """Differences to the baseline with unadjusted 95 % intervals; what so few seeds could not have seen is shaded."""
    comparisons = [comparison for comparison in verdicts.comparisons if comparison.n >= 2]
    if not comparisons:
        return None
    networks = in_order(comparison.network for comparison in comparisons)
    names = in_order(comparison.shortcut for comparison in comparisons)
    _, style = _strategies(verdicts)
    label = f"difference to {verdicts.baseline}, points\nbars: 95 %, unadjusted"
    with _panels(networks, names, label) as (figure, axes):
        for axis, network in zip(axes, networks, strict=True):
            axis.axvline(0, color=INK, linewidth=1)
            for side in (-verdicts.margin, verdicts.margin):
                axis.axvline(side, color=FAINT, linewidth=1, linestyle=":")
            for comparison in comparisons:
                if comparison.network == network:
                    _difference(axis, names.index(comparison.shortcut), comparison, style[comparison.shortcut])
    words = "; ".join(
        f"{each.shortcut} on {pretty_network(each.network)} {each.test.mean:+.2f} points "
        f"({each.test.low:+.2f} to {each.test.high:+.2f}), {each.words()}"
        for each in comparisons
    )
    alt = (
        f"Differences to {verdicts.baseline} with 95 % intervals, not adjusted for each other: {words}. Shaded: "
        "differences too small to be seen with this many seeds (80 % power at Holm's first step). Dotted: the margin "
        f"of {counted(verdicts.margin, 'point')}. "
        "Filled: better or worse; hollow: not."
    )
    return Drawing(
        "differences", f"Difference to {verdicts.baseline}: {verdicts.record.regime.sentence()}", alt, figure
    )


def _difference(axis: Axes, place: int, comparison: Comparison, style: dict[str, Any]) -> None:
    test, detectable = comparison.test, comparison.detectable
    if detectable:
        axis.barh(place, 2 * detectable, left=-detectable, height=0.72, color=FAINT, alpha=0.18, linewidth=0)
    fill = "full" if comparison.verdict.startswith((BETTER, WORSE)) else "none"
    axis.errorbar(
        test.mean, place, xerr=[[test.mean - test.low], [test.high - test.mean]], markersize=8, capsize=4,
        linewidth=1.6, fillstyle=fill, markeredgewidth=1.4, **style,
    )  # fmt: skip


def network_figure(verdicts: Verdicts) -> Drawing | None:
    """How each strategy's difference to the baseline goes from network to network; for two networks and more."""
    comparisons = [comparison for comparison in verdicts.comparisons if comparison.n >= 2]
    networks = in_order(comparison.network for comparison in comparisons)
    if len(networks) < 2:
        return None
    names = in_order(comparison.shortcut for comparison in comparisons)
    _, style = _strategies(verdicts)
    labels, right = [pretty_network(name) for name in networks], 0.55 + room(names)
    height = len(networks) * (0.13 * len(names) + 0.25)
    words = []
    with canvas((PANEL, height), left=room(labels), right=right) as (figure, axes):
        axis = axes[0]
        axis.axvline(0, color=INK, linewidth=1)
        for place, name in enumerate(names):
            here = [comparison for comparison in comparisons if comparison.shortcut == name]
            shift = 0.8 * ((place + 0.5) / len(names) - 0.5)
            tests = [comparison.test for comparison in here]
            axis.errorbar(
                [test.mean for test in tests], [networks.index(each.network) + shift for each in here],
                xerr=[[test.mean - test.low for test in tests], [test.high - test.mean for test in tests]],
                markersize=6, capsize=2, linewidth=0, elinewidth=1.2, label=escape_figure(name), **style[name],
            )  # fmt: skip
            points = ", ".join(f"{each.test.mean:+.2f} on {pretty_network(each.network)}" for each in here)
            words.append(f"{name}: {points}.")
        _rows(axis, labels, f"difference to {verdicts.baseline}, points\nbars: 95 %, unadjusted")
        legend(figure, axis, right)
    title = f"Difference to {verdicts.baseline} by network: {verdicts.record.regime.sentence()}"
    alt = f"Points of accuracy against {verdicts.baseline}, unadjusted 95 % intervals. {' '.join(words)}"
    return Drawing("networks", title, alt, figure)


def _strategies(verdicts: Verdicts) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Every strategy of the experiment with its colour and marker."""
    names = in_order(key[1] for key in verdicts.failures)
    return names, looks(names)


@contextmanager
def _panels(
    networks: Sequence[str], names: Sequence[str], label: str, row: float = 0.32
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A canvas with a panel a network, two side by side at most, and a row of so many inches a name."""
    size = (PANEL, row * len(names) + 0.2)
    with canvas(size, min(2, len(networks)), panels=len(networks), left=room(names)) as (figure, axes):
        yield figure, axes
        for axis, network in zip(axes, networks, strict=True):
            _rows(axis, names, label)
            axis.set_title(escape_figure(pretty_network(network)))


def _rows(axis: Axes, names: Sequence[str], label: str) -> None:
    axis.set_yticks(range(len(names)), [escape_figure(name) for name in names])
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel(escape_figure(label))
    axis.ticklabel_format(axis="x", useOffset=False, style="plain")
