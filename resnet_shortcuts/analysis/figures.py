"""The figures of a comparison: differences, accuracy against cost, dependence on depth, curves, and what costs are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from resnet_shortcuts import garbage_collector
from resnet_shortcuts.analysis.answer import difference
from resnet_shortcuts.analysis.cost_figure import breakdown_figure, cost_figure
from resnet_shortcuts.analysis.curves import curve_figures
from resnet_shortcuts.analysis.drawing import (
    DOUBLE,
    FORMATS,
    Drawing,
    Look,
    beyond,
    canvas,
    core_range,
    label_beside,
    series_styles,
    text_width,
)
from resnet_shortcuts.analysis.experiment_records import in_order, pretty_network
from resnet_shortcuts.analysis.forest_figure import forest_figure, mark_of
from resnet_shortcuts.analysis.verdicts import Comparison, Verdicts
from resnet_shortcuts.tables.escaping import escape_figure
from resnet_shortcuts.tables.table_model import signed


@garbage_collector.at_rest()
def figures(verdicts: Verdicts, look: Look = DOUBLE) -> list[Drawing]:
    """Every figure that the results allow, in the order of the report."""
    record = verdicts.record
    networks = in_order(network for network, _ in verdicts.failures)
    drawings = [forest_figure(verdicts, network, look) for network in networks]
    drawings += [cost_figure(record, network, look) for network in networks]
    drawings += [breakdown_figure(record, network, look) for network in networks]
    drawings += [dependence_figure(verdicts, look)]
    drawings += [drawing for network in networks for drawing in curve_figures(record, network, look)]
    return [drawing for drawing in drawings if drawing is not None]


def figure_files(drawings: Sequence[Drawing]) -> Iterator[tuple[str, bytes]]:
    """File name and content of every figure as SVG, PNG and PDF."""
    for drawing in drawings:
        for format_ in FORMATS:
            yield f"{drawing.name}.{format_}", drawing.render(format_)


def dependence_figure(verdicts: Verdicts, look: Look = DOUBLE) -> Drawing | None:
    """How each strategy's difference to the baseline goes from network to network; for two networks and more."""
    networks = in_order(comparison.network for comparison in verdicts.comparisons)
    lines = {
        name: line
        for name in in_order(comparison.shortcut for comparison in verdicts.comparisons)
        if (line := _line([each for each in verdicts.comparisons if each.shortcut == name], networks))
    }
    if len(networks) < 2 or not lines:
        return None
    style = series_styles(shortcut for _, shortcut in verdicts.failures)
    limits = core_range([(0.0, 0.0), *((min(means), max(means)) for _, means, _ in lines.values())])
    labels = {n: f"{n}{beyond(means[-1], limits, signed(means[-1], 1))}" for n, (_, means, _) in lines.items()}
    left, right = text_width(["−88.8"], look) + 2.4 * look.em, text_width(labels.values(), look) + 1.6 * look.em
    height = max(14.0, 1.3 * len(lines) + 1)
    with canvas(look, 1, height, left=left, right=right, columns=1, below=1.9) as (figure, (axis,)):
        axis.set_ylim(*limits)
        axis.set_xlim(-0.2, len(networks) - 0.8)
        axis.axhline(0, color=look.ink, linewidth=0.1 * look.font)
        for name, (places, means, decided) in lines.items():
            axis.plot(places, means, color=style[name]["color"])
            for fill in ("full", "none"):
                chosen = [i for i, full in enumerate(decided) if full == (fill == "full")]
                axis.plot(
                    [places[i] for i in chosen], [means[i] for i in chosen], linestyle="none", fillstyle=fill,
                    **style[name],
                )  # fmt: skip
        ends = [
            (places[-1], means[-1], labels[name], style[name]["color"]) for name, (places, means, _) in lines.items()
        ]
        label_beside(axis, ends, look)
        axis.set_xticks(range(len(networks)), [escape_figure(pretty_network(name)) for name in networks])
        axis.set_ylabel(escape_figure(f"points above {verdicts.baseline}"))
    words = [
        f"{name}: {', '.join(f'{signed(y)} on {pretty_network(networks[x])}' for x, y in zip(xs, ys, strict=True))}."
        for name, (xs, ys, _) in lines.items()
    ]
    note = "Filled: better or worse. Intervals are in the figures of differences and in the tables."
    title = f"Difference to {verdicts.baseline} by network: {verdicts.record.regime.sentence()}"
    alt = f"Points of accuracy above {verdicts.baseline}. {' '.join(words)} {note}"
    return Drawing("dependence", title, alt, figure, note, look)


def _line(
    comparisons: Sequence[Comparison], networks: Sequence[str]
) -> tuple[list[int], list[float], list[bool]] | None:  # fmt: skip
    """Places on the axis, differences in points, and whether each is decided; None without any."""
    known = [(each, interval) for each in comparisons if (interval := difference(each)) is not None]
    if not known:
        return None
    places = [networks.index(each.network) for each, _ in known]
    decided = [mark_of(each.verdict).shape in "^v" for each, _ in known]
    return places, [interval.mean for _, interval in known], decided
