"""Run a plan: give its runs to a pool, skip what is done, resume what is half done, survive what fails."""

import signal
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from resnet_shortcuts import durable, locks, machine
from resnet_shortcuts.child_process import Fault
from resnet_shortcuts.config.experiment_config import Config
from resnet_shortcuts.errors import BusyError, EnvironmentFault, Exit, IntegrityError, RscError
from resnet_shortcuts.experiments.home import FolderHome
from resnet_shortcuts.experiments.plan import Plan, PlannedRun
from resnet_shortcuts.experiments.pools import InProcessPool, Pool, ProcessPool
from resnet_shortcuts.experiments.run_job import (
    DeviceFailed,
    Done,
    Failed,
    Lost,
    OutOfMemory,
    Remark,
    RunEvent,
    Trained,
    WorkerSetup,
    run_job,
    worker_setup,
)
from resnet_shortcuts.experiments.sealed_files import NewerFormatError
from resnet_shortcuts.experiments.store import LOCK, Experiment, StoredRun
from resnet_shortcuts.words import counted

MAX_LOSSES = 5
"""A run whose process was lost this often in a sweep has failed; before that it is resumed from its checkpoint."""
_LEAST_FREE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class SweepEvent:
    """Something that happened during a sweep.

    ``kind``: skipped, started, progress (at ``step``, in ``epoch`` from 0), done, diverged, failed, elsewhere (another
    process finished it), waiting (for another process), warning. ``finished`` of ``total`` runs need nothing more.
    """

    kind: str
    run: PlannedRun
    finished: int
    total: int
    text: str = ""
    step: int = 0
    epoch: int = 0
    test_accuracy: float | None = None
    seconds: float | None = None


