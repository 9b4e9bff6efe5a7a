"""The cost figure: the Pareto front by brute force, and files that are what their extension says."""

import dataclasses
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_shortcuts.analysis.cost_figure import cost_figure
from resnet_shortcuts.analysis.drawing import looks, pareto
from resnet_shortcuts.analysis.experiment_records import CostRecord, ExperimentRecord, Regime, RunRecord
from resnet_shortcuts.analysis.report import report_html
from resnet_shortcuts.analysis.verdicts import judge

unhurried = settings(deadline=None, max_examples=60)  # the machine is shared

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12)


@unhurried
@given(POINTS)
def test_pareto_front_is_what_no_other_point_beats(points: list[tuple[int, int]]) -> None:
    front = pareto([x for x, _ in points], [y for _, y in points])
    beaten = {(x, y) for x, y in points for u, v in points if (u <= x and v >= y) and (u < x or v > y)}
    assert {points[i] for i in front} == set(points) - beaten
    assert [points[i][0] for i in front] == sorted(points[i][0] for i in front)


def test_every_series_differs_in_colour_or_marker() -> None:
    style = looks(str(i) for i in range(117))
    assert len({(one["color"], one["marker"]) for one in style.values()}) == 117


def experiment(measured: bool) -> ExperimentRecord:
    nets = ["cifar-resnet-20", "cifar-resnet-56", "cifar-resnet-110"]
    runs = [RunRecord(net, name, seed, test_accuracy=90 + seed) for net in nets for name in "AB" for seed in range(3)]
    costs = [
        CostRecord(net, name, parameters=100 + ord(name), step_ms=1.0 * ord(name)) for net in nets for name in "AB"
    ]
    return ExperimentRecord("x", Regime("digits", 100, 50, 2), runs, costs=costs if measured else ())


def test_files_are_what_they_say_and_the_same_twice() -> None:
    drawing, again = cost_figure(experiment(True)), cost_figure(experiment(True))
    assert drawing is not None
    assert again is not None
    assert drawing.render("png").startswith(b"\x89PNG")
    assert drawing.render("pdf").startswith(b"%PDF")
    ElementTree.fromstring(drawing.render("svg"))  # noqa: S314
    parts = drawing.inline_svgs()
    assert len(parts) == 3 + 1  # networks and the legend
    for part in parts:
        ElementTree.fromstring(part)  # noqa: S314
    assert drawing.render("svg") == again.render("svg")
    assert "A (91.00 %" in drawing.alt


@pytest.mark.parametrize("cost", [None, "peak_memory_bytes"])
def test_no_figure_without_measurements(cost: str | None) -> None:
    assert cost_figure(experiment(False), cost) is None


@pytest.mark.parametrize("cost", ["parameters", "step_ms"])
def test_the_front_says_that_it_ranks_nothing_under_the_noise(cost: str) -> None:
    made = experiment(True)
    noisy = dataclasses.replace(made, costs=[dataclasses.replace(one, noise=0.013) for one in made.costs])
    drawing = cost_figure(noisy, cost)
    assert drawing is not None
    assert drawing.note in drawing.alt
    assert "accuracy intervals overlap it ranks nothing" in drawing.note
    assert ("less than the measurement's noise (1.3 %" in drawing.note) is (cost == "step_ms")
    assert "The Pareto front joins means" in report_html(judge(noisy), drawings=[drawing]).split('class="reading"')[1]
