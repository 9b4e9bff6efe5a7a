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
    finished, begun = experiment.finished_ids(), experiment.begun_ids()
    states = []
    for planned in plan.runs:
        state, reason, accuracy = "planned", "", None
        try:
            if planned.run_id in finished:
                state, reason, accuracy = _finished(experiment, planned)
            elif planned.run_id in begun:
                state, reason, accuracy = _begun(experiment, planned)
        except IntegrityError as error:
            state, reason = _unreadable(error), str(error)
        labels = (planned.run_id, planned.network, planned.shortcut, planned.seed)
        states.append(RunState(*labels, state, reason, accuracy, planned.recipe))
    return states + [_left_over(experiment, run_id) for run_id in experiment.left_over(plan)]


def _finished(experiment: Experiment, planned: "PlannedRun") -> tuple[str, str, float | None]:
    """State, reason and accuracy of a run whose result is published."""
    run = experiment.run(planned.run_id, planned.science).verify()
    return run.status, run.reason, run.test_accuracy


def _begun(experiment: Experiment, planned: "PlannedRun") -> tuple[str, str, float | None]:
    """Of a run with a work folder. If none of its checkpoints is good, that counts, whatever failed before."""
    work = experiment.work_folder(planned.run_id)
    if locks.is_held(work / LOCK):
        return "running", "", None
    if experiment.finished(planned.run_id):  # since the listing
        return _finished(experiment, planned)
    failure = experiment.failure(planned.run_id)
    checkpoint = checkpoints.newest(work, planned.run_id, warn=lambda text: None)
    if failure:
        return "failed", failure.reason, None
    return "interrupted", "a checkpoint is kept" if checkpoint else "no checkpoint yet", None


def _left_over(experiment: Experiment, run_id: str) -> RunState:
    try:
        run = experiment.run(run_id)
    except RscError as error:
        return RunState(run_id, "", "", None, _unreadable(error), str(error))
    reason = "the plan does not name it"
    return RunState(run_id, run.network, run.shortcut, run.seed, "left over", reason, run.test_accuracy, run.recipe)


def _unreadable(error: RscError) -> str:
    return "newer" if isinstance(error, NewerFormatError) else "damaged"


def prunable(experiment: Experiment) -> list[Path]:
    """What ``prune`` would delete: work folders of runs that are neither finished nor running, and nothing else.

    What a newer version has begun is left to it.
    """
    folders = [experiment.work_folder(name) for name in sorted(experiment.begun_ids())]
    ours = [path for path in folders if holds_work(path) and not experiment.finished(path.name)]
    return [path for path in ours if not locks.is_held(path / LOCK) and not checkpoints.of_newer_version(path)]


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