@dataclass
class Summary:
    """How a sweep ended, by run id. ``failed`` crashed (reason); ``damaged`` has no good checkpoint left (reason)."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    diverged: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> Exit:
        """4 where something stored is damaged, 1 where a run failed or diverged, else 0."""
        if self.damaged:
            return Exit.INTEGRITY
        return Exit.RUN_FAILED if self.failed or self.diverged else Exit.OK


class SweepStopped(RscError):  # noqa: N818 (asked for, not a fault)
    """A signal ended the sweep; checkpoints are saved, but of ``unsaved`` runs that took too long."""

    def __init__(self, number: int, where: str, unsaved: int) -> None:
        interrupted = number == signal.SIGINT
        self.exit_code = Exit.INTERRUPTED if interrupted else Exit.TERMINATED
        state = "finished runs are kept and the others saved"
        if unsaved:
            since = "since its last checkpoint" if unsaved == 1 else "since their last checkpoints"
            state = f"finished runs are kept; {unsaved} did not save in time, and what was done {since} is lost"
        todo = f"{state}: the same command goes on from there"
        super().__init__("interrupted" if interrupted else "terminated", where, todo)


def resolve_jobs(jobs: int | str, device: str) -> int:
    """How many runs go side by side: on a CPU one a core, on a GPU one, unless a number is given."""
    if isinstance(jobs, int):
        return jobs
    return machine.cores() if device == "cpu" else 1


def run_plan(
    plan: Plan,
    config: Config,
    dataset_folder: Path,
    experiment: Experiment,
    *,
    jobs: int | str = "auto",
    devices: tuple[str, ...] = ("cpu",),
    progress: Callable[[SweepEvent], None] = lambda event: None,
    wait: bool = True,
    make_pool: Callable[[WorkerSetup], Pool] | None = None,
) -> Summary:
    """Train every run of the plan that is not done. ``devices`` are resolved; ``dataset_folder`` is prepared.

    ``make_pool`` makes what executes the runs, if not this machine.

    ``jobs`` runs go side by side on each device in separate processes; 0: in this process. Done and diverged runs are
    skipped, crashed ones tried again, damaged results set aside and trained again. Runs that another process trains are
    waited for, or with ``wait=False`` left: BusyError once nothing else is to be done. Raises EnvironmentFault (disk
    full, permission, workers that do not start), SweepStopped on SIGINT, SIGTERM or SIGHUP.
    """
    _check_free_space(experiment.folder)
    number = resolve_jobs(jobs, devices[0])
    setup = worker_setup(config, plan, dataset_folder, experiment, devices, number)
    with StopSignals() as signals:
        if make_pool is not None:
            pool = make_pool(setup)
        else:
            pool = (
                ProcessPool(setup, number, devices) if number else InProcessPool(setup, lambda: bool(signals.received))
            )
        sweep = _Sweep(plan, config, experiment, pool, progress, wait)
        unsaved = 0
        try:
            sweep.skip_finished()
            while sweep.unfinished() and not signals.received:
                sweep.hand_out()
                pool.listen(sweep.handle)
            if signals.received:
                unsaved = pool.stop()
        except (EnvironmentFault, BusyError):
            pool.stop()
            raise
        finally:
            pool.kill()
        if signals.received:
            raise SweepStopped(signals.received, str(experiment.folder), unsaved)
        return sweep.summary


class _Sweep:
    """The runs of a plan on their way: ``queue``, then ``running``, then in the ``summary``.

    ``waited_for`` are the ids of those in the queue that another process was seen to train.
    """

    def __init__(
        self,
        plan: Plan,
        config: Config,
        experiment: Experiment,
        pool: Pool,
        progress: Callable[[SweepEvent], None],
        wait: bool,
    ) -> None:
        self.plan, self.config, self.experiment, self.pool = plan, config, experiment, pool
        self.progress, self.wait = progress, wait
        self.home = FolderHome(experiment, self.handle)
        self.queue: deque[PlannedRun] = deque()
        self.running: dict[str, PlannedRun] = {}
        self.waited_for: set[str] = set()
        self.remarks: set[str] = set()
        self.losses: Counter[str] = Counter()
        self.summary = Summary()
        self.finished = 0

    def report(self, kind: str, run: PlannedRun, **details: Any) -> None:
        """Pass an event on to what shows the progress."""
        self.progress(SweepEvent(kind, run, self.finished, len(self.plan.runs), **details))

    def skip_finished(self) -> None:
        """Queue what is not done; set aside what is damaged."""
        for run in self.plan.runs:
            if self.experiment.finished(run.run_id):
                try:
                    stored = self.experiment.run(run.run_id).verify()
                except NewerFormatError:
                    raise  # not damaged: a newer version reads it
                except IntegrityError as error:
                    place = self.experiment.set_aside(run.run_id)
                    self.report("warning", run, text=f"{error.what}: {error.where}: moved to {place}, trained again")
                else:
                    self._skip("skipped", run, stored)
                    continue
            self.queue.append(run)

    def unfinished(self) -> bool:
        """Whether there is anything left to train or to wait for."""
        return bool(self.queue or self.running)

    def hand_out(self) -> None:
        """Give the pool as many runs as it takes, but none that another process trains or has finished."""
        passed = []
        while self.queue and self.pool.free():
            run = self.queue.popleft()
            if self.experiment.finished(run.run_id):
                self._skip("elsewhere", run, self.experiment.run(run.run_id))
            elif locks.is_held(self._lock_of(run)):
                self._wait_for(run)
                passed.append(run)
            else:
                self.waited_for.discard(run.run_id)
                self.running[run.run_id] = run
                self.pool.start(run_job(run, self.config, self.losses[run.run_id]))
                self.report("started", run)
        self.queue.extendleft(reversed(passed))
        if self.queue and not self.running and not self.wait:
            verb = "is" if len(self.queue) == 1 else "are"
            what = f"{counted(len(self.queue), 'run')} {verb} being trained by another process"
            raise BusyError(what, str(self.experiment.folder), "try again later, or leave --no-wait out")

    def handle(self, event: RunEvent) -> None:
        """Act on an event of the pool. Raises the error that a worker process met in its environment."""
        if isinstance(event, Fault):
            raise event.as_error()
        run = self.running[event.run_id]
        if isinstance(event, Trained):
            return self.report("progress", run, step=event.step, epoch=event.epoch)
        if isinstance(event, Remark):
            if not (event.once and event.text in self.remarks):
                self.report("warning", run, text=event.text)
            return self.remarks.add(event.text)
        del self.running[event.run_id]
        if isinstance(event, Done):
            self._done(run, event)
        elif isinstance(event, Failed):
            self._failed(run, event.reason, self.summary.damaged if event.damaged else self.summary.failed)
        elif isinstance(event, Lost):
            self._lost(run, event)
        elif isinstance(event, OutOfMemory | DeviceFailed):
            self._lacking(run, event)
        else:  # another process has it, or had it: see `hand_out`
            self.queue.append(run)
        return None

    def _done(self, run: PlannedRun, event: Done) -> None:
        self.finished += 1
        if event.status == "diverged":
            self.summary.diverged[run.run_id] = event.reason
        else:
            self.summary.done.append(run.run_id)
        self.report(
            event.status,
            run,
            text=event.reason,
            test_accuracy=event.test_accuracy,
            seconds=event.elapsed_seconds,
        )

    def _failed(self, run: PlannedRun, reason: str, failures: dict[str, str]) -> None:
        failures[run.run_id] = reason
        self.finished += 1
        self.report("failed", run, text=reason)

    def _lost(self, run: PlannedRun, event: Lost) -> None:
        """Resume a run whose process was killed, which says nothing of the run, unless that happened too often."""
        self.losses[run.run_id] += event.started
        losses = self.losses[run.run_id]
        if losses < MAX_LOSSES:
            if event.started:
                text = f"{event.reason}: resumed from its checkpoint (loss {losses} of at most {MAX_LOSSES})"
                self.report("warning", run, text=text)
            self.queue.appendleft(run)
            return
        reason = f"{event.reason}, {MAX_LOSSES} times"
        self.home.fail(run_job(run, self.config, losses), reason)
        self._failed(run, reason, self.summary.failed)

    def _lacking(self, run: PlannedRun, event: OutOfMemory | DeviceFailed) -> None:
        """A GPU's memory was too small even for this run alone, or the only GPU failed."""
        if isinstance(event, DeviceFailed):
            raise EnvironmentFault("the GPU failed", event.reason, "see rsc doctor")
        self.home.fail(run_job(run, self.config, self.losses[run.run_id]), event.reason)
        self._failed(run, event.reason, self.summary.failed)

    def _skip(self, kind: str, run: PlannedRun, stored: StoredRun) -> None:
        """Count a run that is done already (``kind`` skipped) or that another process has done (elsewhere)."""
        self.finished += 1
        self.summary.skipped.append(run.run_id)
        if stored.status == "diverged":
            self.summary.diverged[run.run_id] = stored.reason
        self.report(kind, run, test_accuracy=stored.test_accuracy)

    def _wait_for(self, run: PlannedRun) -> None:
        if run.run_id not in self.waited_for:
            self.waited_for.add(run.run_id)
            self.report("waiting", run, text=f"{locks.holder(self._lock_of(run))} trains it")

    def _lock_of(self, run: PlannedRun) -> Path:
        return self.experiment.work_folder(run.run_id) / LOCK


def _check_free_space(folder: Path) -> None:
    free = durable.free_bytes(folder)
    if free < _LEAST_FREE_BYTES:
        what = f"only {free / 2**20:.0f} MiB free, {_LEAST_FREE_BYTES / 2**20:.0f} MiB are the least"
        raise EnvironmentFault(what, str(folder), "free some space, or choose another folder with --results")


class StopSignals:
    """While it lasts, the first SIGINT, SIGTERM or SIGHUP is noted and the second ends the process at once."""

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores it
                    self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(Exit.TERMINATED)
        self.received = number

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
