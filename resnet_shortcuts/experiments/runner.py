"""Run a plan: give its runs to worker processes, skip what is done, resume what is half done, survive what fails."""

import selectors
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from resnet_shortcuts import durable, locks, machine
from resnet_shortcuts.config.experiment_config import Config
from resnet_shortcuts.errors import BusyError, EnvironmentFault, Exit, IntegrityError, RscError
from resnet_shortcuts.experiments.plan import Plan, PlannedRun
from resnet_shortcuts.experiments.processes import Worker
from resnet_shortcuts.experiments.sealed_files import NewerFormatError
from resnet_shortcuts.experiments.store import LOCK, Experiment
from resnet_shortcuts.experiments.worker import note_failure
from resnet_shortcuts.words import counted

_LOOK_SECONDS = 0.2  # how often signals and other processes' runs are looked at while no event comes
_GRACE_SECONDS = 6.0  # what workers get to save a checkpoint; then they are killed, well within 10 s
_FAILED_STARTS = 3
_LEAST_FREE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Event:
    """Something that happened during a sweep.

    ``kind``: skipped, started, progress (at ``step``, in ``epoch`` from 0), done, diverged, failed, elsewhere (another
    process finished it), waiting (for another process), warning. ``finished`` of ``total`` runs need nothing more.
    """

    kind: str
    run: PlannedRun | None
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


class Stopped(RscError):  # noqa: N818 (asked for, not a fault)
    """SIGINT or SIGTERM ended the sweep; checkpoints are saved."""

    def __init__(self, number: int, where: str) -> None:
        self.exit_code = Exit.INTERRUPTED if number == signal.SIGINT else Exit.TERMINATED
        self.number, self.place = number, where
        self._tell("finished runs are kept and the others saved: the same command goes on from there")

    def tell_unsaved(self, runs: int) -> None:
        """Say that so many runs did not save in time."""
        lost = "since its last checkpoint" if runs == 1 else "since their last checkpoints"
        self._tell(
            f"finished runs are kept; {runs} did not save in time, and what was done {lost} is lost: "
            "the same command goes on from there"
        )

    def _tell(self, todo: str) -> None:
        super().__init__("interrupted" if self.number == signal.SIGINT else "terminated", self.place, todo)


def resolve_jobs(jobs: int | str, device: str) -> int:
    """How many runs go side by side: on a CPU one a core, on a GPU one, unless a number is asked for."""
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
    device: str = "cpu",
    progress: Callable[[Event], None] = lambda event: None,
    wait: bool = True,
) -> Summary:
    """Train every run of the plan that is not done. ``device`` is resolved; ``dataset_folder`` is prepared.

    Done and diverged runs are skipped, crashed ones tried again, damaged results set aside and trained again. Runs that
    another process has in hand are waited for, or with ``wait=False`` left: BusyError once nothing else is to be had.
    Raises EnvironmentFault (disk full, permission, workers that do not start), Stopped on SIGINT or SIGTERM.
    """
    _check_free_space(experiment.folder)
    with _Signals() as signals:
        sweep = _Sweep(plan, config, dataset_folder, experiment, resolve_jobs(jobs, device), device, progress, wait)
        try:
            sweep.sort_out()
            while sweep.unfinished():
                sweep.hand_out()
                sweep.listen()
                if signals.received:
                    raise Stopped(signals.received, str(experiment.folder))
        except (Stopped, EnvironmentFault, BusyError) as reason:
            unsaved = sweep.stop_workers()
            if unsaved and isinstance(reason, Stopped):
                reason.tell_unsaved(unsaved)
            raise
        finally:
            sweep.kill_workers()
        return sweep.summary


