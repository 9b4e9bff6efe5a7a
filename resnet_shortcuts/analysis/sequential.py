"""The mathematics of a verdict that holds however often anyone looks: from differences to decisions, on plain arrays.

All verdicts of a family together are wrong with a probability of at most 5 %. Three ingredients make that hold:

- **Looks are fixed in advance.** Look k uses the first n_k seeds; between looks there are no verdicts, so calling the
  comparison more often changes nothing.
- **The error is spent over the looks.** Look k may spend a_k = A(n_k / N) - A(n_{k-1} / N), where
  A(t) = 2 - 2 Phi(1.96 / sqrt(t)) is the O'Brien-Fleming type spending function (Lan and DeMets, Biometrika 1983).
- **The intervals hold together.** With m comparisons in the family, each interval has level 1 - a_k / m (Bonferroni).

Decisions are read off the intervals: one that excludes 0 gives a sign, one inside +-margin is equivalent. The first
look that decides a comparison decides it for good.

Every array has the shape (experiments, comparisons), so that a simulation of many experiments runs this very code; a
real experiment is the only one of its batch. Differences are strategy minus baseline in percentage points.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ALPHA = 0.05
LEAST_POOL = 4
"""With fewer comparisons than this in the pool, each one uses its own variance."""
CAP = 3.0
"""A variance enters the pool with at most this many times the pool's median."""
POOL_WEIGHT = 2 / 3
POOLED_DF = 2
"""A pooled variance has this many times the degrees of freedom of one comparison's own."""
MOST = 100.0
"""No difference of accuracies in percent is larger."""


def spent(information: float, alpha: float = ALPHA) -> float:
    """The error that may be spent up to this fraction of the final seeds, A(t) for t in [0, 1]."""
    from scipy.special import ndtr, ndtri

    if information <= 0:
        return 0.0
    return 2 * float(ndtr(float(ndtri(alpha / 2)) / math.sqrt(information)))


def look_levels(sizes: Sequence[int], alpha: float = ALPHA) -> tuple[float, ...]:
    """The error a_k that each look may spend, for ascending sizes; they sum to ``alpha``."""
    cumulative = [0.0, *(spent(size / sizes[-1], alpha) for size in sizes)]
    return tuple(after - before for before, after in itertools.pairwise(cumulative))


@dataclass(frozen=True, eq=False)
class LookData:
    """What one look sees: differences (experiments, comparisons, n), NaN where a run is missing.

    ``own_variance`` keeps comparisons out of the pool. ``identical`` says that strategy and baseline made the same
    predictions at all n seeds, the only case in which zero variance means certainty. ``least_sd`` (points) is the
    smallest standard deviation that the finite test set can show. ``pools`` numbers the pool of each comparison
    (comparisons,): variances are averaged within one network and recipe.
    """

    differences: Floats
    own_variance: Bools
    identical: Bools
    pools: NDArray[np.int64]
    least_sd: float = 0.0


@dataclass(frozen=True, eq=False)
class Intervals:
    """Simultaneous intervals in points, the standard deviations they rest on, and degrees of freedom."""

    mean: Floats
    low: Floats
    high: Floats
    sd: Floats
    df: Floats


