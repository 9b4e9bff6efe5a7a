"""A process that trains one run after another. It speaks JSON lines: jobs come in on stdin, events go out on stdout.

Started by ``runner`` as ``python -m resnet_shortcuts.experiments.worker PARENT_PID``; dies with its parent. SIGTERM
means: save a checkpoint at the next step, say so, and leave.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from resnet_shortcuts.errors import EnvironmentFault, IntegrityError, RscError

if TYPE_CHECKING:
    from resnet_shortcuts.experiments.run_record import Resume

_PR_SET_PDEATHSIG = 1
_EVENT_SECONDS = 0.5  # at most this often a run tells how far it is


class Stop(Exception):  # noqa: N818 (a request, not a fault)
    """SIGTERM was received and the checkpoint is saved."""


class Channel:
    """The way to the parent. Whatever else is printed in this process, by C code too, goes to the log."""

    def __init__(self) -> None:
        self._events: BinaryIO = os.fdopen(os.dup(1), "wb", buffering=0)
        self.jobs: BinaryIO = os.fdopen(os.dup(0), "rb")
        self._log = os.dup(2)
        self.print_to(self._log)
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)

    def tell(self, event: str, **details: Any) -> None:
        """Send one event."""
        self._events.write((json.dumps({"event": event, **details}) + "\n").encode())

    @contextlib.contextmanager
    def logging_to(self, path: Path) -> Iterator[None]:
        """Send what is printed meanwhile to a file."""
        with path.open("ab", buffering=0) as log:
            self.print_to(log.fileno())
        try:
            yield
        finally:
            self.print_to(self._log)

    @staticmethod
    def print_to(descriptor: int) -> None:
        """Let stdout and stderr lead to this descriptor."""
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)


class Session:
    """One run from lock to published result, and what interrupts it."""

    def __init__(self, channel: Channel, setup: Mapping[str, Any], job: Mapping[str, Any], stopping: list[int]) -> None:
        from resnet_shortcuts.experiments.checkpoints import Pace
        from resnet_shortcuts.experiments.store import Experiment

        self.channel, self.setup, self.job, self.stopping = channel, setup, job, stopping
        self.run_id: str = job["run_id"]
        self.experiment = Experiment(Path(setup["results"]), setup["name"])
        self.work = self.experiment.work_folder(self.run_id)
        self.environment: dict[str, Any] = setup["environment"]
        self.resumed: list[Resume] = []
        self.pace = Pace(setup["checkpoint_seconds"])
        self.began = self.told = time.monotonic()
        self.elapsed_before = 0.0

    def run(self) -> None:
        """Take the lock, train, publish. Tells the parent one of: busy, elsewhere, done, failed, stopped."""
        from resnet_shortcuts.experiments.store import FAILED, LOG, discard_work

        lock = self.experiment.claim(self.run_id)
        if lock is None:
            return self.channel.tell("busy", run_id=self.run_id)
        keep = True
        try:
            if self.experiment.finished(self.run_id):
                keep = False
                return self.channel.tell("elsewhere", run_id=self.run_id)
            if (self.work / FAILED).exists():
                (self.work / FAILED).unlink()
            with self.channel.logging_to(self.work / LOG):
                told = self._train_and_publish()
            keep = told["status"] == "diverged"  # its last finite checkpoint stays
        finally:
            if keep:
                lock.release()
            else:
                discard_work(self.work, lock)
        return self.channel.tell("done", **told)

    def _train_and_publish(self) -> dict[str, Any]:
        """From the newest checkpoint, or from nothing, to the published result; what to tell of it."""
        from resnet_shortcuts.data.data_config import DataSpec
        from resnet_shortcuts.data.dataset import load
        from resnet_shortcuts.experiments import checkpoints
        from resnet_shortcuts.experiments.run_record import RunRecord
        from resnet_shortcuts.experiments.store import HISTORY, PREDICTIONS, pack_predictions
        from resnet_shortcuts.models.network_config import NetworkSpec
        from resnet_shortcuts.models.networks import build_network
        from resnet_shortcuts.shortcuts.catalogue import find
        from resnet_shortcuts.training.loop import train
        from resnet_shortcuts.training.recipe import TrainSpec

        setup, job = self.setup, self.job
        data_spec, spec = DataSpec.model_validate(setup["data"]), TrainSpec.model_validate(setup["train"])
        dataset = load(Path(setup["dataset"]), data_spec)
        model = build_network(
            NetworkSpec.model_validate(job["network"]),
            find(job["shortcut"]),
            in_channels=dataset.channels,
            num_classes=len(dataset.classes),
            seed=job["seed"],
        )
        checkpoint = checkpoints.newest(self.work, self.run_id, self._warn)
        if checkpoint:
            self._resume_from(checkpoint)
        outcome = train(
            model,
            dataset,
            data_spec,
            spec,
            seed=job["seed"],
            device=setup["device"],
            precision=setup["precision"],
            compile=setup["compile"],
            evaluate_every=setup["evaluate_every"],
            start=checkpoint.state if checkpoint else None,
            after_step=self._after_step,
            while_evaluating=self._stop_if_asked,
        )
        history = [epoch.as_json() for epoch in outcome.history]
        files = {HISTORY: json.dumps(history, indent=1, allow_nan=False).encode()}
        if outcome.predictions is not None:
            files[PREDICTIONS] = pack_predictions(outcome.predictions, dataset.test.labels)
        record = RunRecord.model_validate(
            {
                "run_id": self.run_id,
                "science": job["science"],
                "labels": job["labels"],
                "status": outcome.status,
                "reason": outcome.reason,
                "steps": outcome.step,
                "test_accuracy": outcome.test_accuracy,
                "train_error": 100.0 - outcome.history[-1].train_accuracy if outcome.history else None,
                "digests": outcome.digests,
                "data_vouched": dataset.vouched,
                "environment": self.environment,
                "resumed": self.resumed,
                "elapsed_seconds": self._elapsed(),
                "checkpoints": self.pace.tally,
            }
        )
        self.experiment.publish(record, files)
        return record.model_dump(include={"run_id", "status", "reason", "test_accuracy", "elapsed_seconds"})

    def _after_step(self, progress: Any, capture: Any) -> None:
        now = time.monotonic()
        if now - self.told >= _EVENT_SECONDS:
            self.told = now
            self.channel.tell("progress", run_id=self.run_id, step=progress.step, epoch=progress.epoch)
        self._stop_if_asked(progress, capture)
        if self.pace.due():
            self._save(progress, capture)

    def _stop_if_asked(self, progress: Any, capture: Any) -> None:
        """Save and leave. During an evaluation that is the state after the step before: a resume evaluates again."""
        if self.stopping:
            self._save(progress, capture)
            raise Stop

    def _save(self, progress: Any, capture: Any) -> None:
        from resnet_shortcuts.experiments import checkpoints

        about = {
            "environment": self.environment,
            "elapsed_seconds": self._elapsed(),
            "resumed": [resume.model_dump() for resume in self.resumed],
            "checkpoints": self.pace.tally.model_dump(),
        }
        with self.pace.saving():
            state = capture()
            if state is not None:
                checkpoints.save(self.work, self.run_id, state, about)

    def _resume_from(self, checkpoint: Any) -> None:
        from resnet_shortcuts.experiments import checkpoints
        from resnet_shortcuts.experiments.run_record import Resume

        manifest = checkpoint.manifest
        changed = checkpoints.differences(manifest.environment, self.environment)
        self.elapsed_before = manifest.elapsed_seconds
        self.pace.go_on_from(manifest.checkpoints)
        self.resumed = [*manifest.resumed, Resume(step=checkpoint.step, changed=changed)]
        if changed:
            told = ", ".join(f"{key} ({before} before, {now} now)" for key, (before, now) in changed.items())
            self._warn(f"resumed at step {checkpoint.step} with another {told}: the last bits may differ")

    def _elapsed(self) -> float:
        return round(self.elapsed_before + max(0.0, time.monotonic() - self.began), 3)

    def _warn(self, text: str) -> None:
        self.channel.tell("warning", run_id=self.run_id, text=text)


def main() -> int:
    """Serve jobs until stdin ends; returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
    _die_with_parent(int(sys.argv[1]))
    channel = Channel()
    setup = json.loads(channel.jobs.readline() or b"{}")
    if not setup:
        return 0
    _settle(setup)
    channel.tell("ready")
    while not stopping:
        line = channel.jobs.readline()
        if not line:
            return 0
        if not _serve(channel, setup, json.loads(line), stopping):
            return 1
    channel.tell("left")
    return 0


