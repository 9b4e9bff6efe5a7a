"""The verdict's rule, its words, and every kind of poor input that a comparison may meet."""

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy import stats

from resnet_shortcuts.analysis.answer import answer
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, Regime, RunRecord
from resnet_shortcuts.analysis.report import report_html
from resnet_shortcuts.analysis.result_tables import verdict_rows
from resnet_shortcuts.analysis.result_text import comparison_text
from resnet_shortcuts.analysis.verdicts import Comparison, judge
from resnet_shortcuts.errors import UsageError
from tests.analysis.made import NET, of_accuracies, whole

BASE = [90.0, 90.4, 89.8, 90.1, 90.3, 89.9, 90.2, 90.0]
JITTER = [0.03, -0.02, 0.01, -0.03, 0.02, 0.0, -0.01, 0.02]
INTERVALS = ["95 % interval", "90 % interval", "95 % interval, new images"]
FORMATS = ["table", "markdown", "csv", "latex", "json"]


def moved(by: float, spread: float = 1.0) -> list[float]:
    return [value + by + spread * noise for value, noise in zip(BASE, JITTER, strict=True)]


def only(record: ExperimentRecord, **changes: object) -> Comparison:
    (one,) = judge(record, **changes).comparisons  # type: ignore[arg-type]
    return one


def renders_everywhere(record: ExperimentRecord, baseline: str | None = None) -> None:
    verdicts = judge(record, baseline)
    for format_ in FORMATS:
        assert comparison_text(verdicts, format_)
        assert comparison_text(verdicts, format_, details=True)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (moved(1), "better"),
        (moved(-1), "worse"),
        (moved(0), "equal within the margin"),
        (moved(0, spread=40), "not settled"),
        (moved(1)[:2], "too few seeds"),
        (moved(0.1), "better"),
    ],
)
def test_words(values: list[float], verdict: str) -> None:
    assert only(of_accuracies({"A": BASE, "x": values})).verdict == verdict


def test_a_real_difference_inside_the_margin_is_said_to_be() -> None:
    (note,) = only(of_accuracies({"A": BASE, "x": moved(0.1)})).footnotes
    assert "within the margin" in note


def test_holm_goes_over_strategies_times_networks() -> None:
    one = of_accuracies({"A": BASE, "x": moved(0.05, 3), "y": moved(0, 9)})
    two = of_accuracies({"A": BASE, "x": moved(0.04, 3), "y": moved(0, 7)}, network="cifar-resnet-56")
    verdicts = judge(dataclasses.replace(one, runs=[*one.runs, *two.runs]))
    assert verdicts.family == 4
    raw = sorted(
        float(stats.ttest_rel(moved(by, spread), BASE).pvalue) for by, spread in ((0.05, 3), (0, 9), (0.04, 3), (0, 7))
    )
    assert min(one.p_holm for one in verdicts.comparisons) == pytest.approx(4 * raw[0])
    assert "Holm over the 4 comparisons" in comparison_text(verdicts, "markdown", details=True)


def test_both_intervals_are_scipys_of_one_comparison_and_say_that_they_are_not_adjusted() -> None:
    spreads = {"x": moved(0.03, 2), "y": moved(0.1, 9), "z": moved(0, 5)}
    verdicts = judge(of_accuracies({"A": BASE, **spreads}))
    rows = {row["shortcut"]: row for row in json.loads(comparison_text(verdicts, "json"))["verdicts"]}
    for name, values in spreads.items():
        test = stats.ttest_rel(values, BASE)
        for key, level in (("interval", 0.95), ("interval_90", 0.90)):
            assert rows[name][key] == pytest.approx(list(test.confidence_interval(level))), (name, key)
    assert rows["A"]["interval"] is rows["A"]["interval_90"] is None


