"""Each claim against figures that settle it, against figures that do not, and with nothing measured."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from resnet_shortcuts.analysis.claims import CLAIMED, FITTED, TEXTS, Claim, judge_claims
from resnet_shortcuts.analysis.claims.cost_claims import WEIGHED
from resnet_shortcuts.analysis.claims.operator_claims import MAX_POOL
from resnet_shortcuts.analysis.experiment_records import CostRecord, ExperimentRecord, Regime
from resnet_shortcuts.experiments.measured_properties import measured_properties
from resnet_shortcuts.experiments.verdict_seal import VerdictSeal
from resnet_shortcuts.properties.property_row import DECODED, WIDTHS
from tests.analysis.made import NET, of_accuracies
from tests.analysis.verified import BLOCKS, ERRORS, STEM, TABLE, VERIFY, verify_rows

NARROW, WIDE = (DECODED.format(width) for width in WIDTHS)

BASE = [90.0, 90.4, 89.8, 90.1, 90.3, 89.9, 90.2, 90.0]
JITTER = [0.03, -0.02, 0.01, -0.03, 0.02, 0.0, -0.01, 0.02]


def moved(by: float, spread: float = 1.0) -> list[float]:
    return [value + by + spread * noise for value, noise in zip(BASE, JITTER, strict=True)]


def runs(**accuracies: list[float]) -> ExperimentRecord:
    return of_accuracies({name.replace("_", "-"): values for name, values in accuracies.items()})


def claim(number: int, record: ExperimentRecord, verify: list[dict[str, object]] | None = None) -> Claim:
    return judge_claims(record, VERIFY if verify is None else verify)[number - 1]


def test_ten_claims_each_with_text_figure_and_source_even_with_nothing_measured() -> None:
    claims = judge_claims(runs(plain=BASE))
    assert [one.number for one in claims] == list(range(1, 11)) == list(TEXTS)
    assert {one.verdict for one in claims} == {"not settled"}
    assert all(one.text and one.figure and one.source for one in claims)


@pytest.mark.parametrize(
    ("number", "verdict"), [(1, "true"), (2, "true"), (3, "false"), (4, "false"), (5, "not settled")]
)
def test_claims_about_operators_follow_the_table_of_properties(number: int, verdict: str) -> None:
    found = claim(number, runs(plain=BASE))
    assert found.verdict == verdict
    assert found.interval
    assert found.source.startswith("rsc verify --seeds 5 --gradients 56 --decoders: ")


@pytest.mark.parametrize("theirs", [0.66, 0.64])
def test_one_input_that_points_elsewhere_or_nowhere_settles_nothing(theirs: float) -> None:
    changed = {("max-pad", what, "real images"): theirs for what in (NARROW, WIDE)}
    found = claim(3, runs(plain=BASE), verify_rows({**TABLE, **changed}))
    assert found.verdict == "not settled"
    assert f"{100 * theirs:.1f} % / 64.0 %" in found.figure
    assert "decoded, digits" in found.interval or theirs == 0.66  # the one that is not clear is the one shown


@pytest.mark.parametrize("name", ["max-pad", "stride-pad"])
def test_a_figure_that_still_gains_with_the_width_of_its_decoder_settles_nothing(name: str) -> None:
    before = TABLE[name, WIDE, "sparse field"]
    assert isinstance(before, float)
    found = claim(3, runs(plain=BASE), verify_rows({**TABLE, (name, NARROW, "sparse field"): before - 0.006}))
    assert found.verdict == "not settled"
    assert found.figure.endswith("wider decoders still get more of sparse fields")
    within = verify_rows({**TABLE, (name, NARROW, "sparse field"): before - 0.004})
    assert claim(3, runs(plain=BASE), within).verdict == "false"


def test_more_information_by_every_measure_is_true() -> None:
    more = {key: 0.95 for key in TABLE if key[0] == "max-pad" and "decoded" in key[1]}
    found = claim(3, runs(plain=BASE), verify_rows({**TABLE, **more, ("max-pad", "rank / n", "random"): 0.3}))
    assert found.verdict == "true"


def test_what_linear_decoders_get_of_a_maximum_decides_nothing() -> None:
    more = {key: 0.95 for key in TABLE if key[0] == "max-pad" and "information" in key[1]}
    assert claim(3, runs(plain=BASE), verify_rows({**TABLE, **more})).verdict == "false"


def test_the_interval_of_the_least_clear_measure_is_scipys() -> None:
    """Rank apart, sparse fields differ least: 0.77 against 0.79, off by the seed's error and half of it."""
    ours, theirs = (
        np.array([value * (1 + share * error) for error in ERRORS]) for value, share in ((0.77, 0.5), (0.79, 1))
    )
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    found = claim(3, runs(plain=BASE)).interval
    assert found.startswith(
        f"−{100 * (theirs - ours).mean():.2f} (−{-100 * expected.low:.2f} to −{-100 * expected.high:.2f})"
    )


