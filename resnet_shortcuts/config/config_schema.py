"""What a config may contain, read from the models that check it: sections, keys, and each value's range in words."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel

Schema = Mapping[str, Any]

_HUGE = 2**31  # bounds from here on only keep numbers in range of the hardware: not worth reporting


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
    keys: dict[str, Schema] = {}
    for branch in branches(schema, root):
        keys |= branch.get("properties", {})
        for item in _items(branch):
            keys |= properties(item, root)
    return keys


def _items(branch: Schema) -> list[Schema]:
    items = branch.get("items")
    return [items] if isinstance(items, Mapping) else []


def at(path: Sequence[str | int], root: Schema) -> Schema:
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
    every: dict[tuple[str, ...], list[str]] = {}

    def walk(schema: Schema, path: tuple[str, ...]) -> None:
        keys = properties(schema, root)
        if keys:
            every[path] = list(keys)
        for key, inner in keys.items():
            walk(inner, (*path, key))

    walk(root, ())
    return every


def choices(schema: Schema, root: Schema) -> tuple[list[str], bool]:
    """The words that may stand here, and whether nothing else (but null) may."""
    allowed = list(branches(schema, root))
    words = [str(word) for branch in allowed for word in branch.get("enum", [branch.get("const")]) if word]
    return words, all({"enum", "const"} & set(branch) or branch.get("type") == "null" for branch in allowed)


def expected(schema: Schema, root: Schema) -> str:
    """What may stand here: ``a number above 0 and at most 1``, ``one of step, cosine``, ``true or false``."""
    if "what" in schema:
        return str(schema["what"])
    parts = dict.fromkeys(_expected_branch(branch, root) for branch in branches(schema, root))
    if "a number" in parts:
        parts.pop("a whole number", None)
    return " or ".join(part for part in sorted(parts, key=lambda part: part == "null") if part)


def _expected_branch(branch: Schema, root: Schema) -> str:
    if "what" in branch:
        return str(branch["what"])
    if "enum" in branch or "const" in branch:
        words = [str(choice) for choice in branch.get("enum", [branch.get("const")])]
        return words[0] if len(words) == 1 else "one of " + ", ".join(words)
    match branch.get("type"):
        case "integer":
            return "a whole number" + _range(branch)
        case "number":
            return "a number" + _range(branch)
        case "array":
            of = " or ".join(expected(item, root) for item in _items(branch))
            return f"a list, each {of}" if of else "a list"
        case "object":
            return "a mapping with the keys " + ", ".join(branch.get("properties", {}))
        case kind:
            return {"boolean": "true or false", "null": "null", "string": "a text"}.get(str(kind), "")


def _range(branch: Schema) -> str:
    bounds = [
        f"{word} {branch[key]:,.10g}" if branch[key] < _HUGE else ""
        for key, word in (("minimum", "of at least"), ("exclusiveMinimum", "above"), ("maximum", "at most"),
                          ("exclusiveMaximum", "below"))
        if key in branch
    ]  # fmt: skip
    return "".join(f" {words}" if number == 0 else f" and {words}" for number, words in enumerate(filter(None, bounds)))
