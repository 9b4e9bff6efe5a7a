"""What became of each run of an experiment: the list that ``rsc runs`` shows, and the unfinished that it deletes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_shortcuts import garbage_collector, locks
from resnet_shortcuts.errors import IntegrityError, RscError
from resnet_shortcuts.experiments import checkpoints
from resnet_shortcuts.experiments.sealed_files import NewerFormatError
from resnet_shortcuts.experiments.store import LOCK, Experiment, discard_work, holds_work

if TYPE_CHECKING:
    from resnet_shortcuts.experiments.plan import PlannedRun


@dataclass(frozen=True)
class RunState:
    """A line of ``rsc runs``.

    ``state`` is done, diverged, failed, damaged, newer (written by a newer version), running, interrupted, planned
    (nothing yet) or left over.
    """

    run_id: str
    network: str
    shortcut: str
    seed: int | None
    state: str
    reason: str = ""
    test_accuracy: float | None = None
    recipe: str = ""


@garbage_collector.at_rest()
def list_runs(experiment: Experiment) -> list[RunState]:
    """Every run of the plan, in its order, then what else is stored. Changes nothing."""
    plan = experiment.plan()
    states = [_state_of(experiment, run) for run in plan.runs]
    for run_id in experiment.left_over(plan):
        try:
            run = experiment.run(run_id)
        except RscError as error:
            states.append(RunState(run_id, "", "", None, _unreadable(error), str(error)))
        else:
            reason, accuracy = "the plan does not name it", run.test_accuracy
            state = RunState(run_id, run.network, run.shortcut, run.seed, "left over", reason, accuracy, run.recipe)
            states.append(state)
    return states


def _unreadable(error: RscError) -> str:
    return "newer" if isinstance(error, NewerFormatError) else "damaged"


def _state_of(experiment: Experiment, planned: "PlannedRun") -> RunState:
    state, reason, accuracy = _look(experiment, planned)
    labels = (planned.run_id, planned.network, planned.shortcut, planned.seed)
    return RunState(*labels, state, reason, accuracy, planned.recipe)


def _look(experiment: Experiment, planned: "PlannedRun") -> tuple[str, str, float | None]:
    """State, reason and accuracy of a run."""
    run_id = planned.run_id
    work = experiment.work_folder(run_id)
    try:
        if experiment.finished(run_id):
            run = experiment.run(run_id, planned.science).verify()
            return run.status, run.reason, run.test_accuracy
        if work.is_symlink() or not work.is_dir():
            return "planned", "", None
        if locks.is_held(work / LOCK):
            return "running", "", None
        checkpoint = checkpoints.newest(work, run_id, warn=lambda text: None)
    except IntegrityError as error:  # of checkpoints, none is good: to go on would fail, whatever failed before
        return _unreadable(error), str(error), None
    if failure := experiment.failure(run_id):
        return "failed", failure.reason, None
    return "interrupted", "a checkpoint is kept" if checkpoint else "no checkpoint yet", None


def prunable(experiment: Experiment) -> list[Path]:
    """What ``prune`` would delete: work folders of runs that are neither finished nor running, and nothing else.

    What a newer version has begun is left to it.
    """
    base = experiment.folder / "work"
    folders = sorted(path for path in base.iterdir() if holds_work(path)) if base.is_dir() else []
    idle = [path for path in folders if not experiment.finished(path.name) and not locks.is_held(path / LOCK)]
    return [path for path in idle if not checkpoints.of_newer_version(path)]


def prune(experiment: Experiment) -> list[Path]:
    """Delete what is neither finished nor running; returns what was deleted. Finished results are never touched."""
    deleted = []
    for folder in prunable(experiment):
        lock = locks.try_lock(folder / LOCK)
        if lock is None:
            continue  # another process has just taken it up
        discard_work(folder, lock)
        deleted.append(folder)
    return deleted
