"""From stored experiments to verdicts. Imports nothing heavy before it is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.machine import Hardware
from resnet_shortcuts.words import counted

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
    return judge(record, baseline, margin), [*notes, *hardware_notes(record), *library_notes(record)]


_FACTS = ("hardware", "cpu", "cpu_flags", "cores", "memory_bytes", "gpu", "preloaded", "packages")
"""What `Hardware.recorded` looks at in the environment of a run, of any version."""


def hardware_notes(record: ExperimentRecord) -> list[str]:
    """Where accuracies of runs on unlike hardware are pooled: how many runs each hardware has trained."""
    counts: Counter[str] = Counter()
    examples = {}
    for run in record.runs:
        if run.environment:
            facts = {key: run.environment[key] for key in _FACTS if key in run.environment}
            counts[repr(facts)] += 1
            examples[repr(facts)] = facts
    groups: list[tuple[Hardware, int]] = []
    for key, count in counts.items():
        hardware = Hardware.recorded(examples[key])
        same = next((number for number, (other, _) in enumerate(groups) if other.agrees(hardware)), None)
        if same is None:
            groups.append((hardware, count))
        else:
            groups[same] = groups[same][0], groups[same][1] + count
    if len(groups) < 2:
        return []
    names = Counter(str(hardware) for hardware, _ in groups)
    parts = "; ".join(
        f"{counted(count, 'run')} on {hardware if names[str(hardware)] == 1 else _in_full(hardware)}"
        for hardware, count in groups
    )
    return [f"Accuracies of runs on unlike hardware are pooled: {parts}."]


def _in_full(hardware: Hardware) -> str:
    """The name of hardware with what names leave out."""
    drivers = [f"driver {gpu.driver}" for gpu in hardware.gpus or () if gpu.driver]
    more = [f"allocator {hardware.allocator}" if hardware.allocator else "", *drivers, *(hardware.flags or ())]
    return f"{hardware} ({', '.join(part for part in more if part)})"


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
