"""What ``rsc doctor`` looks at: versions, processor, devices, data, folders; and what to do where one is wrong."""

import os
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from resnet_shortcuts.errors import EnvironmentFault
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
    import torch

    if not torch.cuda.is_available():
        return [_row("GPU", "none: 'device: auto' is the CPU", "note")]
    return [
        _row(
            f"GPU {index}",
            f"{torch.cuda.get_device_name(index)}, {torch.cuda.mem_get_info(index)[0] / 2**30:.1f} GiB free",
        )
        for index in range(torch.cuda.device_count())
    ]


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
