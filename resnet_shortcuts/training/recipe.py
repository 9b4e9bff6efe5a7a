"""The recipe: what a config's ``train`` section may say, and the learning rate that follows from it. Free of torch."""

import math
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from resnet_shortcuts.words import counted

Count = Annotated[int, Field(strict=True, ge=1, le=2**53)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Milestone = Annotated[int, Field(strict=True)] | Real

# One-cycle as in torch.optim.lr_scheduler.OneCycleLR with its defaults (Smith and Topin, arXiv:1708.07120): the rate
# rises from lr/25 over the first 30 % of the steps and falls along a cosine to lr/250,000. Momentum is not cycled.
ONE_CYCLE_RISE = 0.3
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = ONE_CYCLE_START / 1e4

SCHEDULE_TODO = "give fewer steps, or train longer"
"""What to do about a `schedule_problem`."""


class ScheduleSpec(BaseModel):
    """How the learning rate moves.

    ``step`` multiplies it by ``gamma`` at each milestone; ``cosine`` lets it fall to zero at the last step;
    ``one-cycle`` rises and falls (see above); ``constant`` keeps it. Milestones are fractions of all steps (0.5) or
    iterations (32000). The first ``warmup_iterations`` steps use ``warmup_lr`` instead, as He et al. 2015 did for
    ResNet-110.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["step", "cosine", "one-cycle", "constant"] = "step"
    milestones: tuple[Milestone, ...] = (0.5, 0.75)
    gamma: Annotated[Real, Field(gt=0, le=1)] = 0.1
    warmup_iterations: Annotated[int, Field(strict=True, ge=0)] = 0
    warmup_lr: Annotated[Real, Field(gt=0, le=1000)] = 0.01

    @field_validator("milestones")
    @classmethod
    def _in_order(cls, milestones: tuple[int | float, ...]) -> tuple[int | float, ...]:
        fractions = [isinstance(milestone, float) for milestone in milestones]
        if any(fractions) and not all(fractions):
            raise ValueError("fractions and iterations are mixed; give all as fractions (0.5) or as iterations (32000)")
        if any(fractions) and not all(0 < milestone < 1 for milestone in milestones):
            raise ValueError("a fraction is out of range; fractions lie between 0 and 1, both excluded")
        if not any(fractions) and any(milestone < 1 for milestone in milestones):
            raise ValueError("an iteration is out of range; iterations are at least 1")
        if any(later <= earlier for earlier, later in pairwise(milestones)):
            raise ValueError("milestones do not rise; each must be later than the one before")
        return milestones

    @field_validator("milestones", "gamma")
    @classmethod
    def _of_this_kind(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses what this kind ignores; its default may stand, as a config written out spells defaults out."""
        kind, key = info.data.get("kind", "step"), str(info.field_name)
        if kind != "step" and value != cls.model_fields[key].default:
            todo = f'leave it out, or --set "train.schedule={{kind: {kind}}}"'
            raise ValueError(f"only kind step uses it, not {kind}; {todo}")
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
            raise ValueError("exactly one of epochs and iterations is needed")
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        problem = None if self.iterations is None else schedule_problem(self, self.iterations)
        if problem is not None:
            raise ValueError(f"{problem}; {SCHEDULE_TODO}")
        return self

    def identity(self) -> dict[str, object]:
        """What of the recipe changes the result, for a run's id; keys that the schedule ignores are left out."""
        recipe = self.model_dump(mode="json", exclude_none=True)
        schedule = recipe["schedule"]
        if self.schedule.kind != "step":
            schedule.pop("milestones")
            schedule.pop("gamma")
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
    once at the end; where none are held out (0), the test images are looked at each time.
    """
    epochs = -(-steps // steps_per_epoch)
    times = (epochs - 1) // evaluate_every + 1
    return times * validation_images + test_images if validation_images else times * test_images


def schedule_problem(spec: TrainSpec, total: int) -> str | None:
    """What of the schedule takes no effect in a run of ``total`` optimizer steps, in a user's words; None if all does.

    That is a milestone, given as an iteration, at or past the end, or a warm-up that leaves no step. Milestones given
    as fractions move with the run.
    """
    schedule = spec.schedule
    for milestone in schedule.milestones if schedule.kind == "step" else ():
        if isinstance(milestone, int) and milestone >= total:
            return f"schedule.milestones holds {milestone}, not before the end of the run ({counted(total, 'step')})"
    if schedule.warmup_iterations >= total:
        share = "the whole run" if schedule.warmup_iterations == total else "more than the run"
        return f"schedule.warmup_iterations {schedule.warmup_iterations} is {share} ({counted(total, 'step')})"
    return None


def learning_rate(spec: TrainSpec, step: int, total: int) -> float:
    """The rate of step ``step`` (0 is the first) of ``total``: a pure function, so a resumed run needs no memory."""
    schedule = spec.schedule
    if step < schedule.warmup_iterations:
        return schedule.warmup_lr
    if schedule.kind == "step":
        bounds = [m if isinstance(m, int) else round(m * total) for m in schedule.milestones]
        return spec.lr * schedule.gamma ** sum(step >= bound for bound in bounds)
    if schedule.kind == "cosine":
        return spec.lr * (1 + math.cos(math.pi * step / total)) / 2
    if schedule.kind == "one-cycle":
        return spec.lr * _one_cycle(step, total)
    return spec.lr


def _one_cycle(step: int, total: int) -> float:
    """The factor on the peak rate; steps count from 0 and the last one reaches the end of the cycle."""
    peak = max(ONE_CYCLE_RISE * total - 1, 0.0)
    if step <= peak and peak > 0:
        return _cosine_between(ONE_CYCLE_START, 1.0, step / peak)
    return _cosine_between(1.0, ONE_CYCLE_END, (step - peak) / max(total - 1 - peak, 1e-9))


def _cosine_between(start: float, end: float, way: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(way, 1.0))) / 2
