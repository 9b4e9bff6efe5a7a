"""Where a cost was measured, and whether other programs were at work meanwhile; imports no torch."""

import os
import platform
from pathlib import Path
from typing import Any

import psutil

from resnet_shortcuts import machine
from resnet_shortcuts.cost.cost_request import CostRequest


def hardware(request: CostRequest) -> dict[str, Any]:
    """What a cost depends on beside the request: processor or GPU, cores, memory format, allocator, torch's version.

    The allocator is the one that training workers preload where it is found; a launcher and the process that it starts
    give the same answer.
    """
    return {
        "device": machine.cpu_model() if request.device_type == "cpu" else _graphics(),
        "cores": machine.cores(),
        "memory_format": "channels_last",
        "allocator": "glibc" if machine.tcmalloc_path() is None else "tcmalloc",
        "torch": machine.package_versions()["torch"],
    }


def environment(request: CostRequest) -> dict[str, Any]:
    """`hardware`, and what else a reader of the figures wants to know."""
    return {
        **hardware(request),
        "threads": request.threads,
        "precision": request.precision,
        "batch_size": request.batch_size,
        "commit": machine.commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "memory_bytes": machine.memory_bytes(),
        "preloaded": os.environ.get("LD_PRELOAD") or None,
        "malloc": {name: value for name, value in sorted(os.environ.items()) if name.startswith("MALLOC_")},
    }


def _graphics() -> str:
    """Names of the GPUs as the driver lists them: torch would initialise CUDA, after which no process can be forked."""
    names = []
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        names += [line.split(":", 1)[1].strip() for line in file.read_text().splitlines() if line.startswith("Model")]
    return ", ".join(names) or "cuda"


class OtherLoad:
    """How many cores other programs kept busy between two looks.

    The load average would blame this experiment's own workers, which ended a moment ago; this counts processor time
    that was spent meanwhile by anyone but this process.
    """

    def __init__(self) -> None:
        self._began = self._sample()

    def cores(self) -> float | None:
        """Mean number of cores that others used since the start; None where the system does not tell."""
        elapsed, busy, own = (now - then for now, then in zip(self._sample(), self._began, strict=True))
        if elapsed <= 0 or busy <= 0:
            return None
        return max(0.0, busy - own) / elapsed

    @staticmethod
    def _sample() -> tuple[float, float, float]:
        times, mine = psutil.cpu_times(), os.times()
        busy = times.user + times.system + getattr(times, "nice", 0.0) + getattr(times, "steal", 0.0)
        return mine.elapsed, busy, mine.user + mine.system
