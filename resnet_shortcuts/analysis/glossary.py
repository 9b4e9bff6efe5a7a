"""What a report compares, for a newcomer: each strategy, and the terms that the claims use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from resnet_shortcuts.analysis.claims.judged import ANSWER, ASKER, AVG, MAX2, A, B, C
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, in_order
from resnet_shortcuts.shortcuts.catalogue import strategies

TERMS = (
    ("rank of n", "of the n numbers in an operator's input, how many dimensions survive in its output."),
    ("decoded", "the share of the input's variance that the best linear decoder gets back from what is named."),
    ("block's join", "the sum of shortcut and branch, where a block ends. The branch has its stride in the 3x3 (v1.5) "
     "or in the first 1x1 convolution (v1)."),
    ("stem", "the network's first layer; what reaches it of the gradient has passed every block."),
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One strategy: its name as the tables have it, what else it is called, and what it does in one line."""

    name: str
    also: str
    summary: str


def strategies_of(record: ExperimentRecord, *, with_claims: bool = False) -> list[Entry]:
    """Each strategy of the experiment in its order; then, marked so, those that only the claims name."""
    compared = in_order([run.shortcut for run in record.runs] + [shortcut for _, shortcut, _ in record.missing])
    built = {run.shortcut: run.built_of for run in record.runs}
    entries = [_entry(name, built.get(name)) for name in compared]
    named = {word for entry in entries for word in (entry.name, *entry.also.split(", "))}
    others = [_entry(name) for name in (A, B, C, ASKER, AVG, ANSWER, MAX2) if with_claims and name not in named]
    absent = "(not in this experiment; the claims name it)"
    return entries + [replace(entry, summary=f"{entry.summary} {absent}") for entry in others]


def _entry(name: str, built_of: Any = None) -> Entry:
    for strategy in strategies():
        words = (strategy.name, *strategy.aliases)
        if name.casefold() in map(str.casefold, words):
            also = (strategy.name, *_pretty(strategy.aliases))
            return Entry(name, ", ".join(word for word in also if word.casefold() != name.casefold()), strategy.summary)
    return Entry(name, "", _custom(built_of[1] if isinstance(built_of, (tuple, list)) and len(built_of) == 2 else None))


def _custom(identity: Any) -> str:
    """What a strategy is that is known here only by what its runs hashed."""
    if not isinstance(identity, Mapping) or not identity:
        return "a custom strategy, defined in the config"
    if "class" in identity:
        return f"a custom class, {identity['class']}"
    registered = identity.get("sha256") or {}  # of custom operations: the source file of each, by its name
    parts = [
        f"{key} {value}{' (custom)' if value in registered else ''}"
        for key, value in identity.items()
        if key != "sha256"
    ]
    return f"a custom composition: {', '.join(parts)}"


def _pretty(aliases: tuple[str, ...]) -> list[str]:
    """Aliases as people say them: 'option A' for A and option-a."""
    options = {f"option-{word.casefold()}": word for word in aliases}
    letters = [options[word] for word in aliases if word in options]
    return [f"option {options[word]}" if word in options else word for word in aliases if word not in letters]