def _serve(channel: Channel, setup: Mapping[str, Any], job: Mapping[str, Any], stopping: list[int]) -> bool:
    """Run one job; False where this process had better not go on."""
    session = Session(channel, setup, job, stopping)
    run_id = job["run_id"]
    try:
        session.run()
    except Stop:
        channel.tell("stopped", run_id=run_id)
    except EnvironmentFault as error:
        channel.tell("fault", run_id=run_id, what=error.what, where=error.where, todo=error.todo)
        return False
    except Exception as error:  # the process boundary: one run failed, and it must not take the others with it
        _log(session.work, traceback.format_exc())
        reason = _reason(error, setup)
        damaged = isinstance(error, IntegrityError)  # of the disk: no outcome that counts against the strategy
        if not damaged:
            with contextlib.suppress(EnvironmentFault):  # the parent hears the reason anyway
                note_failure(session.experiment, job, reason)
        channel.tell("failed", run_id=run_id, reason=reason, code=4 if damaged else 1)
        return False
    return True


def note_failure(experiment: Any, job: Mapping[str, Any], reason: str) -> None:
    """Record why a run crashed, unless somebody else has it in hand or it is finished after all."""
    from resnet_shortcuts.experiments.run_record import RunRecord

    lock = experiment.claim(job["run_id"])
    if lock is None:
        return
    try:
        if not experiment.finished(job["run_id"]):
            about = {key: job[key] for key in ("run_id", "science", "labels")}
            experiment.note_failure(RunRecord.model_validate({**about, "status": "failed", "reason": reason}))
    finally:
        lock.release()


def _reason(error: Exception, setup: Mapping[str, Any]) -> str:
    text = " ".join(str(error).split())[:300]
    # PyTorch's CPU allocator raises a plain RuntimeError; only its text tells.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text:
        return f"out of memory at batch size {setup['train']['batch_size']}"
    return text if isinstance(error, RscError) else f"{type(error).__name__}: {text}"


def _log(work: Path, text: str) -> None:
    from resnet_shortcuts.experiments.store import LOG

    with contextlib.suppress(OSError), (work / LOG).open("a") as log:
        log.write(text)


def _settle(setup: Mapping[str, Any]) -> None:
    """Import what every run needs, and fix the number of threads."""
    import torch

    import resnet_shortcuts.data.dataset
    import resnet_shortcuts.training.loop  # noqa: F401

    torch.set_num_threads(setup["environment"]["threads"])


def _die_with_parent(parent: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it died before the line above


if __name__ == "__main__":
    # Everything that lasts is written and synced; taking torch apart costs seconds on a busy machine and saves nothing.
    os._exit(main())
