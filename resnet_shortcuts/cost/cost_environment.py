"""Where a cost was measured, and how much other programs ran meanwhile; imports no torch."""

import os

import psutil

from resnet_shortcuts import gpus, machine
from resnet_shortcuts.cost.cost_request import CostEnvironment, CostRequest, TimedHardware


def hardware(request: CostRequest) -> TimedHardware:
    """The hardware that a request would be measured on here; a launcher and the process that it starts agree.

    Of several GPUs it is the one that is measured, so that machines with one or with eight of a model agree. Starts no
    GPU.
    """
    here = machine.hardware()
    if request.device_type == "cpu":
        return TimedHardware(device=here.processor, memory_format="channels_last", hardware=here)
    gpu = gpus.described(request.device)
    one = here.model_copy(update={"gpus": None if gpu is None else [gpu]})
    return TimedHardware(device="cuda" if gpu is None else gpu.name, memory_format="channels_last", hardware=one)


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


def busy_gpu(request: CostRequest) -> float | None:
    """Percent of the last second that the GPU to be measured worked for others; None on a CPU, or where not known."""
    here = gpus.described(request.device) if request.device_type == "cuda" else None
    same = [state for state in gpus.states() if here is not None and here.name.startswith(state.name)]
    busy = [state.busy_percent for state in same if state.busy_percent is not None]
    return max(busy, default=None)
