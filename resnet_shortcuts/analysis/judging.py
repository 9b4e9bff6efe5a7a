"""From stored experiments to verdicts. Imports nothing heavy before it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from resnet_shortcuts.errors import UsageError

if TYPE_CHECKING:
    from resnet_shortcuts.analysis.verdicts import Verdicts
    from resnet_shortcuts.experiments.store import Experiment


def judged(
    experiments: Sequence[Experiment], baseline: str | None, margin: float | None, *, history: bool = True
) -> tuple[Verdicts, list[str]]:
    """The verdicts on one or more experiments, and the notes that must be shown with them.

    ``history``: whether curves will be drawn, epoch by epoch. Raises UsageError where no run is finished, and what
    `merge` and `judge` raise.
    """
    from resnet_shortcuts.analysis.merge import merge
    from resnet_shortcuts.analysis.reading import read_experiment
    from resnet_shortcuts.analysis.verdicts import judge

    record, notes = merge(
        [read_experiment(experiment, history=history) for experiment in experiments], baseline, margin
    )
    if not record.runs and not record.damaged:
        raise UsageError("none of its runs is finished", record.name, f"train them: {record.command}")
    return judge(record, baseline, margin), notes
