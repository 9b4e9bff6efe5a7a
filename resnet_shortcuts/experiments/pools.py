"""What executes runs: worker processes on this machine, or this process itself."""

import selectors
import time
from collections.abc import Callable
from typing import Protocol

from resnet_shortcuts.child_process import Child, Ready, launch
from resnet_shortcuts.errors import EnvironmentFault
from resnet_shortcuts.experiments import processes
from resnet_shortcuts.experiments.home import FolderHome
from resnet_shortcuts.experiments.run_job import (
    EVENTS,
    DeviceFailed,
    Done,
    Failed,
    Left,
    Lost,
    OutOfMemory,
    Remark,
    RunEvent,
    RunJob,
    WorkerSetup,
)
from resnet_shortcuts.experiments.slots import Slots
from resnet_shortcuts.experiments.store import Experiment

_LISTEN_SECONDS = 0.2  # how long to wait for an event before signals and other processes' runs are looked at again
_GRACE_SECONDS = 6.0  # what workers get to save a checkpoint; then they are killed, well within 10 s
_FAILED_STARTS = 3

Handle = Callable[[RunEvent], None]


class Pool(Protocol):
    """What the runner needs of whatever executes runs."""

    def free(self) -> bool:
        """Whether `start` may be called."""

    def start(self, job: RunJob) -> None:
        """Begin to train a run."""

    def listen(self, handle: Handle) -> None:
        """Wait a moment and pass on what has happened. Raises EnvironmentFault where nothing can be executed."""

    def stop(self) -> int:
        """Let what is running save its checkpoint and end; how many runs did not save in time."""
        return 0

    def kill(self) -> None:
        """End everything now."""


class _Worker:
    """A worker process, and what it trains (None: idle). One that is ``leaving`` takes no more.

    One on a GPU sees that GPU only, as ``cuda``.
    """

    def __init__(self, setup: WorkerSetup, device: str) -> None:
        self.device = device
        variables = processes.environment(setup.threads, device)
        seen = setup.model_copy(update={"device": device.partition(":")[0]})
        self.child: Child[RunEvent | Ready] = launch(seen, EVENTS, variables)
        self.run_id: str | None = None
        self.ready = self.leaving = False


