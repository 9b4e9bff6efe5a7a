"""YAML read strictly, and every value with the place where it stands, so that an error can point at its line.

Differences from PyYAML's safe loader, each of which has caught users of other tools:

- scalars follow the core schema of YAML 1.2: ``1e-3`` is a number, ``012`` is twelve, only ``true`` and ``false`` are
  booleans (``no``, ``yes``, ``on``, ``off`` stay text), dates stay text, ``<<`` is an ordinary key;
- a key that stands twice in one mapping is an error that names both lines;
- tags (``!!python/object`` and all others) are refused, and nothing they name is looked up;
- a document is bounded: 1 MiB of UTF-8, 10,000 values after aliases are followed, 32 levels.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from resnet_shortcuts.errors import EnvironmentFault, ManyErrors, RscError, SettingError, UsageError
from resnet_shortcuts.words import printable

MAX_BYTES = 1 << 20
MAX_VALUES = 10_000
MAX_DEPTH = 32

ValuePath = tuple[str | int, ...]
Place = Callable[[int, int], str]
"""Names a place for the user, from a line and a column counted from one (column 0: the line is enough)."""


@dataclass(frozen=True)
class Document:
    """Plain data (dict, list, str, int, float, bool, None) and where each value stands."""

    data: Any
    places: dict[ValuePath, str] = field(default_factory=dict)

    def value(self, path: ValuePath) -> Any:
        """The value at a path; None where there is none."""
        value = self.data
        for step in path:
            try:
                value = value[step]
            except (LookupError, TypeError):
                return None
        return value

    def where(self, path: ValuePath) -> str:
        """The place of a value, or of the nearest thing around it that stands in the document."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return ""

    @contextmanager
    def locating_errors(self) -> Iterator[None]:
        """Puts file and line (or the ``--set``) into errors that only know the key of a setting."""
        try:
            yield
        except SettingError as error:
            raise UsageError(error.what, printable(self.where(key_path(error.where))), error.todo) from error


def key_path(key: str) -> ValuePath:
    """The path of a dotted key: ``data.classes.1`` is item 1 of a list."""
    return tuple(int(step) if step.isdecimal() else step for step in key.split(".")) if key else ()


