"""Sealed verdicts in an experiment's tables: words, intervals, what the next look needs, exploratory answers."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from resnet_shortcuts.analysis.experiment_records import DIVERGED, FAILED, ExperimentRecord, RunRecord
from resnet_shortcuts.analysis.merge import merge
from resnet_shortcuts.analysis.prospects import measured_spread, prospects
from resnet_shortcuts.analysis.result_text import comparison_text
from resnet_shortcuts.analysis.verdicts import Verdicts, judge
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.experiments.verdict_seal import VerdictSeal, look_sizes
from tests.analysis.made import NET, of_accuracies
from tests.analysis.test_schema import SCHEMA, check

NAMES = ("up", "down", "same", "B", "C")
EFFECTS = {"A": 0.0, "up": 3.0, "down": -3.0, "same": 0.0, "B": 0.3, "C": 0.1}


def seal(most: int = 10, **changes: Any) -> VerdictSeal:
    values: dict[str, Any] = {
        "seeds": tuple(range(most)), "looks": look_sizes(most), "margin": 0.2, "baseline": "A", "networks": (NET,),
        "strategies": NAMES, "classes": 10, "test_images": 10_000, **changes,
    }  # fmt: skip
    return VerdictSeal.model_validate(values)


def record(seeds: int = 10, most: int = 10, sd: float = 0.1, **changes: Any) -> ExperimentRecord:
    stream = np.random.default_rng(1)
    accuracies: dict[str, list[float | None]] = {
        name: (90 + effect + sd * stream.normal(size=40))[:seeds].tolist() for name, effect in EFFECTS.items()
    }
    command = "rsc train --config results/made/config.yaml"
    return of_accuracies(accuracies, **{"seals": [seal(most)], "command": command, **changes})


def words(verdicts: Verdicts) -> dict[str, str]:
    return {comparison.shortcut: comparison.verdict for comparison in verdicts.comparisons}


def test_a_sealed_experiment_is_judged_by_its_looks() -> None:
    verdicts = judge(record(sd=0.03))
    small = "better, by less than the margin"
    assert words(verdicts) == {"up": "better", "down": "worse", "same": "equivalent", "B": "better", "C": small}
    text = " ".join(comparison_text(verdicts, "table", details=True, width=200).split())
    assert "at looks of 4, 7 and 10 seeds, sealed before the first" in text
    assert "paired-t" not in text


def test_without_a_seal_the_older_rule_and_its_words_stay() -> None:
    verdicts = judge(record(seals=[]))
    assert words(verdicts)["same"] == "equal within the margin"
    assert "This is compare.rule: paired-t" in " ".join(comparison_text(verdicts, "table", details=True).split())


def test_between_looks_there_is_no_verdict_and_the_command_of_the_next_look() -> None:
    verdicts = judge(record(3, 10))
    assert set(words(verdicts).values()) == {"interim, no verdict"}
    text = " ".join(comparison_text(verdicts, "table", width=300).split())
    assert "Look 1 of 3 is at 4 seeds; it needs 6 runs that have not ended" in text
    assert "Next: rsc train --config results/made/config.yaml --set seeds=4" in text
    for comparison in verdicts.comparisons:
        assert comparison.detectable is None
        assert set(comparison.needed.values()) == {None}


def test_json_of_a_sealed_comparison_follows_the_schema() -> None:
    for made in (record(), record(3), record(2, 2)):
        document = json.loads(comparison_text(judge(made), "json"))
        check(document, SCHEMA)
    rows = json.loads(comparison_text(judge(record()), "json"))["verdicts"]
    (up,) = [row for row in rows if row["shortcut"] == "up"]
    assert up["final"] == "yes"
    assert up["look_seeds"] == 4
    assert up["look_interval"][0] < up["look_difference"] < up["look_interval"][1]


def test_another_baseline_is_exploratory_over_all_pairs() -> None:
    sealed, other = judge(record()).sealed, judge(record(), baseline="B")
    assert sealed is not None
    assert other.sealed is not None
    assert (sealed.exploratory, other.sealed.exploratory) == (False, True)
    assert (sealed.standings[0].comparisons, other.sealed.standings[0].comparisons) == (5, 15)
    assert "Exploratory: baseline or margin were chosen after the runs" in " ".join(
        comparison_text(other, "table", details=True).split()
    )


def test_a_margin_below_one_test_image_is_refused() -> None:
    with pytest.raises(UsageError, match="one of 10,000 test images"):
        judge(record(), margin=0.005)


def test_families_are_judged_apart() -> None:
    families = [seal(strategies=NAMES[:3]), seal(strategies=NAMES[3:])]
    verdicts = judge(record(seals=families))
    assert verdicts.sealed is not None
    assert [standing.comparisons for standing in verdicts.sealed.standings] == [3, 2]
    assert len(words(verdicts)) == 5
    assert "the verdicts of each family (3 and 2 comparisons)" in " ".join(
        comparison_text(verdicts, "table", details=True).split()
    )


def ended(made: ExperimentRecord, shortcut: str, seeds: range, **changes: Any) -> ExperimentRecord:
    runs = [
        dataclasses.replace(run, **changes) if run.shortcut == shortcut and run.seed in seeds else run
        for run in made.runs
    ]
    return dataclasses.replace(made, runs=runs)


def test_survivors_of_a_strategy_that_diverges_are_not_better() -> None:
    made = ended(record(), "up", range(2, 6), status=DIVERGED, test_accuracy=None, train_error=None)
    (up,) = [comparison for comparison in judge(made).comparisons if comparison.shortcut == "up"]
    assert up.words() == "fails 4 of 10; inconclusive"
    assert up.test.mean > 2.9  # of the survivors
    assert up.sealed is not None
    assert up.sealed.interval is not None
    assert up.sealed.interval.mean < -20
    assert any("failed runs enter at chance accuracy" in note for note in up.footnotes)


def test_a_collapsed_run_is_counted_without_a_threshold_in_the_config() -> None:
    made = ended(record(), "up", range(2), test_accuracy=12.0, train_error=88.0)
    (up,) = [comparison for comparison in judge(made).comparisons if comparison.shortcut == "up"]
    assert up.words().startswith("fails 2 of 10; ")


def test_a_run_lost_with_its_machine_is_named_and_waited_for() -> None:
    lost = {"status": FAILED, "test_accuracy": None, "train_error": None, "reason": "out of memory"}
    text = " ".join(comparison_text(judge(ended(record(), "same", range(2, 3), **lost)), "table", width=300).split())
    assert f"it waits for {NET} same seed 2 (out of memory), lost with their machine" in text


def test_experiments_that_were_sealed_differently_are_judged_together_by_the_older_rule() -> None:
    merged, notes = merge([record(), record(seals=[seal(20)])])
    assert merged.seals == ()
    assert any("sealed differently" in note for note in notes)
    same, notes = merge([record(), record()])
    assert same.seals == [seal()]
    assert not any("sealed" in note for note in notes)


def test_a_plan_says_what_its_seeds_cannot_settle() -> None:
    (few,) = prospects(seal(2))
    assert few.startswith("no verdict is possible with 2 seeds: at least 3 are needed")
    verdicts = judge(record(5, 5, sd=0.5))
    assert verdicts.sealed is not None
    spread = measured_spread(verdicts.sealed)
    assert spread is not None
    (unlikely,) = prospects(seal(5), spread)
    assert "unlikely for differences up to the margin" in unlikely
    enough = int(unlikely.rpartition("compare.max_seeds=")[2])
    (likely,) = prospects(seal(enough), spread)
    assert "likely (80 %), as the stored differences" in likely


def test_identical_predictions_are_equivalent_for_certain() -> None:
    runs = [RunRecord(NET, name, at, test_accuracy=90.0, predictions="x") for name in ("A", "up") for at in range(4)]
    made = dataclasses.replace(record(), runs=runs, seals=[seal(strategies=("up",))])
    assert words(judge(made)) == {"up": "equivalent"}
    other = [dataclasses.replace(run, predictions=run.shortcut) for run in runs]
    (unlike,) = judge(dataclasses.replace(made, runs=other)).comparisons
    assert not any("identical" in note for note in unlike.footnotes)
