"""Where a cost was measured, and whether other programs were at work meanwhile; imports no torch."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from resnet_shortcuts.cost.spec import CostRequest


def hardware(request: CostRequest) -> dict[str, Any]:
    """What a cost depends on beside the request: processor or GPU, cores, memory format, allocator, torch's version."""
    device = _processor() if request.device_type == "cpu" else _graphics()
    return {
        "device": device,
        "cores": len(os.sched_getaffinity(0)),
        "memory_format": "channels_last",
        "allocator": "tcmalloc" if "tcmalloc" in os.environ.get("LD_PRELOAD", "") else "glibc",
        "torch": metadata.version("torch"),
    }


def environment(request: CostRequest) -> dict[str, Any]:
    """`hardware`, and what else a reader of the figures wants to know."""
    malloc = {name: value for name, value in os.environ.items() if name.startswith("MALLOC_")}
    return {
        **hardware(request),
        "threads": request.threads,
        "precision": request.precision,
        "batch_size": request.batch_size,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "memory_bytes": psutil.virtual_memory().total,
        "malloc": malloc,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _graphics() -> str:
    """Names of the GPUs as the driver lists them, without initialising CUDA."""
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


def load_average() -> float | None:
    """The one-minute load average; None where there is none."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return None
