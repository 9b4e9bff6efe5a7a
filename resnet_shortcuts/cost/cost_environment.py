"""Where a cost was measured, and how much other programs ran meanwhile; imports no torch."""

import os

import psutil

from resnet_shortcuts import machine
from resnet_shortcuts.cost.cost_request import CostEnvironment, CostRequest, TimedHardware


def hardware(request: CostRequest) -> TimedHardware:
    """The hardware that a request would be measured on here; a launcher and the process that it starts agree.

    Starts no GPU.
    """
    here = machine.hardware()
    gpus = ", ".join(gpu.name for gpu in here.gpus or ()) or "cuda"
    return TimedHardware(
        device=here.processor if request.device_type == "cpu" else gpus,
        memory_format="channels_last",
        hardware=here,
    )


def environment(request: CostRequest) -> CostEnvironment:
    """The hardware, versions, and settings of the process that measures."""
    here = machine.hardware()
    facts = {
        **machine.environment(),
        **hardware(request).model_dump(),
        "allocator": here.allocator,
        "torch": here.torch,
        "threads": request.threads,
        "precision": request.precision,
        "batch_size": request.batch_size,
        "malloc": {name: value for name, value in sorted(os.environ.items()) if name.startswith("MALLOC_")},
    }
    return CostEnvironment.model_validate(facts)


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
