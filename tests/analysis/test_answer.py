"""The answer in sentences: numbers that are there, and none that the experiment does not carry."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from resnet_shortcuts.analysis.answer import answer
from resnet_shortcuts.analysis.cost_beside import costs_beside
from resnet_shortcuts.analysis.experiment_records import CostRecord, ExperimentRecord
from resnet_shortcuts.analysis.result_tables import cost_details
from resnet_shortcuts.analysis.verdicts import judge
from resnet_shortcuts.cost.cost_change import Change
from tests.analysis.made import NET, of_accuracies, whole
from tests.analysis.test_sealed_verdicts import record as sealed_record

BASELINE = CostRecord(NET, "stride-pad", parameters=1000, peak_memory_bytes=100 * 2**20, activation_bytes=10**6,
                      step_ratio=1.0, noise=0.01, ratio_baseline="stride-pad")  # fmt: skip


def cost(shortcut: str = "projection-all", **changes: Any) -> CostRecord:
    return dataclasses.replace(BASELINE, shortcut=shortcut, **changes)


def gained(points: float, seeds: int = 8, **changes: Any) -> ExperimentRecord:
    base = [90 + 0.1 * (seed % 3) for seed in range(seeds)]
    ours = [value + points + 0.05 * (-1) ** seed for seed, value in enumerate(base)]
    return of_accuracies({"stride-pad": base, "projection-all": ours}, **changes)


def test_the_first_sentence_says_how_much_is_gained_at_which_cost() -> None:
    costs = [BASELINE, cost(step_ratio=1.1, step_ratio_interval=(1.08, 1.12), peak_memory_bytes=113 * 2**20)]
    record = gained(0.42, costs=costs)
    ours, base = ([run.test_accuracy or 0 for run in record.runs if run.shortcut == name]
                  for name in ("projection-all", "stride-pad"))  # fmt: skip
    gain = float(np.mean(np.subtract(ours, base)))
    first = answer(judge(record)).sentences[0]
    assert first.startswith(f"C (projection-all) gains {gain:.2f} points (")
    assert first.endswith("over A (stride-pad) and costs +10 % time (8 to 12), +13 % memory.")


def test_memory_in_a_sentence_is_the_peak_and_activations_are_called_so() -> None:
    more = cost(activation_bytes=2 * 10**6)
    assert "the same memory" in answer(judge(gained(1, costs=[BASELINE, more]))).sentences[0]
    unmeasured = [dataclasses.replace(each, peak_memory_bytes=None) for each in (BASELINE, more)]
    assert "+100 % activation memory" in answer(judge(gained(1, costs=unmeasured))).sentences[0]


@pytest.mark.parametrize(
    ("ratio", "interval", "words"),
    [
        (1.002, (0.995, 1.009), "the same time"),
        (1.05, (0.99, 1.12), "−1 to +12 % time"),
        (0.9, (0.88, 0.92), "−10 % time (−12 to −8)"),
    ],
)
def test_a_time_within_the_noise_is_the_same_and_one_that_was_not_resolved_is_not(
    ratio: float, interval: tuple[float, float], words: str
) -> None:
    costs = [BASELINE, cost(step_ratio=ratio, step_ratio_interval=interval)]
    assert f"costs {words}, the same memory" in answer(judge(gained(1, costs=costs))).sentences[0]
    shaken = [dataclasses.replace(each, disturbed=True) for each in costs]
    assert f"{words} (not reliable)" in answer(judge(gained(1, costs=shaken))).sentences[0]


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((-0.04, 0.001), "−4 to 0"),
        ((-0.001, 0.03), "0 to +3"),
        ((0.01, 0.02), "1.0 to 2.0"),
        ((-0.09, -0.03), "−9 to −3"),
    ],
)
def test_an_end_that_rounds_to_zero_has_no_sign(interval: tuple[float, float], words: str) -> None:
    assert Change(sum(interval) / 2, "differs", interval).ends() == words


def test_a_cpus_peak_is_the_same_below_a_mebibyte_or_one_percent() -> None:
    small, large = 15 * 2**20, 1000 * 2**20
    cases = ((small, 2**19, "same"), (small, 2**21, "differs"), (large, 2**22, "same"), (large, 2**24, "differs"))
    for base, more, standing in cases:
        ours = base + more
        peak = costs_beside(cost(peak_memory_bytes=base), cost(peak_memory_bytes=ours)).peak
        assert peak is not None
        assert peak.standing == standing
        exact = costs_beside(cost(peak_memory_bytes=base), cost(peak_memory_bytes=ours, on_cpu=False)).peak
        assert exact is not None
        assert (exact.standing == "same") is (ours / base - 1 < 0.005)


def test_times_beside_another_baseline_are_not_taken_for_this_ones() -> None:
    timed = cost(step_ratio=1.5, step_ratio_interval=(1.4, 1.6), ratio_baseline="plain")
    assert costs_beside(BASELINE, timed).time is None
    beside = costs_beside(dataclasses.replace(BASELINE, step_ms=20.0), dataclasses.replace(timed, step_ms=25.0)).time
    assert beside == Change(0.25, "uncertain")  # of the medians, without an interval


def test_what_could_not_be_told_comes_with_the_difference_that_could_have_been_seen() -> None:
    record = of_accuracies({"stride-pad": [90.0, 91, 90, 92], "max-pad": [91.0, 90, 90, 91.5]})
    verdicts = judge(record)
    (one,) = verdicts.comparisons
    first, second, scope = answer(verdicts).sentences
    assert first == "No strategy is shown to be better or worse than A (stride-pad)."
    assert second == f"Inconclusive: max-pad; a difference of {one.detectable:.2g} points would be missed 1 time in 5."
    assert scope.startswith("Holds for one network, one recipe")


def test_between_looks_there_is_no_verdict_and_the_command_that_completes_the_look() -> None:
    found = answer(judge(sealed_record(3)))
    assert found.setting.endswith("3 seeds, interim. Margin ±0.2.")
    assert found.sentences[0] == "Interim, no verdict: the next look is not complete."
    assert "Look 1 of 3 is at 4 seeds" in found.pending[0]
    assert "rsc train --config results/made/config.yaml --set seeds=4" in found.pending[0]
    assert not re.search(r"points|better|worse|equivalent", " ".join(found.sentences))
    assert answer(judge(sealed_record())).pending == ()


def test_unfinished_damaged_and_left_over_runs_are_in_one_line() -> None:
    record = gained(1, missing=[(NET, "x", 0), (NET, "x", 1), (NET, "x", 2)], damaged=["run 1"], left_over=["a", "b"])
    assert answer(judge(record)).problems == (
        "3 of 19 runs not finished; 1 damaged and left out; 2 left over and not counted."
    )
    assert answer(judge(gained(1))).problems == ""


def test_several_networks_are_told_together() -> None:
    networks = (NET, "cifar-resnet-56")
    record = whole(networks, seeds=6, names=("stride-pad", "max-pad", "avg-pad", "avg-duplicate", "projection"))
    verdicts = judge(record)
    means = sorted(each.test.mean for each in verdicts.comparisons if each.shortcut == "projection")
    first, second, scope = answer(verdicts).sentences
    assert first.startswith(
        f"B (projection) gains {means[0]:.2f} to {means[1]:.2f} points on both networks over A (stride-pad) and costs "
    )
    (only,) = [each for each in verdicts.comparisons if each.verdict == "not settled"]
    assert f"Inconclusive: {only.shortcut} on ResNet-" in second
    assert scope == "Holds for 2 networks, one recipe, short training."


def test_the_same_difference_at_every_seed_has_no_interval_of_no_width() -> None:
    base = [90.0 + seed for seed in range(8)]
    record = of_accuracies({"stride-pad": base, "x": [value + 1 for value in base]})
    assert answer(judge(record)).sentences[0] == "x gains 1.00 points over A (stride-pad)."


def test_what_was_counted_in_fp32_does_not_stand_beside_the_peak_of_bf16() -> None:
    costs = [dataclasses.replace(each, saved_bytes=200 * 2**20) for each in (BASELINE, cost())]
    keys = [column.key for column in cost_details(judge(gained(1, costs=costs)), NET, ()).columns]
    assert "activation_bytes" in keys
    assert "saved_bytes" not in keys


def test_an_end_that_is_not_zero_does_not_read_as_zero() -> None:
    made = of_accuracies({"stride-pad": [90.0, 91.0, 90.0, 91.0], "x": [67.5, 71.5, 83.0, 71.0]})
    (one,) = judge(made).comparisons
    shift = 0.02 - one.test.low  # the lower end at 0.02, of an interval that is some 25 points wide
    verdicts = judge(of_accuracies({"stride-pad": [90.0, 91.0, 90.0, 91.0],
                                    "x": [67.5 + shift, 71.5 + shift, 83.0 + shift, 71.0 + shift]}))  # fmt: skip
    (one,) = verdicts.comparisons
    first = answer(verdicts).sentences[0]
    assert one.test.high - one.test.low > 20
    assert f"gains {one.test.mean:.2f} points (0.02 to {one.test.high:.2f})" in first


def test_what_costs_most_is_said_where_no_verdict_prices_it() -> None:
    same = {"stride-pad": [90.0, 91, 90, 92], "max-pad": [91.0, 90, 90, 91.5], "projection-all": [90.5, 90, 91, 91.0]}
    slow = cost(step_ratio=1.1, step_ratio_interval=(1.08, 1.12))
    alike = cost("max-pad", step_ratio=1.001, step_ratio_interval=(0.995, 1.005))
    second = answer(judge(of_accuracies(same, costs=[BASELINE, slow, alike]))).sentences[1]
    assert second.endswith(" C (projection-all) costs most: +10 % time (8 to 12), the same memory.")
    equal = [BASELINE, alike, dataclasses.replace(alike, shortcut="projection-all")]
    second = answer(judge(of_accuracies(same, costs=equal))).sentences[1]
    assert second.endswith(" All cost the time and memory of A, within the noise.")
    shaken = [dataclasses.replace(each, disturbed=True) for each in equal]
    assert "cost" not in answer(judge(of_accuracies(same, costs=shaken))).sentences[1]
    assert "costs most" not in " ".join(answer(judge(gained(1, costs=[BASELINE, slow]))).sentences)


def test_many_that_fail_are_counted() -> None:
    made = of_accuracies({name: [None, 90.0, 91.0, 90.5] for name in ("A", "b", "c", "d", "e", "f")})
    assert answer(judge(made)).sentences[0].startswith("6 strategies fail, up to 1 of 4 runs. ")
