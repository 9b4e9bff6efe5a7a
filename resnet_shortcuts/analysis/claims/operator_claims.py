"""Claims 1 to 5, about what an operator does to information and gradient, from what ``rsc verify`` measures.

Rows are mappings with ``strategy``, ``property``, ``on``, ``measured`` and, where a measurement was repeated, ``seed``.
What holds by construction is the same from every seed; what is estimated has a 95 % t interval over seeds, as wide as a
fresh network, fresh noise and another split of the images make it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resnet_shortcuts.analysis import statistics
from resnet_shortcuts.analysis.claims.judged import (
    ASKER,
    AVG,
    FALSE,
    NOT_SETTLED,
    TRUE,
    A,
    Judged,
    ends,
    percent,
    signed,
    unmeasured,
)
from resnet_shortcuts.analysis.verdicts import LEAST_SEEDS
from resnet_shortcuts.properties.property_row import DECODED as DECODED_AT
from resnet_shortcuts.properties.property_row import WIDTHS

CLAIMED, FITTED = (A, ASKER, AVG), (A, ASKER)
"""Whose properties these claims need, and for which of them decoders are fitted."""
STILL_GAINING = 0.005
"""Share of the variance; a decoder of twice the width that gets more than this beyond bounds nothing from above."""
MUCH_GRADIENT = 0.1
RANK, COVERAGE, INFLUENCE, GAIN, LINEAR = "rank / n", "coverage", "influence", "gradient gain", "linear"
SINGULAR, STEM = "singular values", "gradient norm, stem"
MAX_POOL = "1x1 max-pool of stride 2, then zeros"
# What the best linear decoder gets, of a linear operator: each must agree before claim 4 is settled.
DECODED = {
    "information": "decoded from the operator's output",
    "block information, v1.5": "decoded from a v1.5 block's join",
    "block information, v1": "decoded from a v1 block's join",
}
_INPUTS = {
    "random": "white noise",
    "smooth field": "smooth fields",
    "sparse field": "sparse fields",
    "real images": "digits",
}
_OPERATOR = "the operator at a transition from 8 to 16 channels, 8 x 8"
_REAL = (
    "smooth random fields, scikit-learn's digits (8 x 8) and what a ResNet-20 with option A that has "
    "learnt those hands to its transitions: not this experiment's data"
)
_DECODERS = (
    f"{_OPERATOR}, white noise; decoders (ridge regression and a convolutional network of {WIDTHS[1]} channels, bounds "
    f"from below; no figure where {WIDTHS[1]} get over 0.5 points more than {WIDTHS[0]}) on sparse fields (three in "
    f"four zero), {_REAL}"
)
_EXACT = "exact, even sizes"


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with the ends of its 95 % t interval; the ends are NaN from too few seeds."""

    mean: float
    low: float
    high: float

    def sign(self, origin: float = 0.0) -> int:
        """1 or -1 where the whole interval lies above or below ``origin``, else 0."""
        return 1 if self.low > origin else -1 if self.high < origin else 0


def estimate(values: Sequence[float]) -> Estimate:
    """Of one value a seed."""
    test = statistics.paired(values, 1.0)
    few = test.n < LEAST_SEEDS
    return Estimate(test.mean, math.nan if few else test.low, math.nan if few else test.high)


