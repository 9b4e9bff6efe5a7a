"""What each strategy's operator must measure, derived and not measured. Needs no torch.

The site is the usual transition: C to 2C channels, stride 2, even and equal height and width H. The operator stands
alone, without BN. With n = C H H input values and m = n / 2 outputs, J its Jacobian, and S the part of J that one
channel's spatial operation is (n / (4C) rows a channel):

- rank over n: every S below has full row rank, hence n / 4 dimensions pass; space-to-depth passes n, of which m at
most fit into the output. No shortcut can keep more than 1/2. - singular values: zero channels change nothing,
duplicating k times multiplies by sqrt(k), a scale multiplies. - gradient gain E|J'g|^2 / |g|^2 = |J|^2 / m for white
g (Frobenius norm). With r the mean squared row norm of S, |J|^2 = r n / 4 with zero channels (gain r / 2), twice that
duplicated (gain r). Behind a 1x1 convolution of He's initialisation (variance 2 / C, 2C x C weights) it is E|J|^2 =
2C (2 / C) r n / 4 = r n (gain 2 r). - r: stride 1; 2x2 average 4 (1/4)^2 = 1/4; any maximum 1, since each output is
one input. Separable filters have S = A x A, so their singular values are the products of those of A (`line_of`), and
r is (|A|^2 / (H / 2))^2. - coverage: the share of input values with a non-zero gradient; influence: the share that
can change the output at all. - a 3x3 maximum on iid input reaches 17.4 % of the values at H = 8 (simulated, 200,000
images; 15.8 % in the limit): less than option A's 25 %. Its J selects inputs, so rank equals coverage, and an input
chosen k times gives the singular value sqrt(k), k up to 4. - shift: whether the spatial mean of each output channel
survives a circular shift of one pixel. It does if every column of S sums to the same (2x2 averages; binomial blurs up
to the reflected border), and for the polyphase component of largest norm, which a shift only moves. A 3x3 average
weighs even columns 1/3 and odd ones 2/3: it does not. - learned windows at He's initialisation have rows of squared
norm 2 in expectation, less where a 3x3 window overhangs: of 3 H / 2 taps a line one lies outside. Depthwise filters
(r = 2 before the border's share) are followed by a 1x1: gain 2 r. - gates start at sigmoid(-6 + z), z of variance 2
for white x: 0.7 % on average, so that gated shortcuts begin as option A within a few per cent; a gate is not linear
in x. Dropout keeps half and doubles it: rank 1/8, singular value 2, gain (n / 8) 4 / m = 1; for one draw it is
linear.
"""

from dataclasses import dataclass, replace
from math import nan, sqrt

import numpy as np
from numpy.typing import NDArray

from resnet_shortcuts.shortcuts.catalogue import Strategy
from resnet_shortcuts.shortcuts.composition import CONVOLUTIONS, Composition

SIZE = 8
CORRELATION = 0.9


@dataclass(frozen=True)
class Properties:
    """What is declared of a transition operator; None is what no derivation gives (it is measured all the same).

    ``rank``, ``coverage`` and ``influence`` are shares of n; ``singular_values`` the distinct non-zero ones or, with
    ``spectrum``, the least and the greatest; ``shift`` is 'yes', 'interior', 'low-pass half' or 'no'; ``same_gain``
    is the gradient gain of the shortcut of a block that changes nothing, ``branch_gain`` that of the branch there.
    The ``loose`` ones hold in expectation alone (over initialisations, input or draws), within ``tolerance``,
    relatively.
    """

    linear: bool
    rank: float
    coverage: float
    influence: float
    singular_values: tuple[float, ...] | None
    gradient_gain: float
    shift: str
    spectrum: bool = False
    same_gain: float = 1.0
    branch_gain: float = 1.0
    loose: tuple[str, ...] = ()
    tolerance: float = 0.0


_TAPS = {"avg3": (1, 1, 1), "blur3": (1, 2, 1), "blur4": (1, 3, 3, 1)}


