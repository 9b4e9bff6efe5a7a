"""The environment variables of processes that train or measure."""

import os

from resnet_shortcuts import machine

# glibc returns every large block to the kernel and faults it in again, step after step; 32 MiB is the most it takes.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(2**32)}


def environment(threads: int) -> dict[str, str]:
    """The environment variables of a worker: threads, and an allocator that keeps large blocks."""
    variables = {**os.environ, **_MALLOC, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    tcmalloc = machine.tcmalloc_path()
    if tcmalloc is not None:
        variables["LD_PRELOAD"] = " ".join(filter(None, [str(tcmalloc), os.environ.get("LD_PRELOAD", "")]))
    return variables
