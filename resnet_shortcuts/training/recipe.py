"""The recipe: what a config's ``train`` section may contain, and the learning rate that follows. Imports no torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from resnet_shortcuts.errors import SettingError
from resnet_shortcuts.words import counted

Count = Annotated[int, Field(strict=True, ge=1, le=2**53)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Milestone = Annotated[int, Field(strict=True)] | Real

# One-cycle as in torch.optim.lr_scheduler.OneCycleLR with its defaults (Smith and Topin, arXiv:1708.07120): the rate
# rises from lr/25 over the first 30 % of the steps and falls along a cosine to lr/250,000. Momentum is not cycled.
ONE_CYCLE_RISE = 0.3
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = ONE_CYCLE_START / 1e4


def whole_numbers(milestones: Sequence[object]) -> bool:
    """Whether milestones are given as epochs or iterations; otherwise they are fractions (an empty list: neither)."""
    return any(isinstance(milestone, int) and not isinstance(milestone, bool) for milestone in milestones)


class ScheduleSpec(BaseModel):
    """How the learning rate changes.

    ``step`` multiplies it by ``gamma`` at each milestone; ``cosine`` lets it fall to zero at the last step;
    ``one-cycle`` rises and falls (see above); ``constant`` keeps it. Milestones are fractions of all steps (0.5), or
    whole numbers: epochs where `TrainSpec` counts epochs, iterations where it counts iterations, and iterations in
    either with ``milestones_in: iterations``. The first ``warmup_iterations`` steps use ``warmup_lr`` instead, as
    He et al. 2015 did for ResNet-110.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["step", "cosine", "one-cycle", "constant"] = "step"
    milestones: tuple[Milestone, ...] = (0.5, 0.75)
    milestones_in: Literal["iterations"] | None = None
    gamma: Annotated[Real, Field(gt=0, le=1)] = 0.1
    warmup_iterations: Annotated[int, Field(strict=True, ge=0)] = 0
    warmup_lr: Annotated[Real, Field(gt=0, le=1000)] = 0.01

    @field_validator("milestones")
    @classmethod
    def _in_order(cls, milestones: tuple[int | float, ...]) -> tuple[int | float, ...]:
        whole = whole_numbers(milestones)
        if whole and any(isinstance(milestone, float) for milestone in milestones):
            todo = "give only fractions (0.5) or only whole numbers (150)"
            raise SettingError("fractions and whole numbers are mixed", todo=todo)
        if not whole and not all(0 < milestone < 1 for milestone in milestones):
            todo = "fractions are above 0 and below 1; epochs and iterations are whole numbers"
            raise SettingError("a fraction is out of range", todo=todo)
        if whole and min(milestones) < 1:
            raise SettingError(f"{min(milestones)} is out of range", todo="whole numbers are at least 1")
        if any(later <= earlier for earlier, later in pairwise(milestones)):
            raise SettingError("milestones are not in rising order", todo="each must be later than the one before")
        return milestones

    @field_validator("milestones", "milestones_in", "gamma")
    @classmethod
    def _of_this_kind(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses what this kind ignores; its default may stand, because a config written out lists the defaults."""
        kind, key = info.data.get("kind", "step"), str(info.field_name)
        if kind != "step" and value != cls.model_fields[key].default:
            todo = f'leave it out, or --set "train.schedule={{kind: {kind}}}"'
            raise SettingError(f"only kind step uses it, not {kind}", todo=todo)
        return value


class TrainSpec(BaseModel):
    """The ``train`` section: SGD with momentum; weight decay acts on every parameter, as in He et al. 2015.

    Exactly one of ``epochs`` and ``iterations`` is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Count | None = None
    iterations: Count | None = None
    batch_size: Count = 128
    lr: Annotated[Real, Field(gt=0, le=1000)] = 0.1
    momentum: Annotated[Real, Field(ge=0, lt=1)] = 0.9
    nesterov: Annotated[bool, Field(strict=True)] = False
    weight_decay: Annotated[Real, Field(ge=0, le=1)] = 1e-4
    label_smoothing: Annotated[Real, Field(ge=0, lt=1)] = 0.0
    schedule: ScheduleSpec = ScheduleSpec()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.epochs is None) == (self.iterations is None):
            raise SettingError("exactly one of epochs and iterations is needed", beside=("epochs", "iterations"))
        if self.nesterov and self.momentum == 0:
            raise SettingError("nesterov needs a momentum above 0", beside=("nesterov", "momentum"))
        problem = schedule_problem(self, self.iterations)
        if problem is not None:
            raise problem
        return self

    @property
    def milestones_are_epochs(self) -> bool:
        """Whether the milestones take effect and count epochs."""
        schedule = self.schedule
        in_epochs = self.epochs is not None and schedule.milestones_in is None
        return schedule.kind == "step" and in_epochs and whole_numbers(schedule.milestones)

    def identity(self) -> dict[str, object]:
        """What of the recipe changes the result, for a run's id; keys that the schedule ignores are left out.

        Milestones that are epochs have a key of their own, ``milestone_epochs``: under ``milestones`` the ids of
        stored runs hold whole numbers that are iterations.
        """
        recipe = self.model_dump(mode="json", exclude_none=True)
        schedule = recipe["schedule"]
        schedule.pop("milestones_in", None)
        if self.schedule.kind != "step":
            schedule.pop("milestones")
            schedule.pop("gamma")
        elif self.milestones_are_epochs:
            schedule["milestone_epochs"] = schedule.pop("milestones")
        if not self.schedule.warmup_iterations:
            schedule.pop("warmup_iterations")
            schedule.pop("warmup_lr")
        return recipe


