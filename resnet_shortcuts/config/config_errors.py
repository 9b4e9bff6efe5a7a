"""What is wrong with a config, in a user's words: what, where (file and line), what is allowed instead.

Validators say what is wrong as `SettingError`; pydantic says the rest as types of errors. Words are made of both here,
and only here.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from resnet_shortcuts.config.config_schema import Schema, at, choices, expected, schema_of, sections
from resnet_shortcuts.config.yaml_lines import Document, ValuePath, key_path, kind
from resnet_shortcuts.errors import ManyErrors, RscError, SettingError, UsageError
from resnet_shortcuts.suggestions import ABSENT_KEYS, KEY_SYNONYMS, did_you_mean, nearest


def problems_of(error: ValidationError, document: Document, model: type[BaseModel]) -> list[RscError]:
    """One error a place; a missing key is not reported where a misspelled one stands for it."""
    root = schema_of(model)
    problems: dict[ValuePath, RscError] = {}
    missing: dict[ValuePath, RscError] = {}
    meant: set[str] = set()
    for details in error.errors(include_url=False, include_input=False):
        path = _path(details, document.data)
        if details["type"] == "extra_forbidden":
            problems[path], likely = _unknown_key(document, path, root)
            meant |= set(likely)
        elif details["type"] == "missing":
            what = f"missing key {dotted(path)!r}"
            missing[path] = UsageError(what, document.where(path[:-1]), f"add it: {expected(at(path, root), root)}")
        elif details["type"] == "value_error":
            raised = details["ctx"]["error"]
            for problem in raised.errors if isinstance(raised, ManyErrors) else [raised]:
                full, located = _raised(problem, document, path)
                problems.setdefault(full, located)
        elif not (details["type"] == "too_short" and document.value(path)):  # it counts the valid items only
            problems.setdefault(path, _wrong_value(details["type"], document, path, root))
    return [*problems.values(), *(problem for path, problem in missing.items() if path[-1] not in meant)]


def _path(details: ErrorDetails, data: Any) -> ValuePath:
    """pydantic's location less the names of union branches."""
    path: list[str | int] = []
    value = data
    for step in details["loc"]:
        inside = isinstance(value, dict) and step in value
        if inside or (isinstance(value, list) and isinstance(step, int) and step < len(value)):
            value = value[step]
        elif details["type"] != "missing" or step != details["loc"][-1]:
            continue
        path.append(step)
    return tuple(path)


def dotted(path: Sequence[str | int]) -> str:
    """A path as ``--set`` writes it."""
    return ".".join(str(step) for step in path) or "the config"


def _raised(problem: Exception, document: Document, path: ValuePath) -> tuple[ValuePath, RscError]:
    """What a validator of the value at ``path`` raised: the path of what is wrong, and the error with its place."""
    if not isinstance(problem, SettingError):
        what, where, todo = problem.args[0], "", ""
        if isinstance(problem, RscError):
            what, where, todo = problem.what, problem.where, problem.todo
        file = f" ({where})" if where not in ("", "shortcuts") else ""
        return path, UsageError(f"{dotted(path)}: {what}{file}", document.where(path), todo)
    own = [key for key in (problem.where, *problem.beside) if key]
    full = (*path, *key_path(problem.where))
    what = f"{dotted(full)}: {problem.what}" if problem.what else f"{dotted(full)} is {kind(document.value(full))}"
    places = {key: document.where((*path, *key_path(key))) for key in own
              if document.value((*path, *key_path(key))) is not None}  # fmt: skip
    if not problem.beside or not places:
        return full, UsageError(what, document.where(full), problem.todo or "fix it")
    last = max(places, key=lambda key: (places[key].startswith("--set"), list(places).index(key)))
    todo = problem.todo or "change one"
    if not problem.todo and len(places) > 1 and places[last].startswith("--set"):
        other = next(key for key in places if key != last)
        todo = f"change one, or add --set {dotted((*path, *key_path(other)))}=null"
    return full, UsageError(what, places[last], todo)


def _wrong_value(error_type: str, document: Document, path: ValuePath, root: Schema) -> RscError:
    value, where = document.value(path), document.where(path)
    what = f"{dotted(path)} is {kind(value)}"
    if error_type in ("too_short", "too_long"):
        return UsageError(f"{dotted(path)} is an empty list", where, "name at least one")
    if error_type == "literal_error" and isinstance(value, str):
        words, only_words = choices(at(path, root), root)
        if only_words or nearest(value, words):
            return UsageError(what, where, did_you_mean(value, words))
    allowed = expected(at(path, root), root)
    return UsageError(what, where, f"give {allowed}" if allowed else "fix it")


def _unknown_key(document: Document, path: ValuePath, root: Schema) -> tuple[RscError, list[str]]:
    """The error, and the keys of its section that were probably meant."""
    key, here = str(path[-1]), tuple(step for step in path[:-1] if isinstance(step, str))
    section = f"in {'.'.join(here)}" if here else "at the top of the config"
    todo, likely = _advice(key.casefold().replace("-", "_"), here, sections(root))
    return UsageError(f"unknown key {key[:60]!r} {section}", document.where(path), todo), likely


def _advice(key: str, here: tuple[str, ...], every: dict[tuple[str, ...], list[str]]) -> tuple[str, list[str]]:
    own = every.get(here, [])
    elsewhere = [(*place, name) for place, names in every.items() if place != here for name in names]
    same = [place for place in elsewhere if place[-1] == key]
    if same and key not in own:
        return f"it belongs {' or '.join(_belongs(place) for place in same[:3])}", [key]
    if key in ABSENT_KEYS:
        return ABSENT_KEYS[key], []
    if key in KEY_SYNONYMS:
        synonym = KEY_SYNONYMS[key].split(".")
        name = synonym[-1] if tuple(synonym[:-1]) == here else KEY_SYNONYMS[key]
        return f"did you mean {name!r}?", [synonym[-1]]
    likely = similar(key, own)
    if likely:
        return _did_you_mean(likely), likely
    words = similar(key, dict.fromkeys(place[-1] for place in elsewhere))
    if words:
        return _did_you_mean([dotted(place) for word in words for place in elsewhere if place[-1] == word][:3]), []
    return "valid: " + ", ".join(own) if own else "remove it", []


def _did_you_mean(names: Iterable[str]) -> str:
    return f"did you mean {' or '.join(map(repr, names))}?"


def _belongs(place: tuple[str, ...]) -> str:
    return f"in {dotted(place[:-1])} ({dotted(place)})" if len(place) > 1 else f"at the top of the config ({place[0]})"


def similar(key: str, known: Iterable[str]) -> list[str]:
    """The known keys that a typing error, a left-out word or an added one makes of this one, nearest first."""
    known = list(known)
    close = difflib.get_close_matches(key, known, n=3, cutoff=0.74 if len(key) > 3 else 0.6)
    parts = [name for name in known if min(len(key), len(name)) > 3 and (key in name or name in key)]
    close += [name for name in parts if 2 * min(len(key), len(name)) >= max(len(key), len(name))]
    return list(dict.fromkeys(close))[:3]
