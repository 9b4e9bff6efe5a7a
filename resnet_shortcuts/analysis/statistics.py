"""The mathematics of a comparison, on plain arrays; scipy computes wherever it can.

Differences are strategy minus baseline in percentage points of test accuracy, one a common seed. scipy is
imported when a function needs it, so that a command line that does not compare does not wait for it; and of it
``scipy.special`` where that holds the mathematics: ``scipy.stats`` calls the same functions, but takes half a second
to import.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from resnet_shortcuts.random_streams import numpy_stream

ALPHA = 0.05
POWER = 0.8
EXACT_SEEDS = 14
FLIPS = 100_000
_KEPT_SEEDS = 32
_NO_SPREAD = 1e-9  # points; below it differences are equal but for rounding


def mean_and_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation; None where there is none (no value; the sd of one value)."""
    if not values:
        return None, None
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


@dataclass(frozen=True)
class Paired:
    """A paired t test of n differences: mean, their sd, two-sided p, 95 % and 90 % interval, and the p of equivalence.

    ``p_equal`` is the larger p of the two one-sided tests against the margin. With fewer than two differences
    everything but ``n`` and ``mean`` is NaN.
    """

    n: int
    mean: float
    sd: float
    p: float
    low: float
    high: float
    low90: float
    high90: float
    p_equal: float
    constant: bool = False


def paired(differences: Sequence[float], margin: float) -> Paired:
    """Paired t test against 0 and two one-sided tests against ``margin`` (> 0, points).

    Where all differences are equal, t is not defined: with 0 the strategies gave the same, p = 1 and ``p_equal`` = 0;
    otherwise both p are those of the exact sign test, which makes no use of the spread, and ``constant`` says so.
    """
    values = np.asarray(differences, dtype=np.float64)
    n = len(values)
    nan = math.nan
    if n == 0:
        return Paired(0, nan, nan, nan, nan, nan, nan, nan, nan)
    mean = float(values.mean())
    if n == 1:
        return Paired(1, mean, nan, nan, nan, nan, nan, nan, nan)
    sd = float(values.std(ddof=1))
    if sd < _NO_SPREAD:
        return _constant(n, mean, margin)
    from scipy.special import stdtr  # Student's t itself: a comparison makes thousands of these

    df, error = n - 1, sd / math.sqrt(n)
    p = 2 * float(stdtr(df, -abs(mean) / error))
    p_equal = max(float(stdtr(df, -(mean + margin) / error)), float(stdtr(df, (mean - margin) / error)))
    half, half90 = (critical(df, alpha) * error for alpha in (0.05, 0.10))
    return Paired(n, mean, sd, p, mean - half, mean + half, mean - half90, mean + half90, p_equal)


def beyond(differences: Sequence[float], bound: float, side: Literal["less", "greater"]) -> float:
    """One-sided p of a t test (a sign test where all differences are equal) that the mean is beyond ``bound``."""
    test = paired([difference - bound for difference in differences], 1.0)
    sign = 1 if side == "greater" else -1
    if test.constant:
        return 2.0**-test.n if sign * test.mean > 0 else 1.0
    return test.p / 2 if sign * test.mean > 0 else 1 - test.p / 2


