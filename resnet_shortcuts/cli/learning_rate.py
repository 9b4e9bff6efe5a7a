"""The learning rate of a config's runs as ``rsc plan`` and ``rsc train`` show it."""

from typing import TYPE_CHECKING

from resnet_shortcuts.cli.output import as_text

if TYPE_CHECKING:
    from resnet_shortcuts.experiments.study import Study
    from resnet_shortcuts.training.recipe import RatePoint

_SMOOTH = {"cosine": "cosine: it changes at every step", "one-cycle": "one-cycle: it changes at every step"}


def milestones_line(study: "Study") -> str:
    """How the milestones are read: ``milestones [100, 150]: epochs = iterations 39,100 and 58,650``; '' without any."""
    from resnet_shortcuts.training.recipe import milestone_steps, whole_numbers

    train = study.config.train
    milestones = train.schedule.milestones
    if train.schedule.kind != "step" or not milestones:
        return ""
    steps = [f"{step:,}" for step in milestone_steps(train, study.steps)]
    listed = " and ".join(filter(None, [", ".join(steps[:-1]), steps[-1]]))
    unit = "epochs" if train.milestones_are_epochs else "iterations" if whole_numbers(milestones) else "fractions"
    after = f"{unit} {listed}" if unit == "iterations" else f"{unit} = iterations {listed}"
    return f"milestones {list(milestones)}: {after} of {study.steps:,}"


def course_rows(study: "Study") -> list[dict[str, float]]:
    """The course of the learning rate as plain rows: epochs and iterations trained before, and the rate."""
    return [{"from_epoch": point.epoch, "from_iteration": point.step, "rate": point.rate} for point in _course(study)]


def course_table(study: "Study", *, to_screen: bool) -> str:
    """The course of the learning rate as a small table."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("from epoch", "from iteration", "learning rate"):
        table.add_column(heading, justify="right")
    for point in _course(study):
        table.add_row(f"{point.epoch:.4g}", f"{point.step:,}", f"{point.rate:.4g}")
    note = _SMOOTH.get(study.config.train.schedule.kind)
    return as_text(table, to_screen=to_screen) + (f"{note}\n" if note else "")


def _course(study: "Study") -> "list[RatePoint]":
    from resnet_shortcuts.training.recipe import learning_rate_course

    return learning_rate_course(study.config.train, study.steps, study.steps_per_epoch)
