"""The learning rate of a config's runs as ``rsc plan`` and ``rsc train`` show it."""

from typing import TYPE_CHECKING

from resnet_shortcuts.tables import Column, Table

if TYPE_CHECKING:
    from resnet_shortcuts.experiments.study import Study

COLUMNS = (
    Column("from_epoch", "from epoch", "number", formatter=lambda epoch: f"{epoch:.4g}"),
    Column("from_iteration", "from iteration", "count"),
    Column("rate", "learning rate", "number", formatter=lambda rate: f"{rate:.4g}"),
)


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


def course_table(study: "Study") -> Table:
    """The course of the learning rate: epochs and iterations trained before each change, and the rate from there."""
    from resnet_shortcuts.training.recipe import learning_rate_course

    train = study.config.train
    course = learning_rate_course(train, study.steps, study.steps_per_epoch)
    rows = [{"from_epoch": point.epoch, "from_iteration": point.step, "rate": point.rate} for point in course]
    smooth = train.schedule.kind in ("cosine", "one-cycle")
    return Table("learning rate", COLUMNS, rows, notes=[f"{train.schedule.kind}: it changes at every step"] * smooth)
