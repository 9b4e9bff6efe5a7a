"""The ten claims of the question that started this project, each judged from what was measured.

Verify rows are mappings with ``strategy`` (or ``name``), ``property``, ``on`` and ``measured``, as ``rsc verify``
prints them; costs and runs come from an experiment. What was not measured leaves a claim not settled, and the claim
says what would measure it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from resnet_shortcuts.analysis import statistics
from resnet_shortcuts.analysis.records import CostRecord, ExperimentRecord, RunRecord, in_order, pretty_network
from resnet_shortcuts.analysis.statistics import ALPHA, Paired
from resnet_shortcuts.analysis.verdicts import LEAST_SEEDS, Pair, finished_by_seed

TRUE, FALSE, NOT_SETTLED = "true", "false", "not settled"
A, B, C, ASKER, AVG, ANSWER = "stride-pad", "projection", "projection-all", "max-pad", "avg-pad", "avg-duplicate"
CLAIMED = (A, ASKER, AVG)  # whose properties the claims need from `rsc verify`
MUCH_TIME = 0.05
_VERIFY = "rsc verify"
_COST = "run: rsc cost --measure, or train with cost.measure"
RANK, COVERAGE, INFLUENCE, GAIN, LINEAR = "rank / n", "coverage", "influence", "gradient gain", "linear"
SINGULAR = "singular values"
MAX_POOL = "1x1 max-pool of stride 2, then zeros"
# Measures (c), (d) and (e) of information, each of which must agree before a claim about information is settled.
INFORMATION = (RANK, "information", "block information, v1.5", "block information, v1")
TEXTS = {
    1: "Option A's identity is a 1x1 max-pool of stride 2.",
    2: "Option A throws 3/4 of the pixels away.",
    3: "A 3x3 max-pool encodes more information than option A.",
    4: "A 2x2 average-pool loses no information.",
    5: "A 2x2 average-pool does not hinder the gradient.",
    6: "Concatenating the average with itself helps.",
    7: "The non-linearity of max-pool hurts.",
    8: "Options B and C hardly raise accuracy.",
    9: "Options B and C raise parameters and memory.",
    10: "None of it affects training time much.",
}


@dataclass(frozen=True)
class Claim:
    """One claim, judged: 'true', 'false' or 'not settled', the figure that decides, its interval, its origin."""

    number: int
    text: str
    verdict: str
    figure: str
    interval: str
    source: str


def judge_claims(
    record: ExperimentRecord, verify: Sequence[Mapping[str, Any]] = (), margin: float | None = None
) -> list[Claim]:
    """The ten claims in order, from one (merged) experiment, its costs, and the rows of ``rsc verify``."""
    facts = _Facts(verify)
    width = record.margin if margin is None else margin
    from_runs = _FromRuns(record, width)
    judged = [
        _same(facts), _discards(facts), _encodes(facts), _lossless(facts), _gradient(facts),
        from_runs.helps(6, ANSWER, AVG), from_runs.helps(7, AVG, ASKER), from_runs.hardly(),
        _memory(record), _time(record),
    ]  # fmt: skip
    return [Claim(number, TEXTS[number], *rest) for number, rest in enumerate(judged, start=1)]


_Judged = tuple[str, str, str, str]


class _Facts:
    """Properties as verify measured them."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._values: dict[tuple[str, str], dict[str, Any]] = {}
        for row in rows:
            key = str(row.get("strategy", row.get("name"))), str(row.get("property"))
            self._values.setdefault(key, {}).setdefault(str(row.get("on", "")), row.get("measured"))

    def number(self, shortcut: str, what: str) -> float | None:
        """The first measurement of a property; booleans count as 0 and 1."""
        return next(iter(self.numbers(shortcut, what).values()), None)

    def numbers(self, shortcut: str, what: str) -> dict[str, float]:
        """What was measured of a property, by what it was measured on."""
        found = self._values.get((shortcut, what), {})
        return {
            on: float(value)
            for on, value in found.items()
            if isinstance(value, (bool, int, float)) and math.isfinite(value)
        }

    def listed(self, shortcut: str, what: str) -> list[float] | None:
        """A property that is a list of numbers."""
        value = next(iter(self._values.get((shortcut, what), {}).values()), None)
        return [float(item) for item in value] if isinstance(value, (list, tuple)) else None


def _unmeasured(what: str, command: str = "run: rsc verify --all") -> _Judged:
    return NOT_SETTLED, f"{what} not measured", "", command


