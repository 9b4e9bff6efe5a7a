"""Numbers against scipy and statsmodels, against tables worked out elsewhere, and against brute force."""

import itertools
import math
import warnings
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from resnet_shortcuts.analysis import statistics

unhurried = settings(deadline=None, max_examples=60)  # the machine is shared

VALUES = st.lists(st.floats(-50, 50), min_size=2, max_size=25).filter(lambda values: np.std(values) > 1e-3)


@unhurried
@given(VALUES, st.floats(0.01, 5))
def test_paired_t_intervals_and_equivalence_equal_scipy_and_statsmodels(values: list[float], margin: float) -> None:
    from statsmodels.stats.weightstats import DescrStatsW

    ours, theirs = statistics.paired(values, margin), stats.ttest_rel(values, np.zeros(len(values)))
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)), rel=1e-9, abs=1e-9)
    assert (ours.low90, ours.high90) == pytest.approx(tuple(theirs.confidence_interval(0.90)), rel=1e-9, abs=1e-9)
    assert ours.p_equal == pytest.approx(DescrStatsW(values).ttost_mean(-margin, margin)[0], rel=1e-7, abs=1e-12)


@unhurried
@given(VALUES, st.floats(0.01, 5))
def test_equivalence_is_the_90_percent_interval_inside_the_margin(values: list[float], margin: float) -> None:
    test = statistics.paired(values, margin)
    assert (test.p_equal < 0.05) == (-margin < test.low90 and test.high90 < margin)


@unhurried
@given(VALUES, st.floats(0.01, 5), st.sampled_from(["less", "greater"]))
def test_beyond_equals_scipys_one_sided_test(
    values: list[float], bound: float, side: Literal["less", "greater"]
) -> None:
    wanted = stats.ttest_1samp(values, bound, alternative=side).pvalue
    assert statistics.beyond(values, bound, side) == pytest.approx(wanted, rel=1e-7, abs=1e-12)


def test_beyond_of_equal_differences_is_a_sign_test() -> None:
    assert statistics.beyond([0.5] * 4, 0.2, "greater") == 2**-4
    assert statistics.beyond([0.5] * 4, 0.2, "less") == 1
    assert statistics.beyond([0.5] * 4, 0.5, "greater") == 1