@pytest.mark.parametrize(
    ("format_", "headings"),
    [
        ("table", ["95 % interval", "90 % interval", "new images", "unadjusted"]),
        ("markdown", [f"| {name}, unadjusted, points |" for name in INTERVALS]),
        ("latex", [r"Difference (95 \%, unadjusted)"]),
        ("html", [f">{name}, unadjusted, points<" for name in INTERVALS]),
    ],
)
def test_every_interval_is_headed_unadjusted_and_the_rule_says_so(format_: str, headings: list[str]) -> None:
    verdicts = judge(whole(names=("stride-pad", "max-pad", "avg-pad")))
    html = format_ == "html"
    text = report_html(verdicts, drawings=[]) if html else comparison_text(verdicts, format_, details=True, width=200)
    assert all(heading in text for heading in headings), format_
    assert "not adjusted for the others" in " ".join(text.split())


def test_the_90_percent_interval_lies_inside_the_margin_where_both_one_sided_tests_pass() -> None:
    for spread in (1, 4, 8, 12, 20):
        one = judge(of_accuracies({"A": BASE, "x": moved(0.05, spread)}))
        (row,) = [row for row in verdict_rows(one) if row["shortcut"] == "x"]
        low, high = row["interval_90"]
        upper = stats.ttest_rel([v - 0.2 for v in moved(0.05, spread)], BASE, alternative="less").pvalue
        lower = stats.ttest_rel([v + 0.2 for v in moved(0.05, spread)], BASE, alternative="greater").pvalue
        assert (low > -0.2 and high < 0.2) == (max(upper, lower) < 0.05)


def test_an_unadjusted_interval_without_0_beside_not_settled_is_explained() -> None:
    others = {f"o{i}": moved(0, 40 + i) for i in range(7)}
    verdicts = judge(of_accuracies({"A": BASE, "x": moved(0.05, 3), **others}))
    one = verdicts.find(NET, "x")
    assert one is not None
    assert one.test.low > 0
    assert one.p_holm >= 0.05
    assert one.footnotes[0].startswith("the unadjusted interval excludes 0")
    assert not any("unadjusted" in note for name in others for note in (verdicts.find(NET, name) or one).footnotes)
    alone = only(of_accuracies({"A": BASE, "x": moved(0.05, 3)}))
    assert alone.verdict == "better"
    assert not any("unadjusted" in note for note in alone.footnotes)


def test_only_common_seeds_are_paired() -> None:
    runs = [RunRecord(NET, "A", seed, test_accuracy=90.0 + seed) for seed in (1, 2, 3, 4)]
    runs += [RunRecord(NET, "x", seed, test_accuracy=91.0 + seed + seed % 2) for seed in (3, 4, 5, 1)]
    one = only(of_accuracies({}, runs=runs))
    assert one.n == 3
    assert one.test.mean == pytest.approx(np.mean([2, 2, 1]))


def test_no_common_seed_is_too_few_and_everything_is_still_shown() -> None:
    runs = [RunRecord(NET, "A", seed, test_accuracy=90.0) for seed in (0, 1, 2)]
    runs += [RunRecord(NET, "x", seed, test_accuracy=91.0) for seed in (3, 4, 5)]
    record = of_accuracies({}, runs=runs)
    one = only(record)
    assert (one.n, one.verdict) == (0, "too few seeds")
    told = "0 seeds in common with A, 3 are needed: their finished runs are of different seeds"
    assert one.footnotes == [told]
    for format_ in FORMATS:
        assert told in " ".join(comparison_text(judge(record), format_, details=True, width=200).split()), format_
    assert math.isnan(one.test.mean)
    renders_everywhere(record)
    assert "91.00" in comparison_text(judge(record), "table")


def test_one_seed_has_no_sd_no_interval_no_verdict() -> None:
    record = of_accuracies({"A": [90.0], "x": [91.0]})
    one = only(record)
    assert (one.verdict, one.n, one.detectable, one.images) == ("too few seeds", 1, None, None)
    renders_everywhere(record)


def test_one_strategy_has_nothing_to_be_compared_with() -> None:
    record = of_accuracies({"A": BASE})
    assert judge(record).comparisons == []
    assert "nothing to compare" in answer(judge(record)).sentences[0]
    renders_everywhere(record)


