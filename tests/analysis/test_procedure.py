"""The verdict procedure on runs: what counts, what waits, what is final."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from resnet_shortcuts.analysis.procedure import Outcome, Results, Standing, standing_of
from resnet_shortcuts.experiments.verdict_seal import Cell, VerdictSeal, look_sizes

NET = "net"


def sealed(strategies: Sequence[str], seeds: int = 10, **changes: Any) -> VerdictSeal:
    values: dict[str, Any] = {
        "seeds": tuple(range(seeds)), "looks": look_sizes(seeds), "margin": 0.5, "baseline": "A", "networks": (NET,),
        "strategies": tuple(strategies), "classes": 10, "test_images": 10_000, **changes,
    }  # fmt: skip
    return VerdictSeal.model_validate(values)


def cell(name: str, network: str = NET) -> Cell:
    return Cell(network, "default", name)


def runs(accuracies: Mapping[str, Sequence[float]], network: str = NET) -> dict[Cell, dict[int, Outcome]]:
    """Finished runs with these accuracies, seeds from 0."""
    return {
        cell(name, network): {seed: Outcome(accuracy=value, train_error=1.0) for seed, value in enumerate(values)}
        for name, values in accuracies.items()
    }


def drawn(stream: np.random.Generator, effects: Mapping[str, float], seeds: int, sd: float = 0.1) -> Any:
    return runs({name: list(90 + effect + sd * stream.normal(size=seeds)) for name, effect in effects.items()})


def word(standing: Standing, name: str) -> str:
    verdict = standing.find(cell(name))
    assert verdict is not None
    return verdict.word


def test_words_are_read_off_the_interval() -> None:
    effects = {"A": 0.0, "up": 3.0, "down": -3.0, "same": 0.0, "slightly up": 0.3, "slightly down": -0.3}
    standing = standing_of(sealed(tuple(effects)[1:]), drawn(np.random.default_rng(1), effects, 10, 0.02))
    words = {name: word(standing, name) for name in tuple(effects)[1:]}
    assert words == {
        "up": "better", "down": "worse", "same": "equivalent", "slightly up": "better, by less than the margin",
        "slightly down": "worse, by less than the margin",
    }  # fmt: skip
    for verdict in standing.verdicts:
        assert verdict.final
        interval = verdict.interval
        assert interval is not None
        assert (interval.low > 0) == verdict.word.startswith("better")
        assert (interval.high < 0) == verdict.word.startswith("worse")


def test_every_figure_of_a_golden_experiment_follows_from_scipy_alone() -> None:
    names = ["s0", "s1", "s2", "s3", "s4", "plain"]
    stream = np.random.default_rng(2)
    accuracies = {
        network: {name: 90 + 0.4 * place * (name != "A") + 0.5 * stream.normal(size=10)
                  for place, name in enumerate(["A", *names])}
        for network in ("one", "two")
    }  # fmt: skip
    accuracies["one"]["s4"][5] = 10.0  # one diverged run, at chance
    results: dict[Cell, dict[int, Outcome]] = {}
    for network, table in accuracies.items():
        results |= runs({name: values.tolist() for name, values in table.items()}, network)
    results[cell("s4", "one")][5] = Outcome("diverged")
    seal = sealed(names, own_variance=("plain",), networks=("one", "two"), margin=1.0)
    standing = standing_of(seal, results)

    cumulative = [0.0] + [2 * stats.norm.sf(1.959963984540054 / share**0.5) for share in (0.4, 0.7, 1.0)]
    decided: dict[tuple[str, str], tuple[str, int, float, float]] = {}
    frozen: dict[tuple[str, str], float] = {}
    for look, n in enumerate((4, 7, 10), start=1):
        level = (cumulative[look] - cumulative[look - 1]) / 12
        for network, table in accuracies.items():
            d = {name: table[name][:n] - table["A"][:n] for name in names}
            alone = {"plain"} | ({"s4"} if network == "one" and n > 5 else set())
            still = [name for name in names if (network, name) not in decided]
            for name in still:
                frozen.pop((network, name), None)
                if name not in alone:
                    frozen[network, name] = float(np.var(d[name], ddof=1))
            pool = [variance for (where, _), variance in frozen.items() if where == network]
            shared = float(np.mean([min(variance, 3 * np.median(pool)) for variance in pool]))
            for name in still:
                if name in alone or len(pool) < 4:
                    low, high = stats.t.interval(1 - level, n - 1, d[name].mean(), stats.sem(d[name]))
                else:
                    mixed = (2 * shared + np.var(d[name], ddof=1)) / 3
                    low, high = stats.t.interval(1 - level, 2 * (n - 1), d[name].mean(), (mixed / n) ** 0.5)
                sign_word = (
                    "better" if low > 0 else "worse" if high < 0 else "equivalent" if low > -1 and high < 1 else ""
                )
                if sign_word or look == 3:
                    small = sign_word in ("better", "worse") and low > -1 and high < 1
                    text = sign_word + ", by less than the margin" if small else sign_word or "inconclusive"
                    decided[network, name] = (text, look, max(low, -100), min(high, 100))
    assert len({text for text, *_ in decided.values()}) >= 3
    for verdict in standing.verdicts:
        text, look, low, high = decided[verdict.cell.network, verdict.cell.shortcut]
        assert verdict.interval is not None
        assert (verdict.word, verdict.look, verdict.final) == (text, look, True)
        assert (verdict.interval.low, verdict.interval.high) == pytest.approx((low, high))


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.floats(0, 2))
def test_whatever_is_trained_in_whatever_order_a_final_verdict_stays(seed: int, effect: float) -> None:
    stream = np.random.default_rng(seed)
    effects = {"A": 0.0, **{f"s{i}": effect * i / 4 for i in range(5)}}
    everything = drawn(stream, effects, 12, 0.3)
    seal = sealed(tuple(effects)[1:])
    order = [(where, at) for where, by_seed in everything.items() for at in by_seed]
    stream.shuffle(order)
    partial: dict[Cell, dict[int, Outcome]] = {}
    final: dict[Cell, tuple[str, int]] = {}
    for step, (where, at) in enumerate(order, start=1):
        partial.setdefault(where, {})[at] = everything[where][at]
        if step % 4:
            continue
        standing = standing_of(seal, partial)
        now = {verdict.cell: (verdict.word, verdict.look) for verdict in standing.verdicts if verdict.final}
        assert final.items() <= now.items()
        final = now
    assert final == {verdict.cell: (verdict.word, verdict.look) for verdict in standing_of(seal, everything).verdicts}


def test_seeds_beyond_the_sealed_maximum_change_nothing() -> None:
    effects = {"A": 0.0, "B": 0.1}
    everything = drawn(np.random.default_rng(3), effects, 40)
    first = {where: {at: by_seed[at] for at in range(10)} for where, by_seed in everything.items()}
    assert standing_of(sealed(["B"]), everything) == standing_of(sealed(["B"]), first)


def test_before_the_first_look_there_is_a_mean_and_no_verdict() -> None:
    results = runs({"A": [90, 91, 90.5], "B": [95, 96.5, 95.2]})
    standing = standing_of(sealed(["B"]), results)
    (verdict,) = standing.verdicts
    assert (verdict.word, verdict.final, verdict.interval) == ("interim, no verdict", False, None)
    assert verdict.interim is not None
    expected = stats.ttest_1samp([5, 5.5, 4.7], 0).confidence_interval(0.95)
    assert (verdict.interim.low, verdict.interim.high) == pytest.approx((expected.low, expected.high))
    assert standing.next_seeds == 4
    assert standing.missing == [(cell("A"), 3), (cell("B"), 3)]


def test_between_looks_the_last_look_counts_and_the_next_is_named() -> None:
    stream = np.random.default_rng(4)
    everything = drawn(stream, {"A": 0.0, "B": 0.2}, 10, 0.3)
    at_look = {where: {at: by_seed[at] for at in range(4)} for where, by_seed in everything.items()}
    between = {where: {at: by_seed[at] for at in range(6)} for where, by_seed in everything.items()}
    assert (word(standing_of(sealed(["B"]), at_look), "B")) == "inconclusive"
    standing = standing_of(sealed(["B"]), between)
    (verdict,) = standing.verdicts
    assert (verdict.word, verdict.look, verdict.final) == ("interim, no verdict", 1, False)
    assert verdict.interval is not None
    assert verdict.interval.seeds == 4
    assert verdict.interim is not None
    assert verdict.interim.seeds == 6
    assert (standing.taken, standing.next_seeds, standing.missing) == (1, 7, [(cell("A"), 6), (cell("B"), 6)])


def test_of_unequal_seed_lists_the_common_prefix_counts() -> None:
    results = runs({"A": [90.0] * 5, "B": [91, 90, 92, 91, 93, 94, 95], "C": [90.0, 91.0]})
    del results[cell("B")][3]
    standing = standing_of(sealed(["B", "C"]), results)
    seen = {verdict.cell.shortcut: verdict.interim and verdict.interim.seeds for verdict in standing.verdicts}
    assert seen == {"B": 3, "C": 2}
    assert standing.missing == [(cell("C"), 2), (cell("B"), 3), (cell("C"), 3)]


def test_a_look_needs_only_the_baseline_and_open_strategies() -> None:
    everything = drawn(np.random.default_rng(5), {"A": 0.0, "far": 8.0, "near": 0.3}, 10, 0.3)
    dropped = {**everything, cell("far"): {at: everything[cell("far")][at] for at in range(4)}}
    with_all, without = standing_of(sealed(["far", "near"]), everything), standing_of(sealed(["far", "near"]), dropped)
    assert without.taken == 3
    assert [verdict.interval for verdict in with_all.verdicts] == [verdict.interval for verdict in without.verdicts]


@pytest.mark.parametrize("ended", [Outcome("diverged"), Outcome(accuracy=11.0, train_error=89.0)])
def test_divergence_and_collapse_are_the_same_outcome(ended: Outcome) -> None:
    results = drawn(np.random.default_rng(6), {"A": 0.0, "B": 1.0}, 10)
    results[cell("B")] |= dict.fromkeys(range(4, 7), ended)
    standing = standing_of(sealed(["B"], looks=(10,)), results)
    (verdict,) = standing.verdicts
    reference = [outcome.accuracy for outcome in results[cell("A")].values()]
    ours = [10.0 if seed in range(4, 7) else outcome.accuracy for seed, outcome in results[cell("B")].items()]
    assert (verdict.failures, verdict.runs) == (3, 10)
    assert verdict.interval is not None
    assert verdict.interval.mean == pytest.approx(np.mean(ours) - np.mean(reference))
    assert verdict.word == "inconclusive"  # the survivors alone would be better


def test_a_run_collapsed_if_it_ends_worse_than_half_way_from_chance_to_the_baselines_median() -> None:
    accuracies = {"A": [90.0] * 3, "B": [80.0, 81, 82]}
    for error, failures in ((45.4, 0), (45.6, 3)):  # half-way between 90 and 1 is 45.5
        results = runs(accuracies)
        results[cell("B")] = {seed: Outcome(accuracy=80.0 + seed, train_error=error) for seed in range(3)}
        assert standing_of(sealed(["B"], 3), results).verdicts[0].failures == failures
        sealed_bound = standing_of(sealed(["B"], 3, fail_above=50.0), results)
        assert sealed_bound.verdicts[0].failures == 0


def test_a_lost_run_is_missing_and_the_look_waits_and_names_it() -> None:
    results: Results = drawn(np.random.default_rng(7), {"A": 0.0, "B": 5.0}, 4)
    assert word(standing_of(sealed(["B"]), results), "B") == "better"
    lost = {**results, cell("B"): {**results[cell("B")], 2: Outcome("lost", reason="out of memory")}}
    standing = standing_of(sealed(["B"]), lost)
    assert word(standing, "B") == "interim, no verdict"
    assert standing.lost == [(cell("B"), 2, "out of memory")]
    assert (standing.taken, standing.next_seeds, standing.missing) == (0, 4, [])


def test_a_margin_below_the_weight_of_one_test_image_is_refused() -> None:
    assert sealed(["B"], 3, margin=1.0, test_images=100).margin == 1
    with pytest.raises(ValidationError, match="one of 100 test images"):
        sealed(["B"], 3, margin=0.5, test_images=100)


def test_equal_accuracies_of_unlike_predictions_are_not_certain() -> None:
    seal = sealed(["B"], 3, margin=1.0, test_images=100)
    results = {cell(name): {at: Outcome(accuracy=90.0, predictions=name) for at in range(3)} for name in "AB"}
    assert word(standing_of(seal, results), "B") == "inconclusive"
    results[cell("B")] = results[cell("A")]
    assert word(standing_of(seal, results), "B") == "equivalent"


def test_two_seeds_can_give_no_verdict() -> None:
    standing = standing_of(sealed(["B"], 2), runs({"A": [90.0, 90], "B": [99.0, 99]}))
    assert word(standing, "B") == "too few seeds"
    assert standing.next_seeds is None
