"""Main effects and interactions of a grid of shortcuts, against statsmodels, a hand count and a known truth."""

import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from resnet_shortcuts.analysis.experiment_records import RunRecord
from resnet_shortcuts.analysis.factorial import factorial_effects
from resnet_shortcuts.shortcuts.catalogue import find

NET = "cifar-resnet-20"
GRID = {
    ("stride", "pad"): "stride-pad", ("stride", "duplicate"): "stride-duplicate", ("stride", "conv-bn"): "projection",
    ("avg", "pad"): "avg-pad", ("avg", "duplicate"): "avg-duplicate", ("avg", "conv-bn"): "avg-projection",
    ("max", "pad"): "max-pad", ("max", "duplicate"): "max-duplicate", ("max", "conv-bn"): "max-projection",
}  # fmt: skip


def run(name: str, seed: int, accuracy: float | None, network: str = NET) -> RunRecord:
    built_of = ({"name": network}, find(name).identity())
    if accuracy is None:
        return RunRecord(network, name, seed, "diverged", built_of=built_of)
    return RunRecord(network, name, seed, test_accuracy=accuracy, built_of=built_of)


def drawn(names: list[str], seeds: int = 6, network: str = NET, seed: int = 0) -> list[RunRecord]:
    stream = np.random.default_rng(seed)
    shared = stream.normal(0, 2, seeds)
    return [run(name, n, 80 + shared[n] + stream.normal(), network) for name in names for n in range(seeds)]


def test_the_effects_are_those_of_a_linear_model_on_all_runs() -> None:
    runs = drawn([*GRID.values(), "plain", "projection-all"])
    found = factorial_effects(runs, margin=0.5)
    assert found is not None
    assert found.strategies == GRID
    assert (found.spatial, found.channels) == (["stride", "avg", "max"], ["pad", "duplicate", "conv-bn"])
    parts = {name: parts for parts, name in GRID.items()}
    frame = pd.DataFrame([(*parts[r.shortcut], r.seed, r.test_accuracy) for r in runs if r.shortcut in parts])
    frame.columns = ["spatial", "channels", "seed", "accuracy"]
    dummies = pd.get_dummies(frame[["spatial", "channels", "seed"]].astype(str), drop_first=False, dtype=float)
    columns = [c for c in dummies if c not in ("spatial_stride", "channels_pad", "seed_0")]
    fit = sm.OLS(frame.accuracy, sm.add_constant(dummies[columns])).fit()
    means = {(e.factor, e.level, e.reference): e.interval.mean for e in found.effects if e.within is None}
    assert means["spatial", "avg", "stride"] == pytest.approx(fit.params["spatial_avg"])
    assert means["spatial", "max", "stride"] == pytest.approx(fit.params["spatial_max"])
    assert means["channels", "conv-bn", "pad"] == pytest.approx(fit.params["channels_conv-bn"])
    (inter,) = [
        e for e in found.effects if e.within == ("duplicate", "pad") and (e.level, e.reference) == ("avg", "stride")
    ]
    cell = frame.groupby(["spatial", "channels"]).accuracy.mean()
    by_hand = (cell["avg", "duplicate"] - cell["stride", "duplicate"]) - (cell["avg", "pad"] - cell["stride", "pad"])
    assert inter.interval.mean == pytest.approx(by_hand)
    assert len(found.effects) == 3 + 3 + 9


def test_every_run_of_the_grid_moves_a_main_effect() -> None:
    runs = drawn(list(GRID.values()), seeds=3)
    before = factorial_effects(runs, margin=0.5)
    assert before is not None
    for place in range(len(runs)):
        changed = [*runs]
        changed[place] = run(runs[place].shortcut, runs[place].seed, (runs[place].test_accuracy or 0) + 3)
        after = factorial_effects(changed, margin=0.5)
        assert after is not None
        pairs = zip(before.effects, after.effects, strict=True)
        assert sum(a.interval.mean != b.interval.mean for a, b in pairs if a.within is None) == 4


def test_networks_weigh_alike_and_incomplete_seeds_are_left_out() -> None:
    names = [GRID[a, b] for a, b in itertools.product(("stride", "avg"), ("pad", "duplicate"))]
    first, second = drawn(names, 5), drawn(names, 5, "cifar-resnet-56", seed=1)
    alone = [factorial_effects(runs, margin=0.5) for runs in (first, second)]
    both = factorial_effects([*first, *second[:-1]], margin=0.5)
    assert both is not None
    assert (list(both.seeds), list(both.left_out)) == ([0, 1, 2, 3], [4])
    whole = factorial_effects([*first, *second], margin=0.5)
    assert whole is not None
    for place, effect in enumerate(whole.effects):
        assert effect.interval.mean == pytest.approx(
            np.mean([each.effects[place].interval.mean for each in alone if each])
        )


def test_a_diverged_run_enters_at_chance_and_no_grid_gives_nothing() -> None:
    names = [GRID[a, b] for a, b in itertools.product(("stride", "avg"), ("pad", "duplicate"))]
    runs = [run(name, seed, 90.0) for name in names for seed in range(4)]
    runs[-1] = run(names[-1], 3, None)
    without, at_chance = factorial_effects(runs, 0.5), factorial_effects(runs, 0.5, chance=10.0)
    assert without is not None
    assert list(without.left_out) == [3]
    assert at_chance is not None
    assert at_chance.effects[0].interval.mean == pytest.approx(-80 / 4 / 2)
    assert factorial_effects(drawn(["stride-pad", "plain", "projection-all"]), 0.5) is None
    assert factorial_effects(drawn(list(GRID.values()), seeds=2), 0.5) is None


def test_intervals_hold_together_and_words_are_read_off_them() -> None:
    names, stream, wrong = list(GRID.values()), np.random.default_rng(3), 0
    for _ in range(200):
        shared = stream.normal(0, 1, 5)
        runs = [run(name, n, 80 + shared[n] + stream.normal()) for name in names for n in range(5)]
        found = factorial_effects(runs, margin=1.0)
        assert found is not None
        words = {effect.word for effect in found.effects}
        wrong += any(word.startswith(("better", "worse", "interaction")) for word in words)
    assert wrong <= 20  # of 200 with no effect at all: a rate of 5 % exceeds it once in a thousand sessions
    better = [run(name, n, 80 + n + (5 if name.startswith("avg") else 0)) for name in names for n in range(5)]
    found = factorial_effects(better, margin=1.0, image_weight=0.01)
    assert found is not None
    assert {e.word for e in found.effects if e.factor == "spatial" and e.level == "avg"} == {"better"}
    assert {e.word for e in found.effects if e.factor == "interaction"} == {"none beyond the margin"}
