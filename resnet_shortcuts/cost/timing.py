"""Interleaved timing: every strategy once a round, in random order, so that the machine's drift cancels in the ratio.

The unit of all statistics is a round. A round's ratio is a strategy's time over the baseline's time in the same round;
the figure given is the median over rounds with a distribution-free 95 % interval (order statistics of the median).
Nothing here knows torch or a real clock: a contestant is a function that does one turn and returns its seconds.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from resnet_shortcuts.random_streams import numpy_stream

Turn = Callable[[], float]
"""Does one turn of work and returns its seconds per step."""
Clock = Callable[[], float]
Stopped = Literal["precision", "rounds", "budget"]


@dataclass(frozen=True)
class Timings:
    """Seconds per step of every contestant in every round, and why the race ended."""

    baseline: str
    seconds: Mapping[str, Sequence[float]]
    stopped: Stopped

    @property
    def rounds(self) -> int:
        """Complete rounds: each contestant ran once in each."""
        return len(self.seconds[self.baseline])

    def median(self, name: str) -> float:
        """Median seconds per step."""
        return statistics.median(self.seconds[name])

    def interval(self, name: str) -> tuple[float, float] | None:
        """95 % interval of the median; None with fewer than six rounds."""
        return median_interval(self.seconds[name])

    def ratios(self, name: str) -> list[float]:
        """Time over the baseline's time, round by round."""
        return [own / base for own, base in zip(self.seconds[name], self.seconds[self.baseline], strict=True)]

    def ratio(self, name: str) -> float:
        """Median of the paired ratios."""
        return statistics.median(self.ratios(name))

    def ratio_interval(self, name: str) -> tuple[float, float] | None:
        """95 % interval of the median paired ratio; None with fewer than six rounds."""
        return median_interval(self.ratios(name))


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Distribution-free interval of the median: the narrowest symmetric pair of order statistics that holds it.

    With n values, (x_k, x_{n+1-k}) holds the median with probability 1 - 2 P(Bin(n, 1/2) < k). None where even the
    extremes do not reach the confidence (five values or fewer at 95 %).
    """
    n = len(values)
    limit = (1 - confidence) / 2 * 2**n
    below, k = 0, 0
    while k < n // 2 and below + math.comb(n, k) <= limit:
        below += math.comb(n, k)
        k += 1
    if k == 0:
        return None
    ordered = sorted(values)
    return ordered[k - 1], ordered[n - k]


def race(
    contestants: Mapping[str, Turn],
    baseline: str,
    *,
    seconds: float,
    target: float = 0.02,
    min_rounds: int = 30,
    max_rounds: int = 1000,
    warm_up: int = 3,
    seed: int = 0,
    clock: Clock = time.perf_counter,
) -> Timings:
    """Times the contestants against each other until one of three things ends it.

    - ``precision``: after at least `min_rounds`, every ratio's interval lies within +-`target` of its median;
    - ``rounds``: `max_rounds` are done;
    - ``budget``: another round would, as far as the slowest so far tells, end after `seconds` of `clock`.

    Up to `warm_up` turns each are done first and not counted; when they take more than a tenth of the budget, only one
    is. One whole round is always done, whatever the budget, so that every contestant has a figure. The intervals are
    looked at each time the number of rounds has grown by a fifth: looking after every round would favour lucky ones.
    """
    start = clock()
    for lap in range(warm_up):
        for turn in contestants.values():
            turn()
        if (clock() - start) * (lap + 2) / (lap + 1) > seconds / 10:
            break
    names = list(contestants)
    times: dict[str, list[float]] = {name: [] for name in names}
    slowest, next_look, number = 0.0, min_rounds, 0
    while True:
        began = clock()
        for position in numpy_stream("cost", "order", seed, number).permutation(len(names)):
            name = names[int(position)]
            times[name].append(contestants[name]())
        number += 1
        now = clock()
        slowest = max(slowest, now - began)
        timings = Timings(baseline, times, "precision")
        if number >= next_look:
            if all(_known_within(timings, name, target) for name in names if name != baseline):
                return timings
            next_look = math.ceil(number * 1.2)
        if number >= max_rounds:
            return Timings(baseline, times, "rounds")
        if now - start + slowest > seconds:
            return Timings(baseline, times, "budget")


def _known_within(timings: Timings, name: str, target: float) -> bool:
    interval = timings.ratio_interval(name)
    if interval is None:
        return False
    middle = timings.ratio(name)
    return max(interval[1] - middle, middle - interval[0]) <= target * middle
