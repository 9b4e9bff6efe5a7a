"""How figures look and how they become bytes: for a column, a page, a slide or a screen, on white or on black.

Colours are Okabe and Ito's, without the yellow that vanishes on white; no figure needs colour to be read. matplotlib is
imported when a figure is drawn, never before.
"""

from __future__ import annotations

import html
import importlib
import io
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
COLOURS = ("#1F7FC0", "#D55E00", "#009E73", "#CC79A7", "#C98A00", "#3D9BD1", "#7570B3", "#9A7728", "#A51C5B")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h", "p", "d")
INK = "#101214"  # text and axes; a page replaces it by its own text colour
FAINT = "#8a8f96"


@dataclass(frozen=True)
class Look:
    """Where a figure is shown: its width in inches, its font in points, how many wide panels stand side by side.

    ``costs``: against how many costs accuracy is drawn; a file shows them all at once, a page one at a time.
    """

    width: float
    font: float
    columns: int = 1
    dark: bool = False
    costs: int = 2

    @property
    def ink(self) -> str:
        """The colour of text and axes."""
        return "#e8eaed" if self.dark else INK

    @property
    def paper(self) -> str:
        """The colour behind them."""
        return "#14171a" if self.dark else "white"

    @property
    def em(self) -> float:
        """The font size in inches, the unit of heights and margins."""
        return self.font / 72


LOOKS = {"single": Look(3.4, 7), "double": Look(7.0, 8, 2), "slide": Look(12.0, 16, 2)}
"""The widths of ``--width``: a column of a two-column paper, its whole page, and a 16:9 slide."""
DOUBLE = LOOKS["double"]
PAGE = Look(4.6, 10, costs=5)
"""On the report: a panel is as wide as a phone, with letters that can be read there."""
STYLES = ("paper", "dark")


def look_of(width: str, style: str) -> Look:
    """The look that ``--width`` and ``--style`` name."""
    return replace(LOOKS[width], dark=style == "dark")


@dataclass(frozen=True, eq=False)
class Drawing:
    """One figure: a file name without extension, a title, what it shows in words, and the matplotlib figure itself.

    ``note`` is how to read it, where it could mislead; ``alt`` says it too. ``hover`` gives the text that a page shows
    over the artist of this ``gid``.
    """

    name: str
    title: str
    alt: str
    figure: Figure
    note: str = ""
    look: Look = DOUBLE
    hover: Mapping[str, str] = field(default_factory=dict)

    def render(self, format_: Format) -> bytes:
        """The figure as a file: SVG, PNG (300 dots an inch) or PDF, with its fonts. The same figure, the same bytes."""
        return self._bytes(format_, self.look.paper, "path")

    def inline_svgs(self) -> list[str]:
        """The figure for a page: an SVG element a panel, transparent, in the page's text colour, with unique ids."""
        text = self._bytes("svg", "none", "none").decode().replace(INK, "currentColor")
        for gid, words in self.hover.items():
            group = f'<g id="{gid}">'
            text = text.replace(group, f"{group}<title>{html.escape(escape_figure(words))}</title>")
        text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{self.name}-", text)
        text = re.sub(r"(\d\.\d\d)\d+", r"\1", text)  # hundredths of a point are finer than any screen
        clips = dict(re.findall(r'(?s)<clipPath id="([^"]+)">(.*?)</clipPath>', text))
        parts = re.findall(r'(?ms)^  <g id="[^"]+-axes_\d+">$.*?^  </g>$', text)
        return [_svg(part, box, clips) for part, box in zip(parts, self._boxes(), strict=True)]

    def _boxes(self) -> list[tuple[float, float, float, float]]:
        """Left, top, width and height in points of each panel with its labels: as much around each as around any."""
        ruler = cast("FigureCanvasAgg", self.figure.canvas).get_renderer()  # type: ignore[no-untyped-call]
        with _style(self.look):
            inner = [axis.get_window_extent(ruler) for axis in self.figure.axes]
            outer = [axis.get_tightbbox(ruler) or box for axis, box in zip(self.figure.axes, inner, strict=True)]
        pairs = list(zip(inner, outer, strict=True))
        left, right = max(i.x0 - o.x0 for i, o in pairs), max(o.x1 - i.x1 for i, o in pairs)
        below, above = max(i.y0 - o.y0 for i, o in pairs), max(o.y1 - i.y1 for i, o in pairs)
        scale, height = 72 / self.figure.dpi, self.figure.bbox.height
        return [
            (scale * (box.x0 - left), scale * (height - box.y1 - above), scale * (box.width + left + right),
             scale * (box.height + above + below))
            for box in inner
        ]  # fmt: skip

    def _bytes(self, format_: Format, background: str, svg_fonts: str) -> bytes:
        undated: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
        stream = io.BytesIO()
        with _style(self.look, {"svg.fonttype": svg_fonts}):
            self.figure.savefig(stream, format=format_, dpi=300, facecolor=background, metadata=undated[format_])
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


def _settings(look: Look) -> dict[str, Any]:
    colours = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")
    return {
        **dict.fromkeys(colours, look.ink),
        "svg.hashsalt": "resnet-shortcuts",
        "pdf.fonttype": 42,
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": look.font,
        "text.parse_math": False,  # a name with a dollar is a name
        "axes.edgecolor": FAINT,
        "axes.facecolor": "none",
        "axes.titlesize": "medium",
        "axes.titlelocation": "left",
        "axes.titley": 1.0,  # where matplotlib puts it; to find that out again takes a tenth of all drawing
        "axes.linewidth": 0.08 * look.font,
        "axes.labelpad": 0.35 * look.font,
        "axes.titlepad": 0.5 * look.font,
        **{f"{axis}tick.major.{what}": 0.3 * look.font for axis in "xy" for what in ("size", "pad")},
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": FAINT,
        "grid.alpha": 0.25,
        "grid.linewidth": 0.06 * look.font,
        "lines.linewidth": 0.15 * look.font,
        "lines.markersize": 0.7 * look.font,
        "lines.markeredgewidth": 0.12 * look.font,
        "legend.frameon": False,
        "legend.fontsize": "medium",
        "figure.dpi": 100,
    }


