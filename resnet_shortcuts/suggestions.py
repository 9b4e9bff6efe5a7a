"""Suggesting what a user probably meant."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names closest to a mistyped one, nearest first; one that contains it, or that it contains, is close."""
    known = list(dict.fromkeys(known))
    folded = {candidate.casefold(): candidate for candidate in reversed(known)}
    wanted = str(name).casefold()
    close = difflib.get_close_matches(wanted, list(folded), n=limit, cutoff=0.6)
    parts = [key for key in folded if len(wanted) > 2 and (wanted in key or (len(key) > 2 and key in wanted))]
    return [folded[key] for key in dict.fromkeys([*close, *sorted(parts, key=len)])][:limit]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` or, with nothing close, the list of what is valid."""
    known = list(dict.fromkeys(known))
    close = nearest(name, known)
    if close:
        return "did you mean " + " or ".join(repr(candidate) for candidate in close) + "?"
    return "valid: " + ", ".join(known)
