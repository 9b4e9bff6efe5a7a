"""Compact letter display: rows that share a letter are not shown to differ (Piepho 2004, insert and absorb)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def letters(names: Sequence[str], different: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Letters of each name, from the names best first and the pairs that differ: two share a letter unless they differ.

    Every name has at least one letter; the best name's is 'a'.
    """
    groups: list[frozenset[str]] = [frozenset(names)]
    for one, other in different:
        split: list[frozenset[str]] = []
        for group in groups:
            split += [group - {one}, group - {other}] if {one, other} <= group else [group]
        groups = _absorb(split)
    place = {name: i for i, name in enumerate(names)}
    groups.sort(key=lambda group: sorted(place[name] for name in group))
    return {name: "".join(_letter(i) for i, group in enumerate(groups) if name in group) for name in names}


def _absorb(groups: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """The groups that are no part of another."""
    distinct = list(dict.fromkeys(group for group in groups if group))
    return [group for group in distinct if not any(group < other for other in distinct)]


def _letter(number: int) -> str:
    """a to z, then aA, bA, ... so that every group has a mark of its own."""
    again, place = divmod(number, 26)
    return chr(ord("a") + place) + (chr(ord("A") + again - 1) if again else "")