def _same(facts: _Facts) -> _Judged:
    """Measured beside torch's own 1x1 max-pool where that was done; and what follows from it.

    A linear operator with as many dimensions as pixels that reach it, and no singular value but 1, picks pixels.
    """
    linear, rank, reach = (facts.number(A, what) for what in (LINEAR, RANK, INFLUENCE))
    values = facts.listed(A, SINGULAR)
    if linear is None or rank is None or reach is None or values is None:
        return _unmeasured("linearity, rank, influence and singular values were")
    picks = bool(linear) and abs(rank - 0.25) < 1e-6 and abs(reach - 0.25) < 1e-6
    picks = picks and all(abs(value - 1) < 1e-6 for value in values)
    beside = facts.numbers(A, MAX_POOL)
    picks = picks and all(beside.values())
    figure = "" if not beside else "equal to it to the last bit; " if all(beside.values()) else "not equal to it; "
    figure += (
        f"{'linear' if linear else 'not linear'}, {reach:.0%} of the pixels reach the output, rank {rank:.0%} of n, "
    )
    figure += "singular values " + ", ".join(f"{value:.3g}" for value in values[:4])
    figure += ": one pixel of four is handed on as it is" if picks else ""
    return (TRUE if picks else FALSE), figure, "exact, even sizes", _VERIFY


def _discards(facts: _Facts) -> _Judged:
    coverage, rank = facts.number(A, COVERAGE), facts.number(A, RANK)
    if coverage is None or rank is None:
        return _unmeasured("coverage and rank were")
    true = abs(coverage - 0.25) < 0.01 and abs(rank - 0.25) < 0.01
    figure = f"{coverage:.0%} of the pixels reach the output and get gradient, rank {rank:.0%} of n"
    return (TRUE if true else FALSE), figure, "exact, even sizes", _VERIFY


def _encodes(facts: _Facts) -> _Judged:
    parts: list[str] = []
    more: set[bool] = set()
    for what in INFORMATION:
        theirs = facts.numbers(A, what)
        pairs = {on: (ours, theirs[on]) for on, ours in facts.numbers(ASKER, what).items() if on in theirs}
        if pairs:
            shown = (f"{on} {ours:.1%} / {base:.1%}".strip() for on, (ours, base) in pairs.items())
            parts.append(f"{what}: {', '.join(shown)}")
            more |= {ours > base for ours, base in pairs.values()}
    if not parts:
        return _unmeasured("rank and information were")
    figure = f"{ASKER} / {A}; {'; '.join(parts)}"
    return (NOT_SETTLED if len(more) > 1 else TRUE if more == {True} else FALSE), figure, "", _VERIFY


def _lossless(facts: _Facts) -> _Judged:
    rank = facts.number(AVG, RANK)
    if rank is None:
        return _unmeasured("its rank was")
    figure = f"keeps {rank:.0%} of the dimensions"
    explained = facts.numbers(AVG, "information")
    if explained:
        figure += "; variance that can be decoded: " + ", ".join(f"{on} {value:.1%}" for on, value in explained.items())
    true = rank > 0.999 and all(value > 0.999 for value in explained.values())
    return (TRUE if true else FALSE), figure, "rank exact, even sizes", _VERIFY


def _gradient(facts: _Facts) -> _Judged:
    gain, base = facts.number(AVG, GAIN), facts.number(A, GAIN)
    if gain is None or base is None:
        return _unmeasured("its gradient gain was")
    coverage, linear = facts.number(AVG, COVERAGE), facts.number(AVG, LINEAR)
    figure = f"gradient gain {gain:.3g} against {base:.3g} of A"
    if coverage is not None:
        figure += f"; {coverage:.0%} of the pixels get gradient"
    if linear:
        figure += "; linear"
    return (TRUE if gain >= base - 1e-3 else FALSE), figure, "", _VERIFY


