"""The mathematics of the verdicts against scipy, hand counts and simulated experiments."""

import numpy as np
import pytest
from scipy import stats

from resnet_shortcuts.analysis import sequential
from resnet_shortcuts.analysis.planning import Design, Spread, seeds_for, seeds_to_settle
from resnet_shortcuts.analysis.sequential import LookData
from resnet_shortcuts.experiments.verdict_seal import VerdictSeal, look_sizes


def data(differences: np.ndarray, least_sd: float = 0.0, own: bool = False, pools: object = None) -> LookData:
    """Differences of one experiment, (comparisons, n)."""
    shape = differences.shape[:1]
    never = np.zeros((1, *shape), bool)
    at = np.zeros(shape, np.int64) if pools is None else np.asarray(pools)
    return LookData(differences[None], np.full((1, *shape), own), never, at, least_sd)


@pytest.mark.parametrize(
    ("seeds", "sizes"),
    [(1, ()), (2, ()), (3, (3,)), (6, (6,)), (7, (3, 5, 7)), (10, (4, 7, 10)), (20, (8, 14, 20)), (30, (12, 21, 30))],
)
def test_looks_are_at_40_70_and_100_percent(seeds: int, sizes: tuple[int, ...]) -> None:
    assert look_sizes(seeds) == sizes


def test_the_error_spent_is_the_obrien_fleming_type_function_and_sums_to_5_percent() -> None:
    levels = sequential.look_levels((4, 7, 10))
    spent = [2 * stats.norm.sf(stats.norm.isf(0.025) / share**0.5) for share in (0.4, 0.7, 1.0)]
    assert np.cumsum(levels) == pytest.approx(spent)
    assert sum(levels) == pytest.approx(0.05)
    assert levels[0] == pytest.approx(0.00194, abs=1e-5)  # 2 - 2 Phi(3.099)


def test_an_own_variance_gives_scipys_paired_t_interval() -> None:
    differences = np.random.default_rng(1).normal(0.2, 0.3, (3, 6))
    decisions = sequential.decide((6,), 0.2, 3, lambda n: data(differences[:, :n]))
    for place, values in enumerate(differences):
        expected = stats.ttest_1samp(values, 0).confidence_interval(1 - 0.05 / 3)
        assert decisions.at.low[0, place] == pytest.approx(expected.low)
        assert decisions.at.high[0, place] == pytest.approx(expected.high)
        assert decisions.at.df[0, place] == 5


def test_a_pooled_variance_is_two_thirds_of_the_capped_mean_and_one_third_its_own() -> None:
    stream = np.random.default_rng(2)
    differences = stream.normal(0, 1, (6, 5)) * np.array([1, 1, 1, 1, 10, 1])[:, None]
    own = np.array([np.var(values, ddof=1) for values in differences])
    pool = [min(value, 3 * np.median(own[:5])) for value in own[:5]]  # the last one is of another network
    variance, df = sequential.moderated(own[None], own[None], np.array([0, 0, 0, 0, 0, 1]), 5)
    assert variance[0, :5] == pytest.approx(2 / 3 * np.mean(pool) + own[:5] / 3)
    assert variance[0, 5] == own[5]
    assert df.tolist() == [[8, 8, 8, 8, 8, 4]]


def test_fewer_than_four_in_the_pool_keep_their_own_variances() -> None:
    own = np.array([[1.0, 2.0, 3.0, 50.0]])
    poolable = np.array([[1.0, 2.0, 3.0, np.nan]])
    variance, df = sequential.moderated(own, poolable, np.zeros(4, np.int64), 4)
    assert variance.tolist() == own.tolist()
    assert df.tolist() == [[3, 3, 3, 3]]


def test_a_comparison_outside_the_pool_neither_gives_nor_takes_its_variance() -> None:
    own = np.array([[1.0, 2.0, 3.0, 4.0, 500.0]])
    poolable = np.where(own < 100, own, np.nan)
    variance, _ = sequential.moderated(own, poolable, np.zeros(5, np.int64), 4)
    assert variance[0] == pytest.approx([2 / 3 * 2.5 + value / 3 for value in (1, 2, 3, 4)] + [500])


def test_a_batch_decides_each_experiment_as_if_it_were_alone() -> None:
    batch = np.random.default_rng(3).normal(0.4, 0.3, (40, 5, 10))
    batch[7, 2, 8:] = np.nan  # one experiment waits
    pools, never = np.array([0, 0, 0, 0, 1]), np.zeros((40, 5), bool)
    together = sequential.decide((4, 7, 10), 0.5, 5, lambda n: LookData(batch[:, :, :n], never, never, pools))
    assert len(np.unique(together.look)) > 2
    for place, differences in enumerate(batch):
        alone = sequential.decide((4, 7, 10), 0.5, 5, lambda n, d=differences: data(d[:, :n], pools=pools))  # type: ignore[misc]
        for name in ("taken", "look", "sign", "within"):
            assert np.array_equal(getattr(alone, name)[0], getattr(together, name)[place])
        assert np.array_equal(alone.at.low[0], together.at.low[place], equal_nan=True)


