"""The only module that writes files meant to last: after a crash a reader sees the old content or the new, never a mix.

A file is written beside its target, synced, and renamed over it; then the folder is synced, since a rename lasts only
with its folder. A folder of files is published the same way: complete and synced under another name, then renamed once.
"""

import contextlib
import errno
import itertools
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from resnet_shortcuts.errors import EnvironmentFault

TEMPORARY = ".tmp-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
# Some file systems cannot sync a folder; they say so with these, and there is nothing better to do then.
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP}
_numbers = itertools.count()


def fault(error: OSError, path: Path) -> EnvironmentFault:
    """The line a user gets for a failed system call; a full disk, quota and file-size limit are the same to a user."""
    if error.errno in _FULL:
        return EnvironmentFault("no space left to write", str(path), "free some space and run the same command again")
    if error.errno in _FORBIDDEN:
        todo = "make it writable or choose another folder with --results"
        return EnvironmentFault(f"cannot write ({error.strerror})", str(path), todo)
    if error.errno in {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}:
        todo = "choose another folder with --results"
        return EnvironmentFault("cannot write: something else has this name", str(path), todo)
    return EnvironmentFault(f"cannot write ({error.strerror or error})", str(path), "check the disk and try again")


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise fault(error, path) from error


def make_folder(path: Path) -> None:
    """Make a folder and its parents, each lasting. Raises EnvironmentFault."""
    with _told(path):
        while not path.is_dir():  # again where another process has removed it as soon as it was made
            for folder in reversed([folder for folder in (path, *path.parents) if not folder.is_dir()]):
                _make_one(folder)


def _make_one(folder: Path) -> None:
    try:
        os.mkdir(folder)  # noqa: PTH102 (every system call goes through `os`, so that tests can make each fail)
    except FileExistsError:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISDIR(os.lstat(folder).st_mode):  # a folder: another process was faster, which is as good
                raise
    _sync_folder(folder.parent)


def write_file(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``, whole or not at all; makes its folder. Raises EnvironmentFault."""
    make_folder(path.parent)
    temporary = temporary_beside(path)
    with _told(path):
        try:
            _write_synced(temporary, data)
            os.replace(temporary, path)  # noqa: PTH105
        except OSError:
            with contextlib.suppress(OSError):  # what failed is reported; the leftover is hidden and swept later
                os.unlink(temporary)  # noqa: PTH108
            raise
        _sync_folder(path.parent)


def write_folder(target: Path, files: Mapping[str, bytes], staging: Path | None = None) -> None:
    """Publish a new folder of files, whole or not at all. Raises EnvironmentFault, FileExistsError if it is there.

    ``staging`` names the temporary folder, on the same file system; the default lies beside the target.
    """
    staging = staging or temporary_beside(target)
    make_folder(staging)
    with _told(target):
        for name, data in files.items():
            _write_synced(staging / name, data)
        _sync_folder(staging)
    _give_final_name(staging, target)


def publish_folder(staging: Path, target: Path) -> None:
    """Make everything in ``staging`` last and give it its final name. Raises EnvironmentFault, FileExistsError."""
    with _told(target):
        for folder, _, names in os.walk(staging, topdown=False):
            for name in names:
                _sync(Path(folder) / name)
            _sync_folder(Path(folder))
    _give_final_name(staging, target)


def _give_final_name(staging: Path, target: Path) -> None:
    make_folder(target.parent)
    try:
        with _told(target):
            if os.path.lexists(target):  # rename would silently replace an empty folder
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
            os.rename(staging, target)  # noqa: PTH104
            _sync_folder(target.parent)
    except EnvironmentFault as told:
        if isinstance(told.__cause__, OSError) and told.__cause__.errno in {errno.EEXIST, errno.ENOTEMPTY}:
            raise FileExistsError(errno.EEXIST, "already published", str(target)) from told
        raise


def move(source: Path, target: Path) -> None:
    """Give a file or folder another name on the same file system, lastingly. Raises EnvironmentFault."""
    make_folder(target.parent)
    with _told(target):
        os.rename(source, target)  # noqa: PTH104
        _sync_folder(target.parent)
        _sync_folder(source.parent)


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds, lastingly; nothing there is fine. Raises EnvironmentFault."""
    with _told(path):
        if path.is_symlink() or path.is_file():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            return
        _sync_folder(path.parent)


def discard(path: Path) -> None:
    """Remove scratch, as far as that goes: whether it is gone after a power cut does not matter."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108


def temporary_beside(path: Path) -> Path:
    """A name beside ``path`` that no reader takes for a result and no other process or call uses."""
    return path.parent / f".{path.name[:100]}{TEMPORARY}{os.getpid()}-{next(_numbers)}"


def sweep(folder: Path) -> None:
    """Remove temporaries that processes left when they died. Only for one who holds the lock on the folder."""
    for leftover in folder.glob(f".*{TEMPORARY}*"):
        remove(leftover)


def free_bytes(path: Path) -> int:
    """Bytes that this user can still write on the file system that holds ``path`` or its nearest existing parent."""
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    with _told(path):
        return shutil.disk_usage(existing).free


def _write_synced(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            written = os.write(descriptor, rest)
            if written <= 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            rest = rest[written:]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    try:
        _sync(path)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
