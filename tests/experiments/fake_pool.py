"""A pool that trains nothing: what is left of a sweep is its scheduling."""

import random

from resnet_shortcuts.experiments.run_job import Done, Lost, RunJob, Trained


class FakePool:
    """``slots`` runs side by side, each of one hour, that end in the order in which they began.

    A share ``losses`` of them is lost on the way. ``started`` counts how often each run was begun.
    """

    def __init__(self, slots: int, losses: float, seed: int = 0) -> None:
        self._slots, self._losses, self._random = slots, losses, random.Random(seed)
        self._running: dict[str, RunJob] = {}
        self.started: dict[str, int] = {}

    def free(self) -> bool:
        return len(self._running) < self._slots

    def start(self, job: RunJob) -> None:
        assert job.run_id not in self._running
        self._running[job.run_id] = job
        self.started[job.run_id] = self.started.get(job.run_id, 0) + 1

    def listen(self, handle) -> None:
        """Some report, and some end."""
        for run_id in list(self._running)[: max(1, self._slots // 10)]:
            handle(Trained(run_id=run_id, step=1, epoch=0))
            del self._running[run_id]
            if self._random.random() < self._losses:
                handle(Lost(run_id=run_id, reason="its node was lost", started=True))
            else:
                handle(Done(run_id=run_id, status="done", reason="", test_accuracy=50.0, elapsed_seconds=3600.0))

    def stop(self) -> int:
        return 0

    def kill(self) -> None:
        self._running.clear()
