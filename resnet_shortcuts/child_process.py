"""Child processes: how workers, cost pass, memory probes, decoders and measurements are started, spoken to and ended.

A child gets one `Request` on its standard input, and further messages of its kind; it answers with events on
its standard output. Both are pydantic models, a line of JSON each. Whatever else it prints goes to its log. It imports
the package that its parent runs and nothing from the working folder, refuses if the source has changed meanwhile, and
ends with its parent.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO, Generic, Literal, TypeVar

import psutil
from pydantic import BaseModel, ConfigDict, TypeAdapter

from resnet_shortcuts import errors
from resnet_shortcuts.errors import EnvironmentFault, Exit, RscError
from resnet_shortcuts.source_hash import PACKAGE, source_sha256

SERVICES = {
    "train": "resnet_shortcuts.experiments.worker",
    "cost": "resnet_shortcuts.cost.cost_process",
    "decode": "resnet_shortcuts.data.sources.decoder",
    "properties": "resnet_shortcuts.properties.property_process",
}
"""By the kind of a request, the module whose ``serve(request, channel)`` answers it, named here and imported there."""

_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 1.0  # how often a child looks for its parent where the kernel does not do it


class Message(BaseModel):
    """What parent and child send each other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def as_line(self) -> bytes:
        """One line of JSON, in ASCII: names of files in it need not be valid UTF-8."""
        return json.dumps(self.model_dump(mode="json")).encode() + b"\n"


class Request(Message):
    """What a child is started for; ``kind`` is a key of `SERVICES`."""

    kind: str


class Ready(Message):
    """The child has imported what it needs."""

    event: Literal["ready"] = "ready"


class Fault(Message):
    """An error for the user that the child met."""

    event: Literal["fault"] = "fault"
    error: str
    what: str
    where: str
    todo: str

    @classmethod
    def of(cls, error: RscError) -> "Fault":
        """The event that carries this error."""
        known = type(error).__name__ if type(error) is not errors.ManyErrors else "UsageError"
        return cls(error=known, what=error.what, where=error.where, todo=error.todo)

    def as_error(self) -> RscError:
        """The error again, of the same class."""
        kind: type[RscError] = getattr(errors, self.error, RscError)
        return kind(self.what, self.where, self.todo)


E_co = TypeVar("E_co", covariant=True)


class Child(Generic[E_co]):
    """A child process as its parent sees it. ``ended``: it has closed its event stream and will say nothing more."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes] | _Forked",
        events: TypeAdapter[E_co],
        stdout: int,
        stdin: IO[bytes] | None = None,
        log: IO[bytes] | None = None,
    ) -> None:
        self.ended = False
        self._process, self._adapter, self._stdout, self._stdin, self._log = process, events, stdout, stdin, log
        self._partial = b""
        self._arrived: list[E_co] = []

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def fileno(self) -> int:
        """The descriptor that events arrive on, for ``selectors``."""
        return self._stdout

    def send(self, message: Message) -> None:
        """Send a message; if the child is dead, its event stream says so."""
        if self._stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._stdin.write(message.as_line())
                self._stdin.flush()

    def receive(self) -> list[E_co]:
        """Wait until something arrives; the events that have arrived whole. Sets ``ended`` at the end."""
        data = os.read(self._stdout, 1 << 16)
        self.ended = not data
        *lines, self._partial = (self._partial + data).split(b"\n")
        return [self._adapter.validate_python(json.loads(line)) for line in lines]

    def next_event(self) -> E_co | None:
        """Wait for the next event; None where there will be none. Not to be mixed with `receive`."""
        while not self._arrived and not self.ended:
            self._arrived = self.receive()
        return self._arrived.pop(0) if self._arrived else None

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def terminate(self) -> None:
        """Ask it to come to an end: SIGTERM, and no further messages."""
        if self.alive():
            self._process.send_signal(signal.SIGTERM)
        self._close_input()

    def reason(self) -> str:
        """How it ended, in one line, with the last line of its log; for one whose event stream has ended."""
        try:
            code = self._process.wait(timeout=5)
        except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
            self._process.send_signal(signal.SIGKILL)
            code = self._process.wait()
        if code == -signal.SIGKILL:
            return "process killed (SIGKILL: out of memory, or by hand)"
        if code == 0:
            return "process terminated from outside (SIGTERM)"
        ending = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        line = self._last_line()
        return f"process ended {ending}" + (f": {line[:200]}" if line else "")

    def close(self) -> None:
        """End it now, if it has not ended, and free what belongs to it."""
        if self.alive():
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._close_input()
        os.close(self._stdout)
        if self._log is not None:
            self._log.close()

    def _close_input(self) -> None:
        if self._stdin is not None:
            with contextlib.suppress(OSError):
                self._stdin.close()

    def _last_line(self) -> str:
        if self._log is None:
            return ""
        self._log.seek(0)
        return next(reversed(self._log.read().decode(errors="replace").split("\n")[:-1]), "").strip()


def launch(
    request: Request,
    events: TypeAdapter[E_co],
    variables: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Child[E_co]:
    """Start a child in a fresh interpreter and send it the request.

    ``variables`` are added to this process's environment. ``log`` receives what the child prints; without it that is
    kept for `Child.reason`.
    """
    stderr = tempfile.TemporaryFile() if log is None else log.open("a+b")  # noqa: SIM115 (lives as long as the child)
    process = subprocess.Popen(
        _command(request.kind),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=_without_working_folder({**os.environ, **(variables or {})}),
    )
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None  # noqa: S101 (both are pipes, as asked for)
    assert stdout is not None  # noqa: S101
    child = Child(process, events, os.dup(stdout.fileno()), stdin, stderr)
    stdout.close()
    child.send(request)
    return child


def _command(kind: str) -> list[str]:
    """Its own flags for what the parent's flags say of the import path and of the encoding of file names."""
    flags = ["-P", *(["-E"] if sys.flags.ignore_environment else []), *(["-s"] if sys.flags.no_user_site else [])]
    flags += ["-X", f"utf8={int(sys.flags.utf8_mode)}"]
    return [sys.executable, *flags, str(PACKAGE / "child_main.py"), kind, str(os.getpid()), source_sha256()]


