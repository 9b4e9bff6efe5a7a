"""A picture a spatial operation: which pixels reach an output pixel and with what weight, and which get gradient.

Drawn from the operations' definitions with NumPy alone, so that documentation needs no torch.
"""

from fractions import Fraction
from html import escape

import numpy as np
from numpy.typing import NDArray

from resnet_shortcuts import random_streams
from resnet_shortcuts.properties.declared import line_of
from resnet_shortcuts.shortcuts.operations import SpatialOperation

_SIZE, _CELL, _GAP, _TOP = 8, 30, 40, 46
_DENOMINATOR = 64  # of blur4's weights; every weight here is a fraction with no greater one
_OUTPUT = 1  # the output pixel (1, 1), whose window lies inside the image
Grid = NDArray[np.float64]


def sample() -> Grid:
    """The random image (8, 8) that maxima and phases are chosen from."""
    return random_streams.numpy_stream("picture").standard_normal((_SIZE, _SIZE))


def grids(spatial: SpatialOperation) -> tuple[Grid, Grid]:
    """For an 8 x 8 input: weights (or candidates, 1) of output pixel (1, 1), and the gradient that each pixel gets."""
    if spatial.taps:
        line = line_of(spatial, _SIZE)
        return np.outer(line[_OUTPUT], line[_OUTPUT]), np.outer(line.sum(0), line.sum(0))
    window, gradient = np.zeros((_SIZE, _SIZE)), np.zeros((_SIZE, _SIZE))
    for row, column in spatial.window:
        window[2 * _OUTPUT + row, 2 * _OUTPUT + column] = 1
    if spatial.chooses is not None:
        for pixel in spatial.chooses(sample().tolist()):
            gradient[pixel] += 1
        return window, gradient
    outputs = range(0, _SIZE, 2)
    reached = {(y + row, x + column) for row, column in spatial.window for y in outputs for x in outputs}
    for y, x in reached:
        if 0 <= y < _SIZE and 0 <= x < _SIZE:
            gradient[y, x] = 1
    return window, gradient


def _label(spatial: SpatialOperation, value: float, gradient: bool) -> str:
    if not value:
        return ""
    if spatial.learned:
        return "w"
    if spatial.chooses is not None and not gradient:
        return "?"
    return str(Fraction(value).limit_denominator(_DENOMINATOR))


def _panel(spatial: SpatialOperation, grid: Grid, left: int, title: str, gradient: bool) -> list[str]:
    most = float(grid.max()) or 1.0
    parts = [f'<text x="{left}" y="{_TOP - 12}" font-size="13">{title}</text>']
    for row in range(_SIZE):
        for column in range(_SIZE):
            value = float(grid[row, column])
            shade = "#ffffff" if not value else _shade(value / most)
            x, y = left + column * _CELL, _TOP + row * _CELL
            parts.append(f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" fill="{shade}" stroke="#999"/>')
            label = _label(spatial, value, gradient)
            if label:
                parts.append(
                    f'<text x="{x + _CELL / 2:g}" y="{y + 19}" font-size="10" text-anchor="middle">{label}</text>'
                )
    return parts


def _shade(share: float) -> str:
    """From pale to full blue; pale enough that black digits stay readable."""
    red, green, blue = (round(end + (255 - end) * (1 - 0.25 - 0.75 * share)) for end in (120, 170, 230))
    return f"#{red:02x}{green:02x}{blue:02x}"


def svg(spatial: SpatialOperation) -> str:
    """The picture of one spatial operation at stride 2, as an SVG document."""
    window, gradient = grids(spatial)
    side = _SIZE * _CELL
    width, height = 2 * side + 3 * _GAP, _TOP + side + 20
    share = f"{np.count_nonzero(gradient)} of {gradient.size}"
    share += " (a random image)" if spatial.chooses is not None else " pixels"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" role="img">',
        f"<title>{spatial.name}: {escape(spatial.summary)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *_panel(spatial, window, _GAP, "what reaches output pixel (1, 1), weight", gradient=False),
        *_panel(spatial, gradient, 2 * _GAP + side, f"gets gradient: {share}", gradient=True),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