class _Sweep:
    def __init__(
        self,
        plan: Plan,
        config: Config,
        dataset_folder: Path,
        experiment: Experiment,
        jobs: int,
        device: str,
        progress: Callable[[Event], None],
        wait: bool,
    ) -> None:
        self.plan, self.config, self.experiment = plan, config, experiment
        self.jobs, self.progress, self.wait = jobs, progress, wait
        self.queue: deque[PlannedRun] = deque()
        self.elsewhere: list[PlannedRun] = []
        self.workers: list[Worker] = []
        self.selector = selectors.DefaultSelector()
        self.summary = Summary()
        self.finished = self.failed_starts = 0
        self.setup = _setup(config, plan, dataset_folder, experiment, device, jobs)

    def tell(self, kind: str, run: PlannedRun | None = None, **details: Any) -> None:
        self.progress(Event(kind, run, self.finished, len(self.plan.runs), **details))

    def sort_out(self) -> None:
        """Skip what is done; set aside what is damaged."""
        for run in self.plan.runs:
            if not self.experiment.finished(run.run_id):
                self.queue.append(run)
                continue
            try:
                stored = self.experiment.run(run.run_id).verify()
            except NewerFormatError:
                raise  # it is not damaged: whoever has the newer version reads it
            except IntegrityError as error:
                place = self.experiment.set_aside(run.run_id)
                self.tell("warning", run, text=f"{error.what}: {error.where}: moved to {place}, trained again")
                self.queue.append(run)
                continue
            self.finished += 1
            self.summary.skipped.append(run.run_id)
            if stored.status == "diverged":
                self.summary.diverged[run.run_id] = stored.reason
            self.tell("skipped", run, test_accuracy=stored.test_accuracy)

    def unfinished(self) -> bool:
        return bool(self.queue or self.elsewhere or any(worker.run for worker in self.workers))

    def hand_out(self) -> None:
        """Give every idle worker a run; start workers while there are more runs than workers."""
        self._look_elsewhere()
        while self.queue:
            staying = [worker for worker in self.workers if not worker.leaving]
            worker = next((worker for worker in staying if worker.run is None), None)
            if worker is None:
                if len(staying) >= self.jobs:
                    return
                worker = Worker(self.setup)
                self.workers.append(worker)
                self.selector.register(worker.events, selectors.EVENT_READ, worker)
            run = self._next_free()
            if run is None:
                return
            worker.give(run, _job(run, self.config))
            self.tell("started", run)

    def _next_free(self) -> PlannedRun | None:
        while self.queue:
            run = self.queue.popleft()
            if self.experiment.finished(run.run_id):
                self._finished_elsewhere(run)
            elif locks.is_held(self.experiment.work_folder(run.run_id) / LOCK):
                self._wait_for(run)
            else:
                return run
        return None

    def _wait_for(self, run: PlannedRun) -> None:
        self.elsewhere.append(run)
        self.tell("waiting", run, text=f"{locks.holder(self.experiment.work_folder(run.run_id) / LOCK)} trains it")

    def _look_elsewhere(self) -> None:
        """Take note of what other processes have finished, and take up what they have dropped."""
        for run in list(self.elsewhere):
            if self.experiment.finished(run.run_id):
                self.elsewhere.remove(run)
                self._finished_elsewhere(run)
            elif not locks.is_held(self.experiment.work_folder(run.run_id) / LOCK):
                self.elsewhere.remove(run)
                self.queue.append(run)
        if self.elsewhere and not self.wait and not self.queue and not any(worker.run for worker in self.workers):
            verb = "is" if len(self.elsewhere) == 1 else "are"
            what = f"{counted(len(self.elsewhere), 'run')} {verb} being trained by another process"
            raise BusyError(what, str(self.experiment.folder), "try again later, or leave --no-wait out")

    def _finished_elsewhere(self, run: PlannedRun) -> None:
        self.finished += 1
        self.summary.skipped.append(run.run_id)
        stored = self.experiment.run(run.run_id)
        if stored.status == "diverged":
            self.summary.diverged[run.run_id] = stored.reason
        self.tell("elsewhere", run, test_accuracy=stored.test_accuracy)

    def listen(self) -> None:
        """Wait a moment for events and act on them."""
        for key, _ in self.selector.select(_LOOK_SECONDS):
            worker: Worker = key.data
            for event in worker.read():
                self._handle(worker, event)
            if worker.ended:
                self._lost(worker)

    def _handle(self, worker: Worker, event: dict[str, Any]) -> None:
        run, kind = worker.run, event["event"]
        if kind == "ready":
            self.failed_starts = 0
        if run is None:
            return None
        if kind in {"warning", "progress"}:
            details = {key: event[key] for key in ("text", "step", "epoch") if key in event}
            return self.tell(kind, run, **details)
        if kind == "fault":
            raise EnvironmentFault(event["what"], event["where"], event["todo"])
        if kind == "done":
            worker.run = None
            self.finished += 1
            if event["status"] == "diverged":
                self.summary.diverged[run.run_id] = event["reason"]
            else:
                self.summary.done.append(run.run_id)
            self.tell(
                event["status"],
                run,
                text=event["reason"],
                test_accuracy=event["test_accuracy"],
                seconds=event["elapsed_seconds"],
            )
        elif kind == "failed":
            worker.run, worker.leaving = None, True  # a process that met the unexpected takes no other run
            self._failed(run, event["reason"], event["code"])
        elif kind == "busy":
            worker.run = None
            self._wait_for(run)
        elif kind == "elsewhere":
            worker.run = None
            self._finished_elsewhere(run)
        return None

    def _failed(self, run: PlannedRun, reason: str, code: int) -> None:
        where = self.summary.damaged if code == Exit.INTEGRITY else self.summary.failed
        where[run.run_id] = reason
        self.finished += 1
        self.tell("failed", run, text=reason)

    def _lost(self, worker: Worker) -> None:
        """A worker process ended: on its own after a failed run, or killed in the middle of one."""
        self.selector.unregister(worker.events)
        self.workers.remove(worker)
        reason = worker.obituary()
        if not worker.was_ready:
            self.failed_starts += 1
            if self.failed_starts >= _FAILED_STARTS:
                raise EnvironmentFault("worker processes do not start", reason, "see rsc doctor")
            if worker.run:
                self.queue.appendleft(worker.run)
            return
        if worker.run:
            note_failure(self.experiment, _job(worker.run, self.config), reason)
            self._failed(worker.run, reason, Exit.RUN_FAILED)

    def stop_workers(self) -> int:
        """Let workers save and leave; how many runs took too long, whose workers are killed later."""
        for worker in self.workers:
            worker.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        while any(worker.alive() for worker in self.workers) and time.monotonic() < deadline:
            for key, _ in self.selector.select(0.05):
                key.data.read()  # so that no worker waits for a full pipe
                if key.data.ended:
                    self.selector.unregister(key.data.events)
        return sum(worker.alive() and worker.run is not None for worker in self.workers)

    def kill_workers(self) -> None:
        for worker in self.workers:
            worker.close()
        self.selector.close()