def _constant(n: int, mean: float, margin: float) -> Paired:
    if abs(mean) < _NO_SPREAD:
        return Paired(n, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, constant=True)
    inside = 2.0**-n if abs(mean) < margin else 1.0
    return Paired(n, mean, 0.0, 2.0 ** (1 - n), mean, mean, mean, mean, inside, constant=True)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given. NaN (not tested) stays NaN and is not part of the family.

    Equal to statsmodels' ``multipletests(method="holm")``, which costs 1.5 s to import and a garbage collection a call.
    """
    tested = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    adjusted = [math.nan] * len(p_values)
    highest = 0.0
    for place, i in enumerate(tested):
        highest = min(1.0, max(highest, p_values[i] * (len(tested) - place)))
        adjusted[i] = highest
    return adjusted


@dataclass(frozen=True)
class SignFlip:
    """The sign-flip test of the mean difference: two-sided p, whether all flips were counted, the smallest p it has."""

    p: float
    exact: bool
    floor: float


def sign_flip(differences: Sequence[float]) -> SignFlip:
    """Exact to 14 differences; beyond, 100,000 seeded flips, the same for every test of n, plus the observed signs."""
    return sign_flips([differences])[0]


def sign_flips(many: Sequence[Sequence[float]]) -> list[SignFlip]:
    """``sign_flip`` of each; those of equally many differences share one pass over the drawn signs."""
    arrays = [np.asarray(differences, dtype=np.float64) for differences in many]
    found: dict[int, SignFlip] = {}
    for n in {len(values) for values in arrays}:
        places = [place for place, values in enumerate(arrays) if len(values) == n]
        found.update(zip(places, _sign_flips_of(np.stack([arrays[place] for place in places])), strict=True))
    return [found[place] for place in range(len(arrays))]


def _sign_flips_of(values: NDArray[np.float64]) -> list[SignFlip]:
    """One test a row of (tests, n)."""
    tests, n = values.shape
    if n == 0:
        return [SignFlip(math.nan, True, 1.0)] * tests
    rounding = 1e-9 * np.maximum(1.0, np.abs(values).sum(1))  # sums in another order differ by it
    near = np.abs(values.sum(1)) - rounding
    exact, rows = n <= EXACT_SEEDS, max(1, 2**20 // tests)
    counts = np.zeros(tests, np.int64)
    for signs in (_every_sign(n),) if exact else _drawn_signs(n):
        for start in range(0, len(signs), rows):
            counts += (np.abs(signs[start : start + rows] @ values.T) >= near).sum(0)
    if exact:
        return [SignFlip(count / 2**n, True, 2.0 ** (1 - n)) for count in counts.tolist()]
    floor = max(2.0 ** (1 - n), 1 / (FLIPS + 1))
    return [SignFlip((count + 1) / (FLIPS + 1), False, floor) for count in counts.tolist()]


@functools.lru_cache(maxsize=2)
def _every_sign(n: int) -> NDArray[np.float64]:
    """Every combination of n signs, (2^n, n) of +1 and -1."""
    return 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(np.float64)


def _drawn_signs(n: int) -> Iterator[NDArray[np.float64]]:
    """Seeded signs, 100,000 rows of n in all; blocks of 1 MiB or so, kept for the next test where they are few."""
    if n <= _KEPT_SEEDS:
        yield _kept_signs(n)
        return
    stream, rows = numpy_stream("sign-flip", n), max(1, 2**17 // n)
    for start in range(0, FLIPS, rows):
        yield _draw(stream, min(rows, FLIPS - start), n)


@functools.lru_cache(maxsize=2)
def _kept_signs(n: int) -> NDArray[np.float64]:
    return _draw(numpy_stream("sign-flip", n), FLIPS, n)


def _draw(stream: np.random.Generator, rows: int, n: int) -> NDArray[np.float64]:
    return 1.0 - 2.0 * stream.integers(0, 2, size=(rows, n), dtype=np.int8).astype(np.float64)


def correlation(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Pearson's correlation of two strategies' results over common seeds; None under 3 seeds or without spread."""
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if len(a) < 3 or a.std() < _NO_SPREAD or b.std() < _NO_SPREAD:
        return None
    return float(np.corrcoef(a, b)[0, 1])


@dataclass(frozen=True)
class Crossed:
    """Mean difference with a 95 % interval for new seeds and new test images alike, and its degrees of freedom."""

    mean: float
    low: float
    high: float
    df: float


def crossed(differences: NDArray[np.number]) -> Crossed | None:
    """Two-way crossed random effects (seed x image, one observation a cell) on an (n seeds, m images) array.

    Variance of the mean: (MS_seed + max(0, MS_image - MS_residual)) / (n m), degrees of freedom by Satterthwaite, at
    least the n - 1 of the seeds. Values may be of any unit; the interval has the same. None under two seeds or images.
    """
    n, m = differences.shape
    if n < 2 or m < 2:
        return None
    mean = float(differences.mean(dtype=np.float64))
    by_seed = differences.mean(axis=1, dtype=np.float64) - mean
    by_image = differences.mean(axis=0, dtype=np.float64) - mean
    total = float(np.sum(np.square(differences, dtype=np.float64))) - n * m * mean**2
    of_seed, of_image = m * float(by_seed @ by_seed), n * float(by_image @ by_image)
    df_seed, df_image, df_residual = n - 1, m - 1, (n - 1) * (m - 1)
    ms_seed, ms_image = of_seed / df_seed, of_image / df_image
    ms_residual = max(0.0, total - of_seed - of_image) / df_residual
    images = ms_image - ms_residual
    scale = ms_seed + max(0.0, images)
    if scale <= 0.0:
        return Crossed(mean, mean, mean, float(df_seed))
    spread = ms_seed**2 / df_seed
    if images > 0.0:
        spread += ms_image**2 / df_image + ms_residual**2 / df_residual
    df = max(scale**2 / spread, float(df_seed))
    from scipy.special import stdtrit

    half = float(stdtrit(df, 1 - ALPHA / 2)) * math.sqrt(scale / (n * m))
    return Crossed(mean, mean - half, mean + half, df)


