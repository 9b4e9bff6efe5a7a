"""The environment variables of processes that train or measure."""

import os

from resnet_shortcuts import gpus, machine

# glibc returns every large block to the kernel and faults it in again, step after step; 32 MiB is the most it takes.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(2**32)}


def environment(threads: int, device: str = "cpu") -> dict[str, str]:
    """The environment variables of a worker: threads, and an allocator that keeps large blocks.

    On a GPU (``cuda:n``) that GPU alone is visible.
    """
    variables = {**os.environ, **_MALLOC, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    tcmalloc = machine.tcmalloc_path()
    if tcmalloc is not None:
        variables["LD_PRELOAD"] = " ".join(filter(None, [str(tcmalloc), os.environ.get("LD_PRELOAD", "")]))
    kind, _, number = device.partition(":")
    if kind == "cuda":
        variables["CUDA_DEVICE_ORDER"] = os.environ.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        variables["CUDA_VISIBLE_DEVICES"] = gpus.selectors(int(number or 0) + 1)[int(number or 0)]
    return variables
