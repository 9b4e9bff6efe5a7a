"""The report says what it compares: every strategy by its names, and the words that the claims use."""

import dataclasses
import html
import re

import pytest

from resnet_shortcuts.analysis.claims import judge_claims
from resnet_shortcuts.analysis.glossary import TERMS, Entry, strategies_of
from resnet_shortcuts.analysis.report import report_html
from resnet_shortcuts.analysis.verdicts import judge
from resnet_shortcuts.shortcuts import catalogue
from tests.analysis.made import of_accuracies

NAMES = ("stride-pad", "projection-all", "avg-projection", "mine", "Cubic", "unknown")


def test_each_strategy_has_its_aliases_and_its_line() -> None:
    record = of_accuracies({name: [90.0] for name in NAMES})
    built = {"mine": ({}, {"spatial": "avg", "channels": "pad"}), "Cubic": ({}, {"class": "Cubic", "sha256": "0"})}
    record = dataclasses.replace(
        record, runs=[dataclasses.replace(run, built_of=built.get(run.shortcut)) for run in record.runs]
    )
    assert strategies_of(record) == [
        Entry("stride-pad", "option A, zero-pad", "every second pixel, then zero channels"),
        Entry("projection-all", "option C", "1x1 convolution and BN in every block"),
        Entry("avg-projection", "D, resnet-d", "2x2 average, then 1x1 convolution, BN"),
        Entry("mine", "", "a custom composition: spatial avg, channels pad"),
        Entry("Cubic", "", "a custom class, Cubic"),
        Entry("unknown", "", "a custom strategy, defined in the config"),
    ]


def test_what_the_claims_name_is_explained_though_it_was_not_run() -> None:
    record = of_accuracies({"A": [90.0], "projection": [90.0]}, missing=[("cifar-resnet-20", "max-pad", 0)])
    names = [one.name for one in strategies_of(record, with_claims=True)]
    assert names == ["A", "projection", "max-pad", "projection-all", "avg-pad", "avg-duplicate", "max2-pad"]
    assert strategies_of(record, with_claims=True)[0].also == "stride-pad, option A, zero-pad"
    assert "not in this experiment" in strategies_of(record, with_claims=True)[-1].summary


@pytest.mark.parametrize("claimed", [True, False])
def test_the_report_explains_after_the_answer_and_terms_only_with_claims(claimed: bool) -> None:
    record = of_accuracies({"stride-pad": [90.0, 91.0], "plain": [80.0, 81.0]})
    page = report_html(judge(record), claims=judge_claims(record) if claimed else (), drawings=[])
    (section,) = re.findall(r'(?s)<section id="compared".*?</section>', page)
    assert page.index('id="answer"') < page.index('id="compared"') < page.index('id="method"')
    text = html.unescape(re.sub(r"<[^>]*>", "", section))
    assert "stride-pad (option A, zero-pad)every second pixel, then zero channels" in text
    assert "plain (no-shortcut)no shortcut anywhere" in text
    for word, meaning in TERMS:
        assert (f"{word}{meaning}" in text) is claimed


@pytest.mark.parametrize(("ours", "told"), [([91.0, 92.0, 90.0], True), ([95.0, 96.1, 95.1], False), ([90.0], False)])
def test_not_settled_is_explained_only_where_a_verdict_is_that(ours: list[float], told: bool) -> None:
    """A claim that is not settled may have other reasons, so the sentence is about accuracy."""
    record = of_accuracies({"A": [90.0, 91.0, 90.1], "x": ours})
    page = report_html(judge(record), claims=judge_claims(record), drawings=[])
    assert "not settled" in page
    assert ("these seeds cannot tell" in page) is told
    assert not told or "Of a strategy's accuracy, 'not settled' means that these seeds cannot tell" in page


def test_registered_strategies_and_custom_operations_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_registered", {})
    catalogue.add(catalogue.Strategy("wavelet", "Haar low band, then zero channels", "here", None, ("haar",)))
    record = of_accuracies({"haar": [90.0], "own": [90.0]})
    identity = {"spatial": "median", "channels": "pad", "scope": "all", "sha256": {"median": "0" * 64}}
    runs = [dataclasses.replace(run, built_of=({}, identity) if run.shortcut == "own" else None) for run in record.runs]
    assert strategies_of(dataclasses.replace(record, runs=runs)) == [
        Entry("haar", "wavelet", "Haar low band, then zero channels"),
        Entry("own", "", "a custom composition: spatial median (custom), channels pad, scope all"),
    ]
