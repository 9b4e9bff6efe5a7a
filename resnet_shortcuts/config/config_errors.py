"""What pydantic finds wrong with a config, in a user's words: what, where (file and line), what is allowed instead."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from resnet_shortcuts.config.yaml_lines import Document, ValuePath, kind
from resnet_shortcuts.errors import RscError, UsageError
from resnet_shortcuts.suggestions import did_you_mean, nearest

Schema = Mapping[str, Any]

_HUGE = 2**31  # bounds from here on only keep numbers sane: not worth telling

SYNONYMS = {
    "learning_rate": "lr", "wd": "weight_decay", "bs": "batch_size", "dataset": "data", "model": "networks",
    "models": "networks", "architecture": "networks", "strategies": "shortcuts", "workers": "jobs", "threads": "jobs",
    "optimizer": "train", "scheduler": "schedule", "amp": "precision", "dtype": "precision", "augmentation": "augment",
}  # fmt: skip
"""What other tools call our keys."""


@cache
def schema_of(model: type[BaseModel]) -> Schema:
    """The JSON schema of a model; references stay references."""
    return model.model_json_schema(mode="validation")


def branches(schema: Schema, root: Schema) -> Iterator[Schema]:
    """The alternatives of a schema, references followed."""
    if "$ref" in schema:
        yield from branches(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    elif "anyOf" in schema:
        for branch in schema["anyOf"]:
            yield from branches(branch, root)
    else:
        yield schema


def properties(schema: Schema, root: Schema) -> dict[str, Schema]:
    """The keys of a mapping, or of the mappings in a list."""
    found: dict[str, Schema] = {}
    for branch in branches(schema, root):
        found |= branch.get("properties", {})
        for item in _items(branch):
            found |= properties(item, root)
    return found


def _items(branch: Schema) -> list[Schema]:
    items = branch.get("items")
    return [items] if isinstance(items, Mapping) else []


def at(path: ValuePath, root: Schema) -> Schema:
    """The schema of the value at a path; empty where the path leads nowhere."""
    schema: Schema = root
    for step in path:
        if isinstance(step, str):
            schema = properties(schema, root).get(step, {})
        else:
            items = [item for branch in branches(schema, root) for item in _items(branch)]
            schema = {"anyOf": items} if items else schema if "what" in schema else {}
    return schema


def sections(root: Schema) -> dict[tuple[str, ...], list[str]]:
    """Every mapping of a config, by its path (lists left out), with its keys in order."""
    found: dict[tuple[str, ...], list[str]] = {}

    def walk(schema: Schema, path: tuple[str, ...]) -> None:
        keys = properties(schema, root)
        if keys:
            found[path] = list(keys)
        for key, inner in keys.items():
            walk(inner, (*path, key))

    walk(root, ())
    return found


def expected(schema: Schema, root: Schema) -> str:
    """What may stand here: ``a number above 0 and at most 1``, ``one of step, cosine``, ``true or false``."""
    if "what" in schema:
        return str(schema["what"])
    said = dict.fromkeys(_expected_branch(branch, root) for branch in branches(schema, root))
    if "a number" in said:
        said.pop("a whole number", None)
    return " or ".join(part for part in sorted(said, key=lambda part: part == "null") if part)


def _expected_branch(branch: Schema, root: Schema) -> str:
    if "what" in branch:
        return str(branch["what"])
    if "enum" in branch or "const" in branch:
        choices = [str(choice) for choice in branch.get("enum", [branch.get("const")])]
        return choices[0] if len(choices) == 1 else "one of " + ", ".join(choices)
    match branch.get("type"):
        case "integer":
            return "a whole number" + _range(branch)
        case "number":
            return "a number" + _range(branch)
        case "boolean":
            return "true or false"
        case "null":
            return "null"
        case "array":
            of = " or ".join(expected(item, root) for item in _items(branch))
            return f"a list, each {of}" if of else "a list"
        case "object":
            return "a mapping with the keys " + ", ".join(branch.get("properties", {}))
        case "string":
            return _choices(str(branch.get("pattern", ""))) or "a text"
    return ""


def _choices(pattern: str) -> str:
    """``^(auto|cpu|cuda(:\\d{1,3})?)$`` in words, where a pattern is a plain list of words."""
    words = re.sub(r"\(:\\d\{1,3\}\)\?", "[:N]", pattern.strip("^$")).strip("()").split("|")
    return "one of " + ", ".join(words) if pattern else ""


def _range(branch: Schema) -> str:
    low = [f"from {_number(branch['minimum'])}"] if "minimum" in branch else []
    low += [f"above {_number(branch['exclusiveMinimum'])}"] if "exclusiveMinimum" in branch else []
    high = [f"at most {_number(branch['maximum'])}"] if branch.get("maximum", _HUGE) < _HUGE else []
    high += [f"below {_number(branch['exclusiveMaximum'])}"] if "exclusiveMaximum" in branch else []
    words = " and ".join([*low, *high])
    return f" {words}".replace("from ", "of at least ") if words else ""


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) or not value.is_integer() else f"{int(value):,}"


def prepared(document: Document, model: type[BaseModel]) -> tuple[Any, dict[ValuePath, RscError]]:
    """The data as pydantic's strict mode wants it, and what is wrong everywhere.

    Lists become tuples. NaN and infinities become null, with an error for each: no key takes them.
    """
    root = schema_of(model)
    problems: dict[ValuePath, RscError] = {}

    def walk(value: Any, path: ValuePath) -> Any:
        if isinstance(value, dict):
            return {key: walk(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return tuple(walk(inner, (*path, index)) for index, inner in enumerate(value))
        if isinstance(value, float) and not math.isfinite(value):
            problems[path] = _wrong_value(document, path, value, root)
            return None
        return value

    return walk(document.data, ()), problems


def explain(errors: Iterable[ErrorDetails], document: Document, model: type[BaseModel]) -> dict[ValuePath, RscError]:
    """One error a place; a missing key that a misspelled one stands for is not told twice."""
    root = schema_of(model)
    told: dict[ValuePath, RscError] = {}
    missing: dict[ValuePath, RscError] = {}
    suggested: set[str] = set()
    for error in chain.from_iterable(map(_several, errors)):
        path = _path(error, document.data)
        if error["type"] == "extra_forbidden":
            told[path], likely = _unknown_key(document, path, root)
            suggested |= set(likely)
        elif error["type"] == "missing":
            missing[path] = _missing_key(document, path, root)
        elif not (error["type"] == "too_short" and _value(document.data, path)):  # it counts the valid items only
            told.setdefault(path, _problem(error, document, path, root))
    return told | {path: problem for path, problem in missing.items() if path[-1] not in suggested}


def _several(error: ErrorDetails) -> Iterator[ErrorDetails]:
    """The error, and those of the same value that came with it."""
    yield error
    for context in error.get("ctx", {}).get("more", ()):
        yield {**error, "ctx": context}


def _path(error: ErrorDetails, data: Any) -> ValuePath:
    """pydantic's location less the names of union branches; our own errors say where inside they are."""
    path: list[str | int] = []
    where = data
    ends_outside = error["type"] == "missing"
    for step in (*error["loc"], *error.get("ctx", {}).get("at", ())):
        inside = isinstance(where, dict) and step in where
        if inside or (isinstance(where, list) and isinstance(step, int) and step < len(where)):
            where = where[step]
        elif not (ends_outside and step == error["loc"][-1]):
            continue
        path.append(step)
    return tuple(path)