def test_a_decided_comparison_may_be_dropped_without_changing_the_others() -> None:
    stream = np.random.default_rng(4)
    kept = stream.normal(0, 0.3, (5, 10))
    kept[0] += 5
    dropped = kept.copy()
    dropped[0, 4:] = np.nan
    both = [sequential.decide((4, 7, 10), 0.3, 5, lambda n, d=d: data(d[:, :n])) for d in (kept, dropped)]  # type: ignore[misc]
    assert both[0].look[0, 0] == 1
    assert both[1].taken[0] == 3
    assert np.array_equal(both[0].at.low, both[1].at.low)
    assert np.array_equal(both[0].sign, both[1].sign)


def test_equal_accuracies_are_no_certainty_but_identical_predictions_are() -> None:
    zeros = np.zeros((1, 3))
    weight = 1.0  # points of one of 100 test images
    by_chance = sequential.decide((3,), weight, 1, lambda n: data(zeros, least_sd=weight / 6**0.5))
    assert by_chance.at.high[0, 0] == pytest.approx(stats.t.ppf(0.975, 2) * weight / 6**0.5 / 3**0.5)
    assert not by_chance.within[0, 0]
    same = LookData(zeros[None], np.zeros((1, 1), bool), np.ones((1, 1), bool), np.zeros(1, np.int64), weight)
    identical = sequential.decide((3,), weight, 1, lambda n: same)
    assert identical.within[0, 0]
    assert (identical.at.low[0, 0], identical.at.high[0, 0]) == (0, 0)


def test_no_interval_reaches_beyond_what_an_accuracy_can_be() -> None:
    wild = sequential.decide((3,), 0.2, 8, lambda n: data(np.array([[-60.0, 10.0, 60.0]])))
    assert (wild.at.low[0, 0], wild.at.high[0, 0]) == (-100, 100)


@pytest.mark.parametrize("changes", [
    {"looks": (3, 9)}, {"looks": (7, 4, 10)}, {"looks": (2, 10)}, {"looks": ()}, {"strategies": ("A", "B")},
    {"seeds": (0, 0, 1)}, {"margin": 0.0}, {"margin": 0.009}, {"margin": float("nan")},
])  # fmt: skip
def test_a_seal_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    good = {"seeds": tuple(range(10)), "looks": (4, 7, 10), "margin": 0.2, "baseline": "A", "networks": ("net",),
            "strategies": ("B", "C"), "classes": 10, "test_images": 10_000}  # fmt: skip
    assert VerdictSeal.model_validate(good).family == 2
    with pytest.raises(ValueError):
        VerdictSeal.model_validate({**good, **changes})


@pytest.mark.parametrize(("family", "seeds", "pooled"), [(1, 5, False), (8, 10, True), (4, 20, False)])
@pytest.mark.parametrize("effect", [0.5, 1.5])
def test_power_is_what_drawing_gives(family: int, seeds: int, pooled: bool, effect: float) -> None:
    design = Design(family, seeds, pooled)
    stream = np.random.default_rng([5, seeds])
    df, draws = design.df, 40_000
    mean = stream.normal(effect, 1 / seeds**0.5, draws)
    half = stats.t.ppf(1 - design.error / 2, df) * np.sqrt(stream.chisquare(df, draws) / df / seeds)
    assert design.power(effect, 1.0) == pytest.approx(np.mean(mean > half), abs=0.01)
    centred = np.abs(mean - effect) + half < 2 * effect
    assert design.power_of_equivalence(2 * effect, 1.0) == pytest.approx(np.mean(centred), abs=0.01)


def test_four_of_five_pilots_keep_the_power_that_seeds_for_announces() -> None:
    stream, kept = np.random.default_rng(6), 0
    pilots = [float(np.std(stream.normal(0, 1, 5), ddof=1)) for _ in range(400)]
    for sd in pilots:
        seeds = seeds_for(1.0, Spread(sd, 4), 8, pooled=False)
        assert seeds is not None
        kept += Design(8, seeds, pooled=False).power(1.0, 1.0) >= 0.8
    assert kept >= stats.binom.ppf(0.01, 400, 0.8)


def test_detectable_differences_have_the_power_that_is_announced_and_none_is_beyond_100() -> None:
    design = Design(8, 10)
    shown = design.detectable(Spread(0.3, 18))
    assert shown is not None
    assert design.power(shown, Spread(0.3, 18).upper()) == pytest.approx(0.8, abs=1e-4)
    assert Spread(1.0, 18).upper() == pytest.approx((18 / stats.chi2.ppf(0.2, 18)) ** 0.5)
    assert Design(8, 3, pooled=False).detectable(Spread(20.0, 2)) is None
    assert Design(8, 2).detectable(Spread(0.3)) is None


def test_seeds_are_the_fewest_that_do() -> None:
    seeds = seeds_to_settle(0.2, Spread(0.25), 8)
    assert seeds is not None
    for count, enough in ((seeds, True), (seeds - 1, False)):
        design = Design(8, count)
        assert (min(design.power(0.2, 0.25), design.power_of_equivalence(0.2, 0.25)) >= 0.8) == enough
    largest = Design(8, seeds).largest_sd(0.2)
    assert largest is not None
    assert largest >= 0.25
    assert seeds_for(1e-4, Spread(5.0), 8) is None
