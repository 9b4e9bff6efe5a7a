"""Experiments with a known truth: false alarms of the family, power, coverage. Thinned unless RSC_TORTURE is set.

False alarms are bounded by the 95 % quantile of the binomial distribution at 5 %: 116 of 2,000, 12 of 150. A procedure
whose true rate is 5 % sharp would break it in one of twenty such tests; one whose rate is lower, as Holm's is wherever
comparisons share a baseline, hardly ever. Seeds are fixed, so here each of them passes always or never.
"""

import os
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from resnet_shortcuts.analysis import statistics
from resnet_shortcuts.analysis.verdicts import judge
from tests.analysis.made import NET, of_accuracies

Note = Callable[[str, object], None]
FULL = bool(os.environ.get("RSC_TORTURE"))
EXPERIMENTS = 2000 if FULL else 150
MOST_ALARMS = stats.binom.ppf(0.95, EXPERIMENTS, 0.05)
STRATEGIES = [f"s{i}" for i in range(8)]
pytestmark = pytest.mark.slow


def simulate(
    stream: np.random.Generator, effects: dict[str, float], seeds: int, shared: float = 0.15
) -> dict[str, str]:
    """Verdict of each strategy in one experiment: sd 0.16 of each run, ``shared`` by all runs of a seed."""
    of_seed = shared * stream.normal(size=seeds)
    accuracies = {
        name: list(90 + effect + of_seed + 0.16 * stream.normal(size=seeds)) for name, effect in effects.items()
    }
    return {one.shortcut: one.verdict for one in judge(of_accuracies(accuracies), "A").comparisons}


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("real", [0, 3])
def test_false_alarms_of_the_family_stay_under_5_percent(seeds: int, real: int, record_property: Note) -> None:
    record_property("experiments", EXPERIMENTS)
    stream = np.random.default_rng([6, seeds, real])
    effects = {"A": 0.0, **{name: 0.5 if i < real else 0.0 for i, name in enumerate(STRATEGIES)}}
    alarms = 0
    for _ in range(EXPERIMENTS):
        verdicts = simulate(stream, effects, seeds)
        alarms += any(verdicts[name] in ("better", "worse") for name in STRATEGIES[real:])
    assert alarms <= MOST_ALARMS


def test_equal_within_the_margin_is_seldom_said_of_what_is_not(record_property: Note) -> None:
    record_property("experiments", EXPERIMENTS)
    stream = np.random.default_rng(7)
    effects = {"A": 0.0, **dict.fromkeys(STRATEGIES, 0.2)}  # every one exactly at the margin: the hardest truth
    wrong = 0
    for _ in range(EXPERIMENTS):
        wrong += "equal within the margin" in simulate(stream, effects, 10).values()
    # eight one-sided tests that share a baseline, each adjusted: the family's error stays under 5 %
    assert wrong <= MOST_ALARMS


@pytest.mark.parametrize(("seeds", "difference"), [(5, 0.7), (10, 0.33), (20, 0.2), (20, 0.15)])
def test_power_is_the_rate_at_which_a_planted_difference_is_declared(
    seeds: int, difference: float, record_property: Note
) -> None:
    record_property("experiments", EXPERIMENTS)
    stream = np.random.default_rng([8, seeds])
    effects = {"A": 0.0, **dict.fromkeys(STRATEGIES, 0.0), "s0": difference}
    found = sum(simulate(stream, effects, seeds)["s0"] == "better" for _ in range(EXPERIMENTS))
    power = statistics.power(difference, 0.16 * 2**0.5, seeds, 0.05 / 8)
    error = 3 * (power * (1 - power) / EXPERIMENTS) ** 0.5
    assert found / EXPERIMENTS == pytest.approx(power, abs=0.05 if FULL else 0.05 + error)


@pytest.mark.parametrize("seeds", [5, 10, 20])
def test_the_paired_interval_covers_the_truth_on_a_fixed_test_set(seeds: int, record_property: Note) -> None:
    stream = np.random.default_rng([9, seeds])
    tries = 10 * EXPERIMENTS
    tests = [statistics.paired(stream.normal(0.3, 0.2, size=seeds), 0.2) for _ in range(tries)]
    record_property("experiments", tries)
    covered = sum(test.low <= 0.3 <= test.high for test in tests) / tries
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize("seeds", [5, 10, 20])
@pytest.mark.parametrize(
    ("of_seed", "of_image", "rest"),
    [(1.0, 0.3, 1.0), (0.05, 1.0, 0.5), (0.0, 0.0, 1.0)],
    ids=["seed", "image", "residual"],
)
def test_the_crossed_interval_covers_the_truth_under_new_images(
    seeds: int, of_seed: float, of_image: float, rest: float, record_property: Note
) -> None:
    stream = np.random.default_rng([10, seeds])
    images, tries = 120, 3000 if FULL else 1200
    record_property("experiments", tries)
    covered = 0
    for _ in range(tries):
        cells = of_seed * stream.normal(size=(seeds, 1)) + of_image * stream.normal(size=(1, images))
        found = statistics.crossed(cells + rest * stream.normal(size=(seeds, images)))
        assert found is not None
        covered += found.low <= 0 <= found.high
    slack = 0.0 if FULL else 2 * (0.05 * 0.95 / tries) ** 0.5
    assert 0.93 - slack <= covered / tries <= 0.97 + slack


def test_letters_give_no_false_difference_in_more_than_5_percent(record_property: Note) -> None:
    record_property("experiments", EXPERIMENTS)
    stream = np.random.default_rng(11)
    alarms = 0
    for _ in range(EXPERIMENTS):
        accuracies = {name: list(90 + 0.16 * stream.normal(size=6)) for name in ["A", *STRATEGIES]}
        verdicts = judge(of_accuracies(accuracies), "A")
        alarms += len({verdicts.letters[NET, name] for name in accuracies}) > 1
    assert alarms <= MOST_ALARMS