def dotted(path: Sequence[str | int]) -> str:
    """A path as ``--set`` writes it."""
    return ".".join(str(step) for step in path) or "the config"


def _value(data: Any, path: ValuePath) -> Any:
    for step in path:
        data = data[step]
    return data


def _wrong_value(document: Document, path: ValuePath, value: Any, root: Schema) -> RscError:
    allowed = expected(at(path, root), root)
    return UsageError(
        f"{dotted(path)} is {kind(value)}", document.where(path), f"give {allowed}" if allowed else "mend it"
    )


def _problem(error: ErrorDetails, document: Document, path: ValuePath, root: Schema) -> RscError:
    value = _value(document.data, path)
    if error["type"] == "rsc":
        name = dotted(path) if error["ctx"].get("named") else ""
        return UsageError(name + error["ctx"]["what"], document.where(path), error["ctx"]["todo"])
    if error["type"] in ("value_error", "assertion_error"):
        return _section_says(error, document, path)
    if error["type"] == "literal_error" and isinstance(value, str):
        allowed = list(branches(at(path, root), root))
        choices = [str(c) for branch in allowed for c in branch.get("enum", [branch.get("const")]) if c]
        only_words = all("enum" in branch or "const" in branch or branch.get("type") == "null" for branch in allowed)
        if only_words or nearest(value, choices):
            return UsageError(f"{dotted(path)} is {kind(value)}", document.where(path), did_you_mean(value, choices))
    if error["type"] in ("too_short", "too_long"):
        return UsageError(f"{dotted(path)} is an empty list", document.where(path), "name at least one")
    return _wrong_value(document, path, value, root)


