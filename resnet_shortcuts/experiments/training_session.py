"""One run from its claim to its published result, wherever it is trained: in a worker process or in this one."""

import contextlib
import json
import socket
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_shortcuts.errors import (
    EnvironmentFault,
    IntegrityError,
    RscError,
    is_device_fault,
    is_gpu_out_of_memory,
    is_out_of_memory,
)
from resnet_shortcuts.experiments import checkpoints
from resnet_shortcuts.experiments.checkpoints import Checkpoint, Pace
from resnet_shortcuts.experiments.home import Claim, Home, Superseded
from resnet_shortcuts.experiments.kept_weights import kept_facts, weight_files
from resnet_shortcuts.experiments.run_job import (
    DeviceFailed,
    Done,
    Failed,
    Left,
    OutOfMemory,
    Remark,
    RunEvent,
    RunJob,
    Trained,
    WorkerSetup,
)
from resnet_shortcuts.experiments.run_record import Host, Resume
from resnet_shortcuts.experiments.store import HISTORY, PREDICTIONS, pack_predictions

if TYPE_CHECKING:
    from torch import nn

    from resnet_shortcuts.data.dataset import Dataset
    from resnet_shortcuts.training.loop import Capture, Outcome
    from resnet_shortcuts.training.training_state import Progress

_REPORT_SECONDS = 0.5  # a run reports its progress at most this often

Logging = Callable[[Path], contextlib.AbstractContextManager[None]]


class _Stop(Exception):  # noqa: N818 (a request, not a fault)
    """The run was asked to stop, and its checkpoint is saved."""


def train_run(
    home: Home, setup: WorkerSetup, job: RunJob, stopping: Callable[[], bool], logging: Logging | None = None
) -> RunEvent:
    """Train a run to its end, or until ``stopping()``; the event that says how it ended.

    ``logging`` sends what is printed meanwhile to the log of the run. A crash is recorded and is an event (Failed), not
    an exception. Raises EnvironmentFault.
    """
    try:
        claim = home.take(job.run_id)
    except IntegrityError as error:
        return Failed(run_id=job.run_id, reason=str(error), damaged=True)
    if not isinstance(claim, Claim):
        return claim
    try:
        with logging(claim.log) if logging else contextlib.nullcontext():
            return _Session(home, claim, setup, job, stopping).train()
    except _Stop:
        return Left(run_id=job.run_id, event="stopped")
    except Superseded:
        return Left(run_id=job.run_id, event="busy")
    except EnvironmentFault:
        raise
    except Exception as error:  # one run failed, and it must not take the others with it
        with contextlib.suppress(OSError), claim.log.open("a") as log:
            log.write(traceback.format_exc())
        reason = _reason(error, setup)
        if is_device_fault(error):
            return DeviceFailed(run_id=job.run_id, reason=reason)
        if is_gpu_out_of_memory(error):
            return OutOfMemory(run_id=job.run_id, reason=reason)
        damaged = isinstance(error, IntegrityError)  # of the disk: no outcome that counts against the strategy
        if not damaged:
            with contextlib.suppress(EnvironmentFault):  # the event has the reason, too
                home.fail(job, reason)
        return Failed(run_id=job.run_id, reason=reason, damaged=damaged)
    finally:
        home.release(job.run_id)


