"""Each claim against figures that settle it, against figures that do not, and with nothing measured."""

import dataclasses
from collections.abc import Mapping

import pytest

from resnet_shortcuts.analysis.claims import MAX_POOL, TEXTS, Claim, judge_claims
from resnet_shortcuts.analysis.records import CostRecord, ExperimentRecord
from tests.analysis.made import NET, of_accuracies

BASE = [90.0, 90.4, 89.8, 90.1, 90.3, 89.9, 90.2, 90.0]
JITTER = [0.03, -0.02, 0.01, -0.03, 0.02, 0.0, -0.01, 0.02]
# `strategies.md`, properties of the transition operators
TABLE: dict[tuple[str, str, str], object] = {
    ("stride-pad", "linear", "random"): True,
    ("stride-pad", "rank / n", "random"): 0.25,
    ("stride-pad", "coverage", "random"): 0.25,
    ("stride-pad", "influence", "random"): 0.25,
    ("stride-pad", "singular values", "random"): [1.0],
    ("stride-pad", "gradient gain", "random"): 0.5,
    ("stride-pad", "information", "smooth field"): 0.89,
    ("stride-pad", "information", "real images"): 0.53,
    ("max-pad", "rank / n", "random"): 0.163,
    ("max-pad", "information", "smooth field"): 0.86,
    ("max-pad", "information", "real images"): 0.46,
    ("avg-pad", "linear", "random"): True,
    ("avg-pad", "rank / n", "random"): 0.25,
    ("avg-pad", "coverage", "random"): 1.0,
    ("avg-pad", "gradient gain", "random"): 0.125,
    ("avg-pad", "information", "smooth field"): 0.92,
}


def verify_rows(table: Mapping[tuple[str, str, str], object]) -> list[dict[str, object]]:
    return [
        {"strategy": name, "property": what, "on": on, "measured": measured}
        for (name, what, on), measured in table.items()
    ]


VERIFY = verify_rows(TABLE)


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


@pytest.mark.parametrize(("number", "verdict"), [(1, "true"), (2, "true"), (3, "false"), (4, "false"), (5, "false")])
def test_claims_about_operators_follow_the_table_of_properties(number: int, verdict: str) -> None:
    assert claim(number, runs(plain=BASE)).verdict == verdict


def test_measures_that_point_both_ways_settle_nothing() -> None:
    both = verify_rows({**TABLE, ("max-pad", "information", "real images"): 0.6})
    found = claim(3, runs(plain=BASE), both)
    assert found.verdict == "not settled"
    assert "real images 60.0% / 53.0%" in found.figure


def test_an_operator_that_scales_is_no_max_pool() -> None:
    assert (
        claim(1, runs(plain=BASE), verify_rows({**TABLE, ("stride-pad", "singular values", "random"): [0.5]})).verdict
        == "false"
    )


def test_what_verify_prints_is_what_the_claims_read() -> None:
    from resnet_shortcuts.analysis.claims import CLAIMED
    from resnet_shortcuts.models.verify import verify

    judged = judge_claims(runs(plain=BASE), verify(CLAIMED))[:5]
    assert [one.verdict for one in judged] == ["true", "true", "false", "false", "false"]
    assert judged[0].figure.startswith("equal to it to the last bit")


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


@pytest.mark.parametrize(("by", "verdict"), [(-1, "true"), (1, "false"), (0, "false")])
def test_max_hurts_only_if_average_is_better(by: float, verdict: str) -> None:
    assert claim(7, runs(avg_pad=BASE, max_pad=moved(by))).verdict == verdict


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
    assert claim(8, runs(stride_pad=BASE, projection=b, projection_all=c)).verdict == verdict


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
    assert "+5.0% parameters, +23.0% saved bytes" in found.figure
    cheap = priced(stride_pad=(100, 100, 1.0), projection=(99, 99, 1.0), projection_all=(99, 99, 1.0))
    assert claim(9, cheap).verdict == "false"


@pytest.mark.parametrize(("ratio", "verdict"), [(1.01, "true"), (1.1, "false"), (0.9, "false"), (1.05, "not settled")])
def test_time_is_judged_by_the_intervals_of_the_ratios(ratio: float, verdict: str) -> None:
    record = priced(stride_pad=(1, 1, 1.0), max_pad=(1, 1, 1.0), projection_all=(1, 1, ratio), plain=(1, 1, 0.5))
    assert claim(10, record).verdict == verdict


def test_networks_that_disagree_settle_nothing() -> None:
    one = of_accuracies({"avg-pad": BASE, "avg-duplicate": moved(1)})
    two = of_accuracies({"avg-pad": BASE, "avg-duplicate": moved(-1)}, network="cifar-resnet-56")
    both = dataclasses.replace(one, runs=[*one.runs, *two.runs])
    found = claim(6, both)
    assert found.verdict == "not settled"
    assert "ResNet-20: " in found.figure
    assert "ResNet-56: " in found.figure