def line_of(name: str, size: int) -> NDArray[np.float64]:
    """The matrix (size / 2, size) of a separable operation (stride, avg, avg3, blur3, blur4) along one side."""
    pixels = np.eye(size)
    if name in {"stride", "avg"}:
        return pixels[::2] if name == "stride" else (pixels[::2] + pixels[1::2]) / 2
    matrix = np.zeros((size // 2, size))
    for row in range(size // 2):
        for offset, tap in enumerate(_TAPS[name]):
            column = 2 * row - 1 + offset
            if name == "avg3" and not 0 <= column < size:
                continue  # padding is not counted
            column = -column if column < 0 else column
            matrix[row, 2 * (size - 1) - column if column >= size else column] += tap
    means: NDArray[np.float64] = matrix / matrix.sum(1, keepdims=True)
    return means


def _separable(name: str, size: int, shift: str) -> tuple[Properties, float]:
    line = line_of(name, size)
    values = np.linalg.svd(line, compute_uv=False)
    row = float((line**2).sum() / (size / 2)) ** 2
    ends = (float(values[-1] ** 2), float(values[0] ** 2))
    return Properties(True, 1 / 4, 1, 1, ends, row / 2, shift, spectrum=True), row


def _spatial(name: str, size: int) -> tuple[Properties, float]:
    """The operation followed by zero channels, and its mean squared row norm r."""
    border = (1 - 2 / (3 * size)) ** 2
    if name in {"avg3", "blur3", "blur4"}:
        return _separable(name, size, "no" if name == "avg3" else "interior")
    reached = {8: 0.1744, 16: 0.1663, 32: 0.1622, 64: 0.1603}.get(size, 0.158)
    table: dict[str, tuple[Properties, float]] = {
        "stride": (Properties(True, 1 / 4, 1 / 4, 1 / 4, (1.0,), 1 / 2, "no"), 1),
        "avg": (Properties(True, 1 / 4, 1, 1, (1 / 2,), 1 / 8, "yes"), 1 / 4),
        "max": (
            Properties(
                False, reached, reached, 1, (1.0, sqrt(2), sqrt(3), 2.0), 1 / 2, "no",
                loose=("rank", "coverage"), tolerance=0.05,
            ),
            1,
        ),
        "max2": (Properties(False, 1 / 4, 1 / 4, 1, (1.0,), 1 / 2, "no"), 1),
        "polyphase": (Properties(False, 1 / 4, 1 / 4, 1, (1.0,), 1 / 2, "yes"), 1),
        "s2d": (Properties(True, 1 / 2, 1, 1, None, 1, "no"), 1),
        "conv2": (Properties(True, 1 / 2, 1, 1, None, 1, "no"), 1),
        "conv3": (Properties(True, 1 / 2, 1, 1, None, border, "no"), border),
        "factorized": (Properties(True, 1 / 2, 1 / 2, 1 / 2, None, 1, "no"), 1),
        "depthwise": (Properties(True, 1 / 4, 1, 1, None, 2 * border, "no"), 2 * border),
        "none": (Properties(True, 0, 0, 0, (), 0, "yes"), 0),
    }  # fmt: skip
    return table[name]


_REDUCED = {
    "keep": Properties(True, 1 / 2, 1 / 2, 1 / 2, (1.0,), 1, "no"),
    "mean": Properties(True, 1 / 2, 1, 1, (1 / sqrt(2),), 1 / 2, "no"),
    "haar": Properties(True, 1 / 2, 1, 1, (1.0,), 1, "low-pass half"),
}


def _operator(composition: Composition, size: int) -> Properties:
    if composition.channels in _REDUCED:
        return _REDUCED[composition.channels]
    padded, row = _spatial(composition.spatial, size)
    if composition.channels in CONVOLUTIONS:
        same = 2.0 if composition.scope == "all" else 1.0
        loose = (*padded.loose, "gradient_gain", "same_gain")
        return replace(padded, singular_values=None, gradient_gain=2 * row, same_gain=same, loose=loose, tolerance=0.1)
    if composition.channels == "duplicate":
        values = tuple(value * sqrt(2) for value in padded.singular_values or ())
        return replace(padded, singular_values=values, gradient_gain=row)
    return padded


def _mean_square_gate(bias: float, channels: int = 8) -> float:
    """E g^2 for g = sigmoid(bias + w.x), x white, w of He's initialisation: given |w|^2 = (2 / C) chi^2_C, normal."""
    normal = np.linspace(-8, 8, 801)
    chi = np.linspace(0.01, 80, 2000)
    chi_weight = chi ** (channels / 2 - 1) * np.exp(-chi / 2)
    normal_weight = np.exp(-(normal**2) / 2)
    gates = 1 / (1 + np.exp(-(bias + np.sqrt(2 / channels * chi)[:, None] * normal)))
    mean = chi_weight @ (gates**2 @ normal_weight) / (chi_weight.sum() * normal_weight.sum())
    return float(mean)


def _joined(found: Properties, composition: Composition) -> Properties:
    """The effect of the join, where it acts."""
    if composition.join.endswith("gate"):
        # g is 0.7 % on average at bias -6; what its slope adds is of the same order, hence the tolerance.
        exclusive = composition.join == "exclusive-gate"
        if composition.bias != -6:
            return replace(found, linear=False, singular_values=None, gradient_gain=nan, same_gain=nan, branch_gain=nan)
        return replace(
            found, linear=False, singular_values=None, loose=("gradient_gain", "same_gain", "branch_gain"),
            tolerance=0.25 if exclusive else 0.1, branch_gain=_mean_square_gate(composition.bias) if exclusive else 1.0,
        )  # fmt: skip
    if composition.join == "dropout":
        kept = 1 - composition.rate
        return replace(
            found, rank=found.rank * kept, coverage=found.coverage * kept, influence=found.influence * kept,
            singular_values=tuple(value / kept for value in found.singular_values or ()) or None,
            gradient_gain=found.gradient_gain / kept, same_gain=found.same_gain / kept,
            loose=("rank", "coverage", "influence", "gradient_gain", "same_gain"), tolerance=0.25,
        )  # fmt: skip
    return replace(found, branch_gain=0.0) if composition.join == "rezero" else found


def declare(strategy: Strategy, size: int = SIZE) -> Properties | None:
    """What the strategy must measure at a transition of ``size`` x ``size`` (see above); None for a plugin."""
    composition = strategy.composition
    if composition is None:
        return None
    found = _operator(composition, size)
    scale = composition.scale
    values = found.singular_values
    found = replace(
        found,
        singular_values=None if values is None else tuple(abs(scale) * value for value in values),
        gradient_gain=scale**2 * found.gradient_gain,
    )
    if composition.scope == "all":
        same = 0.0 if composition.spatial == "none" else scale**2 * found.same_gain
        found = replace(found, same_gain=same, branch_gain=composition.branch_scale**2)
        found = _joined(found, composition)
    return found


def expected_ar(strategy: Strategy, size: int) -> float | None:
    """The share of variance that a linear decoder gets back of a smooth field with correlation 0.9, where it is known.

    Exact for separable linear operations (`explained_by`). The 3x3 maximum's 0.86 at 16 x 16 and
    those of other operators come from measurement alone, so nothing is declared but for that one.
    """
    composition = strategy.composition
    if composition is None or composition.join not in {"add", "rezero"} or composition.scale == 0:
        return None
    if composition.spatial == "none":
        return 0.0
    if composition.spatial == "max" and size == 16 and composition.channels not in CONVOLUTIONS:
        return 0.86
    separable = {"stride", "avg", *_TAPS}
    return explained_by(line_of(composition.spatial, size)) if composition.spatial in separable else None


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
    if composition is None:
        return None
    kept = composition.scale == 1 and composition.join in {"add", "rezero"}
    return kept and composition.spatial == "stride" and composition.channels == "pad"


def limits(strategy: Strategy) -> str | None:
    """Which sites the strategy refuses, in words; None where it serves all with C_out >= C_in (any, if learned)."""
    composition = strategy.composition
    if composition is None:
        return None
    if composition.channels == "duplicate":
        return "C_out must be a whole multiple of C_in"
    if composition.channels == "mean":
        return "where the size changes: stride 2, and C_out must be 1, 2 or 4 x C_in"
    return "where the size changes: stride 2" if composition.channels in _REDUCED else None


def zero_channels(strategy: Strategy) -> int | None:
    """How many of the 64 channels of ResNet-20's last stage are dead for ever if each branch's last BN starts at 0.

    They are those that no shortcut has filled: a transition from C to 2C adds C zero channels, on top of the zero
    ones that it carries over (16, then 32 more), and without a shortcut at transitions nothing arrives at all. With
    ReZero, alpha and gamma hold each other at 0 in every channel. None for a plugin.
    """
    composition = strategy.composition
    if composition is None:
        return None
    if composition.spatial == "none" or composition.join == "rezero":
        return 64
    return 48 if composition.channels in {"pad", "pad-both"} else 0
