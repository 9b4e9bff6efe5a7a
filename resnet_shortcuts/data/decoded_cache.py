"""The cache of decoded images: a folder a data set, published whole or not at all, checked whenever it is opened."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from resnet_shortcuts import durable, locks
from resnet_shortcuts.data.source_contract import Progress, digest
from resnet_shortcuts.errors import EnvironmentFault, IntegrityError

FORMAT = 3
MANIFEST = "manifest.json"
_SEAL = "sha256_of_this"
ARRAYS = ("train.images", "train.labels", "test.images", "test.labels")
_HASH_ALWAYS = 256 * 2**20
_BLOCK = 4 * 2**20
_ENVIRONMENT = {
    errno.ENOSPC: "disk full",
    errno.EDQUOT: "disk quota used up",
    errno.EFBIG: "file too large for this file system",
    errno.EROFS: "read-only file system",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
}


@contextmanager
def writing(where: Path) -> Iterator[None]:
    """Turns a full disk or a missing permission into one line (EnvironmentFault)."""
    try:
        yield
    except OSError as error:
        in_the_way = isinstance(error, FileExistsError | NotADirectoryError)
        named = _ENVIRONMENT.get(error.errno or 0) or error.strerror or str(error)
        reason = "a file is in the way" if in_the_way else named
        raise EnvironmentFault(reason, str(where), "make room, or set RSC_CACHE to another folder") from error


def require_space(folder: Path, needed: int) -> None:
    """Raises EnvironmentFault where ``needed`` bytes do not fit beside ``folder``'s other files."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        what = f"disk full: {needed / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free"
        raise EnvironmentFault(what, str(folder), "make room, or set RSC_CACHE to another folder")


@contextmanager
def locked(path: Path, progress: Progress | None) -> Iterator[None]:
    """Holds the lock file ``path``; another process that holds it is waited for."""

    def waiting() -> None:
        if progress:
            progress(f"waiting for {locks.holder(path)}, which prepares this data", 0, 1)

    with locks.locked(path, waiting):
        yield


def array_hash(array: np.ndarray[Any, Any]) -> str:
    """SHA-256 of an array's values in C order, read in blocks so that mapped arrays stay on disk."""
    flat = array.reshape(-1).view(np.uint8)
    sha = hashlib.sha256()
    for start in range(0, len(flat), _BLOCK):
        sha.update(flat[start : start + _BLOCK].data)
    return sha.hexdigest()


def new_array(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """A mapped .npy file of uint8 zeros whose blocks are reserved: a full disk is an error here, not a SIGBUS later."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.posix_fallocate(descriptor, 0, path.stat().st_size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # some file systems cannot reserve
            raise
    finally:
        os.close(descriptor)
    return array


def publish(staging: Path, target: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest last, force all to disk, and give the folder its final name in one step."""
    manifest = {key: value for key, value in manifest.items() if key != _SEAL} | {"stat": _stats(staging)}
    manifest[_SEAL] = digest([manifest])
    (staging / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    durable.publish_folder(staging, target)


def _stats(folder: Path) -> dict[str, list[int]]:
    stats = {name: (folder / f"{name}.npy").stat() for name in ARRAYS}
    return {name: [info.st_size, info.st_mtime_ns] for name, info in stats.items()}


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a published folder, or None where it is absent, damaged, edited or of an older format.

    Raises IntegrityError where a newer version wrote it.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(manifest, dict):
        return None
    written = manifest.get("format")
    if isinstance(written, int) and written > FORMAT:
        what = f"decoded data of format {written} (this version reads {FORMAT})"
        todo = "upgrade resnet-shortcuts, or set RSC_CACHE to another folder"
        raise IntegrityError(what, str(folder), todo)
    seal = manifest.pop(_SEAL, None)
    return manifest if written == FORMAT and seal == digest([manifest]) else None


def is_sound(folder: Path) -> bool:
    """Whether a published folder still holds what was published.

    Size and time of each array must be as recorded, and up to 256 MiB are hashed every time (0.2 s); larger sets are
    hashed only where a time has changed, as after a copy. Raises IntegrityError where a newer version wrote it.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        return False
    try:
        stats = _stats(folder)
        if any(stats[name][0] != manifest["stat"][name][0] for name in ARRAYS):
            return False
        if stats == manifest["stat"] and sum(size for size, _ in stats.values()) > _HASH_ALWAYS:
            return True
        return all(
            array_hash(np.load(folder / f"{name}.npy", mmap_mode="r")) == manifest["sha256"][name] for name in ARRAYS
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return False
