"""Where the state of runs lives while they are trained: who has claimed a run, its checkpoints, its result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_shortcuts import locks
from resnet_shortcuts.experiments import checkpoints
from resnet_shortcuts.experiments.checkpoints import Checkpoint
from resnet_shortcuts.experiments.run_job import Left, Remark, RunEvent, RunJob
from resnet_shortcuts.experiments.run_record import RunRecord
from resnet_shortcuts.experiments.store import FAILED, LOG, Experiment, discard_work


@dataclass(frozen=True)
class Claim:
    """A run that is ours to train: from ``checkpoint``, or from nothing. ``log`` may take what is printed."""

    run_id: str
    checkpoint: Checkpoint | None
    log: Path


class Home:
    """The folder of an experiment: claims are locks, checkpoints and results are files.

    The training of a run talks to nothing else of the place where results are kept. ``report`` passes on what happened
    to a run.
    """

    def __init__(self, experiment: Experiment, report: Callable[[RunEvent], None]) -> None:
        self.experiment, self.report = experiment, report
        self._locks: dict[str, locks.Lock] = {}

    def take(self, run_id: str) -> Claim | Left:
        """Claim a run. Raises IntegrityError where its checkpoints are all damaged, or of a newer version."""
        lock = self.experiment.claim(run_id)
        if lock is None:
            return Left(run_id=run_id, event="busy")
        self._locks[run_id] = lock
        if self.experiment.finished(run_id):
            self._discard(run_id)
            return Left(run_id=run_id, event="elsewhere")
        work = self.experiment.work_folder(run_id)
        try:
            self.experiment.failure(run_id)  # raises NewerFormatError
            checkpoint = checkpoints.newest(work, run_id, lambda text: self.report(Remark(run_id=run_id, text=text)))
            (work / FAILED).unlink(missing_ok=True)
        except BaseException:
            self.release(run_id)
            raise
        return Claim(run_id, checkpoint, work / LOG)

    def keep(self, claim: Claim, state: Mapping[str, bytes], about: Mapping[str, Any]) -> None:
        """Save a checkpoint; when this returns, it lasts."""
        checkpoints.save(self.experiment.work_folder(claim.run_id), claim.run_id, state, about)

    def publish(self, claim: Claim, record: RunRecord, files: Mapping[str, bytes]) -> None:
        """Make the result last."""
        self.experiment.publish(record, files)
        if record.status == "done":  # of a diverged run the last finite checkpoint stays
            self._discard(claim.run_id)

    def fail(self, job: RunJob, reason: str) -> None:
        """Record why a run failed, claimed or not, unless another process trains it or it is finished after all."""
        ours = job.run_id in self._locks
        lock = None if ours else self.experiment.claim(job.run_id)
        try:
            if (ours or lock) and not self.experiment.finished(job.run_id):
                self.experiment.note_failure(job.record("failed", reason))
        finally:
            if lock is not None:
                lock.release()

    def release(self, run_id: str) -> None:
        """Give up a claim, whatever came of it."""
        if lock := self._locks.pop(run_id, None):
            lock.release()

    def _discard(self, run_id: str) -> None:
        discard_work(self.experiment.work_folder(run_id), self._locks.pop(run_id))