class _StrictLoader(yaml.SafeLoader):
    """Composes nodes only; scalars by YAML 1.2's core schema, no tags, bounded depth and number."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own attribute)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._count = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        tag = getattr(event, "tag", None)
        self._count += 1
        self._depth += 1
        if tag is not None:
            short = str(tag).replace("tag:yaml.org,2002:", "!!")[:60]
            raise _RefusedError(f"tag {short!r}", event.start_mark, "tags are not used here: remove it")
        if self._depth > MAX_DEPTH:
            raise _RefusedError("nested too deeply", event.start_mark, f"at most {MAX_DEPTH} levels")
        if self._count > MAX_VALUES:
            raise _RefusedError("too many values", event.start_mark, f"at most {MAX_VALUES:,}")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _RefusedError(Exception):
    def __init__(self, what: str, mark: yaml.Mark, todo: str) -> None:
        super().__init__(what)
        self.what, self.mark, self.todo = what, mark, todo


_NUMBER_STARTS = list("-+.0123456789")
for _tag, _pattern, _first in [
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", _NUMBER_STARTS),
    ("float", r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)$", _NUMBER_STARTS),
    ("float", r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", _NUMBER_STARTS),
]:
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def implicit_resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """By first letter, the tags and patterns of what is not text when it stands unquoted."""
    return dict(_StrictLoader.yaml_implicit_resolvers)


def load(path: Path) -> Document:
    """The document in a file, whose outermost value is a mapping.

    Raises UsageError (ManyErrors where there are several) for what is wrong with the file or its YAML, EnvironmentFault
    where it may not be read.
    """
    document = parse(read_text(path), lambda line, column: f"{path}:{line}:{column}" if column else f"{path}:{line}")
    if document.data is None:
        raise UsageError("empty config", str(path), "write at least data, networks, shortcuts and train")
    if not isinstance(document.data, dict):
        raise UsageError("not a config", document.where(()), f"expected keys and values, found {kind(document.data)}")
    document.places[()] = str(path)
    return document


def read_text(path: Path) -> str:
    """The text of a small UTF-8 file; a byte order mark is dropped. Raises UsageError, EnvironmentFault."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UsageError("no such file", str(path), "check the path") from None
    except PermissionError:
        raise EnvironmentFault("cannot be read", str(path), "check its permissions") from None
    except (OSError, ValueError) as error:  # a folder, a name too long, a NUL in it
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError("cannot read the config", repr(str(path))[1:-1][:300], reason.lower()) from None
    if len(raw) > MAX_BYTES:
        raise UsageError("file too large for a config", str(path), f"at most {MAX_BYTES:,} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError("not UTF-8 text", f"{path}:{line}", "save the file as UTF-8") from None


def parse(text: str, place: Place) -> Document:
    """Reads one YAML document. `place` names a position for the user. Raises UsageError or ManyErrors."""
    loader: _StrictLoader | None = None
    try:
        loader = _StrictLoader(text)
        node = loader.get_single_node()
    except _RefusedError as error:
        raise UsageError(error.what, _at(place, error.mark), error.todo) from None
    except yaml.MarkedYAMLError as error:
        reason = " ".join(f"{error.context or ''} {error.problem or ''}".split()) or "cannot be read"
        raise UsageError(f"invalid YAML: {reason}", _at(place, error.problem_mark), "fix it there") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        what = f"invalid YAML: character U+{int(error.character):04X} is not allowed"
        raise UsageError(what, place(line, column), "remove it") from None
    except (ValueError, OverflowError) as error:  # PyYAML lets an escape such as "\Uffffffff" fail in chr()
        mark = loader.get_mark() if loader is not None else None
        raise UsageError(f"invalid YAML: {error}", _at(place, mark), "fix it there") from None
    builder = _Builder(place)
    data = builder.build(node, ())
    if builder.errors:
        raise ManyErrors(builder.errors.values()) if len(builder.errors) > 1 else next(iter(builder.errors.values()))
    return Document(data, builder.places)


def _at(place: Place, mark: yaml.Mark | None) -> str:
    return place(mark.line + 1, mark.column + 1) if mark is not None else place(1, 1)


def kind(value: Any) -> str:
    """What a YAML value is, in a user's words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value[:40]!r}" if value else "an empty text"
    if isinstance(value, int | float):
        return f"the number {str(value)[:40]}"
    return "a list" if isinstance(value, list) else "a mapping"


class _Builder:
    """Turns nodes into plain data, remembers places, collects errors."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.places: dict[ValuePath, str] = {}
        self.errors: dict[str, RscError] = {}
        self._values = 0

    def build(self, node: yaml.Node | None, path: ValuePath) -> Any:
        if node is None:
            return None
        self._values += 1
        if self._values > MAX_VALUES or len(path) > MAX_DEPTH:  # aliases that multiply, or that contain themselves
            raise UsageError("too many values behind aliases", _at(self.place, node.start_mark), "write them out")
        self.places.setdefault(path, self._line(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _line(self, node: yaml.Node) -> str:
        return self.place(node.start_mark.line + 1, 0)

    def _refuse(self, what: str, node: yaml.Node, todo: str) -> None:
        error = UsageError(what, self._line(node), todo)
        self.errors[str(error)] = error

    def _mapping(self, node: yaml.MappingNode, path: ValuePath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            scalar = isinstance(key_node, yaml.ScalarNode)
            key = self._scalar(key_node) if scalar else None
            if not isinstance(key, str) or not key.isprintable() or not 0 < len(key) <= 100:
                shown = ascii(key_node.value[:40]) if scalar else "of several parts"
                self._refuse(f"key {shown} is not a name", key_node, "use a word; a number needs quotes")
            elif key in lines:
                self._refuse(f"duplicate key {key[:60]!r}", key_node, f"line {lines[key]} has it already: keep one")
            else:
                lines[key] = key_node.start_mark.line + 1
                self.places[(*path, key)] = self._line(key_node)
                mapping[key] = self.build(value_node, (*path, key))
        return mapping

    def _scalar(self, node: yaml.Node) -> Any:
        text: str = node.value
        match node.tag.rpartition(":")[2]:
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" if len(text) <= 40:
                return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
            case "int":
                self._refuse("number too long", node, "at most 40 digits")
            case "float" if text.lower().lstrip("+-") == ".nan":
                return math.nan
            case "float":
                return float(text.lower().replace(".inf", "inf"))
        if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n" for c in text):
            self._refuse(f"control character in {text[:40]!a}", node, "remove it")
        return text
