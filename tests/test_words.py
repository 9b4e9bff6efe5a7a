"""One of a thing is not 'things', in what messages share and in what commands print."""

import re

import pytest

from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, Regime
from resnet_shortcuts.analysis.report import report_html
from resnet_shortcuts.analysis.result_text import comparison_text
from resnet_shortcuts.analysis.verdicts import judge
from resnet_shortcuts.words import counted, side_by_side
from tests.analysis.made import of_accuracies

ONE_OF_MANY = re.compile(r"(?<![\d.,])1 (comparisons|seeds|runs|points|images|epochs|iterations|steps|figures)\b")


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 runs"), (1, "1 run"), (1.0, "1 run"), (2, "2 runs"), (0.2, "0.2 runs"), (1234, "1,234 runs")],
)
def test_counted(number: float, words: str) -> None:
    assert counted(number, "run") == words


def test_side_by_side() -> None:
    assert [side_by_side(1), side_by_side(2)] == ["one run at a time", "2 runs side by side"]


@pytest.mark.parametrize("format_", ["table", "markdown", "csv", "latex", "json", "html"])
@pytest.mark.parametrize(
    "record",
    [
        of_accuracies({"A": [90.0, 91.0, 92.5], "x": [91.0, 91.5, 93.0]}, regime=Regime("digits", 1, 797, 1)),
        of_accuracies({"A": [90.0], "x": [91.0]}, regime=Regime("digits", 1000, 797, iterations=1)),
        of_accuracies({"A": [90.0, 91.0], "x": [None, None]}),
    ],
    ids=["one comparison", "one seed", "none finished"],
)
def test_no_comparison_says_1_things(record: ExperimentRecord, format_: str) -> None:
    verdicts = judge(record, margin=1.0)
    html = format_ == "html"
    text = comparison_text(verdicts, "table" if html else format_, width=10_000)
    assert not ONE_OF_MANY.search(text)
    text = (
        report_html(verdicts, drawings=[]) if html else comparison_text(verdicts, format_, details=True, width=10_000)
    )
    assert not ONE_OF_MANY.search(text)
    assert "0 comparisons" not in text
    if format_ != "csv":
        assert "1 comparison here" in text or "none here could be tested" in text


def test_a_strategy_that_always_fails_has_no_mean() -> None:
    record = of_accuracies({"A": [90.0, 91.0], "x": [None, None], "y": [None, 90.0]})
    text = comparison_text(judge(record), "markdown", details=True)
    assert "x on cifar-resnet-20 fails 2 of 2 (loss is NaN); it has no mean." in text
    assert "y on cifar-resnet-20 fails 1 of 2 (loss is NaN); its mean is over the others." in text
