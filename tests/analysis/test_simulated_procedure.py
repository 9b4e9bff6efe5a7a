"""The promise of the verdict procedure against experiments with a known truth. Thinned unless RSC_TORTURE is set.

Full size: every scenario of the core grid, 20,000 experiments each, at most 5.5 % with any wrong verdict. Thinned: one
scenario in nine, 1,000 experiments each, against the binomial quantile that a rate of 5 % would exceed in one of a
hundred whole test sessions.
"""

import os
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from tests.analysis import simulator
from tests.analysis.simulator import Scenario

FULL = bool(os.environ.get("RSC_TORTURE"))
SCENARIOS = [pair for pair in enumerate(simulator.core()) if FULL or pair[0] % 9 == 0]
EXPERIMENTS = simulator.FULL if FULL else 1_000
MOST_WRONG = 0.055 if FULL else stats.binom.isf(0.01 / len(SCENARIOS), EXPERIMENTS, 0.05) / EXPERIMENTS
FAMILIES = sorted({(scenario.groups, scenario.strategies, scenario.seeds) for _, scenario in SCENARIOS})
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("groups", "strategies", "seeds"), FAMILIES)
@pytest.mark.timeout(3600)
def test_at_most_5_percent_of_experiments_hold_any_wrong_verdict(
    groups: int, strategies: int, seeds: int, record_property: Callable[[str, object], None]
) -> None:
    mine = [
        (place, scenario)
        for place, scenario in SCENARIOS
        if (scenario.groups, scenario.strategies, scenario.seeds) == (groups, strategies, seeds)
    ]
    record_property("experiments", EXPERIMENTS * len(mine))
    wrong = {scenario: simulator.rates(scenario, EXPERIMENTS, (1, place)).wrong for place, scenario in mine}
    assert {scenario: rate for scenario, rate in wrong.items() if rate > MOST_WRONG} == {}


def test_the_older_variance_rule_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario(4, 3, 3, 0.8, baseline_sd=1.5, margin=0.01)
    monkeypatch.setattr("resnet_shortcuts.analysis.sequential.POOLED_DF", 3)
    assert simulator.rates(scenario, 4_000, (9,)).wrong > 0.07


def test_looks_that_spend_the_whole_error_each_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario(3, seeds=20, margin=0.01, looks=tuple(range(3, 21)))
    assert simulator.rates(scenario, 2_000, (10,)).wrong <= stats.binom.isf(0.001, 2_000, 0.05) / 2_000
    monkeypatch.setattr("resnet_shortcuts.analysis.sequential.look_levels", lambda sizes: (0.05,) * len(sizes))
    assert simulator.rates(scenario, 2_000, (10,)).wrong > 0.1


@pytest.mark.parametrize("seeds", [5, 10])
def test_the_procedure_finds_more_than_paired_t_at_the_same_seeds(seeds: int) -> None:
    scenario = Scenario(seeds=seeds, effects=(1.9, *(0.0,) * 7), margin=0.01)
    stream = np.random.default_rng(2)
    paired = simulator.holm_rejections(simulator.draw(scenario, 4_000, stream)[0])[:, 0].mean()
    assert simulator.rates(scenario, 4_000, (8, seeds)).better * 8 > paired + 0.02
