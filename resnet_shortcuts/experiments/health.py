"""What ``rsc doctor`` looks at: versions, processor, devices, data, folders; and what to do where one is wrong."""

import os
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from resnet_shortcuts.errors import EnvironmentFault
from resnet_shortcuts.gpus import BUSY_PERCENT, GpuState
from resnet_shortcuts.words import counted

DISTRIBUTION = "resnet-shortcuts"
LEAST_FREE_BYTES = 2 * 1024**3


def examine(results: Path, data_root: Path | None) -> list[dict[str, Any]]:
    """One row a finding: ``{"what", "state": "fine" | "note" | "wrong", "found", "todo"}``."""
    return [*_versions(), *_processor(), *_devices(), *_data(data_root), *_folders(results)]


def _row(what: str, found: str, state: str = "fine", todo: str = "") -> dict[str, Any]:
    return {"what": what, "state": state, "found": found, "todo": todo}


def required_packages() -> list[str]:
    """The distributions that this one requires, extras left out; none where it is not installed itself."""
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return []
    return [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in requirements if "extra ==" not in line]


def _versions() -> list[dict[str, Any]]:
    rows = [_row("python", sys.version.split()[0])]
    for package in (DISTRIBUTION, *required_packages()):
        try:
            rows.append(_row(package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            rows.append(_row(package, "not installed", "wrong", "run 'make setup'"))
    try:
        from resnet_shortcuts.torchvision_import import import_torchvision, plain_import_works

        plain = plain_import_works()
        import_torchvision()
        if not plain:
            todo = "install the torchvision made for this torch, or import it as docs/python.md shows"
            what = "plain import fails: its compiled part does not fit this torch; through this package it works"
            rows.append(_row("import torchvision", what, "note", todo))
    except (ImportError, RuntimeError) as error:
        rows.append(
            _row(
                "import torchvision", str(error).splitlines()[0], "wrong", "install the torchvision made for this torch"
            )
        )
    return rows


def _processor() -> list[dict[str, Any]]:
    from resnet_shortcuts import machine

    rows = [_row("processor", f"{machine.cpu_model()}, {counted(machine.cores(), 'core')} for this process")]
    rows.append(_row("hardware", f"{machine.hardware()}, {machine.hardware().allocator}"))
    bf16 = machine.bf16_supported("cpu")
    rows.append(
        _row(
            "bf16 on the processor", "yes" if bf16 else "no: 'precision: auto' is fp32 here", "fine" if bf16 else "note"
        )
    )
    tcmalloc = machine.tcmalloc_path()
    rows.append(
        _row("tcmalloc", str(tcmalloc))
        if tcmalloc
        else _row("tcmalloc", "not found", "note", "Debian's package libtcmalloc-minimal4 makes CPU training faster")
    )
    load = os.getloadavg()[0]
    busy = load > 0.5 * machine.cores()
    rows.append(
        _row("load", f"{load:.2f}", "note" if busy else "fine", "time nothing while other work runs" if busy else "")
    )
    return rows


def _devices() -> list[dict[str, Any]]:
    """GPUs as the driver lists them, and whether torch fits them. Starts no context on a GPU that may be busy."""
    from resnet_shortcuts import gpus

    if not gpus.driver_present():
        return [_row("GPU", "none: 'device: auto' is the CPU", "note")]
    built, states = gpus.torch_cuda_version(), gpus.states()
    driver = next((state.driver for state in states if state.driver), None) or "of unknown version"
    if built is None:
        todo = "install the CUDA build of torch that its site names for this driver"
        return [_row("GPU", f"NVIDIA driver {driver}, but the installed torch is a CPU build", "wrong", todo)]
    import torch

    if not torch.cuda.is_available():
        todo = f"update the driver, or install a torch built for an older CUDA than {built}"
        return [_row("GPU", f"NVIDIA driver {driver}, torch for CUDA {built} sees no GPU", "wrong", todo)]
    if not states:
        return [_row("GPU", f"{torch.cuda.device_count()} seen by torch; nvidia-smi does not list them", "note")]
    return [
        row for number, state in enumerate(states) for row in _gpu(f"GPU {number}", state, torch.cuda.get_arch_list())
    ]


def _gpu(what: str, state: GpuState, built_for: list[str]) -> list[dict[str, Any]]:
    """The rows of one GPU; ``built_for`` are torch's targets, such as sm_90 or compute_90."""
    free = "" if state.memory_mib is None else f", {(state.memory_mib - (state.used_mib or 0)) / 1024:.1f} GiB free"
    rows = [_row(what, f"{state.name}{free}, driver {state.driver}")]
    capability = state.compute_capability
    if capability is not None and not runs_on(capability, built_for):
        found = f"compute capability {capability[0]}.{capability[1]}; torch is built for {', '.join(built_for)}"
        rows.append(_row(what, found, "wrong", "install a torch built for this GPU, or use run.device: cpu"))
    if state.mig:
        todo = "each slice is used as a GPU; choose some by CUDA_VISIBLE_DEVICES"
        rows.append(_row(what, "divided into MIG slices", "note", todo))
    if state.persistence is False:
        todo = "nvidia-smi -pm 1 (as root) saves the driver's start at every run"
        rows.append(_row(what, "persistence mode is off", "note", todo))
    if (state.busy_percent or 0) > BUSY_PERCENT:
        rows.append(_row(what, f"{state.busy_percent} % busy", "note", "time nothing while other work runs"))
    return rows


def runs_on(capability: tuple[int, int], built_for: list[str]) -> bool:
    """Whether a torch built for these targets has code for a GPU of this compute capability.

    Machine code (sm_XY) runs on the same major version from its minor version on; PTX (compute_XY) on any later one.
    """
    for target in built_for:
        kind, _, digits = target.partition("_")
        number = re.match(r"(\d+)(\d)", digits)
        if number is None:
            continue
        major, minor = int(number[1]), int(number[2])
        if kind == "sm" and major == capability[0] and minor <= capability[1]:
            return True
        if kind == "compute" and (major, minor) <= capability:
            return True
    return False


def _data(data_root: Path | None) -> list[dict[str, Any]]:
    rows = [_row("data: digits", "embedded")]
    if data_root is None:
        return [
            *rows,
            _row("data root", "not set", "note", "name a folder of data sets by --data-root or RSC_DATA_ROOT"),
        ]
    if not data_root.is_dir():
        return [
            *rows,
            _row("data root", f"{data_root} is not a folder", "wrong", "create it, or name another by --data-root"),
        ]
    names = sorted(entry.name for entry in data_root.iterdir())
    return [
        *rows,
        _row("data root", f"{data_root}: {', '.join(names[:8]) or 'empty'}{' ...' if len(names) > 8 else ''}"),
    ]


def _folders(results: Path) -> list[dict[str, Any]]:
    from resnet_shortcuts.paths import cache_folder

    rows = []
    for what in ("results", "cache"):
        try:
            folder = results if what == "results" else cache_folder()
        except EnvironmentFault as error:
            rows.append(_row(what, error.what, "wrong", error.todo))
            continue
        existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
        free = shutil.disk_usage(existing).free
        if not existing.is_dir():
            rows.append(_row(what, f"{existing} is a file", "wrong", "name another folder"))
        elif not os.access(existing, os.W_OK):
            rows.append(_row(what, f"{folder}: not writable", "wrong", "give permission, or name another folder"))
        elif free < LEAST_FREE_BYTES:
            rows.append(_row(what, f"{folder}: {free / 2**30:.1f} GiB free", "wrong", "free some space"))
        else:
            rows.append(_row(what, f"{folder}: {free / 2**30:.0f} GiB free"))
    return rows
