"""The cost figure: the Pareto front by brute force, and files that are what their extension says."""

import dataclasses
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_shortcuts.analysis.cost_figure import breakdown_figure, cost_figure, memory_parts
from resnet_shortcuts.analysis.drawing import Drawing, pareto, series_styles
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
    style = series_styles(str(i) for i in range(117))
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
    assert len(parts) == 2  # time and parameters
    for part in parts:
        ElementTree.fromstring(part)  # noqa: S314
    assert drawing.render("svg") == again.render("svg")
    assert "A (91.00 %" in drawing.alt


def test_no_figure_without_measurements() -> None:
    assert cost_figure(experiment(False)) is None
    assert breakdown_figure(experiment(False), "cifar-resnet-20") is None


@pytest.mark.parametrize("timed", [False, True])
def test_the_front_says_that_it_ranks_nothing_under_the_noise(timed: bool) -> None:
    made = experiment(True)
    costs = [dataclasses.replace(one, noise=0.013, step_ms=one.step_ms if timed else None) for one in made.costs]
    noisy = dataclasses.replace(made, costs=costs)
    drawing = cost_figure(noisy)
    assert drawing is not None
    assert drawing.note in drawing.alt
    assert "accuracy intervals overlap it ranks nothing" in drawing.note
    assert ("less than the measurement's noise (1.3 %" in drawing.note) is timed
    assert "The Pareto front joins means" in report_html(judge(noisy), drawings=[drawing]).split('class="reading"')[1]


def front_lines(drawing: Drawing) -> list[int]:
    """How many points the front of each panel joins."""
    lines = [[line for line in axis.lines if line.get_label() == "Pareto front"] for axis in drawing.figure.axes]
    return [len(line.get_xdata()) for of_panel in lines for line in of_panel]  # type: ignore[arg-type]


def test_no_front_goes_through_numbers_that_cannot_be_trusted_and_one_that_is_drawn_has_a_legend() -> None:
    made = experiment(True)
    runs = [dataclasses.replace(run, test_accuracy=90.0 + run.seed + (run.shortcut == "B")) for run in made.runs]
    sound = dataclasses.replace(made, runs=runs)
    drawing = cost_figure(sound)
    assert drawing is not None
    assert front_lines(drawing) == [2, 2]
    assert all(axis.get_legend() is not None for axis in drawing.figure.axes)
    disturbed = dataclasses.replace(sound, costs=[dataclasses.replace(one, disturbed=True) for one in sound.costs])
    shaken = cost_figure(disturbed)
    assert shaken is not None
    assert front_lines(shaken) == [2]  # parameters are counted
    assert "no front" in shaken.note
    lost = dataclasses.replace(sound, runs=[*runs, RunRecord("cifar-resnet-20", "B", 9, status="diverged")])
    partial = cost_figure(lost)
    assert partial is not None
    assert front_lines(partial) == []


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_parts_of_memory_never_exceed_the_whole(peak: int, activations: int) -> None:
    cost = CostRecord("net", "A", peak_memory_bytes=peak, activation_bytes=activations)
    parts = memory_parts(cost)
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(peak / 2**20)
