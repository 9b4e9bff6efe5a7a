"""How figures look and how they become bytes: one palette with markers, readable in print, on white and on black.

Colours are Okabe and Ito's, without the yellow that vanishes on white; every series has its own marker as well, so that
no figure needs colour to be read. matplotlib is imported when a figure is drawn, never before.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, cast

from resnet_shortcuts.tables.escaping import escape_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

Format = Literal["svg", "png", "pdf"]
FORMATS: tuple[Format, ...] = ("svg", "png", "pdf")
COLOURS = ("#1F7FC0", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7570B3", "#9A7728", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h", "p", "d")
INK = "#101214"  # text and axes; a page replaces it by its own text colour
FAINT = "#8a8f96"
PANEL = 3.1  # inches wide; with its labels it is as wide as a phone, or nearly
_ABOVE, _BELOW = 0.42, 0.75  # inches over and under each panel
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "resnet-shortcuts",
    "pdf.fonttype": 42,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.parse_math": False,  # a name with a dollar is a name
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # where matplotlib puts it; to find that out again takes a tenth of all drawing
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.dpi": 100,
}


@dataclass(frozen=True, eq=False)
class Drawing:
    """One figure: a file name without extension, a title, what it shows in words, and the matplotlib figure itself.

    ``note`` is how to read it, where it could mislead; ``alt`` says it too.
    """

    name: str
    title: str
    alt: str
    figure: Figure
    note: str = ""

    def render(self, format_: Format) -> bytes:
        """The figure as a file on white: SVG, PNG (160 dots an inch) or PDF. The same figure gives the same bytes."""
        return self._bytes(format_, "white")

    def inline_svgs(self) -> list[str]:
        """The figure for a page: transparent, in the page's text colour, with unique ids; an SVG element a panel.

        The legend, where there is one, comes last. A page lays them side by side, a phone one under the other.
        """
        text = self._bytes("svg", "none").decode().replace(INK, "currentColor")
        text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{self.name}-", text)
        text = re.sub(r"(\d\.\d\d)\d+", r"\1", text)  # hundredths of a point are finer than any screen
        clips = dict(re.findall(r'(?s)<clipPath id="([^"]+)">(.*?)</clipPath>', text))
        parts = re.findall(r'(?ms)^  <g id="[^"]+-(?:axes|legend)_\d+">$.*?^  </g>$', text)
        return [_svg(part, box, clips) for part, box in zip(parts, self._boxes(), strict=True)]

    def _boxes(self) -> list[tuple[float, float, float, float]]:
        """Left, top, width and height in points of each panel with its labels, and of the legend."""
        width, height = self.figure.get_size_inches()
        left, air = self.figure.subplotpars.left * width, 0.1
        over = 0.22  # what the last number on an axis may reach beyond it
        boxes = []
        for axis in self.figure.axes:
            place = axis.get_position()
            top = (1 - place.y1) * height - _ABOVE
            tall = place.height * height + _ABOVE + _BELOW
            boxes.append((place.x0 * width - left + air, top, left - air + place.width * width + over, tall))
        ruler = cast("FigureCanvasAgg", self.figure.canvas).get_renderer()  # type: ignore[no-untyped-call]
        for entry in self.figure.legends:
            extent = entry.get_window_extent(ruler).transformed(self.figure.dpi_scale_trans.inverted())
            boxes.append((extent.x0, height - extent.y1, extent.width, extent.height))
        return [(72 * x, 72 * y, 72 * wide, 72 * tall) for x, y, wide, tall in boxes]

    def _bytes(self, format_: Format, background: str) -> bytes:
        undated: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
        stream = io.BytesIO()
        with _style():
            self.figure.savefig(stream, format=format_, dpi=160, facecolor=background, metadata=undated[format_])
        return stream.getvalue()


def _svg(part: str, box: tuple[float, float, float, float], clips: Mapping[str, str]) -> str:
    """One part of a figure as an SVG element that shows this box, with the clip paths that it uses."""
    used = "".join(f'<clipPath id="{name}">{shape}</clipPath>' for name, shape in clips.items() if f"#{name})" in part)
    view = " ".join(f"{edge:.2f}" for edge in box)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{view}" '
        f'style="--w: {box[2] * 96 / 72:.0f}px"><defs>{used}</defs>\n{part}\n</svg>'
    )


def import_matplotlib() -> ModuleType:
    """matplotlib, imported so that a ``matplotlibrc`` in the working folder is not read: it may be anything."""
    if "matplotlib" not in sys.modules:
        folder = os.open(".", os.O_PATH)  # a folder that was deleted, or may not be read, has no path to return to
        os.chdir(Path(__file__).parent)
        try:
            importlib.import_module("matplotlib")
        finally:
            os.fchdir(folder)
            os.close(folder)
    return importlib.import_module("matplotlib")


@contextmanager
def _style() -> Iterator[None]:
    """matplotlib's own defaults with the settings above, whatever the user's are; a glyph that is missing is a box."""
    matplotlib = import_matplotlib()
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


@contextmanager
def canvas(
    panel: tuple[float, float], columns: int = 1, panels: int | None = None, left: float = 0.85, right: float = 0.15
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of panels of (width, height) inches each, and its axes, drawn off screen in the house's style.

    Without ``panels`` there is one row of them; the last row may be short.
    ``left`` inches beside each panel are for its labels, ``right`` beside the last for a legend. Margins are set, not
    searched for: matplotlib's own search for a layout takes longer than all drawing.
    """
    import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = panels or columns
    rows = -(-count // columns)
    with _style():
        width, height = columns * (left + panel[0]) + right, rows * (_ABOVE + panel[1] + _BELOW)
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        axes = [figure.add_subplot(rows, columns, place + 1) for place in range(count)]
        figure.subplots_adjust(
            left=left / width, right=1 - right / width, bottom=_BELOW / height, top=1 - _ABOVE / height,
            wspace=left / panel[0], hspace=(_ABOVE + _BELOW) / panel[1],
        )  # fmt: skip
        yield figure, axes


def legend(figure: Figure, axis: Axes, right: float) -> None:
    """The legend of an axis in the margin of ``right`` inches that the canvas left for it."""
    width, height = figure.get_size_inches()
    place = (1 - (right - 0.1) / width, 1 - _ABOVE / height)
    figure.legend(*axis.get_legend_handles_labels(), loc="upper left", bbox_to_anchor=place, fontsize=9)


def room(names: Iterable[str]) -> float:
    """Inches that the longest of the names takes, with a little air."""
    import_matplotlib()
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=_STYLE["font.sans-serif"], size=_STYLE["font.size"])
    with _style():
        widths = [text_to_path.get_text_width_height_descent(escape_figure(name), font, False)[0] for name in names]
    return 0.3 + max(widths, default=0.0) / 72


def looks(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour and marker of each name, by its place; no two of the first 117 names share both."""
    return {
        name: {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[(i + i // len(COLOURS)) % len(MARKERS)]}
        for i, name in enumerate(dict.fromkeys(names))
    }


def pareto(costs: Sequence[float], gains: Sequence[float]) -> list[int]:
    """Places of the points that no other beats: none costs less and gains at least as much. Cheapest first.

    Of equal points the first is kept.
    """
    front: list[int] = []
    for place in sorted(range(len(costs)), key=lambda i: (costs[i], -gains[i])):
        if not front or gains[place] > gains[front[-1]]:
            front.append(place)
    return front