def test_two_seeds_settle_nothing_that_is_estimated() -> None:
    few = verify_rows(TABLE, ERRORS[:2])
    judged = [one.verdict for one in judge_claims(runs(plain=BASE), few)[:5]]
    assert judged == ["true", "true", "not settled", "not settled", "not settled"]


@pytest.mark.parametrize(
    ("gain", "norm", "verdict"),
    [(0.5, 1.6, "true"), (0.125, 1.0, "false"), (0.5, 1.0, "not settled"), (0.5, 1.441, "not settled")],
)
def test_the_gradient_must_arrive_by_the_operator_and_in_the_network(gain: float, norm: float, verdict: str) -> None:
    changed = {("avg-pad", "gradient gain", "random"): gain, ("avg-pad", "gradient norm, stem", STEM): norm}
    assert claim(5, runs(plain=BASE), verify_rows({**TABLE, **changed})).verdict == verdict


def test_nothing_lost_takes_every_dimension_and_all_of_the_variance() -> None:
    whole = {key: 1.0 for key in TABLE if key[0] == "avg-pad" and ("information" in key[1] or "rank" in key[1])}
    exact = verify_rows({**TABLE, **whole}, [0.0] * 5)
    assert claim(4, runs(plain=BASE), exact).verdict == "true"
    one_lacks = {**TABLE, **whole, ("avg-pad", BLOCKS[1], "real images"): 0.9}
    assert claim(4, runs(plain=BASE), verify_rows(one_lacks, [0.0] * 5)).verdict == "not settled"


