"""What the figures show, read back from their pixels and axes."""

import dataclasses
import io
import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread
from matplotlib.text import Text
from numpy.typing import NDArray

from resnet_shortcuts.analysis.curves import curve_figures
from resnet_shortcuts.analysis.drawing import INK, LOOKS, PAGE, Drawing, Look, core_range, look_of, text_width
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord
from resnet_shortcuts.analysis.figures import figures
from resnet_shortcuts.analysis.forest_figure import forest_figure
from resnet_shortcuts.analysis.verdicts import judge
from tests.analysis.made import NET, of_accuracies, whole

SEEDS = {"A": [60.0, 66.0, 71.0, 80.0], **{f"s{i}": [60.0 + i, 69.0, 70.0, 82.0 + i] for i in range(1, 9)}}
DIFFERENCES = {name: np.subtract(values, SEEDS["A"]) for name, values in SEEDS.items() if name != "A"}


def drawn() -> Drawing:
    drawing = forest_figure(judge(of_accuracies(SEEDS)), NET)
    assert drawing is not None
    return drawing


def spot(drawing: Drawing, at: tuple[float, float], pixels: NDArray[np.float64], half: int = 8) -> NDArray[np.float64]:
    """The pixels of a PNG around a point of the first panel."""
    axis = drawing.figure.axes[0]
    x, y = axis.transData.transform(at) / drawing.figure.dpi * 300
    row, column = round(len(pixels) - y), round(x)
    return pixels[row - half : row + half + 1, column - half : column + half + 1, :3]