def total_steps(spec: TrainSpec, steps_per_epoch: int) -> int:
    """How many optimizer steps a run takes."""
    return spec.iterations if spec.iterations is not None else (spec.epochs or 0) * steps_per_epoch


def evaluated_images(
    steps: int, steps_per_epoch: int, evaluate_every: int, *, test_images: int, validation_images: int
) -> int:
    """Images that all evaluations of a run of ``steps`` optimizer steps look at.

    Every ``evaluate_every`` epochs, and after the last one, the validation images are looked at, and the test images
    once at the end; where none are held out (0), the test images are evaluated each time.
    """
    epochs = -(-steps // steps_per_epoch)
    times = (epochs - 1) // evaluate_every + 1
    return times * validation_images + test_images if validation_images else times * test_images


def schedule_problem(spec: TrainSpec, total: int | None) -> SettingError | None:
    """Which part of the schedule takes no effect in a run of ``total`` optimizer steps, or None if every part does.

    That is a milestone at or past the end, or a warm-up that leaves no step. Fractions move with the run. Where the
    number of steps is not known (None), only milestones in epochs are checked. The key is relative to ``train``.
    """
    schedule, key = spec.schedule, "schedule.milestones"
    last = max(schedule.milestones, default=0)
    if spec.milestones_are_epochs:
        if last >= (spec.epochs or 0):
            what = f"read as epochs, {last} is not before the end of the run ({counted(spec.epochs or 0, 'epoch')})"
            todo = "give earlier epochs or fractions; if iterations are meant, set schedule.milestones_in: iterations"
            return SettingError(what, key, todo)
    elif total is not None and schedule.kind == "step" and isinstance(last, int) and last >= total:
        what = f"read as iterations, {last} is not before the end of the run ({counted(total, 'step')})"
        todo = "give earlier iterations or fractions, or train longer"
        if spec.iterations is not None:
            todo += "; if epochs are meant, set train.epochs instead of train.iterations"
        return SettingError(what, key, todo)
    if total is not None and schedule.warmup_iterations >= total:
        share = "the whole run" if schedule.warmup_iterations == total else "more than the run"
        what = f"{schedule.warmup_iterations} is {share} ({counted(total, 'step')})"
        return SettingError(what, "schedule.warmup_iterations", "give fewer steps, or train longer")
    return None


def milestone_steps(spec: TrainSpec, total: int) -> list[int]:
    """The first step (0 is the first of all) of a run of ``total`` that each milestone acts on."""
    per_epoch = total // spec.epochs if spec.milestones_are_epochs and spec.epochs else 1
    return [m * per_epoch if isinstance(m, int) else round(m * total) for m in spec.schedule.milestones]


def learning_rate(spec: TrainSpec, step: int, total: int) -> float:
    """The rate of step ``step`` (0 is the first) of ``total``: a pure function, so a resumed run needs no memory."""
    schedule = spec.schedule
    if step < schedule.warmup_iterations:
        return schedule.warmup_lr
    if schedule.kind == "step":
        return spec.lr * schedule.gamma ** sum(step >= bound for bound in milestone_steps(spec, total))
    if schedule.kind == "cosine":
        return spec.lr * (1 + math.cos(math.pi * step / total)) / 2
    if schedule.kind == "one-cycle":
        return spec.lr * _one_cycle(step, total)
    return spec.lr


@dataclass(frozen=True)
class RatePoint:
    """The learning rate from one step of a run on. ``step`` and ``epoch`` count what has been trained before."""

    epoch: float
    step: int
    rate: float


def learning_rate_course(spec: TrainSpec, total: int, steps_per_epoch: int) -> list[RatePoint]:
    """The learning rate of a run of ``total`` steps at the steps that describe it, in order.

    With kinds ``step`` and ``constant`` the rate keeps its value until the next point. With ``cosine`` and
    ``one-cycle`` it changes at every step; the points are the start, the peak, the quarters of the run and the last
    step.
    """
    steps = {0, spec.schedule.warmup_iterations}
    if spec.schedule.kind == "step":
        steps |= set(milestone_steps(spec, total))
    elif spec.schedule.kind != "constant":
        steps |= {total * quarter // 4 for quarter in range(4)} | {total - 1}
    if spec.schedule.kind == "one-cycle":
        steps.add(max(round(ONE_CYCLE_RISE * total) - 1, 0))
    return [
        RatePoint(step / steps_per_epoch, step, learning_rate(spec, step, total))
        for step in sorted(steps)
        if step < total
    ]


def _one_cycle(step: int, total: int) -> float:
    """The factor on the peak rate; steps count from 0 and the last one reaches the end of the cycle."""
    peak = max(ONE_CYCLE_RISE * total - 1, 0.0)
    if step <= peak and peak > 0:
        return _cosine_between(ONE_CYCLE_START, 1.0, step / peak)
    return _cosine_between(1.0, ONE_CYCLE_END, (step - peak) / max(total - 1 - peak, 1e-9))


def _cosine_between(start: float, end: float, way: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(way, 1.0))) / 2
