"""The learning rate of the runs, from the first to the last step of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resnet_shortcuts.analysis.drawing import INK, PANEL, Drawing, canvas
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord
from resnet_shortcuts.training.recipe import TrainSpec, learning_rate, learning_rate_course, total_steps

_POINTS = 400
"""Of a rate that changes at every step, about as many as a figure can show."""


def rate_figure(record: ExperimentRecord) -> Drawing | None:
    """The learning rate by epoch; None where the records do not hold a whole recipe."""
    per_epoch, recipe = record.regime.steps_per_epoch, _recipe(record.regime.recipe)
    if per_epoch is None or recipe is None:
        return None
    total = total_steps(recipe, per_epoch)
    course = learning_rate_course(recipe, total, per_epoch)
    steps = sorted({point.step for point in course} | {*range(0, total, max(1, total // _POINTS)), total - 1})
    rates = [learning_rate(recipe, step, total) for step in steps]
    with canvas((PANEL, 1.6)) as (figure, (axis,)):
        epochs = [step / per_epoch for step in (*steps, total)]
        axis.plot(epochs, [*rates, rates[-1]], color=INK, drawstyle="steps-post", linewidth=1.4)
        axis.set_xlabel("epoch")
        axis.set_ylabel("learning rate")
        axis.set_ylim(bottom=0)
    points = ", ".join(f"{point.rate:.4g} from epoch {point.epoch:.4g}" for point in course)
    return Drawing(
        "learning-rate",
        f"Learning rate: {record.regime.sentence()}",
        f"Learning rate, schedule {recipe.schedule.kind}: {points}.",
        figure,
    )


def _recipe(stored: Mapping[str, Any]) -> TrainSpec | None:
    """The recipe that a run's id hashes, as a config would give it; None where it is not one."""
    try:
        schedule = dict(stored["schedule"])
        if "milestone_epochs" in schedule:
            schedule["milestones"] = schedule.pop("milestone_epochs")
        elif "milestones" in schedule:
            schedule["milestones_in"] = "iterations"
        return TrainSpec.model_validate({**stored, "schedule": schedule})
    except (KeyError, TypeError, ValueError):
        return None
