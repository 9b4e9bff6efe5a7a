"""Facts about the machine that runs: cores, memory, precision, what is recorded beside every result. Free of torch.

torch is imported only where a question is about GPUs and an NVIDIA driver is present.
"""

import os
import platform
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Self

import psutil
from pydantic import BaseModel, ConfigDict

from resnet_shortcuts import __version__, cgroup, gpus
from resnet_shortcuts.commands import output_of
from resnet_shortcuts.errors import EnvironmentFault, UsageError
from resnet_shortcuts.gpus import Gpu

Precision = Literal["fp32", "bf16"]

# An x86 processor multiplies bf16 in hardware with AVX512-BF16 (Zen 4, Cooper Lake) or AMX; an Arm one says bf16.
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
_GPU_BF16_SINCE = (8, 0)  # compute capability of Ampere
_TELLING_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")
_TCMALLOC_NAMES = ("tcmalloc_minimal", "tcmalloc")
_LIBRARY_FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/lib")
PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "pydantic", "safetensors")


def cores() -> int:
    """How many cores this process may use: its affinity, less where a control group grants fewer."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup.cpu_quota()
    return max(1, allowed if quota is None else min(allowed, int(quota + 0.5)))


@lru_cache(1)
def _cpuinfo() -> dict[str, str]:
    """The fields of the first processor, names in lower case."""
    first = cgroup.read_text(Path("/proc/cpuinfo")).split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip().casefold(): value.strip() for name, _, value in pairs}


def cpu_model() -> str:
    """The processor's name as it gives it itself."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine() or "unknown"


def cpu_flags() -> frozenset[str]:
    """Instruction sets of the processor, in the kernel's spelling; empty where the kernel does not tell (not Linux)."""
    info = _cpuinfo()
    return frozenset((info.get("flags") or info.get("features") or "").split())


def memory_bytes() -> int:
    """Memory that this process may use: the machine's, less where a control group grants less."""
    total = int(psutil.virtual_memory().total)
    limit = cgroup.memory_limit()
    return total if limit is None else min(total, limit)


def load_average() -> tuple[float, float, float]:
    """Runnable processes on average over 1, 5 and 15 minutes; zeros where the system does not tell."""
    try:
        return os.getloadavg()
    except OSError:
        return (0.0, 0.0, 0.0)


@lru_cache(1)
def tcmalloc_path() -> Path | None:
    """The allocator that speeds a step by 14 to 17 % when preloaded (Debian: libtcmalloc-minimal4t64), if here."""
    for name in _TCMALLOC_NAMES:
        for folder in _LIBRARY_FOLDERS:
            candidates = [*Path(folder).glob(f"lib{name}.so*"), *Path(folder).glob(f"*-linux-gnu*/lib{name}.so*")]
            for path in sorted(candidates, key=str):
                if path.is_file():
                    return path
        listed = re.search(rf"\blib{name}\.so\S*.*=> (\S+)", output_of("/sbin/ldconfig", "-p"))
        if listed and Path(listed[1]).is_file():
            return Path(listed[1])
    return None


def _torch_sees_gpus() -> int:
    if not gpus.driver_present() or gpus.torch_cuda_version() is None:
        return 0
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # cuda:N is the N of nvidia-smi
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def resolve_devices(requested: str | tuple[str, ...]) -> tuple[str, ...]:
    """``("cpu",)``, or the GPUs as ``cuda:n``, for ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or several ``cuda:n``.

    ``cuda`` is all GPUs that this process may use, ``auto`` the same, or the CPU where torch can use none. Raises
    EnvironmentFault where a GPU is asked for that is not there (no silent fallback to the CPU), and UsageError for any
    other word.
    """
    if requested == "cpu":
        return ("cpu",)
    here = tuple(f"cuda:{number}" for number, _ in enumerate(gpus.selectors(_torch_sees_gpus())))
    if requested == "auto":
        return here or ("cpu",)
    asked = (requested,) if isinstance(requested, str) else requested
    for device in asked:
        if not re.fullmatch(r"cuda(:\d{1,3})?", device):
            raise UsageError(f"unknown device {device[:40]!r}", "run.device", "use auto, cpu, cuda or cuda:N")
        if device not in here and not (device == "cuda" and here):
            raise EnvironmentFault(
                f"device {device!r} is not available",
                _why_no_gpu(),
                "use --set run.device=cpu (with a config) or --device cpu; see rsc doctor",
            )
    return here if requested == "cuda" else asked


def resolve_device(requested: str) -> str:
    """``cpu``, or the first GPU of `resolve_devices` as ``cuda:n``."""
    return resolve_devices(requested)[0]


def _why_no_gpu() -> str:
    if not gpus.driver_present():
        return "no NVIDIA driver is loaded"
    if gpus.torch_cuda_version() is None:
        return "the installed torch is a CPU build"
    return "torch sees no such GPU"


def blind_gpu_warning() -> str | None:
    """The warning where a GPU is here that torch cannot use, so that ``auto`` is the CPU; None where none is due."""
    if not gpus.driver_present() or _torch_sees_gpus() or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return None
    return f"an NVIDIA driver is loaded, but {_why_no_gpu()}: training on the CPU: see rsc doctor"


def bf16_supported(device: str) -> bool:
    """Whether the device multiplies bf16 in hardware; False where that is not known."""
    if device.split(":")[0] == "cpu":
        return bool(cpu_flags() & _BF16_FLAGS)
    if not _torch_sees_gpus():
        return False
    import torch

    return torch.cuda.get_device_capability(device) >= _GPU_BF16_SINCE


