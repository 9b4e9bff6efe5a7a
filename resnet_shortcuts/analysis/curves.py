"""Training and test curves: the mean over seeds with a band of one standard deviation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resnet_shortcuts.analysis.drawing import PANEL, Drawing, canvas, legend, looks, room
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, RunRecord, in_order, pretty_network

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {"train_loss": "training loss", "test_accuracy": "test accuracy, %"}
MOST_POINTS = 80


def curve_figures(record: ExperimentRecord) -> list[Drawing]:
    """One figure a network, of the finished runs; none where no history is stored."""
    drawings = []
    for network in in_order(run.network for run in record.runs):
        runs = [run for run in record.runs if run.network == network and run.finished and run.history]
        if runs:
            drawings.append(_figure(record, network, runs))
    return drawings


def _figure(record: ExperimentRecord, network: str, runs: Sequence[RunRecord]) -> Drawing:
    names = in_order(run.shortcut for run in runs)
    style = looks(in_order(run.shortcut for run in record.runs))
    ends = []
    right = 0.55 + room(names)
    with canvas((PANEL, 2.7), 2, right=right) as (figure, axes):
        for axis, (key, label) in zip(axes, PANELS.items(), strict=True):
            for name in names:
                found = _curve([run for run in runs if run.shortcut == name], key)
                if found is None:
                    continue
                _draw(axis, *found, name, style[name])
                if key == "test_accuracy":
                    ends.append(f"{name} ends at {found[1][-1]:.2f} %")
            axis.set_xlabel("epoch")
            axis.set_xlim(*_epochs(runs))
            axis.locator_params(axis="x", integer=True)
            axis.set_ylabel(label)
        legend(figure, axes[0], right)
    where = record.regime.sentence(pretty_network(network))
    words = "Training loss and test accuracy by epoch, mean over seeds, bands of one standard deviation. "
    words += f"{', '.join(ends)}."
    return Drawing(f"curves-{network}", f"Training and test curves: {where}", words, figure)


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
    series = [_series(run.history, key) for run in runs]
    shared = sorted(set.intersection(*(set(one) for one in series))) if series else []
    if not shared:
        return None
    if len(shared) > MOST_POINTS:  # more than a figure can show
        shared = [
            shared[i] for i in sorted({*range(0, len(shared), math.ceil(len(shared) / MOST_POINTS)), len(shared) - 1})
        ]
    values = np.array([[one[epoch] for epoch in shared] for one in series], dtype=np.float64)
    sd = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(len(shared))
    return np.array(shared, dtype=np.float64), values.mean(axis=0), sd


def _series(history: Sequence[Mapping[str, Any]], key: str) -> dict[float, float]:
    found = {}
    for entry in history:
        value, epoch = entry.get(key), entry.get("epoch")
        if value is not None and epoch is not None and math.isfinite(value):
            found[float(epoch)] = float(value)
    return found


def _draw(
    axis: Axes, epochs: NDArray[np.float64], mean: NDArray[np.float64], sd: NDArray[np.float64], name: str,
    style: dict[str, str],
) -> None:  # fmt: skip
    every = max(1, len(epochs) // 6)
    axis.plot(
        epochs,
        mean,
        color=style["color"],
        marker=style["marker"],
        markevery=every,
        markersize=5,
        linewidth=1.4,
        label=name,
    )
    axis.fill_between(epochs, mean - sd, mean + sd, color=style["color"], alpha=0.12, linewidth=0)
