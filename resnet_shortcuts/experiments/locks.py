"""Kernel locks: who works on something holds its lock, and death of any kind lets it go.

Open file description locks (fcntl F_OFD_SETLK, Linux 3.15): the kernel frees them with the last descriptor of the
process, so a claim of a dead process cannot be mistaken for a live one; asking whether one is held disturbs nobody.
"""

import contextlib
import errno
import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from resnet_shortcuts import durable

_WHOLE_FILE = "hhqqi4x"  # struct flock: type, whence, start, length, pid


class Lock:
    """A lock on a path, held by this process until ``release`` or death."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self._descriptor = path, descriptor

    def release(self, *, remove: bool = False) -> None:
        """Let it go; ``remove`` deletes the file first, while it is still ours."""
        if remove:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
        os.close(self._descriptor)


def try_lock(path: Path) -> Lock | None:
    """The lock, or None where another holds it. Makes the file and its folder. Raises EnvironmentFault."""
    while True:
        durable.make_folder(path.parent)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            continue  # its last owner has just removed the folder
        except OSError as error:
            raise durable.fault(error, path) from error
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _request(fcntl.F_WRLCK))
        except OSError as error:
            os.close(descriptor)
            if error.errno in {errno.EAGAIN, errno.EACCES}:
                return None
            raise durable.fault(error, path) from error
        if _is_still(path, descriptor):
            return Lock(path, descriptor)
        os.close(descriptor)  # removed by its last owner between open and lock: this lock guards nothing


def is_held(path: Path) -> bool:
    """Whether some process, this one included, holds the lock. Takes nothing and changes nothing."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise durable.fault(error, path) from error
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _request(fcntl.F_WRLCK))
        return bool(struct.unpack(_WHOLE_FILE, answer)[0] != fcntl.F_UNLCK)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock for a short while, waiting for it; ``waiting`` is called once if it has to."""
    lock = try_lock(path)
    if lock is None:
        waiting()
    while lock is None:
        time.sleep(0.02)
        lock = try_lock(path)
    try:
        yield
    finally:
        lock.release()


def _request(kind: int) -> bytes:
    return struct.pack(_WHOLE_FILE, kind, os.SEEK_SET, 0, 0, 0)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        there, ours = os.stat(path), os.fstat(descriptor)  # noqa: PTH116
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
