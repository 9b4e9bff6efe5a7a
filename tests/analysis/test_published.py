"""Published figures stand beside ours only where everything fits, and the data file says what the papers say."""

import dataclasses
from typing import Any

import pytest

from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, Regime
from resnet_shortcuts.analysis.published import Published, data, published
from resnet_shortcuts.analysis.result_tables import published_table
from resnet_shortcuts.analysis.result_text import comparison_text
from resnet_shortcuts.analysis.verdicts import judge
from resnet_shortcuts.training.recipe import TrainSpec
from tests.analysis.made import of_accuracies

RECIPE: dict[str, Any] = {
    "iterations": 64_000, "batch_size": 128, "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4,
    "schedule": {"kind": "step", "milestones": [0.5, 0.75], "gamma": 0.1},
}  # fmt: skip


SHA, MD5 = "SHA-256 of cifar-10-python.tar.gz", "MD5 of each pickled batch"


def record(
    network: str = "cifar-resnet-20", recipe: dict[str, Any] | None = None, vouched: tuple[str, str] = (SHA, MD5),
    **changes: Any,
) -> ExperimentRecord:  # fmt: skip
    identity = TrainSpec.model_validate(recipe or RECIPE).identity()
    regime = Regime(
        "cifar10", 50_000, 10_000, iterations=64_000, batch_size=128, augment=("crop", "flip"), normalize="pixel",
        resolution=32, recipe=identity,
    )  # fmt: skip
    made = of_accuracies({"stride-pad": [91.0, 91.2]}, network, regime=dataclasses.replace(regime, **changes))
    runs = [dataclasses.replace(run, data_vouched=words) for run, words in zip(made.runs, vouched, strict=True)]
    return dataclasses.replace(made, runs=runs)


def from_paper(found: ExperimentRecord, year: str) -> list[tuple[str, str]]:
    return [(one.figure, one.reason) for one in published(found) if one.source.startswith(f"He et al. {year}")]


def test_the_papers_own_recipe_fits_and_its_figure_is_shown() -> None:
    assert from_paper(record(), "2015") == [("8.75 (best)", "")]


@pytest.mark.parametrize(
    ("accuracies", "told"),
    [
        ([91.0, 91.5], "8.75 (last epoch, mean of 2 seeds)"),
        ([91.0, None], "9.00 (last epoch, mean of 1 seed finished of 2)"),
        ([None, None], "none of 2 runs has finished"),
    ],
)
def test_our_error_stands_beside_the_published_one(accuracies: list[float | None], told: str) -> None:
    made = record()
    runs = of_accuracies({"stride-pad": accuracies}).runs
    beside = dataclasses.replace(made, runs=[dataclasses.replace(run, data_vouched=SHA) for run in runs])
    table = published_table(published(beside))
    fitting, *refused = [dict(zip([column.heading for column in table.columns], row, strict=True))
                         for row in table.texts()]  # fmt: skip
    assert (fitting["published error, %"], fitting["our error, %"]) == ("8.75 (best)", told)
    assert {row["network"] for row in (fitting, *refused)} == {"ResNet-20"}
    assert {row["our error, %"] for row in refused} == {"–"}
    text = comparison_text(judge(beside), "table", details=True, publications=published(beside), width=200)
    assert told in " ".join(text.split())


def test_figures_of_one_source_are_refused_each_for_its_own_reason() -> None:
    ones = [Published(f"cifar-resnet-{depth}", "plain", "", "p", "s", why) for depth, why in ((20, "a"), (32, "b"))]
    assert [(row["network"], row["reason"]) for row in published_table(ones).rows] == [
        ("ResNet-20", "a"), ("ResNet-32", "b"),
    ]  # fmt: skip


def test_the_110_of_2015_fits_with_its_warm_up_alone_and_the_others_without() -> None:
    """'0.01 until the training error fell below 80 % (about 400 iterations)': the paper's 110 alone."""
    warm = {**RECIPE, "schedule": {**RECIPE["schedule"], "warmup_iterations": 400, "warmup_lr": 0.01}}
    assert from_paper(record("cifar-resnet-110", warm), "2015") == [("6.43 (best; mean 6.61 ± 0.16 over 5 runs)", "")]
    missing = "schedule.warmup_iterations: 400 there, none here; schedule.warmup_lr: 0.01 there, none here"
    assert from_paper(record("cifar-resnet-110"), "2015") == [("", missing)]
    (shown,) = [row for row in published_table(published(record("cifar-resnet-110"))).rows
                if "2015" in row["source"]]  # fmt: skip
    assert "until the training error fell below 80 %" in shown["protocol"]
    for depth in (20, 32, 44, 56):
        ((figure, reason),) = from_paper(record(f"cifar-resnet-{depth}", warm), "2015")
        assert (figure, reason.partition(";")[0]) == ("", "schedule.warmup_iterations: none there, 400 here")


def test_he_2016_fits_with_its_warm_up_alone() -> None:
    warm = {**RECIPE, "schedule": {**RECIPE["schedule"], "warmup_iterations": 400, "warmup_lr": 0.01}}
    assert from_paper(record("cifar-resnet-110", warm), "2016") == [("6.61 (median of 5)", "")]
    ((figure, reason),) = from_paper(record("cifar-resnet-110"), "2016")
    assert figure == ""
    assert "schedule.warmup_iterations: 400 there, none here" in reason


@pytest.mark.parametrize("vouched", [("", ""), (SHA, "")])
def test_data_that_no_hash_vouches_for_is_not_the_lossless_original(vouched: tuple[str, str]) -> None:
    reason = "data: no hash vouches that it is the lossless original"
    assert from_paper(record(vouched=vouched), "2015") == [("", reason)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"source": "image-folder"}, "data: cifar10 there, image-folder here"),
        ({"train_images": 5_000}, "train_size: 50,000 there, 5,000 here"),
        ({"augment": ("crop",)}, "augmentation: crop+flip there, crop here"),
        ({"normalize": "channel"}, "normalisation: pixel there, channel here"),
    ],
)
def test_what_does_not_fit_is_the_reason(changes: dict[str, Any], reason: str) -> None:
    assert from_paper(record(**changes), "2015") == [("", reason)]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [("lr", 0.05, "lr: 0.1 there, 0.05 here"), ("nesterov", True, "nesterov: False there, True here")],
)
def test_another_recipe_does_not_fit(key: str, value: object, words: str) -> None:
    ((figure, reason),) = from_paper(record(recipe={**RECIPE, key: value}), "2015")
    assert (figure, reason) == ("", words)


def test_figures_by_the_best_test_epoch_never_stand_beside_the_last() -> None:
    others = [one for one in published(record()) if not one.source.startswith("He et al.")]
    assert len(others) == 2
    assert all(one.figure == "" and "best test epoch there" in one.reason for one in others)


def test_every_row_has_its_source_and_protocol_and_no_wrong_copy_is_in() -> None:
    rows = [(entry, row) for entry in data()["sets"] for row in entry["rows"]]
    assert all(entry["source"] and entry["protocol"] and entry["statistic"] for entry, _ in rows)
    known = {(row["network"], row["shortcut"], row["error"]) for _, row in rows}
    assert ("cifar-resnet-110", "projection-all-nobn", 12.22) in known
    assert not {6.91, 7.17} & {row["error"] for entry, row in rows if "2016" in entry["source"]}
    assert not any(row["shortcut"] == "plain" and row["error"] for entry, row in rows if "Table 6" in entry["source"])
