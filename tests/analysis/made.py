"""Experiments made up for tests, with a known truth."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from resnet_shortcuts.analysis.experiment_records import CostRecord, ExperimentRecord, Regime, RunRecord

NET = "cifar-resnet-20"
NAMES = (
    "stride-pad", "plain", "stride-duplicate", "max-pad", "avg-pad", "avg-duplicate", "projection", "projection-all",
    "avg-projection",
)  # fmt: skip


def of_accuracies(
    accuracies: Mapping[str, Sequence[float | None]], network: str = NET, **changes: Any
) -> ExperimentRecord:
    """Runs with these test accuracies, seeds from 0; None is a diverged run. Without images."""
    runs = [
        RunRecord(network, name, seed, test_accuracy=value, train_error=1.0)
        if value is not None
        else RunRecord(network, name, seed, status="diverged", reason="loss is NaN")
        for name, values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    return ExperimentRecord(**{"name": "made", "regime": Regime("digits", 1000, 797, 30), "runs": runs, **changes})


def whole(
    networks: Sequence[str] = (NET,), seeds: int = 5, images: int = 200, epochs: int = 4, names: Sequence[str] = NAMES
) -> ExperimentRecord:
    """Runs with images, histories, environment and costs; the same for the same arguments."""
    stream = np.random.default_rng(20)
    runs, costs = [], []
    for network in networks:
        hard = stream.random(images)
        for place, name in enumerate(names):
            for seed in range(seeds):
                correct = hard + 0.2 * stream.random(images) < 0.9 + 0.02 * place
                accuracy = 100 * float(correct.mean())
                history = [
                    {"epoch": epoch, "train_loss": 2.0 / epoch, "test_accuracy": accuracy * epoch / epochs}
                    for epoch in range(1, epochs + 1)
                ]
                run = RunRecord(
                    network, name, seed, test_accuracy=accuracy, train_error=2.0, correct=correct, history=history,
                    environment={"device": "cpu", "threads": 1},
                )  # fmt: skip
                runs.append(run)
            ratio = 1 + 0.01 * place
            costs.append(CostRecord(
                network, name, "Zen 4, 1 thread", "fp32", 64, 270_000 + 1000 * place, 40_551_040, 2**20 * (180 + place),
                2**20 * (300 + place), 40.0 * ratio, None, ratio, (ratio - 0.005, ratio + 0.005), names[0], 0.01, 12.0,
            ))  # fmt: skip
    return ExperimentRecord(
        "made", Regime("digits", 1000, images, epochs, batch_size=64, precision="fp32"), runs, costs=costs,
        command="rsc train --config results/made/config.yaml", config_text="name: made\nseeds: 5\n",
    )  # fmt: skip
