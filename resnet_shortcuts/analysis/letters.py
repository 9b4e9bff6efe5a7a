"""Compact letter display: rows that share a letter are not shown to differ (Piepho 2004, insert and absorb)."""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence


def letters(names: Sequence[str], different: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Letters of each name, from the names best first and the pairs that differ: two share a letter unless they differ.

    Every name has at least one letter; the best name's is 'a'.
    """
    groups: list[frozenset[str]] = [frozenset(names)]
    for first, second in different:
        split: list[frozenset[str]] = []
        for group in groups:
            split += [group - {first}, group - {second}] if {first, second} <= group else [group]
        groups = _absorb(split)
    place = {name: i for i, name in enumerate(names)}
    groups.sort(key=lambda group: sorted(place[name] for name in group))
    return {name: "".join(_letter(i) for i, group in enumerate(groups) if name in group) for name in names}


def _absorb(groups: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """The groups that are not part of another one."""
    distinct = list(dict.fromkeys(group for group in groups if group))
    return [group for group in distinct if not any(group < other for other in distinct)]


def _letter(number: int) -> str:
    """a to z, then aA, bA, ... so that every group has a different mark."""
    rounds, letter = divmod(number, 26)
    return string.ascii_lowercase[letter] + (string.ascii_uppercase[rounds - 1] if rounds else "")
