"""A picture a spatial operation: which pixels reach an output pixel and with what weight, and which get gradient.

Drawn from the operations' definitions with NumPy alone, so that documentation needs no torch.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from resnet_shortcuts import random_streams
from resnet_shortcuts.properties.declared import line_of
from resnet_shortcuts.shortcuts.composition import SPATIAL

_SIZE, _CELL, _GAP, _TOP = 8, 30, 40, 46
_DENOMINATOR = 64  # of blur4's weights; every weight here is a fraction with no greater one
_OUTPUT = 1  # the output pixel (1, 1), whose window lies inside the image
Grid = NDArray[np.float64]


def sample() -> Grid:
    """The random image (8, 8) that maxima and phases are chosen from."""
    return random_streams.numpy_stream("picture").standard_normal((_SIZE, _SIZE))


def _maximum(reach: tuple[int, ...]) -> tuple[Grid, Grid]:
    """Candidates of the output pixel, and how often each pixel of the sample is chosen."""
    image, window, chosen = sample(), np.zeros((_SIZE, _SIZE)), np.zeros((_SIZE, _SIZE))
    for row in range(_SIZE // 2):
        for column in range(_SIZE // 2):
            places = [
                (2 * row + i, 2 * column + j)
                for i in reach
                for j in reach
                if 0 <= 2 * row + i < _SIZE and 0 <= 2 * column + j < _SIZE
            ]
            chosen[max(places, key=lambda place: image[place])] += 1
            if row == column == _OUTPUT:
                for place in places:
                    window[place] = 1
    return window, chosen


def _polyphase() -> tuple[Grid, Grid]:
    image, window, chosen = sample(), np.zeros((_SIZE, _SIZE)), np.zeros((_SIZE, _SIZE))
    window[2:4, 2:4] = 1
    i, j = max(((i, j) for i in (0, 1) for j in (0, 1)), key=lambda p: float((image[p[0] :: 2, p[1] :: 2] ** 2).sum()))
    chosen[i::2, j::2] = 1
    return window, chosen


def grids(name: str) -> tuple[Grid, Grid]:
    """For an 8 x 8 input: weights (or candidates, 1) of output pixel (1, 1), and the gradient that each pixel gets."""
    window, gradient = np.zeros((_SIZE, _SIZE)), np.zeros((_SIZE, _SIZE))
    if name in {"max", "max2"}:
        return _maximum((-1, 0, 1) if name == "max" else (0, 1))
    if name == "polyphase":
        return _polyphase()
    if name in {"s2d", "conv2"}:
        window[2:4, 2:4], gradient[:] = 1, 1
    elif name in {"conv3", "depthwise"}:
        window[1:4, 1:4], gradient[:] = 1, 1
    elif name == "factorized":
        window[2, 2] = window[3, 3] = 1
        gradient[::2, ::2] = gradient[1::2, 1::2] = 1
    elif name != "none":
        line = line_of(name, _SIZE)
        window, gradient = np.outer(line[_OUTPUT], line[_OUTPUT]), np.outer(line.sum(0), line.sum(0))
    return window, gradient


_LEARNED = {"conv2": "w", "conv3": "w", "factorized": "w", "depthwise": "w", "max": "?", "max2": "?", "polyphase": "?"}


def _label(name: str, value: float, gradient: bool) -> str:
    if not value:
        return ""
    if name in _LEARNED and not (gradient and name in {"max", "max2", "polyphase"}):
        return _LEARNED[name]
    return str(Fraction(value).limit_denominator(_DENOMINATOR))


def _panel(name: str, grid: Grid, left: int, title: str, gradient: bool) -> list[str]:
    most = float(grid.max()) or 1.0
    parts = [f'<text x="{left}" y="{_TOP - 12}" font-size="13">{title}</text>']
    for row in range(_SIZE):
        for column in range(_SIZE):
            value = float(grid[row, column])
            shade = "#ffffff" if not value else _shade(value / most)
            x, y = left + column * _CELL, _TOP + row * _CELL
            parts.append(f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" fill="{shade}" stroke="#999"/>')
            label = _label(name, value, gradient)
            if label:
                parts.append(
                    f'<text x="{x + _CELL / 2:g}" y="{y + 19}" font-size="10" text-anchor="middle">{label}</text>'
                )
    return parts


def _shade(share: float) -> str:
    """From pale to full blue; pale enough that black digits stay readable."""
    red, green, blue = (round(end + (255 - end) * (1 - 0.25 - 0.75 * share)) for end in (120, 170, 230))
    return f"#{red:02x}{green:02x}{blue:02x}"


def svg(name: str) -> str:
    """The picture of one spatial operation at stride 2, as an SVG document."""
    window, gradient = grids(name)
    side = _SIZE * _CELL
    width, height = 2 * side + 3 * _GAP, _TOP + side + 20
    share = f"{np.count_nonzero(gradient)} of {gradient.size}"
    share += " (a random image)" if name in {"max", "max2", "polyphase"} else " pixels"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" role="img">',
        f"<title>{name}: {SPATIAL[name].replace('<', '&lt;')}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *_panel(name, window, _GAP, "what reaches output pixel (1, 1), weight", gradient=False),
        *_panel(name, gradient, 2 * _GAP + side, f"gets gradient: {share}", gradient=True),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