def light(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """WCAG's relative luminance."""
    linear = np.where(pixels <= 0.03928, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ np.array([0.2126, 0.7152, 0.0722]))


def offsets(drawing: Drawing) -> Sequence[NDArray[np.float64]]:
    """Where the single seeds' marks lie, a strategy each, in the panel's units."""
    return [np.asarray(one.get_offsets()) for one in drawing.figure.axes[0].collections if len(one.get_offsets()) > 1]


def test_every_seed_has_a_mark_that_stands_out_on_white() -> None:
    drawing = drawn()
    pixels = imread(io.BytesIO(drawing.render("png")))
    marks = offsets(drawing)
    shown = sorted(sorted(mark[:, 0].round(6)) for mark in marks)
    assert shown == sorted(sorted(values.round(6)) for values in DIFFERENCES.values())
    for mark in marks:
        for at in mark:
            darkest = np.quantile(light(spot(drawing, tuple(at), pixels)), 0.02)
            assert 1.05 / (darkest + 0.05) > 4.5


def test_seeds_are_edged_in_ink_and_opaque_so_that_they_show_on_black_too() -> None:
    drawing = drawn()
    ink = tuple(int(INK[i : i + 2], 16) / 255 for i in (1, 3, 5))
    for collection in drawing.figure.axes[0].collections:
        if len(collection.get_offsets()) > 1:
            assert collection.get_alpha() in (None, 1)
            assert tuple(collection.get_edgecolor()[0]) == pytest.approx((*ink, 1.0))
    (part,) = drawing.inline_svgs()
    assert part.count("stroke: currentColor") > sum(map(len, DIFFERENCES.values()))
    assert INK not in part


def test_no_seed_lies_on_an_interval() -> None:
    drawing = drawn()
    levels = [float(line.get_ydata()[0]) for line in drawing.figure.axes[0].lines if line.get_gid()]  # type: ignore[index]
    assert len(levels) == len(DIFFERENCES)
    for mark, level in zip(offsets(drawing), sorted(levels), strict=True):
        assert np.abs(mark[:, 1] - level).min() > 0.2  # of a row


def texts_of(drawing: Drawing) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Each visible text of a figure and its box in pixels."""
    ruler = FigureCanvasAgg(drawing.figure).get_renderer()
    drawing.figure.draw_without_rendering()  # ticks are made when they are drawn
    boxes = []
    for axis in drawing.figure.axes:
        ticks = [*axis.xaxis.get_major_ticks(), *axis.yaxis.get_major_ticks()]
        inside = {
            id(tick.label1)
            for axis_ in (axis.xaxis, axis.yaxis)
            for tick in axis_.get_major_ticks()
            if min(axis_.get_view_interval()) <= tick.get_loc() <= max(axis_.get_view_interval())
        }
        hidden = {id(tick.label1) for tick in ticks} - inside | {id(tick.label2) for tick in ticks}
        for text in axis.findobj(Text):
            if text.get_visible() and text.get_text().strip() and id(text) not in hidden:
                box = Text.get_window_extent(text, ruler)
                boxes.append((text.get_text(), (box.x0, box.y0, box.x1, box.y1)))
    return boxes


def alike() -> ExperimentRecord:
    """Nine strategies of nearly equal cost and accuracy, one far off: names crowd, ticks have many digits."""
    made = whole(seeds=3)
    costs = [
        dataclasses.replace(cost, parameters=1_651_000 + 37 * i, multiply_adds=1_650_000_000 + 12_345_678 * i,
                            peak_memory_bytes=2**30 + i * 2**20, activation_bytes=2**29 + i * 2**17,
                            step_ms=1650 + 7 * i)
        for i, cost in enumerate(made.costs)
    ]  # fmt: skip
    low = {"plain": 30}
    runs = [dataclasses.replace(run, test_accuracy=90 + 0.3 * run.seed - low.get(run.shortcut, 0)) for run in made.runs]
    return dataclasses.replace(made, costs=costs, runs=runs)


LOOKS_TO_TRY = [PAGE, *LOOKS.values(), look_of("slide", "dark")]


@pytest.mark.parametrize("look", LOOKS_TO_TRY, ids=["page", *LOOKS, "dark"])
@pytest.mark.parametrize(
    "record", [whole(("cifar-resnet-20", "cifar-resnet-56"), seeds=3), of_accuracies(SEEDS), alike()]
)
def test_no_label_lies_over_another_or_beyond_the_figure(record: ExperimentRecord, look: Look) -> None:
    for drawing in figures(judge(record), look):
        width, height = drawing.figure.bbox.width, drawing.figure.bbox.height
        texts = texts_of(drawing)
        assert len(texts) > 8
        for text, (left, low, right, high) in texts:
            assert left >= -1, (drawing.name, text)
            assert low >= -1, (drawing.name, text)
            assert right <= width + 1, (drawing.name, text)
            assert high <= height + 1, (drawing.name, text)
        for (text, one), (other, two) in itertools.combinations(texts, 2):
            across = min(one[2], two[2]) - max(one[0], two[0])
            up = min(one[3], two[3]) - max(one[1], two[1])
            assert across <= 1 or up <= 1, (drawing.name, text, other)


def test_at_most_five_kinds_of_figures() -> None:
    drawings = figures(judge(whole(("cifar-resnet-20", "cifar-resnet-56"), seeds=3)))
    kinds = {drawing.name.split("-")[0] for drawing in drawings}
    assert kinds == {"differences", "cost", "breakdown", "dependence", "curves"}


def test_files_hold_their_fonts() -> None:
    drawing = drawn()
    assert b"<text" not in drawing.render("svg")  # letters are shapes
    assert b"FontFile2" in drawing.render("pdf")


def test_one_strategy_far_off_does_not_squeeze_the_others_and_is_named_with_its_value() -> None:
    assert core_range([(-0.2, 0.2), (-0.1, 0.5), (0.1, 0.4), (-9.0, -8.0)])[0] > -0.5
    assert core_range([(0.0, 1.0), (0.5, 1.5)]) == pytest.approx((-0.09, 1.59))
    assert core_range([(0.0, 0.0)] * 9) == pytest.approx((-0.5, 0.5))
    assert core_range([(0.0, 0.0)] * 8 + [(-30.0, -29.0)]) == pytest.approx((-0.5, 0.5))
    near = {f"s{i}": [90.0 + 0.1 * i, 90.5, 91.0 + 0.1 * i] for i in range(4)}
    drawing = forest_figure(judge(of_accuracies({**near, "plain": [70.0, 70.6, 71.1]}), "s0"), NET)
    assert drawing is not None
    assert drawing.figure.axes[0].get_xlim()[0] > -5
    assert "plain" in drawing.note
    assert any("−19.93" in text for text, _ in texts_of(drawing))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-40, 40), st.integers(0, 9)), min_size=1, max_size=9))
def test_an_axis_holds_three_spans_at_least(
    ends: list[tuple[int, int]],
) -> None:
    spans = [(float(low), float(low + length)) for low, length in ends]
    low, high = core_range(spans)
    assert low < high
    assert sum(low < start and end < high for start, end in spans) >= min(3, len(spans))
    if len(spans) < 4:
        assert all(low < start and end < high for start, end in spans)


def test_dark_figures_are_light_on_dark() -> None:
    for style, dark in (("paper", False), ("dark", True)):
        drawing = forest_figure(judge(of_accuracies(SEEDS)), NET, look_of("double", style))
        assert drawing is not None
        pixels = imread(io.BytesIO(drawing.render("png")))
        assert bool(light(pixels[:3, :3, :3]).max() < 0.1) is dark


def evaluated(first: int) -> ExperimentRecord:
    """Two strategies, three epochs, with a test accuracy from this epoch on."""
    made = whole(seeds=2, epochs=3, names=("stride-pad", "max-pad"))
    runs = [
        dataclasses.replace(
            run, history=[{**entry, "test_accuracy": entry["test_accuracy"] if entry["epoch"] >= first else None}
                          for entry in run.history],
        )
        for run in made.runs
    ]  # fmt: skip
    return dataclasses.replace(made, runs=runs)


def test_an_accuracy_of_one_epoch_is_no_curve() -> None:
    assert [drawing.name.split("-")[1] for drawing in curve_figures(evaluated(3), NET)] == ["loss"]


def test_curves_of_few_epochs_have_whole_epochs_on_their_axis_and_both_panels_the_same() -> None:
    drawing, _ = curve_figures(evaluated(2), NET)
    limits = [axis.get_xlim() for axis in drawing.figure.axes]
    assert limits[0] == limits[1]
    assert limits[0][0] < 1
    assert limits[0][1] > 3
    drawing.render("png")
    for axis in drawing.figure.axes:
        shown = [tick for tick in axis.get_xticks() if limits[0][0] <= tick <= limits[0][1]]
        assert shown == [1, 2, 3]


def test_a_label_has_the_room_that_it_takes() -> None:
    assert text_width(["iiiiiiiiiiii"], PAGE) < text_width(["WWWWWWWWWWWW"], PAGE) / 2