def test_an_operator_that_scales_is_no_max_pool() -> None:
    scaled = verify_rows({**TABLE, ("stride-pad", "singular values", "random"): [0.5]})
    assert claim(1, runs(plain=BASE), scaled).verdict == "false"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_verify_measures_is_what_the_claims_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `rsc compare --claims` asks for it, and once: the second time it comes from the cache.

    Three seeds are the fewest that give an interval. Sparse fields, where a maximum keeps what a stride may miss, and
    what a network hands on point different ways.
    """
    monkeypatch.setenv("RSC_CACHE", str(tmp_path))
    told: list[tuple[str, int, int]] = []
    rows = measured_properties(CLAIMED, FITTED, lambda *stage: told.append(stage), seeds=3)
    judged = judge_claims(runs(plain=BASE), rows)[:5]
    assert [one.verdict for one in judged] == ["true", "true", "not settled", "false", "not settled"]
    assert judged[0].figure.startswith("equal to it to the last bit")
    assert all("--seeds 3" in one.source and one.interval for one in judged)
    assert told == [("measuring stride-pad, max-pad, avg-pad", done, 9) for done in range(10)]
    explained = {(row["strategy"], row["property"], row["on"]): row["measured"] for row in rows if row.get("seed") == 0}
    for name in FITTED:
        on = next(on for _, what, on in explained if what == WIDE and "layer2.0" in on)
        linear = explained[name, "information", on]
        assert explained[name, WIDE, on] >= linear - 0.005  # it starts from the best linear decoder
    assert explained["max-pad", WIDE, "sparse field"] > explained["stride-pad", WIDE, "sparse field"]
    again: list[object] = []
    assert measured_properties(CLAIMED, FITTED, lambda *stage: again.append(stage), seeds=3) == rows
    assert again == []


def test_what_is_not_equal_to_torchs_max_pool_is_none() -> None:
    one_differs = {("stride-pad", MAX_POOL, "random"): True, ("stride-pad", MAX_POOL, "activations"): False}
    assert claim(1, runs(plain=BASE), verify_rows({**TABLE, **one_differs})).verdict == "false"


@pytest.mark.parametrize(
    ("by", "spread", "verdict"), [(1, 1, "true"), (-1, 1, "false"), (0, 1, "false"), (0, 40, "not settled")]
)
def test_concatenating_helps_only_if_it_is_better(by: float, spread: float, verdict: str) -> None:
    found = claim(6, runs(avg_pad=BASE, avg_duplicate=moved(by, spread)))
    assert found.verdict == verdict
    assert "ResNet-20, 1,000 images of digits, 30 epochs" in found.source
    assert "8 seeds" in found.figure
    assert " to " in found.interval


@pytest.mark.parametrize(
    ("maximum", "average", "verdict"),
    [
        (-1.0, 0.0, "true"),
        (1.0, 0.0, "false"),
        (0.0, 0.0, "false"),
        (-1.0, -1.0, "false"),  # as good as the average of its window: not the maximum hurts, but both
        (0.0, 1.0, "false"),  # as good as the stride
    ],
)
def test_max_hurts_only_if_it_is_worse_than_its_average_and_than_the_stride(
    maximum: float, average: float, verdict: str
) -> None:
    made = runs(stride_pad=BASE, avg_pad=moved(average, 2), max2_pad=moved(maximum, -1), max_pad=moved(-5))
    found = claim(7, made)
    assert found.verdict == verdict
    assert "max2-pad − avg-pad" in found.figure
    assert "max2-pad − stride-pad" in found.figure
    assert "max-pad" not in found.figure


def test_a_maximum_over_another_window_is_no_evidence() -> None:
    found = claim(7, runs(stride_pad=BASE, avg_pad=BASE, max_pad=moved(-1)))
    assert found.verdict == "not settled"
    assert found.figure.startswith("not trained: max2-pad; max-pad and avg-pad differ in their windows")


@pytest.mark.parametrize(
    ("b", "c", "verdict"),
    [
        (moved(0), moved(0.05), "true"),
        (moved(-2), moved(0), "true"),
        (moved(0), moved(2), "false"),
        (moved(0, 40), moved(0), "not settled"),
    ],
)
def test_hardly_means_under_the_margin_for_both(b: list[float], c: list[float], verdict: str) -> None:
    made = on_photographs(runs(stride_pad=BASE, projection=b, projection_all=c))
    found = claim(8, made)
    assert found.verdict == verdict
    assert ("projection lowers accuracy: " in found.figure) == (b == moved(-2))
    assert "Table 3, ResNet-34 (ImageNet) on ImageNet: projection +0.51, projection-all +0.84" in found.figure
    assert "ResNet-20 on CIFAR-10: projection +0.05, projection-all +0.43" in found.figure


def on_photographs(record: ExperimentRecord) -> ExperimentRecord:
    return dataclasses.replace(record, regime=Regime("cifar10", 50_000, 10_000, 30))


def test_drawn_digits_say_nothing_of_real_images() -> None:
    found = claim(8, runs(stride_pad=BASE, projection=moved(0), projection_all=moved(0)))
    assert found.verdict == "not settled"
    assert found.figure.startswith("drawn digits are no evidence for real images; projection − stride-pad = ")


def test_claim_8_needs_b_and_c() -> None:
    assert claim(8, runs(stride_pad=BASE, projection=BASE)).verdict == "not settled"


def priced(**costs: tuple[int, int, float]) -> ExperimentRecord:
    rows = [
        CostRecord(
            NET, name.replace("_", "-"), "Zen 4", parameters=parameters, saved_bytes=saved, step_ratio=ratio,
            step_ratio_interval=(ratio - 0.01, ratio + 0.01), ratio_baseline="stride-pad",
        )
        for name, (parameters, saved, ratio) in costs.items()
    ]  # fmt: skip
    return dataclasses.replace(runs(stride_pad=BASE), costs=rows)


def test_costs_of_b_and_c() -> None:
    dear = priced(stride_pad=(100, 100, 1.0), projection=(101, 103, 1.0), projection_all=(105, 123, 1.0))
    found = claim(9, dear)
    assert found.verdict == "true"
    assert "+5.0 % parameters, +23.0 % activation memory" in found.figure
    cheap = priced(stride_pad=(100, 100, 1.0), projection=(99, 99, 1.0), projection_all=(99, 99, 1.0))
    assert claim(9, cheap).verdict == "false"


@pytest.mark.parametrize(("ratio", "verdict"), [(1.01, "true"), (1.1, "false"), (0.9, "false"), (1.05, "not settled")])
def test_time_is_judged_by_the_intervals_of_the_ratios(ratio: float, verdict: str) -> None:
    others = {name.replace("-", "_"): (1, 1, 1.0) for name in WEIGHED}
    record = priced(stride_pad=(1, 1, 1.0), **{**others, "avg_duplicate": (1, 1, ratio)}, plain=(1, 1, 0.5))
    found = claim(10, record)
    assert found.verdict == verdict
    assert "interleaved steps on Zen 4" in found.source
    assert "'much' is over 5 %" in found.source


@pytest.mark.parametrize("shortcut", ["projection_all", "shortcut_gate", "projection"])
def test_time_of_shortcuts_with_parameters_decides_nothing(shortcut: str) -> None:
    """The question asks of shortcuts that have none."""
    others = {name.replace("-", "_"): (1, 1, 1.0) for name in WEIGHED}
    found = claim(10, priced(stride_pad=(1, 1, 1.0), **others, **{shortcut: (1, 1, 1.3)}))
    assert found.verdict == "true"
    assert ("with parameters, not judged: " in found.figure) == (shortcut != "shortcut_gate")


def test_none_of_it_takes_all_that_the_question_weighs_and_is_told_against_a() -> None:
    lacking = priced(stride_pad=(1, 1, 1.0), max_pad=(1, 1, 1.0), projection=(1, 1, 1.0))
    found = claim(10, lacking)
    assert found.verdict == "not settled"
    assert "not timed: avg-pad, avg-duplicate" in found.figure
    against_b = [dataclasses.replace(cost, ratio_baseline="projection") for cost in lacking.costs]
    assert "not measured" in claim(10, dataclasses.replace(lacking, costs=against_b)).figure


def test_the_strategy_that_decides_is_the_one_shown() -> None:
    """max-pad has the larger mean, and an interval that settles nothing."""
    wide = priced(stride_pad=(1, 1, 1.0), max_pad=(1, 1, 1.08), avg_pad=(1, 1, 1.065))
    costs = [
        dataclasses.replace(cost, step_ratio_interval=(0.99, 1.17)) if cost.shortcut == "max-pad" else cost
        for cost in wide.costs
    ]
    found = claim(10, dataclasses.replace(wide, costs=costs))
    assert found.verdict == "false"
    assert "avg-pad on ResNet-20, +6.5 %" in found.figure
    assert found.interval == "+5.5 % to +7.5 %"


def test_b_alone_says_nothing_of_b_and_c() -> None:
    found = claim(9, priced(stride_pad=(100, 100, 1.0), projection=(101, 103, 1.0)))
    assert found.verdict == "not settled"
    assert "projection-all" in found.figure


def test_failures_come_before_the_difference_of_those_that_finished() -> None:
    record = runs(avg_pad=BASE, avg_duplicate=moved(1))
    failed = [
        dataclasses.replace(run, status="diverged", test_accuracy=None)
        if (run.shortcut, run.seed) in {("avg-duplicate", 0), ("avg-duplicate", 1)}
        else run
        for run in record.runs
    ]
    found = claim(6, dataclasses.replace(record, runs=failed))
    assert found.figure.startswith("avg-duplicate fails 2 of 8, avg-duplicate − avg-pad = ")
    assert "6 seeds" in found.figure


def test_where_every_seed_differs_alike_there_is_no_interval() -> None:
    record = runs(avg_pad=[90.0, 91.0, 92.0, 93.0], avg_duplicate=[89.0, 90.0, 91.0, 92.0])
    assert claim(6, record).interval == "none: every seed gave the same"


def test_too_few_seeds_are_counted_and_the_remedy_named() -> None:
    found = claim(6, runs(avg_pad=BASE[:2], avg_duplicate=BASE[:2]))
    assert found.figure == "ResNet-20: avg-duplicate and avg-pad have 2 common seeds"
    assert found.source == "train: 3 common seeds or more of avg-duplicate, avg-pad"


def test_networks_that_disagree_settle_nothing() -> None:
    one = of_accuracies({"avg-pad": BASE, "avg-duplicate": moved(1)})
    two = of_accuracies({"avg-pad": BASE, "avg-duplicate": moved(-1)}, network="cifar-resnet-56")
    both = dataclasses.replace(one, runs=[*one.runs, *two.runs])
    found = claim(6, both)
    assert found.verdict == "not settled"
    assert "ResNet-20: " in found.figure
    assert "ResNet-56: " in found.figure


SEAL = VerdictSeal(
    seeds=tuple(range(8)), looks=(4, 8), margin=0.2, baseline="stride-pad", networks=(NET,),
    strategies=("avg-pad", "avg-duplicate"), classes=10, test_images=10_000,
)  # fmt: skip


def test_in_a_sealed_experiment_claims_are_judged_at_its_looks() -> None:
    """Between looks more seeds change nothing, and what a look has shown stays shown."""
    made = {"stride-pad": BASE, "avg-pad": BASE, "avg-duplicate": moved(1)}
    few, look, more, all_ = (
        claim(6, of_accuracies({name: values[:seeds] for name, values in made.items()}, seals=[SEAL]))
        for seeds in (3, 4, 7, 8)
    )
    assert few.figure == "ResNet-20: avg-duplicate and avg-pad wait for the look at 4 seeds"
    assert (look.verdict, look.figure) == (more.verdict, more.figure)
    assert "8 seeds" in all_.figure
    assert all_.verdict == "true"


def test_the_intervals_of_claims_at_one_look_are_scipys() -> None:
    """Two contrasts of the five can be judged, and share the error of 5 %."""
    made = {"stride-pad": BASE, "avg-pad": moved(0, 3), "max2-pad": moved(-1, -4)}
    seal = SEAL.model_copy(update={"looks": (8,), "strategies": ("avg-pad", "max2-pad")})
    found = claim(7, of_accuracies(made, seals=[seal]))
    expected = [
        stats.ttest_rel(made["max2-pad"], made[other]).confidence_interval(1 - 0.05 / 2)
        for other in ("avg-pad", "stride-pad")
    ]
    shown = "; ".join(f"{one.low:+.2f} to {one.high:+.2f}" for one in expected).replace("-", "−")
    assert found.interval == shown
    assert "2 intervals that hold together at 95 %" in found.source


def test_a_failed_run_of_a_sealed_experiment_counts_at_chance() -> None:
    made = of_accuracies({"stride-pad": BASE, "avg-pad": BASE, "avg-duplicate": [None, *moved(1)[1:]]}, seals=[SEAL])
    found = claim(6, made)
    assert found.figure.startswith("avg-duplicate fails 1 of 8, avg-duplicate − avg-pad = −9.1")
    assert found.verdict == "not settled"


def test_every_claim_names_network_data_and_seeds() -> None:
    record = runs(**{name: moved(0) for name in ("stride_pad", "avg_pad", "avg_duplicate", "max2_pad", "projection")})
    made = {name.replace("-", "_"): (1, 1, 1.0) for name in ("stride-pad", *WEIGHED, "projection", "projection-all")}
    all_runs = runs(**{name: moved(0) for name in ("projection_all",)}).runs
    record = dataclasses.replace(record, runs=[*record.runs, *all_runs], costs=priced(**made).costs)
    for one in judge_claims(record, VERIFY):
        where = f"{one.figure} {one.source}"
        assert "ResNet" in where or "operator" in where, one
        assert "digits" in where or "noise" in where, one
        assert "seed" in where, one