def resolve_precision(precision: str, device: str) -> Precision:
    """What ``auto`` means on this device: bf16 where its hardware multiplies it, else fp32. The others mean themselves.

    bf16 may be asked for where the hardware lacks it: results are the same kind of number, only slower to come by;
    `precision_warning` has the sentence for the user.
    """
    if precision == "auto":
        return "bf16" if bf16_supported(device) else "fp32"
    if precision == "bf16":
        return "bf16"
    if precision == "fp32":
        return "fp32"
    raise UsageError(f"unknown precision {precision[:40]!r}", "run.precision", "use auto, fp32 or bf16")


def precision_warning(precision: str, device: str) -> str | None:
    """The warning for bf16 on hardware without it; None where none is due."""
    if precision == "bf16" and not bf16_supported(device):
        return f"bf16 is emulated on this {device.split(':')[0]}: correct but slow: fp32 (or auto) is faster here"
    return None


def gpu_name(device: str) -> str | None:
    """The name of a CUDA device as torch gives it; None for the CPU."""
    if device.split(":")[0] != "cuda" or not _torch_sees_gpus():
        return None
    import torch

    return str(torch.cuda.get_device_name(device))


def package_versions() -> dict[str, str | None]:
    """Versions of what results depend on, read without importing any of it."""
    return {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@lru_cache(1)
def commit() -> str | None:
    """The git commit of this package's source, with ``+changes`` where the tree differs from it; None without git."""
    folder = str(Path(__file__).resolve().parent)
    if not output_of("git", "-C", folder, "ls-files", "machine.py").strip():
        return None  # installed inside another project's repository
    head = output_of("git", "-C", folder, "rev-parse", "HEAD").strip()
    changed = output_of("git", "-C", folder, "status", "--porcelain", "--", ".").strip()
    return f"{head}+changes" if head and changed else head or None


class Hardware(BaseModel):
    """What costs, and the last bits of results, depend on beside the settings. What is not known is None.

    ``processor_id`` is family, model and stepping (on Arm: implementer, part, variant, revision): many guests call
    their processor just 'AMD EPYC'. ``flags`` are the instruction sets that matter here, ``allocator`` is tcmalloc
    where workers preload it.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    processor: str | None = None
    processor_id: str | None = None
    flags: list[str] | None = None
    cores: int | None = None
    memory_gib: int | None = None
    gpus: list[Gpu] | None = None
    allocator: str | None = None
    torch: str | None = None

    @classmethod
    def recorded(cls, facts: Mapping[str, Any]) -> Self:
        """The hardware in the environment of a run's record or of a cost report, of any version."""
        try:
            return cls.model_validate(facts["hardware"] if "hardware" in facts else _older(facts))
        except (ValueError, TypeError, AttributeError):  # of another shape: nothing is known
            return cls()

    def agrees(self, other: "Hardware") -> bool:
        """Whether nothing that both know differs."""
        return _agree(self.model_dump(), other.model_dump())

    def __str__(self) -> str:
        parts = [self.processor, self.processor_id and f"({self.processor_id})"]
        parts += [f"{self.cores} cores" if self.cores else None, f"{self.memory_gib} GiB" if self.memory_gib else None]
        parts += [gpu.name for gpu in self.gpus or ()] + [self.torch and f"torch {self.torch}"]
        return ", ".join(part for part in parts if part).replace(", (", " (")


def _older(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The hardware facts in a record of an older version."""
    if "cpu" not in facts:  # a cost report, whose device is the processor or the GPU that was timed
        return {key: facts.get(key) for key in ("cores", "torch", "allocator")}
    return {
        "processor": facts["cpu"],
        "flags": facts.get("cpu_flags"),
        "cores": facts.get("cores"),
        "memory_gib": _gib(facts["memory_bytes"]) if "memory_bytes" in facts else None,
        "gpus": [{"name": facts["gpu"]}] if facts.get("gpu") else None,
        "allocator": "tcmalloc" if "tcmalloc" in (facts.get("preloaded") or "") else "glibc",
        "torch": facts.get("packages", {}).get("torch"),
    }


def _agree(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return all(_agree(ours[key], theirs[key]) for key in ours.keys() & theirs.keys())
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_agree, ours, theirs))
    return ours is None or theirs is None or bool(ours == theirs)


@lru_cache(1)
def hardware() -> Hardware:
    """The hardware of this machine, as far as this process may use it; starts no CUDA context."""
    info = _cpuinfo()
    keys = ("cpu family", "model", "stepping", "cpu implementer", "cpu part", "cpu variant", "cpu revision")
    return Hardware(
        processor=cpu_model(),
        processor_id="-".join(info[key] for key in keys if key in info) or None,
        flags=_telling_flags(),
        cores=cores(),
        memory_gib=_gib(memory_bytes()),
        gpus=_gpus(),
        allocator="glibc" if tcmalloc_path() is None else "tcmalloc",
        torch=package_versions()["torch"],
    )


def _gpus() -> list[Gpu]:
    """The GPUs as the driver lists them: torch would initialise CUDA, after which no process can be forked."""
    return [Gpu(name=gpu.name, memory_mib=gpu.memory_mib, driver=gpu.driver) for gpu in gpus.states()]


def _telling_flags() -> list[str]:
    return [flag for flag in _TELLING_FLAGS if flag in cpu_flags()]


def _gib(size: int) -> int:
    return round(size / 2**30)


def environment(device: str = "cpu") -> dict[str, Any]:
    """JSON-able facts that are recorded with every result and hashed into none."""
    return {
        "resnet_shortcuts": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "packages": package_versions(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": cpu_model(),
        "cpu_flags": _telling_flags(),
        "cores": cores(),
        "memory_bytes": memory_bytes(),
        "device": device,
        "gpu": gpu_name(device),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "preloaded": os.environ.get("LD_PRELOAD") or None,
        "hardware": hardware().model_dump(),
    }