def power(difference: float, sd: float, n: int, alpha: float = ALPHA) -> float:
    """Chance that a two-sided paired t test of n differences with this mean and sd has p < ``alpha``."""
    if n < 2:
        return 0.0
    if sd <= 0:
        return 1.0 if difference else alpha
    return _power(abs(difference) / sd, n, alpha)


@functools.lru_cache(maxsize=65536)
def _power(effect: float, n: int, alpha: float) -> float:
    from scipy.special import nctdtr

    df, shift = n - 1, effect * math.sqrt(n)
    bound = critical(df, alpha)
    found = 1.0 - float(nctdtr(df, shift, bound)) + float(nctdtr(df, shift, -bound))
    by_hand = _power_by_quadrature(shift, bound, df)
    # scipy's noncentral t gives NaN for some n and shifts, and loses its digits far out in the tails
    return found if math.isfinite(found) and abs(found - by_hand) < 1e-4 else by_hand


@functools.lru_cache(maxsize=4096)
def critical(df: int, alpha: float) -> float:
    """The t of ``df`` degrees of freedom that a two-sided test at ``alpha`` must exceed."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 1 - alpha / 2))


@functools.lru_cache(maxsize=4096)
def _spread_nodes(df: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights for a mean over s = sd observed / sd true."""
    nodes, weights = _legendre()
    return np.sqrt(_chi_squared((nodes + 1) / 2, df) / df), weights / 2


def _chi_squared(share: NDArray[np.float64], df: int) -> NDArray[np.float64]:
    """The quantiles of chi squared."""
    from scipy.special import gammaincinv

    return np.asarray(2 * gammaincinv(df / 2, share), dtype=np.float64)


@functools.lru_cache(maxsize=1)
def _legendre() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(160)
    return nodes, weights


def _power_by_quadrature(shift: float, critical: float, df: int) -> float:
    from scipy.special import ndtr

    spread, weights = _spread_nodes(df)
    chance = ndtr(shift - critical * spread) + ndtr(-shift - critical * spread)
    return float(weights @ np.asarray(chance))


@functools.lru_cache(maxsize=4096)
def _detectable_effect(n: int, alpha: float, wanted: float) -> float:
    low, high = 0.0, 1.0
    while _power(high, n, alpha) < wanted:
        low, high = high, 2 * high
    while high - low > 1e-10:  # power only grows; scipy.optimize would take longer to import than this
        middle = (low + high) / 2
        low, high = (middle, high) if _power(middle, n, alpha) < wanted else (low, middle)
    return high


def detectable(sd: float, n: int, alpha: float = ALPHA, wanted: float = POWER) -> float | None:
    """The difference in points that n pairs would have shown with the wanted power; None under two pairs."""
    return sd * _detectable_effect(n, alpha, wanted) if n >= 2 else None


def seeds_needed(
    difference: float, sd: float, alpha: float = ALPHA, wanted: float = POWER, most: int = 10**6
) -> int | None:
    """The smallest number of pairs that shows ``difference`` with the wanted power; None if over ``most``."""
    if sd <= 0:
        return 2
    from scipy.special import ndtri

    normal = float(ndtri(1 - alpha / 2) + ndtri(wanted))
    about = (normal * sd / abs(difference)) ** 2 + float(ndtri(1 - alpha / 2)) ** 2 / 2
    if about > most:
        return None
    n = max(2, round(about))
    while n > 2 and power(difference, sd, n - 1, alpha) >= wanted:
        n -= 1
    while power(difference, sd, n, alpha) < wanted:
        n += 1
    return n


def sd_interval(sd: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a normal sample's standard deviation, from its observed value over n >= 2."""
    low, high = np.sqrt((n - 1) / _chi_squared(np.array([0.975, 0.025]), n - 1)).tolist()
    return sd * low, sd * high


def fisher(failed: int, runs: int, base_failed: int, base_runs: int) -> float | None:
    """Fisher's exact two-sided p that two strategies fail equally often; None where one has no runs or none failed."""
    if not runs or not base_runs or failed + base_failed == 0:
        return None
    from scipy import stats

    table = np.array([[failed, runs - failed], [base_failed, base_runs - base_failed]])
    return float(stats.fisher_exact(table).pvalue)


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The unadjusted 95 % t interval of one strategy's mean; None under two values."""
    test = paired(values, margin=1.0)
    return None if math.isnan(test.low) else (test.low, test.high)
