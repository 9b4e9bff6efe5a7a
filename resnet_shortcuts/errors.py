"""What a user reads when something is wrong: one line (what, where, what to do) and an exit code."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

from resnet_shortcuts.words import printable


class Exit(IntEnum):
    """Exit codes of every command; shells and schedulers act on them."""

    OK = 0
    RUN_FAILED = 1
    USAGE = 2
    DATA = 3
    INTEGRITY = 4
    ENVIRONMENT = 5
    BUSY = 75
    INTERRUPTED = 130
    TERMINATED = 143


class RscError(Exception):
    """An error for the user, printed as ``error: <what>: <where>: <what to do>`` without a traceback."""

    exit_code: Exit = Exit.RUN_FAILED

    def __init__(self, what: str, where: str = "", todo: str = "") -> None:
        self.what, self.where, self.todo = what, where, todo
        super().__init__(": ".join(part for part in (what, where, todo) if part))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.where, self.todo)

    @property
    def lines(self) -> list[str]:
        """One line an error, each complete in itself, fit for a terminal whatever a file's name holds."""
        return [printable(" ".join(str(self).split()))]


class UsageError(RscError, ValueError):
    """A wrong command line or config. Nothing has been created on disk.

    Also a ValueError, so that pydantic collects it when a validator raises it.
    """

    exit_code = Exit.USAGE


class SettingError(UsageError):
    """A wrong setting of a config, named by its key until it is known where the key stands in the file.

    ``where`` is the dotted key (``classes.1`` is an item of a list): relative to what a validator checks, in full
    (``data.classes.1``) elsewhere. A validator may leave ``what`` empty: then the user reads what the value is.
    ``beside`` names the settings that it contradicts; the user is pointed to the one of them that was set last.
    """

    def __init__(self, what: str, where: str = "", todo: str = "", beside: tuple[str, ...] = ()) -> None:
        super().__init__(what, where, todo)
        self.beside = beside

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.where, self.todo, self.beside)

    def within(self, section: str) -> "SettingError":
        """The error of a validator for users outside of it: its key in full, also in what they read."""
        key = f"{section}.{self.where}" if self.where else section
        return SettingError(f"{key}: {self.what}", key, self.todo)


class DataError(RscError):
    """A data set that is missing, damaged or not what it says it is."""

    exit_code = Exit.DATA


class IntegrityError(RscError):
    """A checkpoint or a stored result that is damaged, edited or of another format."""

    exit_code = Exit.INTEGRITY


class EnvironmentFault(RscError):  # noqa: N818 (EnvironmentError is taken)
    """The machine cannot do it: disk full, permission denied, no such device."""

    exit_code = Exit.ENVIRONMENT


class BusyError(RscError):
    """Another process holds what this one needs; trying again later is right."""

    exit_code = Exit.BUSY


class ManyErrors(UsageError):  # noqa: N818 (several of them)
    """Every problem of one input at once, so that a user fixes them in one go."""

    def __init__(self, errors: Iterable[RscError]) -> None:
        self.errors = list(errors)
        super().__init__("\n".join(str(error) for error in self.errors))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.errors,)

    @property
    def lines(self) -> list[str]:
        """One line for each of them."""
        return [line for error in self.errors for line in error.lines]


_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "status_alloc_failed",
    "bad_alloc",
)
"""What PyTorch, CUDA, cuBLAS, cuDNN and the system say when memory runs out, in lower case."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: PyTorch raises MemoryError, its OutOfMemoryError, or a plain RuntimeError for that."""
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def is_gpu_out_of_memory(error: BaseException) -> bool:
    """Whether it was a GPU's memory that ran out."""
    return is_out_of_memory(error) and any(word in str(error).lower() for word in ("cuda", "cudnn", "cublas"))


_DEVICE_FAULTS = (
    "no kernel image is available",
    "uncorrectable ecc error",
    "devices are busy or unavailable",
    "illegal memory access",
    "unspecified launch failure",
    "misaligned address",
    "hardware stack error",
    "driver version is insufficient",
    "no cuda-capable device",
    "initialization error",
    "unknown error",
    "fell off the bus",
)
"""What follows 'CUDA error:' where a GPU, its driver or its context is broken, in lower case."""


def is_device_fault(error: BaseException) -> bool:
    """Whether a GPU failed: after that its process can compute nothing more, and other runs may meet the same.

    A device-side assert is the fault of the code that runs and comes again on any GPU: it is not one.
    """
    if isinstance(error, RscError) and error.__cause__ is not None:  # a custom strategy met it
        return is_device_fault(error.__cause__)
    text = str(error).lower()
    if not isinstance(error, RuntimeError) or is_out_of_memory(error) or "device-side assert" in text:
        return False
    return ("cuda" in text or "cudnn" in text or "cublas" in text) and any(words in text for words in _DEVICE_FAULTS)


def raise_all(errors: Iterable[RscError]) -> None:
    """Raises the error, or ManyErrors where there are several; returns where there are none."""
    errors = list(errors)
    if errors:
        raise ManyErrors(errors) if len(errors) > 1 else errors[0]
