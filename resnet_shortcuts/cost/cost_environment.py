"""Where a cost was measured, and whether other programs were at work meanwhile; imports no torch."""

import os
import platform
from typing import Any

import psutil

from resnet_shortcuts import machine
from resnet_shortcuts.cost.cost_request import CostRequest


def hardware(request: CostRequest) -> dict[str, Any]:
    """What a cost depends on beside the request: the hardware, and the device of it that is timed.

    A launcher and the process that it starts give the same answer.
    """
    here = machine.hardware()
    return {
        "device": here.processor if request.device_type == "cpu" else _graphics(here),
        "memory_format": "channels_last",
        "hardware": here.model_dump(),
    }


def environment(request: CostRequest) -> dict[str, Any]:
    """`hardware`, and what else a reader of the figures wants to know."""
    return {
        **hardware(request),
        **machine.hardware().model_dump(include={"cores", "allocator", "torch"}),
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


def _graphics(here: machine.Hardware) -> str:
    return ", ".join(gpu.name for gpu in here.gpus or ()) or "cuda"


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