def _section_says(error: ErrorDetails, document: Document, path: ValuePath) -> RscError:
    """A section's own rule. Where it names keys, the place is that of the last one that stands in the document."""
    message = str(error["ctx"]["error"]) if "error" in error.get("ctx", {}) else error["msg"]
    value = _value(document.data, path)
    words = [tuple(word.split(".")) for word in re.findall(r"\w+(?:\.\w+)*", message)]
    named = [word for word in words if _stands(value, word)]
    named.sort(key=lambda word: document.where((*path, *word)).startswith("--set"))  # stable: overrides go last
    where = document.where((*path, *named[-1]) if named else path)
    what, _, todo = message.partition("; ")
    if not todo:
        what, _, todo = message.partition(": ")
    if not todo and len(named) > 1 and where.startswith("--set"):
        todo = f"change one, or add --set {dotted((*path, *named[0]))}=null"
    return UsageError(f"{dotted(path)}: {what}", where, todo or ("change one" if named else "see docs/config.md"))


def _stands(value: Any, keys: Sequence[str]) -> bool:
    """Whether these keys lead to something within the value."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value is not None


def _missing_key(document: Document, path: ValuePath, root: Schema) -> RscError:
    allowed = expected(at(path, root), root)
    return UsageError(f"missing key {dotted(path)!r}", document.where(path[:-1]), f"add it: {allowed}")


def _unknown_key(document: Document, path: ValuePath, root: Schema) -> tuple[RscError, list[str]]:
    """The error, and the keys that were probably meant."""
    key = str(path[-1])
    here = tuple(step for step in path[:-1] if isinstance(step, str))
    every = sections(root)
    own = every.get(here, [])
    section = f"in {'.'.join(here)}" if here else "at the top of the config"
    elsewhere = {(*place, name): name for place, names in every.items() if place != here for name in names}
    exact = [place for place, name in elsewhere.items() if name == key.casefold()]
    close_own = close(key, own)
    near_elsewhere = [] if close_own else close(key, set(elsewhere.values()))
    close_elsewhere = [place for place, name in elsewhere.items() if name in near_elsewhere]
    synonym = SYNONYMS.get(key.casefold())
    if exact and not (close_own and key.casefold() in close_own):
        places = " or ".join(_belongs(place) for place in exact[:3])
        todo, likely = f"it belongs {places}", [key]
    elif close_own:
        todo, likely = did_you_mean(close_own[0], close_own[:3]), close_own[:3]
    elif close_elsewhere:
        todo, likely = f"did you mean {' or '.join(repr('.'.join(place)) for place in close_elsewhere[:3])}?", []
    elif synonym:
        full = next((".".join(place) for place in elsewhere if place[-1] == synonym), synonym)
        todo, likely = f"did you mean {full!r}?", [synonym]
    else:
        todo, likely = did_you_mean(key, own), nearest(key, own)
    return UsageError(f"unknown key {key[:60]!r} {section}", document.where(path), todo), likely


def _belongs(place: tuple[str, ...]) -> str:
    return (
        f"in {'.'.join(place[:-1])} ({'.'.join(place)})" if len(place) > 1 else f"at the top of the config ({place[0]})"
    )


def close(name: str, known: Iterable[str]) -> list[str]:
    """The known names within one edit (two from six letters on), nearest first; case does not count."""
    wanted = name.casefold()
    distances = {candidate: edits(wanted, candidate.casefold()) for candidate in known}
    return sorted((n for n, d in distances.items() if d <= (2 if len(n) >= 6 else 1)), key=lambda n: distances[n])


def edits(first: str, second: str) -> int:
    """Letters to insert, drop, replace or swap with a neighbour to make one word the other."""
    if abs(len(first) - len(second)) > 2 or max(len(first), len(second)) > 100:
        return 100
    rows = [list(range(len(second) + 1))]
    for i, a in enumerate(first, 1):
        row = [i]
        for j, b in enumerate(second, 1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and b == first[i - 2]:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]
