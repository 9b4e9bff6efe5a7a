"""Standard streams that cannot break a command: once their reader is gone, what is printed is dropped."""

import errno
import io
import os
import sys
from typing import Any, TextIO

_NO_READER = {errno.EPIPE, errno.EBADF, errno.EIO}  # a pipe without a reader, a closed stream, a terminal that is gone


class _Droppable(io.FileIO):
    """A standard stream. Errors with these numbers, or all where there are none, end it silently."""

    def __init__(self, descriptor: int, silent: set[int]) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._silent = silent

    def write(self, data: Any) -> int:
        """Write; where that fails silently, this and all that follows goes to the null device."""
        try:
            return super().write(data)
        except OSError as error:
            if self._silent and error.errno not in self._silent:
                raise
            _to_null_device(self.fileno(), os.O_WRONLY)
            return memoryview(data).nbytes


def make_unbreakable() -> None:
    """Open closed standard streams on the null device, and make stdout and stderr survive a reader that goes away.

    Without it, a file opened later takes the number of a closed stream and receives what is printed, and ``print``
    sends errors to stdout. A full disk behind stdout is still an OSError: what was asked for is not all there.
    """
    for descriptor, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            _to_null_device(descriptor, flags)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _stream(1, sys.stdout, _NO_READER)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(2, sys.stderr, set())


def _stream(descriptor: int, before: TextIO | None, silent: set[int]) -> TextIO:
    buffer = io.BufferedWriter(_Droppable(descriptor, silent))
    encoding = before.encoding if before is not None else "utf-8"
    lines = descriptor == 2 or os.isatty(descriptor)
    return io.TextIOWrapper(buffer, encoding=encoding, errors="replace", line_buffering=lines)


def _to_null_device(descriptor: int, flags: int) -> None:
    opened = os.open(os.devnull, flags)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)
    else:
        os.set_inheritable(descriptor, True)
