"""NVIDIA GPUs as their driver describes them, and those that this process may use. Free of torch at import.

Asking the driver starts no CUDA context: a context takes memory on a busy GPU, and a process that has one cannot fork.
"""

import importlib.util
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue

from resnet_shortcuts.commands import output_of

_FIELDS = (
    "name,memory.total,driver_version,uuid,compute_cap,memory.used,utilization.gpu,persistence_mode,"
    "clocks.max.sm,power.limit,mig.mode.current"
)
DRIVER_PLACES = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")
"""Where a loaded driver shows; the last is that of Windows, seen from Linux in WSL2."""
BUSY_PERCENT = 5
"""A GPU that was used more than this share of the last second works for another program."""


class Gpu(BaseModel):
    """A GPU as its driver names it; what an older record does not hold is None."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    memory_mib: int | None = None
    driver: str | None = None


class GpuState(BaseModel):
    """A GPU at this moment. Memory in MiB, clock in MHz, power in W, ``busy_percent`` of the last second.

    What the driver does not tell is None. ``mig`` says whether it is divided into MIG slices.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    memory_mib: int | None
    driver: str | None
    uuid: str
    compute_capability: tuple[int, int] | None
    used_mib: int | None
    busy_percent: int | None
    persistence: bool | None
    max_clock_mhz: int | None
    power_limit_w: float | None
    mig: bool


def driver_present() -> bool:
    """Whether an NVIDIA driver is loaded here, in WSL2 too; says nothing of whether torch can use it."""
    return any(Path(place).exists() for place in DRIVER_PLACES)


@lru_cache(1)
def torch_cuda_version() -> str | None:
    """The CUDA version that the installed torch is built for, read from its files; None for a CPU build."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    try:
        text = (Path(spec.origin).parent / "version.py").read_text()
    except OSError:
        return None
    built = re.search(r"^cuda\b[^=\n]*= *['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return built[1] if built else None


def states() -> list[GpuState]:
    """All GPUs as the driver lists them now; none where there is no driver, or no nvidia-smi."""
    if not driver_present():
        return []
    listed = output_of("nvidia-smi", f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits")
    return [state for line in listed.splitlines() if (state := _state(line)) is not None]


def _state(line: str) -> GpuState | None:
    parts = [part.strip() for part in line.split(",")]
    if len(parts) != len(_FIELDS.split(",")):
        return None
    name, memory, driver, uuid, capability, used, busy, persistence, clock, power, mig = parts
    digits = re.fullmatch(r"(\d+)\.(\d+)", capability)
    return GpuState(
        name=name,
        memory_mib=_whole(memory),
        driver=driver or None,
        uuid=uuid,
        compute_capability=(int(digits[1]), int(digits[2])) if digits else None,
        used_mib=_whole(used),
        busy_percent=_whole(busy),
        persistence={"Enabled": True, "Disabled": False}.get(persistence),
        max_clock_mhz=_whole(clock),
        power_limit_w=float(power) if re.fullmatch(r"\d+(\.\d+)?", power) else None,
        mig=mig == "Enabled",
    )


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


class _Listed(BaseModel):
    """A line of ``nvidia-smi -L``: a GPU, or a MIG slice of the GPU above it, whose ``name`` holds its profile."""

    name: str
    uuid: str
    number: int
    is_slice: bool
    divided: bool = False


def _listed() -> list[_Listed]:
    if not driver_present():
        return []
    found: list[_Listed] = []
    card = None
    for line in output_of("nvidia-smi", "-L").splitlines():
        whole = re.match(r"GPU (\d+): (.+) \(UUID: (GPU-\S+)\)", line)
        part = re.match(r"\s+(MIG \S+)\s+Device\s+\d+: \(UUID: (MIG-\S+)\)", line)
        if whole:
            card = _Listed(name=whole[2], uuid=whole[3], number=int(whole[1]), is_slice=False)
            found.append(card)
        elif part and card:
            card.divided = True
            found.append(_Listed(name=f"{card.name} {part[1]}", uuid=part[2], number=card.number, is_slice=True))
    return found


def selectors(count: int, environ: Mapping[str, str] = os.environ) -> list[str]:
    """What CUDA_VISIBLE_DEVICES must hold for a process to see one GPU only, for each of the ``count`` that torch sees.

    The entries of this process's own CUDA_VISIBLE_DEVICES where it is set (UUIDs and MIG slices stay what they are);
    else the numbers, but of a GPU that is divided into MIG slices all of these, of which torch would see the first.
    """
    own = environ.get("CUDA_VISIBLE_DEVICES")
    if own is not None:
        return [entry.strip() for entry in own.split(",") if entry.strip()][:count]
    listed = _listed() if count else []
    if not any(entry.is_slice for entry in listed):
        return [str(number) for number in range(count)]
    return [entry.uuid for entry in listed if not entry.divided]


def described(device: str) -> Gpu | None:
    """The GPU ``cuda`` or ``cuda:n`` as the driver names it, a MIG slice with its profile; None where it does not."""
    number = int(device.partition(":")[2] or 0)
    listed, at_hand = _listed(), states()
    chosen = selectors(len(listed))
    if number >= len(chosen):
        return None
    entry = next((entry for entry in listed if chosen[number] in (entry.uuid, str(entry.number))), None)
    if entry is None:
        return None
    whole = next((state for state in at_hand if entry.name.startswith(state.name)), None)
    memory = None if whole is None or entry.is_slice else whole.memory_mib
    return Gpu(name=entry.name, memory_mib=memory, driver=None if whole is None else whole.driver)


def recorded_facts(device: str) -> dict[str, JsonValue]:
    """What is recorded of the GPU that trains (``cuda`` or ``cuda:n`` of this process); starts CUDA.

    Name, UUID, MiB, compute capability, cuDNN, and what the driver tells: its version, maximum clock in MHz, power
    limit in W, persistence and MIG mode.
    """
    import torch

    about = torch.cuda.get_device_properties(device)
    uuid = str(getattr(about, "uuid", "")) or None
    state = next((gpu for gpu in states() if uuid and gpu.uuid.removeprefix("GPU-") == uuid), None)
    told = (
        {}
        if state is None
        else state.model_dump(include={"driver", "max_clock_mhz", "power_limit_w", "persistence", "mig"})
    )
    return {
        "name": about.name,
        "uuid": uuid,
        "memory_mib": about.total_memory // 2**20,
        "compute_capability": [about.major, about.minor],
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "cuda": torch.version.cuda,
        **told,
    }
