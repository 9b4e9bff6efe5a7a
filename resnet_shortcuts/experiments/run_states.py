"""What became of each run of an experiment: the list that ``rsc runs`` shows, and the unfinished that it prunes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_shortcuts import garbage_collector
from resnet_shortcuts.errors import IntegrityError, RscError
from resnet_shortcuts.experiments import checkpoints, locks
from resnet_shortcuts.experiments.store import LOCK, Experiment, discard_work

if TYPE_CHECKING:
    from resnet_shortcuts.experiments.plan import PlannedRun


@dataclass(frozen=True)
class RunState:
    """A line of ``rsc runs``.

    ``state`` is done, diverged, failed, damaged, running, interrupted, planned (nothing yet) or left over.
    """

    run_id: str
    network: str
    shortcut: str
    seed: int | None
    state: str
    reason: str = ""
    test_accuracy: float | None = None


@garbage_collector.at_rest()
def list_runs(experiment: Experiment) -> list[RunState]:
    """Every run of the plan, in its order, then what else is stored. Changes nothing."""
    plan = experiment.plan()
    states = [_state(experiment, run) for run in plan.runs]
    for run_id in experiment.left_over(plan):
        try:
            run = experiment.run(run_id)
        except RscError as error:
            states.append(RunState(run_id, "", "", None, "damaged", str(error)))
        else:
            reason = "the plan does not name it"
            states.append(RunState(run_id, run.network, run.shortcut, run.seed, "left over", reason, run.test_accuracy))
    return states


def _state(experiment: Experiment, planned: "PlannedRun") -> RunState:
    run_id = planned.run_id

    def line(state: str, reason: str = "", accuracy: float | None = None) -> RunState:
        return RunState(run_id, str(planned.network), str(planned.shortcut), planned.seed, state, reason, accuracy)

    if experiment.finished(run_id):
        try:
            run = experiment.run(run_id, planned.science).verify()
        except IntegrityError as error:
            return line("damaged", str(error))
        return line(run.status, run.reason, run.test_accuracy)
    work = experiment.work_folder(run_id)
    if locks.is_held(work / LOCK):
        return line("running")
    try:
        checkpoint = checkpoints.newest(work, run_id, warn=lambda text: None)
    except IntegrityError as error:  # none is good: to go on would fail, whatever the last attempt failed of
        return line("damaged", str(error))
    if failure := experiment.failure(run_id):
        return line("failed", failure.reason)
    if checkpoint:
        return line("interrupted", "a checkpoint is kept")
    return line("interrupted", "no checkpoint yet") if work.is_dir() else line("planned")


def prunable(experiment: Experiment) -> list[Path]:
    """What ``prune`` would remove: work folders of runs that are neither finished nor running."""
    base = experiment.folder / "work"
    folders = sorted(path for path in base.iterdir() if path.is_dir()) if base.is_dir() else []
    return [path for path in folders if not experiment.finished(path.name) and not locks.is_held(path / LOCK)]


def prune(experiment: Experiment) -> list[Path]:
    """Remove what is not finished and not running; returns what was removed. Finished results are never touched."""
    removed = []
    for folder in prunable(experiment):
        lock = locks.try_lock(folder / LOCK)
        if lock is None:
            continue  # somebody took it up just now
        discard_work(folder, lock)
        removed.append(folder)
    return removed
