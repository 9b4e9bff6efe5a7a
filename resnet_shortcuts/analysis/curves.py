"""Curves: a panel a strategy, its mean over seeds with a band of one standard deviation, the others in grey."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from resnet_shortcuts.analysis.drawing import DOUBLE, FAINT, Drawing, Look, canvas, series_styles, text_width
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, RunRecord, in_order, pretty_network
from resnet_shortcuts.analysis.forest_figure import file_name
from resnet_shortcuts.tables.escaping import escape_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUANTITIES = {"test_accuracy": ("accuracy", "test accuracy, %"), "train_loss": ("loss", "training loss")}
MOST_POINTS = 80
Curve = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Epochs, mean and standard deviation."""


def curve_figures(record: ExperimentRecord, network: str, look: Look = DOUBLE) -> list[Drawing]:
    """Test accuracy and training loss by epoch of the finished runs on one network.

    None of a quantity that is known at one epoch only: tables have it.
    """
    runs = [run for run in record.runs if run.network == network and run.finished and run.history]
    drawings = [_figure(record, network, runs, key, look) for key in QUANTITIES]
    return [drawing for drawing in drawings if drawing is not None]


def _figure(
    record: ExperimentRecord, network: str, runs: Sequence[RunRecord], key: str, look: Look
) -> Drawing | None:  # fmt: skip
    all_curves = {
        name: _curve([run for run in runs if run.shortcut == name], key) for name in in_order(r.shortcut for r in runs)
    }
    curves = {name: curve for name, curve in all_curves.items() if curve is not None}
    if max((len(epochs) for epochs, _, _ in curves.values()), default=0) < 2:
        return None
    style = series_styles(run.shortcut for run in record.runs)
    name, label = QUANTITIES[key]
    columns = look.columns + 1
    left = text_width(["88.8"], look) + 2.6 * look.em
    height = 0.55 * (look.width / columns - left) / look.em
    limits = _epochs(runs), _values(list(curves.values()), key)
    with canvas(look, len(curves), height, left=left, right=1.2 * look.em, columns=columns) as (figure, axes):
        for place, (axis, shortcut) in enumerate(zip(axes, curves, strict=True)):
            _panel(axis, shortcut, curves, str(style[shortcut]["color"]))
            axis.set_xlim(*limits[0])
            axis.set_ylim(*limits[1])
            axis.locator_params(axis="x", integer=True, nbins=4)
            axis.locator_params(axis="y", nbins=4)
            axis.set_xlabel("epoch")
            if place % columns == 0:
                axis.set_ylabel(label)
    ends = ", ".join(f"{shortcut} ends at {mean[-1]:.2f}" for shortcut, (_, mean, _) in curves.items())
    words = f"{label} by epoch, mean over seeds, band of one standard deviation; grey: the other strategies."
    words = words[0].upper() + words[1:]
    title = f"Curves of {name}: {record.regime.sentence(pretty_network(network))}"
    return Drawing(f"curves-{name}-{file_name(network)}", title, f"{words} {ends}.", figure, words, look)


def _panel(axis: Axes, shortcut: str, curves: Mapping[str, Curve], colour: str) -> None:
    for other, (epochs, mean, _) in curves.items():
        if other != shortcut:
            axis.plot(epochs, mean, color=FAINT, alpha=0.45, linewidth=0.7)
    epochs, mean, sd = curves[shortcut]
    axis.fill_between(epochs, mean - sd, mean + sd, color=colour, alpha=0.2, linewidth=0)
    axis.plot(epochs, mean, color=colour, marker="o" if len(epochs) == 1 else None)
    axis.set_title(escape_figure(shortcut), color=colour)


def _values(curves: Sequence[Curve], key: str) -> tuple[float, float]:
    """The range of what comes after the first third of training: what comes before would squeeze it."""
    late = [mean[len(mean) // 3 :] for _, mean, _ in curves]
    low, high = min(map(np.min, late)), max(map(np.max, late))
    air = 0.08 * (high - low) or 0.5
    return float(low - air), float(high + air)


def _epochs(runs: Sequence[RunRecord]) -> tuple[float, float]:
    """From the first to the last epoch of any run, with a little air: the same for every panel."""
    epochs = [float(entry["epoch"]) for run in runs for entry in run.history if entry.get("epoch") is not None]
    first, last = min(epochs, default=0.0), max(epochs, default=1.0)
    air = 0.05 * (last - first) or 0.5
    return first - air, last + air


def _curve(runs: Sequence[RunRecord], key: str) -> Curve | None:
    """The curve at the epochs that every run has a value for; the deviation of one run is 0."""
    series = [
        {entry["epoch"]: entry[key] for entry in run.history if _known(entry.get("epoch")) and _known(entry.get(key))}
        for run in runs
    ]
    shared = sorted(set.intersection(*map(set, series))) if series else []
    if not shared:
        return None
    if len(shared) > MOST_POINTS:  # more than a figure can show
        last = len(shared) - 1
        shared = [shared[i] for i in sorted({*range(0, len(shared), math.ceil(len(shared) / MOST_POINTS)), last})]
    values = np.array([[run[epoch] for epoch in shared] for run in series], dtype=np.float64)
    sd = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(len(shared))
    return np.array(shared, dtype=np.float64), values.mean(axis=0), sd


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
