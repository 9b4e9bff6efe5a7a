"""Stand-ins for the ``os`` module that the durable writer calls: they count, record, fail or kill at the k-th call."""

import errno
import os
import signal
from typing import Any

CALLS = ("mkdir", "open", "write", "fsync", "replace", "rename", "unlink")


class Recorder:
    """``os``, noting each system call that changes or syncs something."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*arguments: Any) -> Any:
            self.before(name, arguments)
            result = self.instead(name, arguments) if self.bends(name) else real(*arguments)
            self.after(name, arguments, result)
            return result

        return call

    def bends(self, name: str) -> bool:
        return False

    def instead(self, name: str, arguments: tuple[Any, ...]) -> Any:
        raise NotImplementedError

    def before(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.calls.append((name, arguments))

    def after(self, name: str, arguments: tuple[Any, ...], result: Any) -> None:
        pass


class FaultyOs(Recorder):
    """At the ``at``-th call (from 1): SIGKILL of this process, an error, or half a write and then errors."""

    def __init__(self, at: int, error: str | None) -> None:
        super().__init__()
        self.at, self.error, self.failed = at, error, False

    def bends(self, name: str) -> bool:
        if self.failed and self.error == "SHORT" and name == "write":
            return True
        return len(self.calls) == self.at

    def instead(self, name: str, arguments: tuple[Any, ...]) -> Any:
        self.failed = True
        if self.error is None:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.error == "SHORT":
            if name == "write" and len(self.calls) == self.at and len(arguments[1]) > 1:
                return os.write(arguments[0], arguments[1][: len(arguments[1]) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        number = getattr(errno, str(self.error))
        raise OSError(number, os.strerror(number))