@pytest.mark.parametrize("size", [1, 2, 8, 36, 180])
def test_holm_equals_statsmodels(size: int) -> None:
    from statsmodels.stats.multitest import multipletests

    p_values = np.random.default_rng(size).random(size) ** 4
    p_values[size // 2] = p_values[0]
    assert statistics.holm(list(p_values)) == pytest.approx(list(multipletests(p_values, method="holm")[1]), abs=1e-15)


def test_holm_leaves_what_was_not_tested_out_of_the_family() -> None:
    adjusted = statistics.holm([0.01, math.nan, 0.02])
    assert adjusted[::2] == [0.02, 0.02]
    assert math.isnan(adjusted[1])
    assert statistics.holm([]) == []


@unhurried
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_exact_sign_flip_equals_counting_every_flip(values: list[int]) -> None:
    flips = itertools.product((-1, 1), repeat=len(values))
    as_far = [abs(sum(s * v for s, v in zip(signs, values, strict=True))) >= abs(sum(values)) for signs in flips]
    found = statistics.sign_flip([v / 3 for v in values])
    assert found.exact
    assert found.p == pytest.approx(sum(as_far) / len(as_far))


def test_exact_sign_flip_equals_scipys_permutation_test() -> None:
    values = np.random.default_rng(3).normal(0.5, size=11)
    theirs = stats.permutation_test(
        (values,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert statistics.sign_flip(values).p == pytest.approx(theirs.pvalue)


def test_sign_flip_beyond_14_seeds_is_seeded_close_and_never_zero() -> None:
    values = np.random.default_rng(4).normal(0.4, size=16)
    first, again = statistics.sign_flip(values), statistics.sign_flip(values)
    signs = 1 - 2 * ((np.arange(2**16)[:, None] >> np.arange(16)) & 1)
    exact = np.mean(np.abs(signs @ values) >= abs(values.sum()) - 1e-9)
    assert first == again
    assert not first.exact
    assert first.p == pytest.approx(exact, abs=4 * math.sqrt(exact / 1e5))
    assert statistics.sign_flip(np.ones(30)).p > 0


def test_sign_flip_of_a_thousand_seeds_takes_no_gigabyte() -> None:
    values = np.random.default_rng(12).normal(0.05, size=1500)
    normal = 2 * stats.norm.sf(abs(values.sum()) / math.sqrt(values @ values))
    assert statistics.sign_flip(values).p == pytest.approx(normal, abs=0.01)


@pytest.mark.parametrize(("n", "floor"), [(5, 0.0625), (6, 0.03125), (9, 0.00390625)])
def test_sign_flip_floor(n: int, floor: float) -> None:
    assert statistics.sign_flip(np.arange(1.0, n + 1)).p == statistics.sign_flip(np.arange(1.0, n + 1)).floor == floor


# `published-numbers.md`: seeds for a difference with 80 % power, sd of 0.16 between seeds, correlation 0
@pytest.mark.parametrize(
    ("alpha", "wanted"),
    [(0.05, {0.05: 163, 0.1: 43, 0.2: 13, 0.3: 7}), (0.05 / 8, {0.05: 266, 0.1: 70, 0.2: 21, 0.3: 12})],
)
def test_seeds_needed_equal_the_table(alpha: float, wanted: dict[float, int]) -> None:
    sd = 0.16 * math.sqrt(2)
    assert {difference: statistics.seeds_needed(difference, sd, alpha) for difference in wanted} == wanted


@pytest.mark.parametrize(("n", "wanted"), [(3, 2.1), (5, 0.67), (10, 0.325), (20, 0.201)])
def test_detectable_difference_equals_the_table(n: int, wanted: float) -> None:
    assert statistics.detectable(0.16 * math.sqrt(2), n, 0.05 / 8) == pytest.approx(wanted, rel=0.01)


@unhurried
@given(st.floats(0.05, 3), st.integers(3, 60), st.sampled_from([0.05, 0.01, 0.05 / 8, 0.05 / 40]))
def test_power_equals_statsmodels(effect: float, n: int, alpha: float) -> None:
    from statsmodels.stats.power import TTestPower

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = TTestPower().power(effect, n, alpha, alternative="two-sided")
    ours = statistics.power(effect, 1.0, n, alpha)
    assert 0 <= ours <= 1
    if math.isfinite(theirs):
        assert ours == pytest.approx(theirs, abs=2e-4)


@unhurried
@given(st.floats(0, 60), st.integers(2, 40), st.floats(1e-5, 0.1))
def test_power_is_never_nan_and_grows_with_the_effect(effect: float, n: int, alpha: float) -> None:
    power = statistics.power(effect, 1.0, n, alpha)
    assert 0 <= power <= 1
    assert statistics.power(effect + 1, 1.0, n, alpha) >= power - 1e-4


def test_power_where_scipys_noncentral_t_is_not_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    import scipy.special

    right = statistics.power(2.0, 1.0, 3, 0.00625)
    statistics._power.cache_clear()
    monkeypatch.setattr(scipy.special, "nctdtr", lambda *_: math.nan)
    assert statistics.power(2.0, 1.0, 3, 0.00625) == pytest.approx(right, abs=1e-4)
    statistics._power.cache_clear()


@unhurried
@given(st.floats(0.02, 2), st.floats(0.05, 1), st.sampled_from([0.05, 0.00625]))
def test_seeds_needed_is_the_smallest_number_that_reaches_the_power(difference: float, sd: float, alpha: float) -> None:
    n = statistics.seeds_needed(difference, sd, alpha)
    assert n is not None
    assert statistics.power(difference, sd, n, alpha) >= 0.8
    assert n == 2 or statistics.power(difference, sd, n - 1, alpha) < 0.8


def test_sd_of_five_seeds_is_known_within_0_6_to_2_9() -> None:
    assert statistics.sd_interval(1.0, 5) == pytest.approx((0.6, 2.87), abs=0.01)


def test_crossed_equals_a_two_way_anova_by_statsmodels() -> None:
    import pandas as pd
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    stream = np.random.default_rng(5)
    n, m = 4, 12
    cells = stream.normal(size=(n, 1)) + stream.normal(size=(1, m)) + stream.normal(size=(n, m))
    frame = pd.DataFrame({"y": cells.ravel(), "s": np.repeat(range(n), m), "i": np.tile(range(m), n)})
    squares = anova_lm(ols("y ~ C(s) + C(i)", frame).fit())["mean_sq"]
    seed, image, rest = squares["C(s)"], squares["C(i)"], squares["Residual"]
    scale = seed + max(0, image - rest)
    df = scale**2 / (seed**2 / (n - 1) + image**2 / (m - 1) + rest**2 / ((n - 1) * (m - 1)))
    half = stats.t.ppf(0.975, df) * math.sqrt(scale / (n * m))
    found = statistics.crossed(cells)
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx(
        (cells.mean(), cells.mean() - half, cells.mean() + half)
    )
    assert found.df == pytest.approx(df)


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (0, 5)])
def test_crossed_needs_two_of_each(shape: tuple[int, int]) -> None:
    assert statistics.crossed(np.zeros(shape)) is None


def test_crossed_of_identical_results_is_a_point() -> None:
    found = statistics.crossed(np.zeros((3, 7), dtype=np.int8))
    assert found is not None
    assert (found.mean, found.low, found.high) == (0, 0, 0)


def test_fisher_equals_scipy_and_is_silent_without_failures() -> None:
    assert statistics.fisher(5, 10, 0, 10) == pytest.approx(stats.fisher_exact([[5, 5], [0, 10]]).pvalue)
    assert statistics.fisher(0, 10, 0, 10) is None
    assert statistics.fisher(1, 0, 0, 10) is None


def test_equal_differences_have_no_t_but_an_honest_p() -> None:
    same = statistics.paired([0.0] * 5, 0.2)
    assert (same.p, same.p_equal, same.constant) == (1.0, 0.0, True)
    shifted = statistics.paired([0.1 + 0.2] * 5, 0.5)
    assert (shifted.p, shifted.p_equal, shifted.constant) == (0.0625, 2.0**-5, True)
    assert statistics.paired([0.3] * 5, 0.2).p_equal == 1.0


def test_too_few_values_give_nan_and_no_warning() -> None:
    for values in ([], [1.0]):
        test = statistics.paired(values, 0.2)
        assert test.n == len(values)
        assert math.isnan(test.p)


def test_correlation_is_measured_or_not_known() -> None:
    assert statistics.correlation([1, 2, 3, 4], [2, 4, 6, 8.5]) == pytest.approx(
        np.corrcoef([1, 2, 3, 4], [2, 4, 6, 8.5])[0, 1]
    )
    assert statistics.correlation([1, 1, 1], [1, 2, 3]) is None
    assert statistics.correlation([1, 2], [1, 2]) is None
