"""A cost against the baseline's, and whether the difference is beyond the noise of its measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Standing = Literal["differs", "same", "uncertain"]
LEAST_COUNT = 0.005
"""Counts (parameters, activation memory) and an allocator's peak have no noise; a smaller share is not worth a word."""
LEAST_RESIDENT, LEAST_RESIDENT_BYTES = 0.01, 2**20
"""A CPU's peak is the resident size of a process, which comes in pages and arenas: less than this is noise."""


@dataclass(frozen=True)
class Change:
    """A cost as a share of the baseline's: 0.1 is 10 % more.

    ``standing``: 'differs' beyond the noise, the 'same' within it, or 'uncertain' where the measurement cannot tell.
    ``interval`` is the 95 % interval of a measured time; counts have none.
    """

    share: float
    standing: Standing
    interval: tuple[float, float] | None = None

    def percent(self) -> str:
        """'+10 %', or 'same'."""
        return "same" if self.standing == "same" else f"{_signed(self.share)} %"

    def ends(self) -> str:
        """'8 to 12' in percent, or nothing without an interval; with signs unless both ends are above 0."""
        if self.interval is None:
            return ""
        low, high = self.interval
        places = 0 if high - low >= 0.02 else 1
        ends = " to ".join(_signed(end, places) for end in self.interval)
        return ends.replace("+", "") if low > 0 else ends


def _signed(share: float, places: int = 0) -> str:
    text = f"{100 * share:+.{places}f}"
    return text.replace("-", "−") if float(text) else "0"


def time_change(ratio: float | None, interval: tuple[float, float] | None, noise: float | None) -> Change | None:
    """The change of a time from its ratio, the ratio's interval and the noise of the A/A control.

    It differs where the interval excludes 1 and the ratio lies outside the noise; it is the same where the ratio lies
    within the noise and neither end of the interval twice as far.
    """
    if ratio is None:
        return None
    if interval is None or noise is None:
        return Change(ratio - 1, "uncertain")
    low, high = interval
    standing: Standing = "uncertain"
    if not low <= 1 <= high and abs(ratio - 1) > noise:
        standing = "differs"
    elif abs(ratio - 1) <= noise and max(abs(low - 1), abs(high - 1)) <= 2 * noise + 1e-9:
        standing = "same"
    return Change(ratio - 1, standing, (low - 1, high - 1))


def count_change(ours: int | None, theirs: int | None) -> Change | None:
    """The change of a count."""
    if not ours or not theirs:
        return None
    share = ours / theirs - 1
    return Change(share, "same" if abs(share) < LEAST_COUNT else "differs")


def peak_change(ours: int | None, theirs: int | None, *, on_cpu: bool) -> Change | None:
    """The change of the peak memory of training, in bytes."""
    change = count_change(ours, theirs)
    if change is None or ours is None or theirs is None or not on_cpu:
        return change
    within = abs(change.share) < LEAST_RESIDENT or abs(ours - theirs) < LEAST_RESIDENT_BYTES
    return Change(change.share, "same") if within else change