class _Session:
    """A claimed run: what goes on after each step, and what interrupts it."""

    def __init__(self, home: Home, claim: Claim, setup: WorkerSetup, job: RunJob, stopping: Callable[[], bool]) -> None:
        self.home, self.claim, self.setup, self.job, self.stopping = home, claim, setup, job, stopping
        self.resumed: list[Resume] = []
        self.pace = Pace(setup.run.checkpoint_seconds)
        self.began = self.reported = time.monotonic()
        self.elapsed_before = 0.0

    def train(self) -> Done:
        """From the checkpoint, or from nothing, to the published result."""
        from resnet_shortcuts.data.dataset import load
        from resnet_shortcuts.models.library_networks import build_model
        from resnet_shortcuts.training.loop import train

        setup, job, checkpoint = self.setup, self.job, self.claim.checkpoint
        dataset, seed = load(setup.dataset, setup.data), job.labels.seed
        model = build_model(
            job.network, job.shortcut, in_channels=dataset.channels, num_classes=len(dataset.classes), seed=seed
        )
        if checkpoint:
            self._resume_from(checkpoint)
        outcome = train(
            model,
            dataset,
            setup.data,
            setup.train,
            seed=seed,
            device=setup.device,
            precision=setup.precision,
            compile=setup.run.compile,
            tf32=setup.run.tf32,
            evaluate_every=setup.run.evaluate_every,
            start=checkpoint.state if checkpoint else None,
            after_step=self._after_step,
            while_evaluating=self._stop_if_asked,
        )
        return self._publish(outcome, dataset, model)

    def _publish(self, outcome: "Outcome", dataset: "Dataset", model: "nn.Module") -> Done:
        history = [epoch.as_json() for epoch in outcome.history]
        files = {HISTORY: json.dumps(history, indent=1, allow_nan=False).encode()}
        if outcome.predictions is not None:
            files[PREDICTIONS] = pack_predictions(outcome.predictions, dataset.test.labels)
        record = self.job.record(
            outcome.status,
            outcome.reason,
            steps=outcome.step,
            test_accuracy=outcome.test_accuracy,
            train_error=100.0 - outcome.history[-1].train_accuracy if outcome.history else None,
            digests=outcome.digests,
            data_vouched=dataset.vouched,
            data_warnings=[warning.text for warning in dataset.warnings],
            environment=self.setup.environment,
            code=self.setup.code,
            host=Host(name=socket.gethostname()),
            resumed=self.resumed,
            elapsed_seconds=self._elapsed(),
            checkpoints=self.pace.tally,
            **kept_facts(outcome.status, self.setup.run.keep_weights, model, dataset),
        )
        if record.weights:
            files |= weight_files(record, model)
        self.home.publish(self.claim, record, files)
        return Done(
            run_id=self.job.run_id,
            status=outcome.status,
            reason=outcome.reason,
            test_accuracy=outcome.test_accuracy,
            elapsed_seconds=record.elapsed_seconds or 0.0,
        )

    def _after_step(self, progress: "Progress", capture: "Capture") -> None:
        now = time.monotonic()
        if now - self.reported >= _REPORT_SECONDS:
            self.reported = now
            self.home.report(Trained(run_id=self.job.run_id, step=progress.step, epoch=progress.epoch))
        self._stop_if_asked(progress, capture)
        if self.pace.due():
            self._save(capture)

    def _stop_if_asked(self, progress: "Progress", capture: "Capture") -> None:
        """Save and leave. During an evaluation that is the state after the step before: a resume evaluates again."""
        if self.stopping():
            self._save(capture)
            raise _Stop

    def _save(self, capture: "Capture") -> None:
        about = {
            "environment": self.setup.environment,
            "elapsed_seconds": self._elapsed(),
            "resumed": [resume.model_dump() for resume in self.resumed],
            "checkpoints": self.pace.tally.model_dump(),
        }
        with self.pace.saving():
            state = capture()
            if state is not None:
                self.home.keep(self.claim, state, about)

    def _resume_from(self, checkpoint: Checkpoint) -> None:
        manifest = checkpoint.manifest
        changed = checkpoints.differences(manifest.environment, self.setup.environment)
        self.elapsed_before = manifest.elapsed_seconds
        self.pace.go_on_from(manifest.checkpoints)
        self.resumed = [*manifest.resumed, Resume(step=checkpoint.step, changed=changed)]
        if changed:
            settings = ", ".join(f"{key} ({before} before, {now} now)" for key, (before, now) in changed.items())
            text = f"resumed at step {checkpoint.step} with another {settings}: the last bits may differ"
            self.home.report(Remark(run_id=self.job.run_id, text=text))

    def _elapsed(self) -> float:
        return round(self.elapsed_before + max(0.0, time.monotonic() - self.began), 3)


def _reason(error: Exception, setup: WorkerSetup) -> str:
    text = " ".join(str(error).split())[:300]
    if is_out_of_memory(error):
        return f"out of memory at batch size {setup.train.batch_size}"
    if isinstance(error, RscError):
        return text
    return f"{type(error).__name__}: {text}"
