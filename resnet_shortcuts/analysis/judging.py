"""From stored experiments to verdicts. Imports nothing heavy before it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from resnet_shortcuts.errors import UsageError

if TYPE_CHECKING:
    from resnet_shortcuts.analysis.experiment_records import ExperimentRecord
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
    return judge(record, baseline, margin), [*notes, *library_notes(record)]


def library_notes(record: ExperimentRecord) -> list[str]:
    """Where runs of one network were built by different versions of its library."""
    versions: dict[str, set[str]] = {}
    for run in record.runs:
        library, colon, _ = run.network.partition(":")
        known = (run.environment.get("packages") or {}).get(library) if colon else None
        if known:
            versions.setdefault(run.network, set()).add(str(known))
    return [
        f"{network} was built by different versions of its library: {', '.join(sorted(each))}."
        for network, each in versions.items()
        if len(each) > 1
    ]