def test_identical_results_are_equal_and_said_to_be_identical() -> None:
    one = only(of_accuracies({"A": BASE, "x": BASE}))
    assert (one.verdict, one.test.sd, one.detectable) == ("equal within the margin", 0.0, None)
    assert one.footnotes == ["identical results at every seed"]
    renders_everywhere(of_accuracies({"A": BASE, "x": BASE}))


def test_the_same_difference_at_every_seed_is_not_a_certainty() -> None:
    record = of_accuracies({"A": BASE[:4], "x": [value + 1 for value in BASE[:4]]})
    one = only(record)
    assert (one.verdict, one.test.p) == ("not settled", 0.125)
    assert "every seed gave the same difference" in one.footnotes[0]
    (row,) = [row for row in verdict_rows(judge(record)) if row["shortcut"] == "x"]
    assert row["interval"] is row["interval_90"] is None  # of no width, it would look like one


def test_a_strategy_whose_every_run_failed_is_shown_with_its_failures_first() -> None:
    record = of_accuracies({"A": BASE, "x": [None] * 8, "y": moved(1)})
    verdicts = judge(record)
    failed = verdicts.find(NET, "x")
    assert failed is not None
    assert failed.words() == "fails 8 of 8; too few seeds"
    assert failed.fisher_holm == pytest.approx(stats.fisher_exact([[8, 0], [0, 8]]).pvalue)
    assert verdicts.family == 1
    assert "x fails 8 of 8" in answer(verdicts).sentences[0]
    renders_everywhere(record)


def test_a_baseline_whose_every_run_failed_leaves_no_verdict() -> None:
    record = of_accuracies({"A": [None] * 3, "x": BASE[:3], "y": [None] * 3})
    verdicts = judge(record)
    assert [one.verdict for one in verdicts.comparisons] == ["too few seeds"] * 2
    assert answer(verdicts).sentences[:2] == (
        "A, the baseline, fails 3 of 3; y fails 3 of 3. No verdict: there are too few seeds.",
        "Too few seeds: y. Too few seeds because the baseline failed: x.",
    )
    x, y = (one.footnotes for one in verdicts.comparisons)
    assert x == ["0 seeds in common with A, 3 are needed: A, the baseline, failed at 3 that would be in common"]
    assert y == ["0 seeds in common with A, 3 are needed: no run of y or A has finished"]
    renders_everywhere(record)


def test_the_answer_says_first_that_the_baseline_did_not_train_either() -> None:
    record = of_accuracies({"plain": moved(0, 40)[:4], "A": BASE[:4]}, fail_above=0.5)
    first, second, _ = answer(judge(record, "A")).sentences
    assert first.startswith("A, the baseline, fails 4 of 4; plain fails 4 of 4. No strategy is shown to be better")
    assert second.startswith("Inconclusive: plain; ")
    (alone,) = answer(judge(of_accuracies({"A": BASE[:4]}, fail_above=0.5))).sentences
    assert "only A, which fails 4 of 4, is there" in alone


@pytest.mark.parametrize(
    ("ours", "theirs", "blamed", "end"),
    [
        ([90.0] * 5, [90.0, 91.0, None, None, 92.0], False, None),
        ([90.0] * 5, [90.0, None, None, None, 92.0], True, "2 seeds in common with A, 3 are needed: A, the baseline, "
         "failed at 3 that would be in common"),
        ([90.0, 91.0], [90.0, None], False, "1 seed in common with A, 3 are needed: A, the baseline, failed at 1 that "
         "would be in common"),
        ([90.0, 91.0], [90.0, 91.0, 92.0], False, "2 seeds in common with A, 3 are needed"),
    ],
)  # fmt: skip
def test_too_few_seeds_says_how_many_and_whether_the_baseline_took_them(
    ours: list[float | None], theirs: list[float | None], blamed: bool, end: str | None
) -> None:
    one = only(of_accuracies({"A": theirs, "x": ours}))
    assert one.baseline_failed is blamed
    assert (one.verdict == "too few seeds") is (end is not None)
    assert [note for note in one.footnotes if "in common" in note] == ([end] if end else [])


