"""The race on a fake clock: planted times, known truths, no real time."""

from collections.abc import Callable
from itertools import count

import numpy as np
import pytest
from scipy import stats

from resnet_shortcuts.cost.timing import Timings, median_interval, race


class FakeClock:
    """A clock that stands still until a contestant's turn moves it on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now

    def contestant(self, name: str, seconds: Callable[[], float]) -> Callable[[], float]:
        def turn() -> float:
            took = seconds()
            self.now += took
            self.order.append(name)
            return took

        return turn


def noisy(mean: float, sd: float, seed: int) -> Callable[[], float]:
    draw = np.random.default_rng(seed)
    return lambda: float(mean * np.exp(draw.normal(0, sd)))


def constant(value: float) -> Callable[[], float]:
    return lambda: value


@pytest.mark.parametrize("n", [6, 10, 30, 57, 400])
def test_the_interval_is_the_binomial_one(n: int) -> None:
    low, high = median_interval([float(value) for value in range(1, n + 1)]) or (0.0, 0.0)
    k = int(low)
    assert high == n + 1 - k
    assert 1 - 2 * stats.binom.cdf(k - 1, n, 0.5) >= 0.95
    assert 1 - 2 * stats.binom.cdf(k, n, 0.5) < 0.95


@pytest.mark.parametrize("n", [0, 1, 5])
def test_too_few_values_have_no_interval(n: int) -> None:
    assert median_interval([1.0] * n) is None


def test_every_round_runs_each_contestant_once_in_an_order_of_its_own() -> None:
    clock = FakeClock()
    names = ["A", "B", "C", "D"]
    timings = race(
        {name: clock.contestant(name, constant(0.1)) for name in names},
        "A", seconds=1e9, max_rounds=20, min_rounds=100, warm_up=2, clock=clock,
    )  # fmt: skip
    rounds = [clock.order[start : start + 4] for start in range(8, len(clock.order), 4)]
    assert timings.rounds == len(rounds) == 20
    assert timings.stopped == "rounds"
    assert all(sorted(order) == names for order in rounds)
    assert len({tuple(order) for order in rounds}) > 5
    assert clock.order[:8] == names * 2  # the warm-up


def test_it_stops_at_precision_but_never_before_the_least_rounds() -> None:
    clock = FakeClock()
    turns = {"A": clock.contestant("A", constant(1.0)), "B": clock.contestant("B", constant(1.1))}
    timings = race(turns, "A", seconds=1e9, min_rounds=30, clock=clock)
    assert (timings.stopped, timings.rounds) == ("precision", 30)
    assert timings.ratio("B") == pytest.approx(1.1)
    assert timings.ratio_interval("B") == pytest.approx((1.1, 1.1))


def test_a_noisier_race_goes_on_until_the_ratio_is_known() -> None:
    clock = FakeClock()
    turns = {name: clock.contestant(name, noisy(1.0, 0.06, seed)) for seed, name in enumerate("AB")}
    timings = race(turns, "A", seconds=1e9, min_rounds=30, max_rounds=5000, clock=clock)
    assert timings.stopped == "precision"
    assert timings.rounds > 60
    low, high = timings.ratio_interval("B") or (0.0, 9.0)
    assert max(high - timings.ratio("B"), timings.ratio("B") - low) <= 0.02 * timings.ratio("B")


def test_it_ends_within_the_budget_and_says_so() -> None:
    clock = FakeClock()
    turns = {name: clock.contestant(name, noisy(1.0, 0.5, seed)) for seed, name in enumerate("AB")}
    timings = race(turns, "A", seconds=100.0, clock=clock)
    assert timings.stopped == "budget"
    assert 70 < clock.now <= 100


@pytest.mark.parametrize("seconds", [0.0, -3.0, 0.5])
def test_the_smallest_budget_still_gives_everyone_a_figure(seconds: float) -> None:
    clock = FakeClock()
    turns = {name: clock.contestant(name, constant(1.0)) for name in "ABC"}
    timings = race(turns, "A", seconds=seconds, clock=clock)
    assert (timings.rounds, timings.stopped) == (1, "budget")
    assert clock.order[:3] == ["A", "B", "C"]  # one warm-up turn each
    assert len(clock.order) == 6
    assert timings.median("C") == 1.0
    assert timings.ratio_interval("C") is None


def test_drift_of_the_machine_cancels() -> None:
    """A machine that becomes three times slower while it measures does not move the paired ratio."""
    clock = FakeClock()
    steps = count()

    def slower_and_slower() -> float:
        return 1.0 + next(steps) / 200

    turns = {
        "A": clock.contestant("A", slower_and_slower),
        "B": clock.contestant("B", lambda: 1.05 * slower_and_slower()),
    }
    timings = race(turns, "A", seconds=1e9, max_rounds=200, min_rounds=1000, clock=clock)
    assert timings.seconds["A"][-1] / timings.seconds["A"][0] > 2.5
    assert timings.ratio("B") == pytest.approx(1.05, abs=0.003)


def planted(seed: int, slower: float = 1.05, sd: float = 0.04) -> Timings:
    """A race of the baseline, itself again and a strategy `slower` times as slow; bursts hit one turn in ten."""
    clock, draw = FakeClock(), np.random.default_rng(seed)

    def turn(mean: float) -> Callable[[], float]:
        return lambda: float(mean * np.exp(draw.normal(0, sd)) * (1.5 if draw.random() < 0.1 else 1.0))

    turns = {
        name: clock.contestant(name, turn(mean))
        for name, mean in (("A", 0.02), ("again", 0.02), ("slow", 0.02 * slower))
    }
    return race(turns, "A", seconds=1e9, max_rounds=2000, seed=seed, clock=clock)


def test_a_strategy_planted_five_percent_slower_is_found() -> None:
    holds = control = 0
    for seed in range(100):
        timings = planted(seed)
        low, high = timings.ratio_interval("slow") or (0.0, 0.0)
        holds += low <= 1.05 <= high
        low, high = timings.ratio_interval("again") or (0.0, 0.0)
        control += low <= 1.0 <= high
    assert holds >= 88  # at a coverage of 95 % fewer happen once in 200 such series
    assert control >= 88