class _FromRuns:
    """Claims about accuracy, from paired runs on every network that has both strategies."""

    def __init__(self, record: ExperimentRecord, margin: float) -> None:
        self._record, self._margin = record, margin
        self._networks = in_order(run.network for run in record.runs)
        compared = [(AVG, ASKER), (ANSWER, AVG)]
        tests = {(net, *pair): self._test(net, *pair) for pair in compared for net in self._networks}
        ready = {key: test for key, test in tests.items() if test.n >= LEAST_SEEDS}
        adjusted = statistics.holm([test.p for test in ready.values()])
        equal = statistics.holm([test.p_equal for test in ready.values()])
        self._judged = {
            key: (test, p, q) for (key, test), p, q in zip(ready.items(), adjusted, equal, strict=True)
        }  # fmt: skip

    def helps(self, number: int, ours: str, theirs: str) -> _Judged:
        """Whether ``ours`` is better than ``theirs``: false if it is worse, or equal within the margin."""
        verdicts, figures, intervals = [], [], []
        for network in self._networks:
            if (network, ours, theirs) not in self._judged:
                continue
            test, p, q = self._judged[network, ours, theirs]
            settled = p < ALPHA
            verdicts.append((TRUE if test.mean > 0 else FALSE) if settled else FALSE if q < ALPHA else NOT_SETTLED)
            figures.append(self._figure(network, f"{ours} − {theirs}", test))
            intervals.append(_ends(test.low, test.high))
        return self._together(verdicts, figures, intervals, f"{ours} and {theirs}")

    def hardly(self) -> _Judged:
        """Whether the gain of B and C over A stays under the margin: each of them, on every network."""
        tests = [(net, name, self._test(net, name, A)) for net in self._networks for name in (B, C)]
        ready = [(net, name, test) for net, name, test in tests if test.n >= LEAST_SEEDS]
        if {name for _, name, _ in ready} != {B, C}:
            return _unmeasured("B, C and A were", f"three common seeds or more of {B}, {C}, {A}")
        above = statistics.holm([self._beyond(net, name, "greater") for net, name, _ in ready])
        below = [self._beyond(net, name, "less") for net, name, _ in ready]
        verdict = NOT_SETTLED
        if any(p < ALPHA for p in above):
            verdict = FALSE
        elif all(p < ALPHA for p in below):
            verdict = TRUE
        figures = [self._figure(net, f"{name} − {A}", test) for net, name, test in ready]
        intervals = [_ends(test.low, test.high) for _, _, test in ready]
        source = self._source(f"'hardly' is under {self._margin:g} points")
        return verdict, "; ".join(figures), "; ".join(intervals), source

    def _beyond(self, network: str, name: str, side: Literal["less", "greater"]) -> float:
        """One-sided p that the gain over A is greater or less than the margin."""
        return statistics.beyond(self._pair(network, name, A).differences, self._margin, side)

    def _pair(self, network: str, ours: str, theirs: str) -> Pair:
        here: Callable[[str], Mapping[int, RunRecord]] = lambda name: finished_by_seed(  # noqa: E731
            [run for run in self._record.runs if (run.network, run.shortcut) == (network, name)]
        )
        return Pair(here(ours), here(theirs))

    def _test(self, network: str, ours: str, theirs: str) -> Paired:
        return statistics.paired(self._pair(network, ours, theirs).differences, self._margin)

    def _figure(self, network: str, what: str, test: Paired) -> str:
        where = f"{pretty_network(network)}: " if len(self._networks) > 1 else ""
        mean = f"{test.mean:+.2f}".replace("-", "−")
        return f"{where}{what} = {mean} points, {test.n} seeds"

    def _together(
        self, verdicts: Sequence[str], figures: Sequence[str], intervals: Sequence[str], what: str
    ) -> _Judged:
        if not verdicts:
            return _unmeasured(f"{what} were", f"three common seeds or more of {what}")
        verdict = verdicts[0] if len(set(verdicts)) == 1 else NOT_SETTLED
        return verdict, "; ".join(figures), "; ".join(intervals), self._source(f"margin {self._margin:g}, Holm")

    def _source(self, how: str) -> str:
        networks = ", ".join(pretty_network(name) for name in self._networks)
        return f"runs: {self._record.regime.sentence(networks)}; {how}"


def _ends(low: float, high: float) -> str:
    return f"{low:+.2f} to {high:+.2f}".replace("-", "−")


def _by_network(record: ExperimentRecord) -> dict[str, dict[str, CostRecord]]:
    found: dict[str, dict[str, CostRecord]] = {}
    for cost in record.costs:
        found.setdefault(cost.network, {})[cost.shortcut] = cost
    return found


def _memory(record: ExperimentRecord) -> _Judged:
    raised: list[bool] = []
    figures: list[str] = []
    for network, costs in _by_network(record).items():
        for name in (B, C):
            ours, base = costs.get(name), costs.get(A)
            if not (ours and base and ours.parameters and base.parameters and ours.saved_bytes and base.saved_bytes):
                continue
            parameters, saved = ours.parameters / base.parameters - 1, ours.saved_bytes / base.saved_bytes - 1
            raised += [parameters > 0, saved > 0]
            figures.append(f"{pretty_network(network)}, {name}: {parameters:+.1%} parameters, {saved:+.1%} saved bytes")
    if not raised:
        return _unmeasured("parameters and memory of A, B and C were", _COST)
    verdict = TRUE if all(raised) else FALSE if not any(raised) else NOT_SETTLED
    return verdict, "; ".join(figures), "exact counts", "cost: parameters, and bytes that autograd saves (fp32)"


def _time(record: ExperimentRecord) -> _Judged:
    ratios: list[tuple[str, str, tuple[float, float], float]] = []
    for network, costs in _by_network(record).items():
        for name, cost in costs.items():
            if name not in ("plain", cost.ratio_baseline) and cost.step_ratio and cost.step_ratio_interval:
                ratios.append((network, name, cost.step_ratio_interval, cost.step_ratio))
    if not ratios:
        return _unmeasured("step times with intervals were", _COST)
    inside = all(low > 1 - MUCH_TIME and high < 1 + MUCH_TIME for _, _, (low, high), _ in ratios)
    outside = any(low > 1 + MUCH_TIME or high < 1 - MUCH_TIME for _, _, (low, high), _ in ratios)
    network, name, (low, high), ratio = max(ratios, key=lambda one: abs(one[3] - 1))
    figure = f"largest: {name} on {pretty_network(network)}, {ratio - 1:+.1%} of a step, of {len(ratios)} compared"
    machine = next((cost.hardware for cost in record.costs if cost.hardware), "this machine")
    source = f"cost: interleaved steps on {machine}; 'much' is over {MUCH_TIME:.0%}"
    return (TRUE if inside else FALSE if outside else NOT_SETTLED), figure, f"{low - 1:+.1%} to {high - 1:+.1%}", source
