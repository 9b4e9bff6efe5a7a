"""Training and test curves: the mean over seeds with a band of one standard deviation."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resnet_shortcuts.analysis.drawing import PANEL, Drawing, canvas, legend, looks, room
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, RunRecord, in_order, pretty_network
from resnet_shortcuts.tables.escaping import escape_figure

PANELS = {"train_loss": "training loss", "test_accuracy": "test accuracy, %"}
MOST_POINTS = 80


def curve_figures(record: ExperimentRecord) -> list[Drawing]:
    """One figure a network, of the finished runs; none where no history is stored."""
    runs = [run for run in record.runs if run.finished and run.history]
    networks = in_order(run.network for run in runs)
    return [_figure(record, network, [run for run in runs if run.network == network]) for network in networks]


def _figure(record: ExperimentRecord, network: str, runs: Sequence[RunRecord]) -> Drawing:
    names = in_order(run.shortcut for run in runs)
    style = looks(run.shortcut for run in record.runs)
    ends = []
    right = 0.55 + room(names)
    with canvas((PANEL, 2.7), 2, right=right) as (figure, axes):
        for axis, (key, label) in zip(axes, PANELS.items(), strict=True):
            for name in names:
                curve = _curve([run for run in runs if run.shortcut == name], key)
                if curve is None:
                    continue
                epochs, mean, sd = curve
                axis.plot(
                    epochs, mean, markevery=max(1, len(epochs) // 6), markersize=5, linewidth=1.4,
                    label=escape_figure(name), **style[name],
                )  # fmt: skip
                axis.fill_between(epochs, mean - sd, mean + sd, color=style[name]["color"], alpha=0.12, linewidth=0)
                if key == "test_accuracy":
                    ends.append(f"{name} ends at {mean[-1]:.2f} %")
            axis.set_xlabel("epoch")
            axis.set_xlim(*_epochs(runs))
            axis.locator_params(axis="x", integer=True)
            axis.set_ylabel(label)
        legend(figure, axes[0], right)
    title = f"Training and test curves: {record.regime.sentence(pretty_network(network))}"
    words = "Training loss and test accuracy by epoch, mean over seeds, bands of one standard deviation. "
    name = re.sub(r"[^\w.-]+", "-", network)  # of a file: a plan that was received may name anything
    return Drawing(f"curves-{name}", title, f"{words}{', '.join(ends)}.", figure)


def _epochs(runs: Sequence[RunRecord]) -> tuple[float, float]:
    """From the first to the last epoch of any run, with a little air: the same for every panel."""
    epochs = [float(entry["epoch"]) for run in runs for entry in run.history if entry.get("epoch") is not None]
    first, last = min(epochs, default=0.0), max(epochs, default=1.0)
    air = 0.05 * (last - first) or 0.5
    return first - air, last + air


def _curve(
    runs: Sequence[RunRecord], key: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
    """Epochs, mean and standard deviation (0 for one run) at the epochs that every run has a value for."""
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
