"""The only module that writes files meant to last: after a crash a reader sees the old content or the new, never a mix.

A file is written beside its target, synced, and renamed over it; then the folder is synced, since a rename lasts only
with its folder. A folder of files is published the same way: complete and synced under another name, then renamed once.
What a process leaves under such a name when it dies is removed by `sweep`.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from resnet_shortcuts.errors import EnvironmentFault

TEMPORARY = ".tmp-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
# Some file systems cannot sync a folder; they say so with these, and there is nothing better to do then.
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP}
_TEMPORARY = re.compile(r"\..*\.tmp-(?:(?P<place>.*)-)?(?P<pid>\d+)-[0-9a-f]+")
_SHARED_FOLDER = stat.S_ISGID | stat.S_IWGRP
_ABANDONED_SECONDS = 86_400  # after a day, a temporary name of another machine is taken for a dead process's


def fault(error: OSError, path: Path) -> EnvironmentFault:
    """The line a user gets for a failed system call; a full disk, quota and file-size limit are the same to a user."""
    if error.errno in _FULL:
        return EnvironmentFault("no space left to write", str(path), "free some space and run the same command again")
    if error.errno in _FORBIDDEN:
        todo = "make it writable or choose another folder (--results, RSC_CACHE)"
        return EnvironmentFault(f"cannot write ({error.strerror})", str(path), todo)
    if error.errno in {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}:
        todo = "choose another folder (--results, RSC_CACHE)"
        return EnvironmentFault("cannot write: something else has this name", str(path), todo)
    return EnvironmentFault(f"cannot write ({error.strerror or error})", str(path), "check the disk and try again")


@contextlib.contextmanager
def _as_fault(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise fault(error, path) from error


@contextlib.contextmanager
def _without_leftover(temporary: Path) -> Iterator[None]:
    """Removes what a failed write leaves; what failed is reported, so that failing to remove it need not be."""
    try:
        yield
    except BaseException:
        discard(temporary)
        raise


def make_folder(path: Path) -> None:
    """Create a folder and its parents durably. Raises EnvironmentFault."""
    with _as_fault(path):
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
    else:
        with contextlib.suppress(FileNotFoundError):  # another process has removed it at once
            if folder.parent.stat().st_mode & _SHARED_FOLDER == _SHARED_FOLDER:  # a group shares what is in there
                folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IWGRP)
    _sync_folder(folder.parent)


def write_file(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``, whole or not at all; makes its folder. Raises EnvironmentFault."""
    make_folder(path.parent)
    temporary = temporary_beside(path)
    with _as_fault(path), _without_leftover(temporary):
        _write_synced(temporary, data)
        os.replace(temporary, path)  # noqa: PTH105
        _sync_folder(path.parent)


def write_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Publish a new folder of files, whole or not at all. Raises EnvironmentFault, FileExistsError if it is there."""
    staging = temporary_beside(target)
    make_folder(staging)
    with _without_leftover(staging):
        with _as_fault(target):
            for name, data in files.items():
                _write_synced(staging / name, data)
            _sync_folder(staging)
        try:
            _give_final_name(staging, target)
        except OSError as error:
            if error.errno in {errno.EEXIST, errno.ENOTEMPTY}:
                raise FileExistsError(errno.EEXIST, "already published", str(target)) from error
            raise fault(error, target) from error


def publish_folder(staging: Path, target: Path) -> None:
    """Make the files in ``staging`` last and give it its final name. Raises OSError, FileExistsError if it is there."""
    for path in staging.iterdir():
        _sync(path)
    _sync_folder(staging)
    _give_final_name(staging, target)


def _give_final_name(staging: Path, target: Path) -> None:
    if os.path.lexists(target):  # rename would silently replace an empty folder
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    os.rename(staging, target)  # noqa: PTH104
    _sync_folder(target.parent)


def refuse_links(*paths: Path) -> None:
    """Raises EnvironmentFault where one of these is a link: what is written there would land elsewhere."""
    for path in paths:
        if path.is_symlink():
            raise EnvironmentFault("a link where our own file or folder belongs", str(path), "remove the link")


def move(source: Path, target: Path) -> None:
    """Rename a file or folder durably, also to another disk. Raises EnvironmentFault."""
    make_folder(target.parent)
    with _as_fault(target):
        try:
            os.rename(source, target)  # noqa: PTH104
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.move(source, target)
        _sync_folder(target.parent)
        _sync_folder(source.parent)


def remove(path: Path) -> None:
    """Delete a file or a folder with its content, durably; a missing one is fine. A link is deleted, not its target.

    Raises EnvironmentFault.
    """
    with _as_fault(path):
        if path.is_symlink() or path.is_file():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            return
        _sync_folder(path.parent)


def discard(path: Path) -> None:
    """Delete scratch files without syncing and without raising an error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108


def temporary_beside(path: Path) -> Path:
    """A name beside ``path`` that no reader takes for a result and no other process or call uses."""
    return path.parent / f".{path.name[:40]}{TEMPORARY}{_place()}-{os.getpid()}-{secrets.token_hex(4)}"


def _place() -> str:
    """Host and process namespace: containers may share a host's name and have other processes."""
    try:
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")  # noqa: PTH115
    except OSError:
        namespace = ""
    return re.sub(r"[^A-Za-z0-9]+", "_", f"{socket.gethostname()[:60]}_{namespace}")


def sweep(folder: Path) -> None:
    """Delete temporary files of dead processes in a folder; those of live ones stay. Raises EnvironmentFault."""
    with _as_fault(folder):
        names = os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208
    for name in names:
        match = _TEMPORARY.fullmatch(name)
        if match and _abandoned(folder / name, match):
            remove(folder / name)


def _abandoned(path: Path, match: re.Match[str]) -> bool:
    if match["place"] in (None, _place()) and not psutil.pid_exists(int(match["pid"])):
        return True
    with contextlib.suppress(OSError):
        return time.time() - os.lstat(path).st_mtime > _ABANDONED_SECONDS
    return False


def free_bytes(path: Path) -> int:
    """Bytes that this user can still write on the file system that holds ``path`` or its nearest existing parent."""
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    with _as_fault(path):
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