def _without_working_folder(variables: dict[str, str]) -> dict[str, str]:
    """Python takes an empty entry of PYTHONPATH (``PYTHONPATH=$PYTHONPATH:/a``) for the working folder."""
    if "PYTHONPATH" in variables:
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, variables["PYTHONPATH"].split(os.pathsep)))
    return variables


class _Forked(psutil.Process):
    """A forked process with the methods of ``subprocess.Popen`` that `Child` uses."""

    def poll(self) -> int | None:
        """The exit code, minus the signal that ended it, or None while it runs."""
        try:
            return self.wait(0)
        except psutil.TimeoutExpired:
            return None


def fork(serve: Callable[["Channel"], None], events: TypeAdapter[E_co]) -> Child[E_co]:
    """Start a child as a copy of this process, which has run no threads: what it has imported is not imported again."""
    read, write = os.pipe()
    parent, pid = os.getpid(), os.fork()
    if pid:
        os.close(write)
        return Child(_Forked(pid), events, read)
    code = int(Exit.RUN_FAILED)
    try:
        die_with_parent(parent)
        os.close(read)
        serve(Channel(os.fdopen(write, "wb", buffering=0), None))
        code = int(Exit.OK)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


class Channel:
    """The way from a child to its parent."""

    def __init__(self, events: BinaryIO, requests: BinaryIO | None) -> None:
        self._events, self._requests = events, requests

    @classmethod
    def over_standard_streams(cls) -> "Channel":
        """Take over stdin and stdout; whatever else this process prints, by C code too, goes to its log, stderr."""
        channel = cls(os.fdopen(os.dup(1), "wb", buffering=0), os.fdopen(os.dup(0), "rb"))
        print_to(2)
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        return channel

    def send(self, event: Message) -> None:
        """Send one event. Without a parent there is nothing left to do: the process ends."""
        try:
            self._events.write(event.as_line())
        except BrokenPipeError:
            os._exit(Exit.TERMINATED)

    def receive(self) -> Any:
        """Wait for the next message, as plain data for a model to validate; None where there will be none."""
        line = self._requests.readline() if self._requests is not None else b""
        return json.loads(line) if line.endswith(b"\n") else None


def print_to(descriptor: int) -> None:
    """Let stdout and stderr lead to this descriptor."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


@contextlib.contextmanager
def printing_to(path: Path) -> Iterator[None]:
    """Within, stdout and stderr of this process are appended to a file."""
    before = os.dup(2)
    with path.open("ab", buffering=0) as log:
        print_to(log.fileno())
    try:
        yield
    finally:
        print_to(before)
        os.close(before)


def serve(kind: str, parent: int, sha256: str) -> None:
    """What a launched child does, to its end: see `child_main`."""
    die_with_parent(parent)
    channel = Channel.over_standard_streams()
    code = int(Exit.OK)
    request = channel.receive()
    try:
        if sha256 != source_sha256():
            what = "the source of resnet_shortcuts was changed while it runs: a child process would run other code"
            raise EnvironmentFault(what, str(PACKAGE), "run the same command again")
        if request is not None:
            importlib.import_module(SERVICES[kind]).serve(request, channel)
    except RscError as error:
        channel.send(Fault.of(error))
        code = int(error.exit_code)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = int(Exit.RUN_FAILED)
    # Everything that lasts is written and synced; taking torch apart costs seconds on a busy machine and saves nothing.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def die_with_parent(parent: int) -> None:
    """End this process when the process ``parent`` ends: by the kernel on Linux, elsewhere by a thread that looks."""
    if not _kernel_kills_orphans():
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(Exit.TERMINATED)  # it ended before the lines above


def _kernel_kills_orphans() -> bool:
    try:
        return bool(ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(Exit.TERMINATED)