class ProcessPool(Pool):
    """``jobs`` worker processes at most on each of ``devices``, started as they are needed.

    A GPU that fails is used no more, and its run goes on elsewhere. Where a GPU's memory does not suffice, it gets a
    worker less; the run has failed if it was alone there.
    """

    def __init__(self, setup: WorkerSetup, jobs: int, devices: tuple[str, ...] = ("cpu",)) -> None:
        self._setup, self._slots = setup, Slots(devices, jobs)
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._failed_starts = 0

    def free(self) -> bool:
        """See `Pool`."""
        return self._idle() is not None or self._place() is not None

    def start(self, job: RunJob) -> None:
        """See `Pool`."""
        worker, place = self._idle(), self._place()
        if worker is None:
            if place is None:
                raise RuntimeError("a run was given to a pool that is not free")
            worker = _Worker(self._setup, place)
            self._workers.append(worker)
            self._selector.register(worker.child, selectors.EVENT_READ, worker)
        worker.run_id = job.run_id
        worker.child.send(job)

    def listen(self, handle: Handle) -> None:
        """See `Pool`."""
        for key, _ in self._selector.select(_LISTEN_SECONDS):
            worker: _Worker = key.data
            for event in worker.child.receive():
                if isinstance(event, Ready):
                    worker.ready, self._failed_starts = True, 0
                    continue
                if event.event == "stopped":  # not asked for here: it ends now, and its run is lost
                    continue
                if isinstance(event, Done | Failed | Left | OutOfMemory | DeviceFailed):
                    worker.run_id = None
                    worker.leaving = not isinstance(event, Done | Left)
                if isinstance(event, DeviceFailed):
                    self._retire(worker, event, handle)
                elif isinstance(event, OutOfMemory):
                    self._make_room(worker, event, handle)
                else:
                    handle(event)
            if worker.child.ended:
                self._remove(worker, handle)

    def _retire(self, failed: _Worker, event: DeviceFailed, handle: Handle) -> None:
        """Leave a GPU that failed alone: idle workers there end now, its runs are tried elsewhere."""
        others = self._slots.retire(failed.device)
        for worker in self._workers:
            if worker.device == failed.device:
                worker.leaving = True
                if worker.run_id is None:
                    worker.child.terminate()
        if not others:
            raise EnvironmentFault(f"{failed.device} failed, and no other GPU is left", event.reason, "see rsc doctor")
        text = f"{failed.device} failed and is not used any more: {event.reason}"
        handle(Remark(run_id=event.run_id, text=text, once=True))
        handle(Lost(run_id=event.run_id, reason=event.reason, started=False))

    def _make_room(self, worker: _Worker, event: OutOfMemory, handle: Handle) -> None:
        """One worker less on a GPU whose memory did not suffice; the run is tried again beside fewer others."""
        left = self._slots.shrink(worker.device)
        if not left:
            return handle(event)
        text = f"{event.reason} on {worker.device}: {left} side by side there from now on"
        handle(Remark(run_id=event.run_id, text=text))
        return handle(Lost(run_id=event.run_id, reason=event.reason, started=False))

    def _remove(self, worker: _Worker, handle: Handle) -> None:
        """A worker process ended: on its own after a failed run, or killed in the middle of one."""
        self._selector.unregister(worker.child)
        self._workers.remove(worker)
        reason = f"worker {worker.child.reason()}"
        worker.child.close()
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS:
                raise EnvironmentFault("worker processes do not start", reason, "see rsc doctor")
        if worker.run_id is not None:
            handle(Lost(run_id=worker.run_id, reason=reason, started=worker.ready))

    def stop(self) -> int:
        """See `Pool`."""
        for worker in self._workers:
            worker.child.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        while self._alive() and time.monotonic() < deadline:
            for key, _ in self._selector.select(0.05):
                key.data.child.receive()  # so that no worker waits for a full pipe
                if key.data.child.ended:
                    self._selector.unregister(key.data.child)
        return sum(worker.run_id is not None for worker in self._alive())

    def kill(self) -> None:
        """See `Pool`."""
        for worker in self._workers:
            worker.child.close()
        self._selector.close()

    def _place(self) -> str | None:
        return self._slots.place(worker.device for worker in self._workers if not worker.leaving)

    def _idle(self) -> _Worker | None:
        return next((worker for worker in self._workers if not worker.leaving and worker.run_id is None), None)

    def _alive(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.child.alive()]


class InProcessPool(Pool):
    """This process, one run at a time: for debuggers, notebooks, and strategies that no other process can import.

    Results are those of worker processes, bit for bit. A run stops at the next step when ``stopping()`` says so.
    """

    def __init__(self, setup: WorkerSetup, stopping: Callable[[], bool]) -> None:
        self._setup, self._stopping = setup, stopping
        self._job: RunJob | None = None

    def free(self) -> bool:
        """See `Pool`."""
        return self._job is None

    def start(self, job: RunJob) -> None:
        """See `Pool`."""
        self._job = job

    def listen(self, handle: Handle) -> None:
        """See `Pool`."""
        job, self._job = self._job, None
        if job is None:
            time.sleep(_LISTEN_SECONDS)
            return
        import torch

        from resnet_shortcuts.experiments.training_session import train_run

        home = FolderHome(Experiment(self._setup.results, self._setup.name), handle)
        threads = torch.get_num_threads()
        torch.set_num_threads(self._setup.threads)
        try:
            handle(train_run(home, self._setup, job, self._stopping))
        finally:
            torch.set_num_threads(threads)

    def kill(self) -> None:
        """See `Pool`."""
