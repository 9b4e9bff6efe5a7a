"""Kernel locks on files: a process that works on something holds its lock, and its death releases it.

Taking and releasing are filelock's (``flock``). Only asking is done here: filelock can tell whether a lock is held only
by taking it, which needs permission to write and creates the file. A shared lock for a moment needs neither.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import filelock

from resnet_shortcuts import durable
from resnet_shortcuts.errors import EnvironmentFault

Lock = filelock.BaseFileLock
_PATIENCE = 0.05
"""Seconds that `try_lock` retries: `is_held` in another process disturbs it for microseconds only."""
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_HELD = {errno.EAGAIN, errno.EACCES}


def try_lock(path: Path) -> Lock | None:
    """The lock, held until its ``release()`` or death; None where another holds it. Makes the file and its folder.

    Raises EnvironmentFault, also where the file system has no locks or a link is in the file's place.
    """
    durable.refuse_links(path)
    while True:
        durable.make_folder(path.parent)
        try:
            mode = path.parent.stat().st_mode & 0o666 | 0o600  # who may write in the folder may take the lock
            lock = filelock.FileLock(
                path, _PATIENCE, mode, False, poll_interval=0.01, fallback_to_soft=False, on_acquired=_sign
            )
            lock.acquire()
        except filelock.Timeout:
            return None
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ESTALE}:  # its last owner has just removed file or folder
                raise _fault(error, path) from error
        else:
            return lock


def is_held(path: Path) -> bool:
    """Whether some process, this one included, holds the lock. Creates nothing and needs no permission to write."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ESTALE:
            return is_held(path)
        if error.errno == errno.ELOOP:  # a link is not a lock that we took
            return False
        todo = "check the disk and the permissions"
        raise EnvironmentFault(f"cannot read ({error.strerror})", str(path), todo) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return True
        raise _fault(error, path) from error
    finally:
        os.close(descriptor)  # frees it as well
    return False


def holder(path: Path) -> str:
    """Who holds the lock, as far as its file tells: 'process 7 on HOST, since 14:05:00 on 2026-11-25'."""
    try:
        about = json.loads(signature(path))
        since = datetime.fromtimestamp(float(about["since"])).strftime("%H:%M:%S on %Y-%m-%d")
        return f"process {int(about['pid'])} on {ascii(str(about['host']))[1:-1][:100]}, since {since}"
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return "another process"


def signature(path: Path) -> bytes:
    """What the newest holder has written into the lock file; empty where that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(1000)
    except OSError:
        return b""


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock for a short while, waiting for it; ``waiting`` is called once if it has to."""
    lock = try_lock(path)
    if lock is None:
        waiting()
    while lock is None:
        lock = try_lock(path)
    try:
        yield
    finally:
        lock.release()


def _sign(descriptor: int) -> None:
    about = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()}
    with contextlib.suppress(OSError):  # on a full disk, the lock is held all the same
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(about).encode(), 0)


def _fault(error: OSError, path: Path) -> EnvironmentFault:
    if error.errno in _NO_LOCKS:
        what = f"this file system has no locks ({error.strerror})"
        todo = "choose a folder on another disk (--results, RSC_CACHE), or mount this one with locks (Lustre: -o flock)"
        return EnvironmentFault(what, str(path), todo)
    return durable.fault(error, path)
