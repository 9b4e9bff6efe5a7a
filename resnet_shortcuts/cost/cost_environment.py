"""Where a cost was measured, and how much other programs ran meanwhile; imports no torch."""

import os
import platform
from pathlib import Path

import psutil

from resnet_shortcuts import machine
from resnet_shortcuts.cost.cost_request import CostEnvironment, CostRequest, Hardware


def hardware(request: CostRequest) -> Hardware:
    """The hardware that a request would be measured on here; starts no GPU."""
    return Hardware(
        device=machine.cpu_model() if request.device_type == "cpu" else _gpu_models(),
        cores=machine.cores(),
        memory_format="channels_last",
        allocator="glibc" if machine.tcmalloc_path() is None else "tcmalloc",
        torch=machine.package_versions()["torch"],
    )


def environment(request: CostRequest) -> CostEnvironment:
    """The hardware, versions, and settings of the process that measures."""
    return CostEnvironment(
        **hardware(request).model_dump(),
        threads=request.threads,
        precision=request.precision,
        batch_size=request.batch_size,
        commit=machine.commit(),
        python=platform.python_version(),
        platform=platform.platform(),
        memory_bytes=machine.memory_bytes(),
        preloaded=os.environ.get("LD_PRELOAD") or None,
        malloc={name: value for name, value in sorted(os.environ.items()) if name.startswith("MALLOC_")},
    )


def _gpu_models() -> str:
    """Names of the GPUs as the driver lists them: torch would initialise CUDA, after which no process can be forked."""
    names = []
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        names += [line.split(":", 1)[1].strip() for line in file.read_text().splitlines() if line.startswith("Model")]
    return ", ".join(names) or "cuda"


class OtherLoad:
    """How many cores other programs kept busy between two looks.

    The load average would include this experiment's own workers, which ended a moment ago; this counts processor time
    that other processes than this one spent meanwhile.
    """

    def __init__(self) -> None:
        self._began = self._sample()

    def cores(self) -> float | None:
        """Mean number of cores that others used since the start; None where the system does not report it."""
        elapsed, busy, own = (now - then for now, then in zip(self._sample(), self._began, strict=True))
        if elapsed <= 0 or busy <= 0:
            return None
        return max(0.0, busy - own) / elapsed

    @staticmethod
    def _sample() -> tuple[float, float, float]:
        times, mine = psutil.cpu_times(), os.times()
        busy = times.user + times.system + getattr(times, "nice", 0.0) + getattr(times, "steal", 0.0)
        return mine.elapsed, busy, mine.user + mine.system
