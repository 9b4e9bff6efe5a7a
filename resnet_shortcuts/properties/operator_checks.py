"""Strategies against what they declare: one row for each property, with measured, declared, tolerance and verdict."""

import math

from torch import Tensor

from resnet_shortcuts.properties import measured as measure
from resnet_shortcuts.properties.declared import SIZE, declare, expected_ar, hands_pixels_on
from resnet_shortcuts.properties.information import explained_variance, smooth_fields
from resnet_shortcuts.properties.property_row import PropertyRow, Value
from resnet_shortcuts.shortcuts.catalogue import Strategy, find
from resnet_shortcuts.shortcuts.operations import Properties
from resnet_shortcuts.shortcuts.site import Site

EXACT = 1e-6
MAX_POOL = "1x1 max-pool of stride 2, then zeros"
_FIELD = 16


def row(
    strategy: str,
    name: str,
    on: str,
    measured: Value,
    declared: Value | None = None,
    tolerance: float = 0.0,
    note: str = "",
) -> PropertyRow:
    """One property with the verdict on it: see `agrees`."""
    ok = agrees(measured, declared, tolerance)
    return PropertyRow(
        strategy=strategy,
        property=name,
        on=on,
        measured=measured,
        declared=declared,
        tolerance=tolerance,
        ok=ok,
        note=note,
    )


def agrees(measured: Value, declared: Value | None, tolerance: float) -> bool | None:
    """Whether a measurement is what was declared; of several values, each must be one of the declared."""
    if declared is None or (isinstance(declared, float) and math.isnan(declared)):
        return None
    if isinstance(declared, list) and isinstance(measured, list):
        each = all(any(abs(value - allowed) <= tolerance for allowed in declared) for value in measured)
        return each and (bool(measured) or not declared)
    if isinstance(declared, int | float) and isinstance(measured, int | float) and not isinstance(declared, bool):
        return bool(abs(measured - declared) <= tolerance)
    return bool(measured == declared)


class _Rows:
    """Collects the rows of one strategy."""

    def __init__(self, strategy: Strategy, declared: Properties | None) -> None:
        self.name, self.declared = strategy.name, declared
        self.rows: list[PropertyRow] = []

    def is_loose(self, attribute: str) -> bool:
        """Whether what is declared of this holds only in expectation."""
        return self.declared is None or attribute in self.declared.loose

    def add(self, name: str, on: str, measured: Value, attribute: str | None = None) -> None:
        """A measurement beside what ``attribute`` declares; loose attributes hold within a relative tolerance."""
        declared = getattr(self.declared, attribute) if self.declared is not None and attribute else None
        tolerance = EXACT
        if self.declared is not None and declared and attribute in self.declared.loose:
            tolerance = self.declared.tolerance * abs(declared)
        if isinstance(declared, tuple):
            declared = [round(value, 7) for value in declared]
        self.rows.append(row(self.name, name, on, measured, declared, tolerance))


def _is_learned(strategy: Strategy) -> bool:
    shortcut = measure.Operator(strategy)
    return any(parameter.dim() > 1 for parameter in measure.initialised(strategy, shortcut.site, 0).parameters())


def verify_operator(strategy: Strategy, *, seed: int = 0) -> list[PropertyRow]:
    """Linearity, rank, coverage, influence, singular values, gains and shift behaviour on white noise (float64).

    The site is the transition from 8 to 16 channels at 8 x 8. Coverage and gains are means over 64 images and, for
    learned operators, 24 initialisations. A random operator (dropout) is measured for one draw.
    """
    rows = _Rows(strategy, declare(strategy))
    operator = measure.Operator(strategy, seed=seed)
    x = measure.white(seed, "x", 64, operator.channels, SIZE, SIZE)
    y = measure.white(seed, "y", 64, operator.channels, SIZE, SIZE)
    count = x[0].numel()
    rows.add("linear", "random", measure.is_linear(operator, x, y), "linear")
    learned = _is_learned(strategy)
    images = 12 if rows.is_loose("rank") else 2
    jacobians = [measure.jacobian(operator, x[index : index + 1]) for index in range(images)]
    spectra = [measure.singular_values(matrix) for matrix in jacobians]
    rows.add("rank / n", "random", sum(rank for _, rank in spectra) / images / count, "rank")
    rows.add("coverage", "random", measure.coverage(operator, x), "coverage")
    rows.add("influence", "random", measure.influence(operator, x), "influence")
    rows.add("singular values", "random", spectra[0][0], "singular_values")
    if learned:
        gain, _ = measure.gradient_gain(strategy, operator.site, seed, learned)
    else:
        gain = sum(float(matrix.square().sum()) / len(matrix) for matrix in jacobians) / images
    rows.add("gradient gain", "random", gain, "gradient_gain")
    same = Site(operator.channels, operator.channels, 1, 1, 3, preactivation=True)
    gain, branch = measure.gradient_gain(strategy, same, seed, learned)
    rows.add("gradient gain, unchanged block", "random", gain, "same_gain")
    rows.add("gradient gain, branch", "random", branch, "branch_gain")
    rows.add("shift", "random", measure.shift_behaviour(operator, x), "shift")
    rows.rows += [_as_max_pool(strategy, x, "random", seed), *_under_two_names(strategy, x, seed)]
    return rows.rows