@contextmanager
def _style(look: Look, settings: Mapping[str, Any] = {}) -> Iterator[None]:
    """matplotlib's own defaults with the settings above, whatever the user's are; a glyph that is missing is a box."""
    matplotlib = import_matplotlib()
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_settings(look), **settings})
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


@contextmanager
def canvas(
    look: Look, panels: int, height: float, *, left: float, right: float, columns: int | None = None,
    above: float = 2.0, below: float = 3.2,
) -> Iterator[tuple[Figure, list[Axes]]]:  # fmt: skip
    """A figure of ``panels`` panels, drawn off screen in the house's style, and its axes.

    ``height`` of a panel and the space ``above`` and ``below`` it are in font sizes, the margins ``left`` and ``right``
    of it in inches. Margins are set, not searched for: matplotlib's own search takes longer than all drawing.
    """
    import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    em, columns = look.em, min(columns or look.columns, panels)
    width = max(look.width / columns - left - right, 10 * em)
    cell = (left + width + right, (above + height + below) * em)
    rows = -(-panels // columns)
    with _style(look):
        figure = Figure(figsize=(columns * cell[0], rows * cell[1]))
        FigureCanvasAgg(figure)
        total = figure.get_size_inches()
        axes = []
        for place in range(panels):
            row, column = divmod(place, columns)
            corner = (column * cell[0] + left, (rows - 1 - row) * cell[1] + below * em)
            box = (corner[0] / total[0], corner[1] / total[1], width / total[0], height * em / total[1])
            axes.append(figure.add_axes(box))
        yield figure, axes


def text_width(texts: Iterable[str], look: Look) -> float:
    """Inches that the longest of the texts takes."""
    import_matplotlib()
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    with _style(look):
        font = FontProperties(family=["DejaVu Sans"], size=look.font)
        widths = [text_to_path.get_text_width_height_descent(escape_figure(text), font, False)[0] for text in texts]
    return float(max(widths, default=0.0)) / 72


def series_styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour and marker of each name, by its place; no two of the first 117 names share both."""
    return {
        name: {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[(i + i // len(COLOURS)) % len(MARKERS)]}
        for i, name in enumerate(dict.fromkeys(names))
    }


def core_range(spans: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The range of an axis for these spans, without those that would stretch it more than two-fold.

    Three spans at least stay inside; one that is left out is drawn at the edge, with its value in words.
    """
    kept = sorted(spans)
    while len(kept) > 3:
        without = [[span for span in kept if span != outer] for outer in (kept[0], max(kept, key=_end))]
        rest = min((spans for spans in without if len(spans) >= 3), key=_extent, default=kept)
        if _extent(kept) <= 2 * _extent(rest):
            break
        kept = rest
    low, high = kept[0][0], max(map(_end, kept))
    air = 0.06 * (high - low) or 0.5
    return low - air, high + air


def beyond(value: float, limits: tuple[float, float], text: str) -> str:
    """What the name of a point that lies beyond the axis says of it; nothing where it lies on the axis."""
    if limits[0] <= value <= limits[1]:
        return ""
    return f" {text} {'▼' if value < limits[0] else '▲'}"


def _end(span: tuple[float, float]) -> float:
    return span[1]


def _extent(spans: Sequence[tuple[float, float]]) -> float:
    return max(map(_end, spans)) - min(low for low, _ in spans)


def label_beside(axis: Axes, points: Sequence[tuple[float, float, str, str]], look: Look) -> None:
    """Names points (x, y, text, colour) to the right of the panel, in their order of height, none over another.

    A thin line leads from each name to its point, if that lies on the panel. The axis must have its limits.
    """
    from scipy.optimize import isotonic_regression

    if not points:
        return
    low, high = axis.get_ylim()
    height = axis.get_window_extent().height / axis.figure.dpi
    gap = 1.25 * look.em / height
    ordered = sorted(points, key=lambda point: point[1])
    heights = [min(max((y - low) / (high - low), 0.0), 1.0) for _, y, _, _ in ordered]
    wanted = [height - place * gap for place, height in enumerate(heights)]
    free = isotonic_regression(wanted).x.clip(0.0, max(0.0, 1 - (len(points) - 1) * gap))
    for place, ((x, y, text, colour), start) in enumerate(zip(ordered, free, strict=True)):
        line = {
            "arrowstyle": "-", "color": FAINT, "linewidth": 0.06 * look.font, "shrinkA": 0, "shrinkB": 0,
            "relpos": (0, 0.5),
        }  # fmt: skip
        leads = low <= y <= high
        axis.annotate(
            escape_figure(text), (x, y), (1 + 1.2 * look.em / _width(axis), float(start) + place * gap), va="center",
            textcoords="axes fraction", color=colour, arrowprops=line if leads else None, annotation_clip=False,
        )  # fmt: skip


def _width(axis: Axes) -> float:
    return float(axis.get_window_extent().width) / float(axis.figure.dpi)


def pareto(costs: Sequence[float], gains: Sequence[float]) -> list[int]:
    """Places of the points that no other beats: none costs less and gains at least as much. Cheapest first.

    Of equal points the first is kept.
    """
    front: list[int] = []
    for place in sorted(range(len(costs)), key=lambda i: (costs[i], -gains[i])):
        if not front or gains[place] > gains[front[-1]]:
            front.append(place)
    return front
