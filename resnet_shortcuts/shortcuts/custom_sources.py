"""Custom strategies and operations: the source files that define them. Needs no torch, and runs no code unless told to.

What a custom class or operation computes is known by the SHA-256 of the file that defines it. Other processes receive
that file's text and execute it, so that they run the code that was hashed, wherever they are.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import inspect
import linecache
import sys
import traceback
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from resnet_shortcuts.errors import IntegrityError, UsageError
from resnet_shortcuts.suggestions import did_you_mean

if TYPE_CHECKING:
    from resnet_shortcuts.shortcuts.catalogue import Strategy

GROUP = "resnet_shortcuts.shortcuts"
STORED = "sources"
"""The folder of an experiment that keeps the source files of its custom strategies."""
_SOURCE = "__custom_source__"  # the global of a module that was executed from a CustomSource


@dataclass(frozen=True)
class CustomSource:
    """A file that defines custom classes or operations: its path, the SHA-256 of its bytes, and its text (UTF-8).

    ``only_here`` is the reason why another process cannot execute it, if there is one.
    """

    file: str
    sha256: str
    text: str
    only_here: str = ""

    @property
    def stored_path(self) -> str:
        """Where an experiment keeps the text, relative to its folder: the path holds the hash that it must have."""
        return f"{STORED}/{self.sha256}/{Path(self.file).name}"

    def to_dict(self) -> dict[str, str]:
        """The fields as JSON-able values; ``CustomSource(**values)`` is the way back."""
        return asdict(self)


@dataclass(frozen=True)
class CustomShortcut:
    """A user's Shortcut class: its name, its source, the line where it begins.

    ``module`` is the module of an installed package that holds it; ``registered`` is the class itself where the file
    has run and registered it.
    """

    class_name: str
    source: CustomSource
    line: int = 1
    module: str | None = None
    registered: type | None = field(default=None, compare=False)


def contract_error(
    what: str, sources: Sequence[CustomSource], line: int = 1, cause: BaseException | None = None
) -> UsageError:
    """The error for custom code: one line, with the file and the line in it that ``cause`` passed through last."""
    file, details = sources[0].file, ""
    if cause is not None:
        files = {source.file for source in sources}
        details = f" ({type(cause).__name__}: {str(cause).splitlines()[0] if str(cause) else ''})"
        frames = [frame for frame in traceback.extract_tb(cause.__traceback__) if frame.filename in files]
        if isinstance(cause, SyntaxError) and cause.filename in files:
            file, line = str(cause.filename), cause.lineno or line
        elif frames:
            file, line = frames[-1].filename, frames[-1].lineno or line
    return UsageError(what + details, f"{file}:{line}", "docs/shortcuts.md has the contract")


_received: dict[str, CustomSource] = {}
"""What `load_sources` was given, by file: it stands for the file, which may have changed or be on another machine."""


def read_source(path: Path) -> CustomSource:
    """A source file as it is on disk. Raises UsageError if it cannot be read."""
    try:
        content = path.read_bytes()
        return CustomSource(str(path), hashlib.sha256(content).hexdigest(), content.decode())
    except OSError as error:
        raise UsageError("a shortcut's file cannot be read", str(path), error.strerror or "check the path") from error
    except UnicodeDecodeError as error:
        raise UsageError("a shortcut's file is not UTF-8 text", str(path), "save it as UTF-8") from error


def is_current(source: CustomSource) -> bool:
    """Whether the file still holds this text, or another process sent it. Raises UsageError if it cannot be read."""
    return source.file in _received or read_source(Path(source.file)).sha256 == source.sha256


def _locate(source: CustomSource, class_name: str, module: str | None = None) -> CustomShortcut:
    try:
        tree = ast.parse(source.text.encode(), source.file)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        reason = getattr(error, "msg", None) or str(error)
        raise UsageError(
            f"shortcut '{class_name}' cannot be imported ({reason})", f"{source.file}:{line}", "fix it"
        ) from error
    classes = {node.name: node.lineno for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    if module is None and class_name not in classes:
        todo = did_you_mean(class_name, classes) if classes else "the file defines no class"
        raise UsageError(f"no class {class_name!r}", f"{source.file}:1", todo)
    return CustomShortcut(class_name, source, classes.get(class_name, 1), module)


def is_file_reference(reference: str) -> bool:
    """Whether this names a class in a file (``./my_shortcut.py:Mine``) and not a strategy."""
    return ".py:" in reference or reference.endswith(".py") or "/" in reference


@cache
def announce(file: str, reference: str) -> None:
    """Say on standard error, once, that code of a user's file will run."""
    print(f"note: shortcut {reference!r} runs code from {file}", file=sys.stderr)