def moderated(own: Floats, poolable: Floats, pools: NDArray[np.int64], seeds: int) -> tuple[Floats, Floats]:
    """The variance of each comparison and its degrees of freedom.

    ``own`` are the variances of the differences; ``poolable`` are those that enter the pools, NaN where one does not.
    Where a pool has four or more, each of its members gets (2 v_pool + v_own) / 3 with 2 (n - 1) degrees of freedom,
    v_pool being the mean of the pool's variances, each capped at three times their median. Everything else keeps its
    own variance with n - 1: a paired t interval.
    """
    variance, df = own.copy(), np.full(own.shape, seeds - 1.0)
    for pool in np.unique(pools):
        members = pools == pool
        values = np.sort(poolable[:, members], axis=1)  # NaN last
        count = np.sum(~np.isnan(values), axis=1, keepdims=True)
        large_enough = count >= LEAST_POOL
        upper = np.take_along_axis(values, np.minimum(count // 2, values.shape[1] - 1), axis=1)
        lower = np.take_along_axis(values, np.maximum(count - 1, 0) // 2, axis=1)
        capped = np.minimum(values, CAP * (lower + upper) / 2)
        shared = np.nansum(capped, axis=1, keepdims=True) / np.maximum(count, 1)
        mixed = POOL_WEIGHT * shared + (1 - POOL_WEIGHT) * own[:, members]
        use = large_enough & ~np.isnan(poolable[:, members])
        variance[:, members] = np.where(use, mixed, own[:, members])
        df[:, members] = np.where(use, POOLED_DF * (seeds - 1.0), seeds - 1.0)
    return variance, df


def intervals(data: LookData, variance: Floats, df: Floats, level: float, family: int) -> Intervals:
    """Intervals of the means that hold together with probability 1 - ``level`` for ``family`` comparisons.

    Identical comparisons get the interval [0, 0]. No interval reaches beyond +-100 points.
    """
    from scipy.special import stdtrit

    seeds = data.differences.shape[-1]
    mean = np.where(data.identical, 0.0, data.differences.mean(axis=-1))
    sd = np.where(data.identical, 0.0, np.maximum(np.sqrt(variance), data.least_sd))
    half = stdtrit(df, 1 - level / (2 * family)) * sd / math.sqrt(seeds)
    return Intervals(mean, np.maximum(mean - half, -MOST), np.minimum(mean + half, MOST), sd, df)


@dataclass(frozen=True, eq=False)
class Decisions:
    """What the looks decided.

    ``taken`` (experiments,) counts the looks that could be made. ``look`` is the look, from 1, that decided a
    comparison, 0 where it is open. ``sign`` is +1 (better), -1 (worse) or 0, ``within`` says that the interval lies
    inside +-margin. ``at`` holds each comparison's interval at the last look it took part in, NaN before the first.
    """

    taken: NDArray[np.int64]
    look: NDArray[np.int64]
    sign: NDArray[np.int64]
    within: Bools
    at: Intervals


def decide(sizes: Sequence[int], margin: float, family: int, data_at: Callable[[int], LookData]) -> Decisions:
    """Make every look that the data allow: ``data_at(n)`` gives what the first n seeds say.

    A look is made once its n differences are there for every comparison that is still open; data of decided
    comparisons are not needed, and their variances stay in the pool as they were at the look that decided.
    """
    first = data_at(sizes[0])
    shape = first.differences.shape[:2]
    nan = np.full(shape, np.nan)
    ready = np.ones(shape[0], dtype=np.bool_)
    taken = np.zeros(shape[0], dtype=np.int64)
    look, sign = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    within, poolable, at = np.zeros(shape, dtype=np.bool_), nan, Intervals(nan, nan, nan, nan, nan)
    for number, (size, level) in enumerate(zip(sizes, look_levels(sizes), strict=True), start=1):
        data = first if number == 1 else data_at(size)
        ready = ready & ~((look == 0) & np.isnan(data.differences).any(axis=-1)).any(axis=1)
        taken += ready
        active = (look == 0) & ready[:, None]
        own = data.differences.var(axis=-1, ddof=1)
        poolable = np.where(active, np.where(data.own_variance | data.identical, np.nan, own), poolable)
        variance, df = moderated(own, poolable, data.pools, size)
        now = intervals(data, variance, df, level, family)
        at = Intervals(*(np.where(active, new, old) for new, old in zip(_parts(now), _parts(at), strict=True)))
        signs = (now.low > 0).astype(np.int64) - (now.high < 0)
        inside = (now.low > -margin) & (now.high < margin)
        decided = active & ((signs != 0) | inside)
        look[decided], sign[decided], within[decided] = number, signs[decided], inside[decided]
    return Decisions(taken, look, sign, within, at)


def _parts(interval: Intervals) -> tuple[Floats, ...]:
    return interval.mean, interval.low, interval.high, interval.sd, interval.df