def _setup(
    config: Config, plan: Plan, dataset_folder: Path, experiment: Experiment, device: str, jobs: int
) -> dict[str, Any]:
    environment = {
        **machine.environment(device),
        "threads": 1 if device == "cpu" else max(1, machine.cores() // jobs),
        "jobs": jobs,
        "compile": config.run.compile,
        "memory_format": "channels_last",
        "precision": plan.precision,
        "preloaded": str(machine.tcmalloc_path() or "") or None,
    }
    return {
        "results": str(experiment.results.absolute()),
        "name": experiment.name,
        "dataset": str(Path(dataset_folder).absolute()),
        "data": config.data.model_dump(mode="json"),
        "train": config.train.model_dump(mode="json", exclude_none=True),
        "device": device,
        "precision": plan.precision,
        "compile": config.run.compile,
        "evaluate_every": config.run.evaluate_every,
        "checkpoint_seconds": config.run.checkpoint_seconds,
        "environment": environment,
    }


def _job(run: PlannedRun, config: Config) -> dict[str, Any]:
    network = next(network for network in config.networks if network.label == run.network)
    shortcut = next(shortcut for shortcut in config.shortcuts if shortcut.name == run.shortcut)
    return {
        "run_id": run.run_id,
        "network": network.model_dump(mode="json", exclude_none=True),
        "shortcut": shortcut.reference(),
        "seed": run.seed,
        "science": run.science,
        "labels": {"network": run.network, "shortcut": run.shortcut, "seed": run.seed, "recipe": run.recipe},
    }


def _check_free_space(folder: Path) -> None:
    free = durable.free_bytes(folder)
    if free < _LEAST_FREE_BYTES:
        what = f"only {free / 2**20:.0f} MiB free, {_LEAST_FREE_BYTES / 2**20:.0f} MiB are the least"
        raise EnvironmentFault(what, str(folder), "free some space, or choose another folder with --results")


class _Signals:
    """While it lasts, the first SIGINT or SIGTERM is noted and the second ends the process at once."""

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "_Signals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
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
