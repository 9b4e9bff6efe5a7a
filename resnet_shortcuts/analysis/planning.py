"""How many seeds a family of comparisons needs, and which differences a number of seeds can show.

The standard deviation comes from a pilot, so plans use its upper 80 % confidence bound: at least 80 % of pilots then
keep the power that was announced. Power is that of the last look; earlier looks can only add to it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from resnet_shortcuts.analysis.sequential import LEAST_POOL, MOST, POOLED_DF, look_levels
from resnet_shortcuts.experiments.verdict_seal import LEAST_SEEDS, VerdictSeal, look_sizes

POWER = 0.8
CONFIDENCE = 0.8
MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Spread:
    """A standard deviation of the differences in points, estimated with ``df`` degrees of freedom (inf: known)."""

    sd: float
    df: float = math.inf

    def upper(self, confidence: float = CONFIDENCE) -> float:
        """The bound that the true standard deviation is under with this confidence, for normal differences."""
        from scipy.special import chdtri  # the inverse of chi squared's survival function

        if math.isinf(self.df):
            return self.sd
        return self.sd * math.sqrt(self.df / float(chdtri(self.df, confidence)))


@dataclass(frozen=True)
class Design:
    """A family of ``family`` comparisons with up to ``seeds`` seeds; ``pooled``: the variances are pooled."""

    family: int
    seeds: int
    pooled: bool = True
    looks: tuple[int, ...] | None = None

    @classmethod
    def of(cls, seal: VerdictSeal) -> Design:
        """The design of a sealed family."""
        members = [name for name in seal.strategies if name not in seal.own_variance]
        return cls(seal.family, seal.max_seeds, len(members) >= LEAST_POOL, seal.looks)

    @property
    def df(self) -> float:
        """Degrees of freedom of the variance at the last look."""
        return (POOLED_DF if self.pooled else 1) * (self.seeds - 1.0)

    @property
    def possible(self) -> bool:
        """Whether there are enough seeds for any verdict."""
        return self.seeds >= LEAST_SEEDS and self.family > 0

    @property
    def error(self) -> float:
        """The two-sided error of one comparison's interval at the last look."""
        sizes = look_sizes(self.seeds) if self.looks is None else self.looks
        return look_levels(sizes)[-1] / self.family

    def power(self, difference: float, sd: float) -> float:
        """Chance that a true difference is called better or worse, by its right sign."""
        return _chance(self.seeds, self.df, self.error, abs(difference) / sd, math.inf) if self.possible else 0.0

    def power_of_equivalence(self, margin: float, sd: float) -> float:
        """Chance that a strategy whose true difference is 0 is called equivalent."""
        return _chance(self.seeds, self.df, self.error, 0.0, margin / sd) if self.possible else 0.0

    def detectable(self, spread: Spread) -> float | None:
        """The smallest difference in points with a power of 80 %; None where no verdict is possible or it is over 100.

        The standard deviation is taken at its upper 80 % bound.
        """
        sd = spread.upper()
        if not self.possible or self.power(MOST, sd) < POWER:
            return None
        low, high = 0.0, MOST
        while high - low > 1e-6 * high:
            middle = (low + high) / 2
            low, high = (middle, high) if self.power(middle, sd) < POWER else (low, middle)
        return high

    def largest_sd(self, margin: float) -> float | None:
        """The standard deviation in points up to which the margin can be settled with 80 %; None: no verdict possible.

        Settled: a true difference of the margin is called better or worse, and one of 0 equivalent.
        """
        if not self.possible:
            return None
        low, high = 0.0, 100 * margin
        while high - low > 1e-6 * high:
            middle = (low + high) / 2
            low, high = (middle, high) if self._settles(margin, middle) else (low, middle)
        return low

    def _settles(self, margin: float, sd: float) -> bool:
        return min(self.power(margin, sd), self.power_of_equivalence(margin, sd)) >= POWER


def seeds_for(difference: float, spread: Spread, family: int, pooled: bool = True) -> int | None:
    """The fewest seeds, looks at 40, 70 and 100 % of them, that show ``difference`` with a power of 80 %.

    The standard deviation is taken at its upper 80 % bound. None over 10,000 seeds.
    """
    sd = spread.upper()
    return _fewest(lambda seeds: Design(family, seeds, pooled).power(difference, sd) >= POWER)


def seeds_to_settle(margin: float, spread: Spread, family: int, pooled: bool = True) -> int | None:
    """The fewest seeds at which a true difference of the margin is called better or worse, and one of 0 equivalent.

    Each with a power of 80 %, the standard deviation at its upper 80 % bound. None over 10,000 seeds.
    """
    sd = spread.upper()
    return _fewest(lambda seeds: Design(family, seeds, pooled)._settles(margin, sd))


def _fewest(enough: Callable[[int], bool]) -> int | None:
    high = LEAST_SEEDS
    while not enough(high):
        if high >= MOST_SEEDS:
            return None
        high = min(2 * high, MOST_SEEDS)
    low = max(LEAST_SEEDS - 1, high // 2)
    while high - low > 1:  # power grows with the seeds but for the rounding of look sizes
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


@functools.lru_cache(maxsize=65536)
def _chance(seeds: int, df: float, error: float, effect: float, margin: float) -> float:
    """Chance that the interval of a mean with this effect excludes 0 (``margin`` inf) or lies inside +-``margin``.

    Effect and margin in standard deviations of a difference. The mean is taken over what the observed standard
    deviation can be, by quadrature.
    """
    from scipy.special import ndtr, stdtrit

    critical = float(stdtrit(df, 1 - error / 2))
    ratio, weights = _spread_nodes(df)
    root = math.sqrt(seeds)
    if math.isinf(margin):
        chance = ndtr(root * effect - critical * ratio)
    else:
        room = root * margin - critical * ratio
        chance = np.where(room > 0, ndtr(room - root * effect) - ndtr(-room - root * effect), 0.0)
    return float(weights @ chance)


@functools.lru_cache(maxsize=1024)
def _spread_nodes(df: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for a mean over the observed standard deviation as a share of the true one."""
    from scipy.special import chdtri

    nodes, weights = _quadrature()
    return np.sqrt(chdtri(df, (1 - nodes) / 2) / df), weights / 2


@functools.cache
def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on (-1, 1), the same whatever is integrated."""
    return np.polynomial.legendre.leggauss(160)
