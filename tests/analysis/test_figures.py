"""What the figures show, read back from their pixels and axes."""

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread
from numpy.typing import NDArray

from resnet_shortcuts.analysis.curves import curve_figures
from resnet_shortcuts.analysis.drawing import COLOURS, INK, Drawing, room
from resnet_shortcuts.analysis.figures import accuracy_figure
from resnet_shortcuts.analysis.statistics import mean_interval
from resnet_shortcuts.analysis.verdicts import judge
from tests.analysis.made import of_accuracies, whole

SEEDS = {f"s{i}": [60.0 + i, 66.0, 71.0, 80.0] for i in range(len(COLOURS))}


def drawn() -> Drawing:
    drawing = accuracy_figure(judge(of_accuracies(SEEDS)))
    assert drawing is not None
    return drawing


def spot(drawing: Drawing, at: tuple[float, float], pixels: NDArray[np.float64], half: int = 8) -> NDArray[np.float64]:
    """The pixels of a PNG around a point of the first panel."""
    axis = drawing.figure.axes[0]
    x, y = axis.transData.transform(at) / drawing.figure.dpi * 160
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
    assert [sorted(mark[:, 0]) for mark in marks] == [sorted(values) for values in SEEDS.values()]
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
    assert part.count("stroke: currentColor") > sum(map(len, SEEDS.values()))
    assert INK not in part


def test_no_seed_lies_on_an_interval() -> None:
    drawing = drawn()
    pixels = imread(io.BytesIO(drawing.render("png")))
    lines = [line for line in drawing.figure.axes[0].lines if len(line.get_xdata()) == 1 and line.get_marker() != "|"]
    assert len(lines) == len(SEEDS)
    for place, (line, mark, values) in enumerate(zip(lines, offsets(drawing), SEEDS.values(), strict=True)):
        level = float(line.get_ydata()[0])
        assert np.abs(mark[:, 1] - level).min() > 0.2  # of a row of 0.4 inches
        interval = mean_interval(values)
        assert interval is not None
        colour = np.array([int(COLOURS[place][i : i + 2], 16) / 255 for i in (1, 3, 5)])
        for x in (*values, *np.linspace(*interval, 7)[1:-1]):
            if abs(x - np.mean(values)) > 1.5:  # away from the mean's own mark
                around = spot(drawing, (x, level), pixels, half=3)
                assert np.abs(around[3] - colour).max(axis=-1).min() < 0.1, (place, x)


def test_curves_of_one_epoch_have_an_epoch_on_their_axis_and_both_panels_the_same() -> None:
    made = whole(seeds=2, epochs=3, names=("stride-pad", "max-pad"))
    runs = [
        dataclasses.replace(
            run, history=[{**entry, "test_accuracy": entry["test_accuracy"] if entry["epoch"] == 3 else None}
                          for entry in run.history],
        )
        for run in made.runs
    ]  # fmt: skip
    (drawing,) = curve_figures(dataclasses.replace(made, runs=runs))
    limits = [axis.get_xlim() for axis in drawing.figure.axes]
    assert limits[0] == limits[1]
    assert limits[0][0] < 1
    assert limits[0][1] > 3
    drawing.render("png")
    for axis in drawing.figure.axes:
        shown = [tick for tick in axis.get_xticks() if limits[0][0] <= tick <= limits[0][1]]
        assert shown == [1, 2, 3]


def test_a_label_has_the_room_that_it_takes() -> None:
    names = ["WWWWWWWWWWWW", "iiiiiiiiiiii", "stride-duplicate"]
    drawing = accuracy_figure(judge(of_accuracies({"A": [1.0, 2.0, 4.0], **{name: [2.0, 3.0, 5.0] for name in names}})))
    assert drawing is not None
    ruler = FigureCanvasAgg(drawing.figure).get_renderer()
    for label in drawing.figure.axes[0].get_yticklabels():
        assert label.get_window_extent(ruler).x0 >= 0, label.get_text()
    assert room(["iiiiiiiiiiii"]) < room(["WWWWWWWWWWWW"]) / 2