def from_file(reference: str, base: Path | None) -> CustomShortcut:
    """The class that ``FILE.py:Class`` names, relative to ``base``. Says on standard error that code will run."""
    file, _, class_name = reference.rpartition(":")
    if not file.endswith(".py") or not class_name.isidentifier():
        raise UsageError(f"shortcut {reference!r} names no class in a file", "shortcuts", "write ./my_shortcut.py:Mine")
    path = ((base or Path.cwd()) / Path(file).expanduser()).resolve()
    source = _received.get(str(path)) or read_source(path)
    if path.parts[-3:-2] == (STORED,) and path.parent.name != source.sha256:
        what = f"the stored source of shortcut {class_name!r} does not match its SHA-256"
        raise IntegrityError(what, str(path), "it is damaged or edited: copy the results again")
    custom = _locate(source, class_name)
    announce(str(path), reference)
    return custom


@cache
def installed() -> dict[str, CustomShortcut]:
    """The classes of the entry-point group ``resnet_shortcuts.shortcuts`` by name; none of their code is run."""
    classes: dict[str, CustomShortcut] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        path = _module_file(point)
        if path is None or not point.attr.isidentifier():
            print(f"warning: shortcut {point.name!r} ({point.value}) has no source file; left out", file=sys.stderr)
            continue
        classes[point.name] = _locate(read_source(path), point.attr, point.module)
    return classes


def _module_file(point: importlib.metadata.EntryPoint) -> Path | None:
    """The source file of an entry point's module, located without running the module."""
    tail = point.module.replace(".", "/")
    endings = (f"{tail}.py", f"{tail}/__init__.py")
    for file in (point.dist.files if point.dist else None) or ():
        if file.as_posix() in endings and Path(str(file.locate())).is_file():
            return Path(str(file.locate())).resolve()
    try:
        spec = importlib.util.find_spec(point.module)  # an editable install lists no source files
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).resolve() if spec is not None and spec.origin and spec.has_location else None


_executed: dict[str, ModuleType] = {}
"""Modules that ran in this process, by the SHA-256 of their source."""


def source_of(module: Mapping[str, Any], defined: Any) -> CustomSource:
    """The source of what a module (its globals) defines; ``defined`` is the class or function that stands for it."""
    if _SOURCE in module:
        source: CustomSource = module[_SOURCE]
        return source
    name, file = module["__name__"], module.get("__file__")
    if name != "__main__" and file and Path(file).is_file():
        source = read_source(Path(file).resolve())
        if name in sys.modules:
            _executed.setdefault(source.sha256, sys.modules[name])
        return source
    try:
        text = Path(file).read_text() if file else inspect.getsource(defined)
    except (OSError, TypeError):
        text = f"# no source, hence equal to nothing else: {uuid.uuid4()}"
    where = file or f"<{name}>"
    return CustomSource(
        where, hashlib.sha256(text.encode()).hexdigest(), text, f"it is defined in {where}, module {name}"
    )


def execute(source: CustomSource) -> ModuleType:
    """The module of this text, executed once in a process, under the path of its file."""
    if source.sha256 in _executed:
        return _executed[source.sha256]
    name = f"resnet_shortcuts_custom_{source.sha256[:16]}"
    module = ModuleType(name)
    vars(module).update({"__file__": source.file, _SOURCE: source})
    # Tracebacks and inspect find the lines here where the file is not on this machine.
    linecache.cache[source.file] = (len(source.text), None, source.text.splitlines(keepends=True), source.file)
    sys.modules[name] = module  # before it runs, as an import statement does, so that dataclasses find it
    try:
        exec(compile(source.text.encode(), source.file, "exec"), vars(module))  # noqa: S102  # what was announced
    except BaseException:
        del sys.modules[name]
        raise
    _executed[source.sha256] = module
    return module


def needed_sources(strategies: Iterable[Strategy]) -> tuple[CustomSource, ...]:
    """The files that define the custom classes and operations of these strategies, each once.

    Classes of installed packages are left out: every process imports those by itself. Raises UsageError for a strategy
    that runs in this process only.
    """
    strategies = tuple(strategies)
    for strategy in strategies:
        if reason := in_this_process_only(strategy):
            todo = "train with jobs: 0 (--jobs 0), or define it in a file of its own"
            raise UsageError(f"no other process can build shortcut {strategy.name!r} ({reason})", "jobs", todo)
    return tuple(dict.fromkeys(source for strategy in strategies for source in strategy.sources_to_send))


def load_sources(sources: Iterable[CustomSource]) -> None:
    """Execute the files that another process sent, so that `find` knows here what it knows there.

    Says on standard error whose code runs. Raises IntegrityError where a text is not what its hash says, and UsageError
    with file and line where the code fails. Meant for child processes: from then on these texts stand for their files.
    """
    for source in sources:
        if hashlib.sha256(source.text.encode()).hexdigest() != source.sha256:
            raise IntegrityError("a shortcut's source does not match its SHA-256", source.file, "start the run again")
        announce(source.file, Path(source.file).name)
        try:
            execute(source)
        except (Exception, SystemExit) as error:  # whatever a user's code raises is reported in one line
            what = f"shortcut file {Path(source.file).name!r} cannot be imported"
            raise contract_error(what, [source], cause=error) from error
        _received[source.file] = source


def in_this_process_only(strategy: Strategy) -> str | None:
    """Why no other process can build this strategy, or None: a class or operation of a notebook or ``__main__``."""
    return next((source.only_here for source in strategy.sources_to_send if source.only_here), None)
