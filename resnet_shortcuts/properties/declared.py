"""What each strategy must measure, derived from what its operations declare and not measured. Needs no torch.

The site is the usual transition: C to 2C channels, stride 2, even and equal height and width H. The operator stands
alone, without BN. With n = C H H input values and m = n / 2 outputs, J its Jacobian, and S the part of J that one
channel's spatial operation is (n / (4C) rows a channel):

- rank over n: every S has full row rank, hence n / 4 dimensions pass; space-to-depth passes n, of which at most m fit
  into the output. No shortcut can keep more than 1/2.
- singular values: zero channels change nothing, duplicating k times multiplies by sqrt(k), a scale multiplies.
- gradient gain E|J'g|^2 / |g|^2 = |J|^2 / m for white g (Frobenius norm). With r the mean squared row norm of S, |J|^2
  = r n / 4 with zero channels (gain r / 2), twice that duplicated. Behind a 1x1 convolution of He's initialisation
  (variance 2 / C, 2C x C weights) it is E|J|^2 = 2C (2 / C) r n / 4 = r n (gain 2 r).
- r: 1 for the stride and for any maximum, since each output is one input; 4 (1/4)^2 = 1/4 for 2x2 averages. Separable
  filters have S = A x A (`line_of`), so their singular values are the products of those of A, and r is (|A|^2 / (H /
  2))^2.
- shift: the spatial mean of each output channel survives a circular shift of one pixel if every column of S sums to the
  same (2x2 averages; binomial blurs up to the reflected border). A 3x3 average weighs even columns 1/3 and odd ones
  2/3: it does not.
- learned windows of He's initialisation have rows of squared norm 2 in expectation, less where a 3x3 window overhangs.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from resnet_shortcuts.shortcuts.catalogue import Strategy
from resnet_shortcuts.shortcuts.operations import Properties, SpatialOperation

SIZE = 8
CORRELATION = 0.9


def line_of(spatial: SpatialOperation, size: int) -> NDArray[np.float64]:
    """The matrix (size / 2, size) of a separable operation along one side, at stride 2."""
    matrix = np.zeros((size // 2, size))
    first = -((len(spatial.taps) - 1) // 2)
    for row in range(size // 2):
        for offset, tap in enumerate(spatial.taps, start=2 * row + first):
            column = abs(offset) if spatial.reflects else offset
            if spatial.reflects and column >= size:
                column = 2 * (size - 1) - column
            if 0 <= column < size:  # elsewhere padding, which is not counted
                matrix[row, column] += tap
    means: NDArray[np.float64] = matrix / matrix.sum(1, keepdims=True)
    return means


def _shift_of(line: NDArray[np.float64]) -> str:
    sums = line.sum(0)
    if np.ptp(sums) < 1e-9:
        return "yes"
    return "interior" if np.ptp(sums[2:-2]) < 1e-9 else "no"


def _padded(spatial: SpatialOperation, size: int) -> Properties | None:
    """The properties of a spatial operation followed by zero channels, if it declares them."""
    if not spatial.taps:
        return spatial.properties(size) if spatial.properties is not None else None
    line = line_of(spatial, size)
    values = np.linalg.svd(line, compute_uv=False)
    ends = (round(float(values[-1] ** 2), 12), round(float(values[0] ** 2), 12))
    row = float((line**2).sum() / (size / 2)) ** 2
    read = float(np.mean(line.any(0))) ** 2
    spectrum = ends[0] != ends[1]
    shift = _shift_of(line_of(spatial, max(size, SIZE)))
    return Properties(True, 1 / 4, read, read, ends if spectrum else ends[:1], row / 2, shift, spectrum=spectrum)


def declare(strategy: Strategy, size: int = SIZE) -> Properties | None:
    """What the strategy must measure at a transition of ``size`` x ``size``; None where an operation declares nothing.

    A custom class declares nothing.
    """
    composition = strategy.composition
    padded = _padded(composition.spatial, size) if composition is not None else None
    if composition is None or padded is None:
        return None
    channels, join, scale = composition.channels, composition.join, composition.scale
    if channels.declare is None or join.declare is None:
        return None
    operator = channels.declare(padded)
    values = operator.singular_values
    scaled = replace(
        operator,
        singular_values=None if values is None else tuple(abs(scale) * value for value in values),
        gradient_gain=scale**2 * operator.gradient_gain,
        same_gain=scale**2 * operator.same_gain,
        branch_gain=composition.branch_scale**2,
    )
    joined = join.declare(scaled, composition.join_options)
    return joined if composition.everywhere else replace(joined, same_gain=1.0, branch_gain=1.0)


def expected_ar(strategy: Strategy, size: int) -> float | None:
    """The share of variance that a linear decoder gets back of a smooth field with correlation 0.9, where it is known.

    Exact for separable linear operations (`explained_by`); for others what they state for 16 x 16 pixels, unless a
    convolution follows.
    """
    composition = strategy.composition
    if composition is None or not composition.join.carries_unchanged or composition.scale == 0:
        return None
    spatial, channels = composition.spatial, composition.channels
    if not spatial.passes:
        return 0.0
    if spatial.taps:
        return explained_by(line_of(spatial, size)) if channels.invertible else None
    return spatial.explained if size == 16 and channels.invertible and not channels.convolves else None


def explained_by(line: NDArray[np.float64]) -> float:
    """The exact value for a separable linear operation A x A (rows of ``line`` = A).

    With R the correlation along a side, the best decoder explains tr(R A' (A R A')^-1 A R) / tr(R) of one side's
    variance, and the square of that of the field's, since Kronecker factors multiply.
    """
    size = line.shape[1]
    correlation = CORRELATION ** np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    cross = line @ correlation
    one_side = np.trace(cross.T @ np.linalg.solve(line @ correlation @ line.T, cross)) / size
    return float(one_side**2)


def hands_pixels_on(strategy: Strategy) -> bool | None:
    """Whether the operator is every second pixel as it is and then zero channels, so a 1x1 max-pool of stride 2."""
    composition = strategy.composition
    if composition is None or declare(strategy) is None:
        return None
    unchanged = composition.scale == 1 and composition.join.carries_unchanged
    return unchanged and composition.spatial.taps == (1,) and composition.channels.zeros == "end"


def limits(strategy: Strategy) -> str | None:
    """Which sites the strategy refuses, in words; None where it serves all with C_out >= C_in (any, if learned)."""
    return (strategy.composition is not None and strategy.composition.channels.limit) or None


def zero_channels(strategy: Strategy) -> int | None:
    """How many of the 64 channels of ResNet-20's last stage are dead for ever if each branch's last BN starts at 0.

    They are those that no shortcut has filled: a transition from C to 2C adds C zero channels, on top of the zero
    ones that it carries over (16, then 32 more), and without a shortcut at transitions nothing arrives at all. With
    ReZero, alpha and gamma hold each other at 0 in every channel. None where an operation declares nothing.
    """
    composition = strategy.composition
    if composition is None or declare(strategy) is None:
        return None
    if not composition.spatial.passes or composition.join.closed:
        return 64
    return 48 if composition.channels.zeros else 0
