"""What every claim's judgement is made of: the three words, and the strategies that the question names."""

from __future__ import annotations

TRUE, FALSE, NOT_SETTLED = "true", "false", "not settled"
A, B, C, ASKER, AVG, ANSWER = "stride-pad", "projection", "projection-all", "max-pad", "avg-pad", "avg-duplicate"
MAX2 = "max2-pad"  # the control of claim 7
Judged = tuple[str, str, str, str]  # verdict, the figure that decides, its interval, where it comes from


def unmeasured(what: str, command: str) -> Judged:
    """Not settled, because something was not measured; ``command`` would measure it. ``what`` ends in 'were not'."""
    return NOT_SETTLED, f"{what} measured", "", command


def percent(share: float, places: int = 1) -> str:
    """A share in percent."""
    return f"{100 * share:.{places}f} %"


def change(share: float) -> str:
    """A change in percent, with its sign."""
    return f"{signed(100 * share, 1)} %"


def signed(value: float, places: int = 2) -> str:
    """A number with its sign, typeset."""
    return f"{value:+.{places}f}".replace("-", "−")


def ends(low: float, high: float, places: int = 2) -> str:
    """An interval by its ends."""
    return f"{signed(low, places)} to {signed(high, places)}"