class Facts:
    """Properties as verify measured them."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._values: dict[tuple[str, str], dict[str, dict[int, Any]]] = {}
        for row in rows:
            on = self._values.setdefault((str(row["strategy"]), str(row["property"])), {}).setdefault(
                str(row["on"]), {}
            )
            on[int(row.get("seed", 0))] = row.get("measured")
        self.seeds = len({int(row.get("seed", 0)) for row in rows})

    def numbers(self, shortcut: str, what: str) -> dict[str, dict[int, float]]:
        """What was measured of a property, by input and seed; booleans count as 0 and 1, what is not finite is left."""
        return {
            on: {
                seed: float(value)
                for seed, value in found.items()
                if isinstance(value, (bool, int, float)) and math.isfinite(value)
            }
            for on, found in self._values.get((shortcut, what), {}).items()
        }

    def every(self, shortcut: str, what: str, on: str | None = None) -> list[float]:
        """All measurements of a property, on one input or on all."""
        found = self.numbers(shortcut, what)
        return [value for place, values in found.items() if on in (None, place) for value in values.values()]

    def spectra(self, shortcut: str) -> list[list[float]]:
        """The singular values of each measured Jacobian."""
        found = self._values.get((shortcut, SINGULAR), {}).values()
        return [
            [float(one) for one in value] for on in found for value in on.values() if isinstance(value, (list, tuple))
        ]

    def paired(
        self, ours: str, theirs: str, what: str, of: Callable[[float, float], float] = lambda a, b: a - b
    ) -> dict[str, tuple[float, float, Estimate]]:
        """Two strategies on the same inputs: their means, and the estimate of their difference, seed by seed."""
        base, found = self.numbers(theirs, what), {}
        for on, values in self.numbers(ours, what).items():
            common = [(values[seed], base[on][seed]) for seed in values if seed in base.get(on, {})]
            if common:
                a, b = (sum(column) / len(common) for column in zip(*common, strict=True))
                found[on] = a, b, estimate([of(one, other) for one, other in common])
        return found

    def source(self, what: str) -> str:
        """Where figures come from: the command, the seeds, and what was measured on what."""
        return f"rsc verify --seeds {self.seeds} --gradients 56 --decoders: {what}"


def _unmeasured(what: str) -> Judged:
    return unmeasured(what, "run: rsc verify --all")


def is_max_pool(facts: Facts) -> Judged:
    """Claim 1, measured beside torch's own 1x1 max-pool where that was done; and what follows from it.

    A linear operator with as many dimensions as pixels that reach it, and no singular value but 1, picks pixels.
    """
    linear, rank, reach = (facts.every(A, what) for what in (LINEAR, RANK, INFLUENCE))
    spectra = facts.spectra(A)
    if not (linear and rank and reach and spectra):
        return _unmeasured("linearity, rank, influence and singular values were not")
    beside = facts.every(A, MAX_POOL)
    picks = all(linear) and all(abs(value - 0.25) < 1e-6 for value in (*rank, *reach))
    picks = picks and all(abs(value - 1) < 1e-6 for values in spectra for value in values) and all(beside)
    figure = "" if not beside else "equal to it to the last bit; " if all(beside) else "not equal to it; "
    figure += f"{'linear' if all(linear) else 'not linear'}, {percent(reach[0], 0)} of the pixels reach the output, "
    figure += f"rank {percent(rank[0], 0)} of n, singular values "
    figure += ", ".join(f"{value:.3g}" for value in spectra[0][:4])
    figure += ": one pixel of four is handed on as it is" if picks else ""
    source = facts.source(f"{_OPERATOR}, white noise; and on digits and activations")
    return (TRUE if picks else FALSE), figure, _EXACT, source


def discards(facts: Facts) -> Judged:
    """Claim 2, about pixels: counted. What of the values can be decoded from the rest is told beside it."""
    coverage, rank = facts.every(A, COVERAGE), facts.every(A, RANK)
    if not (coverage and rank):
        return _unmeasured("coverage and rank were not")
    true = all(abs(value - 0.25) < 0.01 for value in (*coverage, *rank))
    figure = f"{percent(coverage[0], 0)} of the pixels reach the output and get gradient, "
    figure += f"rank {percent(rank[0], 0)} of n"
    decoded = _decoded(facts, A, "information")
    if decoded:
        figure += f"; of all pixels' variance those left explain: {decoded}"
    source = facts.source(f"{_OPERATOR}, white noise; variance: best linear decoder on {_REAL}")
    return (TRUE if true else FALSE), figure, f"pixels and rank {_EXACT}", source


def _decoded(facts: Facts, shortcut: str, what: str) -> str:
    found = {on: estimate(list(values.values())) for on, values in facts.numbers(shortcut, what).items()}
    return ", ".join(f"{_input(on)} {percent(one.mean)}" for on, one in found.items())


def _input(on: str) -> str:
    """'activations before layer2.0, after 100 steps' is 'before layer2'."""
    return _INPUTS.get(on, on.removeprefix("activations ").split(",")[0].removesuffix(".0"))


def encodes(facts: Facts) -> Judged:
    """Claim 3: rank, and what decoders get back of every input, must agree, each by its whole interval.

    A decoder bounds from below, so a figure that still gains with the width of its decoder decides nothing.
    """
    narrow, wide = (facts.paired(ASKER, A, DECODED_AT.format(width)) for width in WIDTHS)
    ranks = facts.paired(ASKER, A, RANK)
    if not (ranks and wide and narrow):
        return unmeasured("rank, and what decoders get back, were not", "run: rsc verify --all --decoders")
    judged = [(f"{RANK}, {_input(on)}", difference, difference.sign()) for on, (_, _, difference) in ranks.items()]
    gaining = []
    for on, (ours, theirs, difference) in wide.items():
        bounds = on in narrow and max(ours - narrow[on][0], theirs - narrow[on][1]) > STILL_GAINING
        gaining += [_input(on)] if bounds else []
        judged.append((f"decoded, {_input(on)}", difference, 0 if bounds else difference.sign()))
    signs = [sign for *_, sign in judged]
    count = ", ".join(f"{signs.count(sign)} {word}" for sign, word in ((1, "more"), (-1, "less"), (0, "not clear")))
    verdict = TRUE if set(signs) == {1} else FALSE if set(signs) == {-1} else NOT_SETTLED
    figure = f"{ASKER} / {A}, {len(signs)} measures: {count}"
    for what, pairs in ((RANK, ranks), ("decoded", wide)):
        shown = [f"{_input(on)} {percent(ours)} / {percent(theirs)}" for on, (ours, theirs, _) in pairs.items()]
        figure += f"; {what}: {', '.join(shown)}"
    if gaining:
        figure += f"; wider decoders still get more of {', '.join(gaining)}"
    return verdict, figure, _least_clear([(name, one) for name, one, _ in judged]), facts.source(_DECODERS)


def _least_clear(found: Sequence[tuple[str, Estimate]]) -> str:
    """The difference that decides where all must agree: the one whose interval comes nearest to 0."""
    known = [(name, one) for name, one in found if not math.isnan(one.low)]
    if not known:
        return ""
    name, one = min(known, key=lambda item: max(item[1].low, -item[1].high))
    return f"{signed(100 * one.mean)} ({ends(100 * one.low, 100 * one.high)}) points, the least clear: {name}"


def lossless(facts: Facts) -> Judged:
    """Claim 4: every dimension and all of the variance, or it is false; each of the measures must agree."""
    rank = facts.every(AVG, RANK)
    found = {
        (what, on): estimate(list(values.values()))
        for what in DECODED
        for on, values in facts.numbers(AVG, what).items()
    }
    if not (rank and found):
        return _unmeasured("its rank and what can be decoded were not")
    parts = [f"{DECODED[what]}: {_decoded(facts, AVG, what)}" for what in DECODED if facts.numbers(AVG, what)]
    figure = f"keeps {percent(max(rank), 0)} of the dimensions; {'; '.join(parts)}"
    (what, on), most = max(found.items(), key=lambda item: item[1].mean)
    verdict = NOT_SETTLED
    if min(rank) > 0.999 and all(one.low > 0.999 for one in found.values()):
        verdict = TRUE
    elif max(rank) < 0.999 and all(one.high < 0.999 for one in found.values()):
        verdict = FALSE
    known = f"the most: {percent(most.low)} to {percent(most.high)}, {DECODED[what]}, {_input(on)}; "
    interval = "" if math.isnan(most.low) else known
    return verdict, figure, f"{interval}rank {_EXACT}", facts.source(_REAL)


def passes_gradient(facts: Facts) -> Judged:
    """Claim 5: the operator alone, and the gradient that reaches the stem of a deep network; both must agree."""
    gain, base, network = facts.every(AVG, GAIN), facts.every(A, GAIN), _stem_ratio(facts)
    if not (gain and base and network):
        return _unmeasured("the gradient gain of its operator and the gradient norm of a network were not")
    where, ratio = network
    energy = (sum(gain) / len(gain)) / (sum(base) / len(base))
    figure = f"the operator alone hands on {energy:.2g} times the energy of A's gradient"
    coverage = facts.every(AVG, COVERAGE)
    if coverage:
        figure += f", to {percent(min(coverage), 0)} of the pixels"
    figure += f"; the norm at the stem ({where}) is {ratio.mean:.2f} times A's"
    least = 1 - MUCH_GRADIENT
    network_hinders = -ratio.sign(least)
    operator_hinders = 1 if math.sqrt(energy) < least else -1
    verdict = NOT_SETTLED
    if network_hinders == operator_hinders:
        verdict = FALSE if operator_hinders == 1 else TRUE
    elif network_hinders:
        figure += ": the two disagree, and more seeds will not change that; it depends on which is meant"
    interval = "" if math.isnan(ratio.low) else f"at the stem {ratio.low:.2f} to {ratio.high:.2f} times; operator exact"
    measured = (
        f"{_OPERATOR}; networks on scikit-learn's digits (8 x 8); 'hinders' is under {least:g} times A's norm in both"
    )
    return verdict, figure, interval, facts.source(measured)


def _stem_ratio(facts: Facts) -> tuple[str, Estimate] | None:
    """The geometric mean of the ratio to A, with its interval, in the first network that both were measured in."""
    for on, (_, _, log) in facts.paired(AVG, A, STEM, of=lambda ours, theirs: math.log(ours / theirs)).items():
        ratio = Estimate(*(math.exp(value) for value in (log.mean, log.low, log.high)))
        return on.replace("cifar-resnet-", "ResNet-"), ratio
    return None
