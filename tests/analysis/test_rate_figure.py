"""The drawn learning rate is the one that PyTorch's schedulers give, whichever version stored the recipe."""

import dataclasses

import numpy as np
import pytest
import torch

from resnet_shortcuts.analysis.experiment_records import Regime
from resnet_shortcuts.analysis.rate_figure import rate_figure
from resnet_shortcuts.training.recipe import TrainSpec
from tests.analysis.made import of_accuracies

PER_EPOCH, EPOCHS = 25, 8


def drawn(recipe: dict[str, object]) -> tuple[np.ndarray, np.ndarray]:
    regime = Regime("digits", 1000, 797, EPOCHS, batch_size=40, recipe=recipe)
    drawing = rate_figure(dataclasses.replace(of_accuracies({"A": [90.0]}), regime=regime))
    assert drawing is not None
    (line,) = drawing.figure.axes[0].lines
    assert line.get_drawstyle() == "steps-post"
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def by_pytorch(make: object) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = make(optimizer)  # type: ignore[operator]
    rates = []
    for _ in range(PER_EPOCH * EPOCHS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def milestones(*steps: int) -> object:
    return lambda optimizer: torch.optim.lr_scheduler.MultiStepLR(optimizer, steps)


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [
        ({"kind": "step", "milestones": [0.5, 0.75]}, milestones(100, 150)),
        ({"kind": "step", "milestones": [4, 6]}, milestones(100, 150)),
        ({"kind": "cosine"}, lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)),
        ({"kind": "constant"}, milestones()),
    ],
)
def test_the_drawn_rate_is_that_of_pytorch(schedule: dict[str, object], theirs: object) -> None:
    spec = TrainSpec.model_validate({"epochs": EPOCHS, "batch_size": 40, "schedule": schedule})
    epochs, rates = drawn(spec.identity())
    assert (epochs[0], epochs[-1]) == (0, EPOCHS)
    expected = by_pytorch(theirs)
    for epoch, rate in zip(epochs[:-1], rates, strict=False):
        assert rate == pytest.approx(expected[round(epoch * PER_EPOCH)], abs=1e-9)
    falls = [step for step in range(1, 200) if expected[step] != expected[step - 1]]
    assert {round(epoch * PER_EPOCH) for epoch in epochs} >= set(falls)


def test_whole_milestones_of_older_versions_are_iterations() -> None:
    stored = TrainSpec.model_validate({"epochs": EPOCHS, "batch_size": 40}).identity()
    stored["schedule"] = {"kind": "step", "milestones": [40], "gamma": 0.1}
    epochs, rates = drawn(stored)
    assert epochs[:-1][rates[:-1] < 0.05].min() == 40 / PER_EPOCH


@pytest.mark.parametrize("recipe", [{}, {"schedule": None}, {"schedule": {"kind": "odd"}}, {"schedule": {}, "lr": "x"}])
def test_a_recipe_that_is_not_whole_has_no_figure(recipe: dict[str, object]) -> None:
    regime = Regime("digits", 1000, 797, EPOCHS, batch_size=40, recipe=recipe)
    assert rate_figure(dataclasses.replace(of_accuracies({"A": [90.0]}), regime=regime)) is None
