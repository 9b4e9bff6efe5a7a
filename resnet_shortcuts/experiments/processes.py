"""A worker process as its parent sees it: started, given runs, listened to, buried."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from resnet_shortcuts import machine
from resnet_shortcuts.experiments.plan import PlannedRun

# glibc returns every large block to the kernel and faults it in again, step after step; 32 MiB is the most it takes.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(2**32)}


def environment(threads: int) -> dict[str, str]:
    """The environment variables of a worker: threads, and an allocator that keeps large blocks."""
    variables = {**os.environ, **_MALLOC, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    tcmalloc = machine.tcmalloc_path()
    if tcmalloc is not None:
        variables["LD_PRELOAD"] = " ".join(filter(None, [str(tcmalloc), os.environ.get("LD_PRELOAD", "")]))
    return variables


class Worker:
    """One ``experiments.worker`` process: ``run`` is what it trains (None: idle); if ``leaving`` it takes no more."""

    def __init__(self, setup: Mapping[str, Any]) -> None:
        self.run: PlannedRun | None = None
        self.was_ready = self.ended = self.leaving = False
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "resnet_shortcuts.experiments.worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment(setup["environment"]["threads"]),
        )
        self._partial = b""
        self._send(setup)

    @property
    def events(self) -> int:
        """The descriptor that events arrive on."""
        assert self._process.stdout is not None  # noqa: S101 (a pipe was asked for)
        return self._process.stdout.fileno()

    def give(self, run: PlannedRun, job: Mapping[str, Any]) -> None:
        """Let it train a run."""
        self.run = run
        self._send(job)

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 (a pipe was asked for)
        with contextlib.suppress(BrokenPipeError):  # it is dead: its end of the event pipe tells
            self._process.stdin.write((json.dumps(message) + "\n").encode())
            self._process.stdin.flush()

    def read(self) -> list[dict[str, Any]]:
        """The events that have arrived; sets ``ended`` at the end of the pipe."""
        data = os.read(self.events, 1 << 16)
        self.ended = not data
        *lines, self._partial = (self._partial + data).split(b"\n")
        events: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self.was_ready = self.was_ready or any(event["event"] == "ready" for event in events)
        return events

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def terminate(self) -> None:
        """Ask it to save and leave."""
        self._process.terminate()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def obituary(self) -> str:
        """Why it ended, in one line."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # its event pipe is closed: it is of no use
            self._process.kill()
            code = self._process.wait()
        self._stderr.seek(0)
        said = self._stderr.read().decode(errors="replace").strip().splitlines()
        if code == -signal.SIGKILL:
            return "worker process killed (SIGKILL: out of memory, or by hand)"
        if code == 0:
            return "worker process was told to stop (SIGTERM); its checkpoint is saved"
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return f"worker process ended {how}" + (f": {said[-1][:200]}" if said else "")

    def close(self) -> None:
        """End it now, if it has not ended, and let everything go."""
        if self.alive():
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
