"""Where a user's own shortcut comes from: a file or an installed package. Needs no torch and runs no code."""

import ast
import hashlib
import importlib.metadata
import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.suggestions import did_you_mean

GROUP = "resnet_shortcuts.shortcuts"


@dataclass(frozen=True)
class Plugin:
    """A class in a source file, the file's hash, the class's line; ``module`` if it is an installed one."""

    path: str
    class_name: str
    sha256: str
    line: int
    module: str | None = None


def read_source(path: Path) -> tuple[bytes, str]:
    """A source file's bytes and their SHA-256. Raises UsageError if it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError("a shortcut's file cannot be read", str(path), error.strerror or "check the path") from error
    return content, hashlib.sha256(content).hexdigest()


def _locate(path: Path, class_name: str, module: str | None = None) -> Plugin:
    content, sha256 = read_source(path)
    try:
        tree = ast.parse(content, str(path))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        reason = getattr(error, "msg", None) or str(error)
        raise UsageError(
            f"shortcut '{class_name}' cannot be imported ({reason})", f"{path}:{line}", "mend it"
        ) from error
    classes = {node.name: node.lineno for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    if module is None and class_name not in classes:
        todo = did_you_mean(class_name, classes) if classes else "the file defines no class"
        raise UsageError(f"no class {class_name!r}", f"{path}:1", todo)
    return Plugin(str(path), class_name, sha256, classes.get(class_name, 1), module)


def is_file_reference(reference: str) -> bool:
    """Whether this names a class in a file (``./my_shortcut.py:Mine``) and not a strategy."""
    return ".py:" in reference or reference.endswith(".py") or "/" in reference


@cache
def _announce(path: str, reference: str) -> None:
    print(f"note: shortcut {reference!r} runs code from {path}", file=sys.stderr)


def from_file(reference: str, base: Path | None) -> Plugin:
    """The plugin that ``FILE.py:Class`` names, relative to ``base``. Says on standard error that code will run."""
    file, _, class_name = reference.rpartition(":")
    if not file.endswith(".py") or not class_name.isidentifier():
        raise UsageError(f"shortcut {reference!r} names no class in a file", "shortcuts", "write ./my_shortcut.py:Mine")
    path = ((base or Path.cwd()) / Path(file).expanduser()).resolve()
    plugin = _locate(path, class_name)
    _announce(str(path), reference)
    return plugin


@cache
def installed() -> dict[str, Plugin]:
    """The plugins of the entry-point group ``resnet_shortcuts.shortcuts`` by name; none of their code is run."""
    found: dict[str, Plugin] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        path = _module_file(point)
        if path is None or not point.attr.isidentifier():
            print(f"warning: shortcut {point.name!r} ({point.value}) has no source file; left out", file=sys.stderr)
            continue
        found[point.name] = _locate(path, point.attr, point.module)
    return found


def announce_installed(name: str, plugin: Plugin) -> None:
    """Say on standard error that the code of an installed plugin will run."""
    _announce(plugin.path, name)


def _module_file(point: importlib.metadata.EntryPoint) -> Path | None:
    """The source file of an entry point's module, found without running the module."""
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