def _as_max_pool(strategy: Strategy, x: Tensor, on: str, seed: int) -> PropertyRow:
    """Whether the operator is torch's own 1x1 max-pool of stride 2, then zero channels: to the last bit."""
    same = measure.is_max_pool(measure.Operator(strategy, channels=x.shape[1], seed=seed), x)
    return row(strategy.name, MAX_POOL, on, same, hands_pixels_on(strategy))


def _under_two_names(strategy: Strategy, x: Tensor, seed: int) -> list[PropertyRow]:
    if not strategy.same_as:
        return []
    ours, theirs = (measure.Operator(one, seed=seed) for one in (strategy, find(strategy.same_as)))
    same = measure.same_up_to_order(ours(x), theirs(x))
    return [row(strategy.name, f"same as {strategy.same_as}, channels in any order", "random", same, True)]


def verify_information(strategy: Strategy, *, seed: int = 0) -> list[PropertyRow]:
    """Explained variance of smooth random fields (correlation 0.9, 16 x 16), one channel in, two out."""
    fields = smooth_fields(4000, 1, _FIELD, seed)
    outputs = measure.Operator(strategy, channels=1, seed=seed)(fields).detach()
    measured = explained_variance(fields, outputs)
    return [row(strategy.name, "information", "smooth field", measured, expected_ar(strategy, _FIELD), 0.01)]


def verify_activations(strategy: Strategy, activations: Tensor, on: str, *, seed: int = 0) -> list[PropertyRow]:
    """The operator's properties on given activations (N, C, H, W), such as a stage's output.

    An operator that is linear has the same Jacobian everywhere: what is declared of it holds here too. Of the others
    rank, coverage, singular values and gain belong to the input, and real ones (many zeros, hence ties) are not iid.
    Jacobians are those of one input if the operator is linear, else of two.
    """
    x = activations.double()
    operator = measure.Operator(strategy, channels=x.shape[1], seed=seed)
    declared = declare(strategy, x.shape[-1])
    rows = _Rows(strategy, declared)
    fixed = declared is not None and declared.linear

    def add(name: str, measured: Value, attribute: str) -> None:
        rows.add(name, on, measured, attribute if fixed and not rows.is_loose(attribute) else None)

    half = len(x) // 2
    rows.add("linear", on, measure.is_linear(operator, x[:half], x[half : 2 * half]), "linear")
    jacobians = [measure.jacobian(operator, x[index : index + 1]) for index in ((0,) if fixed else (0, half))]
    spectra = [measure.singular_values(matrix) for matrix in jacobians]
    add("rank / n", sum(rank for _, rank in spectra) / len(spectra) / x[0].numel(), "rank")
    add("coverage", measure.coverage(operator, x), "coverage")
    # Ends of a spectrum are declared; few values are listed one by one, as on 4 x 4 pixels.
    ends = declared is not None and declared.spectrum and x.shape[-1] != SIZE
    rows.add("singular values", on, spectra[0][0], "singular_values" if fixed and not ends else None)
    add("gradient gain", sum(float(j.square().sum()) / len(j) for j in jacobians) / len(jacobians), "gradient_gain")
    if x.shape[-1] >= SIZE:  # less has no interior
        add("shift", measure.shift_behaviour(operator, x), "shift")
    if x.shape[1] > 1:  # of one channel, the end and both sides are the same place for the other
        rows.rows.append(_as_max_pool(strategy, x, on, seed))
    rows.add("information", on, explained_variance(x, operator(x).detach()))
    return rows.rows
