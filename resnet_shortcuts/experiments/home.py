"""Where the state of runs lives while they are trained: who has claimed a run, its checkpoints, its result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from resnet_shortcuts import locks
from resnet_shortcuts.experiments import checkpoints
from resnet_shortcuts.experiments.checkpoints import Checkpoint
from resnet_shortcuts.experiments.run_job import Left, Remark, RunEvent, RunJob
from resnet_shortcuts.experiments.run_record import RunRecord
from resnet_shortcuts.experiments.store import FAILED, LOCK, LOG, Experiment, discard_work

TWO_HOLDERS = (
    "another process holds the lock of this run too, so locks do not work between the machines that share this folder: "
    "mount it with locks (NFS version 4; Lustre: -o flock), or give each machine a share of the runs (--only I/N)"
)


class Superseded(Exception):  # noqa: N818 (nothing is wrong with the run)
    """Another worker has taken the run over: what the one that sees this does no longer counts."""


@dataclass(frozen=True)
class Claim:
    """A run that is ours to train: from ``checkpoint``, or from nothing. ``log`` may take what is printed.

    ``token`` is the fencing token: one that is older than another worker's is refused.
    """

    run_id: str
    checkpoint: Checkpoint | None
    log: Path
    token: int = 0


class Home(Protocol):
    """What the training of a run needs of the place where results are kept; it talks to nothing else there."""

    def take(self, run_id: str) -> Claim | Left:
        """Claim a run. Raises IntegrityError where its checkpoints are all damaged, or of a newer version."""

    def keep(self, claim: Claim, state: Mapping[str, bytes], about: Mapping[str, Any]) -> None:
        """Save a checkpoint; when this returns, it lasts. Raises Superseded, EnvironmentFault."""

    def publish(self, claim: Claim, record: RunRecord, files: Mapping[str, bytes]) -> None:
        """Make the result last; one that is already there is kept. Raises Superseded, EnvironmentFault."""

    def fail(self, job: RunJob, reason: str) -> None:
        """Record why a run failed, claimed or not, unless another process trains it or it is finished after all."""

    def release(self, run_id: str) -> None:
        """Give up a claim, whatever came of it."""

    def report(self, event: RunEvent) -> None:
        """Pass on what happened to a run."""


class FolderHome(Home):
    """The folder of an experiment: claims are locks, checkpoints and results are files.

    ``listener`` gets what is reported. Where the file system gives one lock to two holders, the earlier one notices
    that the lock file names another, and gives the run up.
    """

    def __init__(self, experiment: Experiment, listener: Callable[[RunEvent], None]) -> None:
        self.experiment, self._listener = experiment, listener
        self._locks: dict[str, locks.Lock] = {}
        self._signatures: dict[str, bytes] = {}

    def report(self, event: RunEvent) -> None:
        """See `Home`."""
        self._listener(event)

    def take(self, run_id: str) -> Claim | Left:
        """See `Home`."""
        lock = self.experiment.claim(run_id)
        if lock is None:
            return Left(run_id=run_id, event="busy")
        self._locks[run_id] = lock
        self._signatures[run_id] = locks.signature(self._lock_file(run_id))
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
        """See `Home`."""
        self._check_owner(claim)
        checkpoints.save(self.experiment.work_folder(claim.run_id), claim.run_id, state, about)

    def publish(self, claim: Claim, record: RunRecord, files: Mapping[str, bytes]) -> None:
        """See `Home`."""
        self._check_owner(claim)
        self.experiment.publish(record, files)
        if record.status == "done":  # of a diverged run the last finite checkpoint stays
            self._discard(claim.run_id)

    def fail(self, job: RunJob, reason: str) -> None:
        """See `Home`."""
        ours = job.run_id in self._locks
        lock = None if ours else self.experiment.claim(job.run_id)
        try:
            if (ours or lock) and not self.experiment.finished(job.run_id):
                self.experiment.note_failure(job.record("failed", reason))
        finally:
            if lock is not None:
                lock.release()

    def release(self, run_id: str) -> None:
        """See `Home`."""
        if lock := self._locks.pop(run_id, None):
            lock.release()

    def _check_owner(self, claim: Claim) -> None:
        """Raises Superseded where the lock file was signed by somebody else since the claim."""
        now = locks.signature(self._lock_file(claim.run_id))
        if now and now != self._signatures.get(claim.run_id, now):
            self.report(Remark(run_id=claim.run_id, text=TWO_HOLDERS, once=True))
            raise Superseded(claim.run_id)

    def _lock_file(self, run_id: str) -> Path:
        return self.experiment.work_folder(run_id) / LOCK

    def _discard(self, run_id: str) -> None:
        discard_work(self.experiment.work_folder(run_id), self._locks.pop(run_id))
