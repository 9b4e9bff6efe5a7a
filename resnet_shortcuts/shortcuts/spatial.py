"""The spatial operations: what becomes of the pixels where the size changes. Needs no torch until one is built.

Every operation serves odd sizes: its output has the size that a 3x3 convolution of the same stride and padding 1 has.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import sqrt

from resnet_shortcuts.shortcuts.operations import Cost, Properties, SpatialOperation, define, lazy


def square(*offsets: int) -> tuple[tuple[int, int], ...]:
    """A window of all pairs of these offsets, in reading order."""
    return tuple((row, column) for row in offsets for column in offsets)


def _blur(name: str, taps: tuple[int, ...]) -> SpatialOperation:
    return SpatialOperation(
        name,
        f"binomial filter {list(taps)}, stride s, reflected border",
        build=partial(lazy("spatial_modules.Blur"), taps=taps),
        # A convolution with fixed weights: no parameters, but multiply-adds all the same.
        cost=lambda site, norm: Cost(0, len(taps) ** 2 * site.in_channels),
        taps=taps,
        reflects=True,
    )


def _largest_pixels(window: Sequence[tuple[int, int]], image: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """The largest pixel in the window of each output pixel at stride 2."""
    height, width = len(image), len(image[0])
    windows = (
        [(y + i, x + j) for i, j in window if 0 <= y + i < height and 0 <= x + j < width]
        for y in range(0, height, 2)
        for x in range(0, width, 2)
    )
    return [max(pixels, key=lambda pixel: image[pixel[0]][pixel[1]]) for pixels in windows]


def _largest_phase(image: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """The pixels of the polyphase component with the largest norm at stride 2."""
    phases = [
        [(y, x) for y in range(i, len(image), 2) for x in range(j, len(image[0]), 2)] for i in (0, 1) for j in (0, 1)
    ]
    return max(phases, key=lambda pixels: sum(image[y][x] ** 2 for y, x in pixels))


def _of_maximum3(size: int) -> Properties:
    """On independent inputs a 3x3 maximum reaches 17.4 % of the values at 8 x 8 (200,000 images), 15.8 % in the limit.

    The Jacobian selects inputs, so rank equals coverage, and an input that is chosen k times gives the singular value
    sqrt(k), k up to 4.
    """
    reached = {8: 0.1744, 16: 0.1663, 32: 0.1622, 64: 0.1603}.get(size, 0.158)
    values = (1.0, sqrt(2), sqrt(3), 2.0)
    return Properties(False, reached, reached, 1, values, 1 / 2, "no", loose=("rank", "coverage"), tolerance=0.05)


def _inside(size: int) -> float:
    """The share of a 3x3 window's taps that lie inside: of 3 H / 2 taps along a line one overhangs."""
    return (1 - 2 / (3 * size)) ** 2


STRIDE = define(
    SpatialOperation(
        "stride",
        "every s-th pixel, x[:, :, ::s, ::s]",
        formula="x[:, :, ::s, ::s]",
        build=lazy("spatial_modules.Stride"),
        convolution=lazy("channel_modules.strided_convolution"),
        taps=(1,),
    )
)
AVG = define(SpatialOperation("avg", "mean of s x s pixels", build=lazy("spatial_modules.average"), taps=(1, 1)))
AVG3 = define(
    SpatialOperation(
        "avg3",
        "mean of 3 x 3 pixels, stride s, padding 1 that is not counted",
        build=lazy("spatial_modules.average3"),
        taps=(1, 1, 1),
    )
)
MAX = define(
    SpatialOperation(
        "max",
        "maximum of 3 x 3 pixels, stride s, padding 1",
        build=lazy("spatial_modules.maximum3"),
        window=square(-1, 0, 1),
        chooses=lambda image: _largest_pixels(square(-1, 0, 1), image),
        properties=_of_maximum3,
        explained=0.86,
    )
)
MAX2 = define(
    SpatialOperation(
        "max2",
        "maximum of s x s pixels",
        build=lazy("spatial_modules.maximum2"),
        window=square(0, 1),
        chooses=lambda image: _largest_pixels(square(0, 1), image),
        properties=lambda size: Properties(False, 1 / 4, 1 / 4, 1, (1.0,), 1 / 2, "no"),
    )
)
BLUR3 = define(_blur("blur3", (1, 2, 1)))
BLUR4 = define(_blur("blur4", (1, 3, 3, 1)))
POLYPHASE = define(
    SpatialOperation(
        "polyphase",
        "the polyphase component of largest norm among the s*s, chosen image by image",
        build=lazy("spatial_modules.Polyphase"),
        window=square(0, 1),
        chooses=_largest_phase,
        # A shift only moves the component that is chosen.
        properties=lambda size: Properties(False, 1 / 4, 1 / 4, 1, (1.0,), 1 / 2, "yes"),
    )
)
S2D = define(
    SpatialOperation(
        "s2d",
        "space-to-depth: s x s pixels become channels",
        convolution=lazy("channel_modules.window_convolution"),
        weights=lambda stride: stride * stride,
        window=square(0, 1),
        # All n values pass; the output has room for n / 2 of them.
        properties=lambda size: Properties(True, 1 / 2, 1, 1, None, 1 / 2, "no"),
    )
)
CONV2 = define(
    SpatialOperation(
        "conv2",
        "a learned s x s window, merged with the 1x1 convolution that follows",
        formula="x",
        convolution_formula="conv_sxs",
        convolution=lazy("channel_modules.window_convolution"),
        weights=lambda stride: stride * stride,
        window=square(0, 1),
        learned=True,
        properties=lambda size: Properties(True, 1 / 2, 1, 1, None, 1 / 2, "no"),
    )
)
CONV3 = define(
    SpatialOperation(
        "conv3",
        "a learned 3 x 3 window, stride s, padding 1, merged with the 1x1 convolution that follows",
        formula="x",
        convolution_formula="conv3x3",
        convolution=lazy("channel_modules.convolution3"),
        weights=lambda stride: 9,
        window=square(-1, 0, 1),
        learned=True,
        properties=lambda size: Properties(True, 1 / 2, 1, 1, None, _inside(size) / 2, "no"),
    )
)
FACTORIZED = define(
    SpatialOperation(
        "factorized",
        "half the channels from x, half from x shifted by (1, 1), each through its own 1x1 convolution",
        formula="x",
        convolution_formula="cat(conv1x1, conv1x1 of the shifted)",
        convolution=lazy("channel_modules.FactorizedReduce"),
        window=((0, 0), (1, 1)),
        learned=True,
        properties=lambda size: Properties(True, 1 / 2, 1 / 2, 1 / 2, None, 1 / 2, "no"),
    )
)
DEPTHWISE = define(
    SpatialOperation(
        "depthwise",
        "a learned 3 x 3 filter for each channel, stride s, padding 1, with its own BN",
        convolution=lazy("channel_modules.depthwise_convolution"),
        cost=lambda site, norm: Cost((9 + 2 * norm) * site.in_channels, 9 * site.in_channels),
        window=square(-1, 0, 1),
        learned=True,
        # Filters of He's initialisation have rows of squared norm 2, less where the window overhangs.
        properties=lambda size: Properties(True, 1 / 4, 1, 1, None, _inside(size), "no"),
    )
)
NONE = define(
    SpatialOperation(
        "none",
        "nothing passes where the size changes",
        passes=False,
        properties=lambda size: Properties(True, 0, 0, 0, (), 0, "yes", same_gain=0.0),
    )
)