def test_every_run_failed() -> None:
    renders_everywhere(of_accuracies({"A": [None] * 3, "x": [None] * 3}))


def test_untrained_runs_count_as_failures_and_stay_in_the_mean() -> None:
    record = of_accuracies({"A": BASE, "x": moved(0)}, fail_above=20.0)
    runs = [
        dataclasses.replace(run, train_error=70.0, test_accuracy=20.0) if run.shortcut == "x" and run.seed < 2 else run
        for run in record.runs
    ]
    verdicts = judge(dataclasses.replace(record, runs=runs))
    (one,) = verdicts.comparisons
    assert (one.failures.failed, one.failures.untrained) == (0, 2)
    assert one.words().startswith("fails 2 of 8; ")
    assert "the 2 untrained included" in comparison_text(verdicts, "markdown", details=True)


def test_an_unknown_baseline_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'max-pad'\?") as caught:
        judge(of_accuracies({"stride-pad": BASE, "max-pad": BASE}), "max-pda")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("wanted", ["A", "stride-pad", "option-a", "zero-pad", "STRIDE-PAD"])
def test_a_baseline_goes_by_its_aliases(wanted: str) -> None:
    assert judge(of_accuracies({"max-pad": BASE, "stride-pad": BASE}), wanted).baseline == "stride-pad"


def test_without_a_baseline_a_is_it_else_the_first() -> None:
    assert judge(of_accuracies({"max-pad": BASE, "stride-pad": BASE})).baseline == "stride-pad"
    assert judge(of_accuracies({"max-pad": BASE, "plain": BASE})).baseline == "max-pad"
    assert judge(of_accuracies({"max-pad": BASE, "plain": BASE}, baseline="plain")).baseline == "plain"


@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan, math.inf])
def test_a_margin_must_be_a_width(margin: float) -> None:
    with pytest.raises(UsageError, match="margin"):
        judge(of_accuracies({"A": BASE}), margin=margin)


def test_an_empty_experiment_is_a_usage_error_that_says_how_to_train() -> None:
    empty = ExperimentRecord("x", Regime(), [], command="rsc train --config x.yaml")
    with pytest.raises(UsageError, match=r"rsc train --config x\.yaml"):
        judge(empty)


def test_an_experiment_of_which_nothing_is_trained_yet_shows_its_rows() -> None:
    record = of_accuracies({}, missing=[(NET, "A", 0), (NET, "x", 0)])
    assert only(record).verdict == "too few seeds"
    renders_everywhere(record)


def test_predictions_of_different_lengths_give_no_interval_for_images() -> None:
    record = whole(seeds=3, names=("stride-pad", "max-pad"))
    runs = [
        dataclasses.replace(run, correct=run.correct[:50])
        if run.shortcut == "max-pad" and run.correct is not None
        else run
        for run in record.runs
    ]
    assert only(record).images is not None
    assert only(dataclasses.replace(record, runs=runs)).images is None


def test_image_interval_is_about_the_same_mean() -> None:
    for one in judge(whole()).comparisons:
        assert one.images is not None
        assert (one.images.low + one.images.high) / 2 == pytest.approx(one.test.mean, abs=1e-9)


def test_sign_flip_says_where_it_is_blind() -> None:
    record = of_accuracies({"A": BASE[:5], "x": moved(1)[:5], "y": moved(-1)[:5]})
    assert {one.flip_blind for one in judge(record).comparisons} == {True}
    assert "(floor 0.062)" in comparison_text(judge(record), "markdown", details=True)


def test_letters_follow_the_tests() -> None:
    verdicts = judge(of_accuracies({"A": BASE, "x": moved(0), "y": moved(1), "z": moved(0.5, 40)}))
    marks = {name: verdicts.letters[NET, name] for name in "Axyz"}
    assert marks["A"] == marks["x"] == "b"
    assert marks["y"] == "a"
    assert set(marks["z"]) == {"a", "b"}
