"""The verdict procedure: a pure function from how runs ended to verdicts, given what was sealed in advance.

Look k uses the first n_k sealed seeds, once they are complete for the baseline and every open strategy. A run that
diverged or collapsed is an outcome of the strategy and enters at chance accuracy; a run that was lost with its machine
is missing, and the look waits for it. ``sequential`` holds the mathematics.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from resnet_shortcuts.analysis import sequential
from resnet_shortcuts.analysis.sequential import Decisions, LookData
from resnet_shortcuts.experiments.verdict_seal import Cell, VerdictSeal

BETTER, WORSE, EQUIVALENT, INCONCLUSIVE = "better", "worse", "equivalent", "inconclusive"
SMALL = ", by less than the margin"
INTERIM, TOO_FEW = "interim, no verdict", "too few seeds"


@dataclass(frozen=True, eq=False)
class Outcome:
    """How one run ended: 'finished', 'diverged', or 'lost' with its machine (crash, out of memory), which is no result.

    Accuracy and training error in percent after the last epoch; ``predictions`` is a digest of the predicted labels:
    equal ones mean that two networks answered alike on every test image.
    """

    ended: Literal["finished", "diverged", "lost"] = "finished"
    accuracy: float | None = None
    train_error: float | None = None
    predictions: str | None = None
    reason: str = ""


Results = Mapping[Cell, Mapping[int, Outcome]]


@dataclass(frozen=True)
class Interval:
    """A mean difference in points over ``seeds`` seeds with its interval; ``sd`` and ``df`` are what it rests on."""

    seeds: int
    mean: float
    low: float
    high: float
    sd: float
    df: float


@dataclass(frozen=True)
class Verdict:
    """What is known of one comparison.

    ``final`` verdicts do not change, whatever is trained later. ``look`` counts the looks that the comparison took part
    in, ``interval`` is the simultaneous one of the last of them. ``interim`` is the unadjusted 95 % interval of the
    seeds at hand where they are no look, and carries no verdict. ``failures`` of the
    strategy's ``runs`` diverged or collapsed, ``collapsed`` of them the latter.
    """

    cell: Cell
    word: str
    final: bool
    look: int
    interval: Interval | None
    interim: Interval | None
    failures: int
    collapsed: int
    runs: int


@dataclass(frozen=True)
class Standing:
    """Where a family stands: every verdict, and what the next look waits for.

    ``taken`` looks were made of ``len(seal.looks)``; ``next_seeds`` is the size of the next one, None after the last or
    once everything is decided. ``missing`` are the runs that it needs and that have not ended, ``lost`` those that
    ended without a result, with the reason. ``comparisons`` share the error of 5 %.
    """

    seal: VerdictSeal
    verdicts: Sequence[Verdict]
    taken: int
    next_seeds: int | None
    missing: Sequence[tuple[Cell, int]]
    lost: Sequence[tuple[Cell, int, str]]
    comparisons: int

    def find(self, cell: Cell) -> Verdict | None:
        """The verdict of this strategy on this network under this recipe; None for what is not in the family."""
        return next((verdict for verdict in self.verdicts if verdict.cell == cell), None)


def standing_of(seal: VerdictSeal, results: Results, comparisons: int | None = None) -> Standing:
    """Every verdict of the sealed family from the runs in ``results``; runs of other seeds and cells change nothing.

    ``comparisons`` share the error of 5 %: the family, or more where the baseline was chosen among all pairs.
    """
    sharing = seal.family if comparisons is None else comparisons
    reader = Reader(seal, results)
    cells = tuple(seal.cells())
    if not cells or not seal.looks:
        words = [reader.without_look(cell, TOO_FEW) for cell in cells]
        return Standing(seal, words, 0, None, (), (), sharing)
    decisions = sequential.decide(seal.looks, seal.margin, sharing, reader.data)
    taken = int(decisions.taken[0])
    is_open = [cell for place, cell in enumerate(cells) if not decisions.look[0, place]]
    upcoming = seal.looks[taken] if taken < len(seal.looks) and is_open else None
    verdicts = [reader.verdict(place, decisions, upcoming is None) for place in range(len(cells))]
    missing, lost = _awaited(seal, results, is_open, upcoming or 0)
    return Standing(seal, verdicts, taken, upcoming, missing, lost, sharing)


def _awaited(
    seal: VerdictSeal, results: Results, is_open: Sequence[Cell], seeds: int
) -> tuple[list[tuple[Cell, int]], list[tuple[Cell, int, str]]]:
    missing: list[tuple[Cell, int]] = []
    lost: list[tuple[Cell, int, str]] = []
    needed = dict.fromkeys(cell for one in is_open for cell in (seal.baseline_of(one), one))
    for seed in seal.seeds[:seeds]:
        for cell in needed:
            outcome = results.get(cell, {}).get(seed)
            if outcome is None:
                missing.append((cell, seed))
            elif outcome.ended == "lost":
                lost.append((cell, seed, outcome.reason))
    return missing, lost


class Reader:
    """Reads runs as the looks of a seal need them."""

    def __init__(self, seal: VerdictSeal, results: Results) -> None:
        self.seal, self.results = seal, results
        self.least_sd = seal.image_weight / math.sqrt(6)  # rounding to whole images, of two accuracies
        self.cells = tuple(seal.cells())
        groups = list(dict.fromkeys((cell.network, cell.recipe) for cell in self.cells))
        self.pools = np.array([groups.index((cell.network, cell.recipe)) for cell in self.cells], dtype=np.int64)

    def outcomes(self, cell: Cell, seeds: int) -> list[Outcome | None]:
        """The first outcomes in the order of the sealed seeds; None where a run has no result."""
        by_seed = self.results.get(cell, {})
        listed = [by_seed.get(seed) for seed in self.seal.seeds[:seeds]]
        return [None if outcome is None or outcome.ended == "lost" else outcome for outcome in listed]

    def fail_above(self, baseline: Cell, seeds: int) -> float:
        """The training error above which a run has collapsed, from the baseline's first runs where none is sealed."""
        if self.seal.fail_above is not None:
            return self.seal.fail_above
        errors = [
            outcome.train_error
            for outcome in self.outcomes(baseline, seeds)
            if outcome is not None and outcome.ended == "finished" and outcome.train_error is not None
        ]
        return (100 - self.seal.chance + float(np.median(errors))) / 2 if errors else math.inf

    def accuracies(self, cell: Cell, seeds: int) -> tuple[list[float], list[bool]]:
        """Accuracy of each run, chance where it failed and NaN where it is missing, and which of them failed."""
        bound = self.fail_above(self.seal.baseline_of(cell), seeds)
        values, failed = [], []
        for outcome in self.outcomes(cell, seeds):
            collapsed = outcome is not None and (
                outcome.ended == "diverged" or (outcome.train_error is not None and outcome.train_error > bound)
            )
            finished = math.nan if outcome is None or outcome.accuracy is None else outcome.accuracy
            values.append(self.seal.chance if collapsed else finished)
            failed.append(collapsed)
        return values, failed

    def data(self, seeds: int) -> LookData:
        """What the first ``seeds`` seeds say of the family."""
        differences, own, identical = [], [], []
        for cell in self.cells:
            ours, ours_failed = self.accuracies(cell, seeds)
            theirs, theirs_failed = self.accuracies(self.seal.baseline_of(cell), seeds)
            differences.append(np.subtract(ours, theirs))
            own.append(any(ours_failed + theirs_failed) or cell.shortcut in self.seal.own_variance)
            identical.append(self.identical(cell, self.seal.baseline_of(cell), seeds))
        arrays = np.array([differences]), np.array([own]), np.array([identical])
        return LookData(*arrays, self.pools, self.least_sd)

    def identical(self, cell: Cell, other: Cell, seeds: int) -> bool:
        """Whether both made the same predictions at each of the first seeds, no run having failed."""
        if any(self.accuracies(cell, seeds)[1] + self.accuracies(other, seeds)[1]):
            return False
        pairs = zip(self.outcomes(cell, seeds), self.outcomes(other, seeds), strict=True)
        return all(
            ours is not None
            and theirs is not None
            and ours.predictions is not None
            and ours.predictions == theirs.predictions
            for ours, theirs in pairs
        )

    def verdict(self, place: int, decisions: Decisions, ended: bool) -> Verdict:
        """The verdict of the comparison at this place; ``ended``: no look is to come."""
        cell, look = self.cells[place], int(decisions.look[0, place])
        part = look or int(decisions.taken[0])
        if not part:
            return self.without_look(cell, INTERIM)
        size = self.seal.looks[part - 1]
        at = decisions.at
        values = (float(array[0, place]) for array in (at.mean, at.low, at.high, at.sd, at.df))
        base = dataclasses.replace(self.without_look(cell, INTERIM), look=part, interval=Interval(size, *values))
        if look:
            sign, within = int(decisions.sign[0, place]), bool(decisions.within[0, place])
            return dataclasses.replace(base, word=_word(sign, within), final=True, interim=None)
        if ended:
            return dataclasses.replace(base, word=INCONCLUSIVE, final=True, interim=None)
        if base.interim is not None and base.interim.seeds > size:
            return base
        return dataclasses.replace(base, word=INCONCLUSIVE, interim=None)

    def without_look(self, cell: Cell, word: str) -> Verdict:
        """What can be said of a comparison without any look: the mean of the common prefix, and its t interval."""
        everything = self.seal.max_seeds
        ours, failed = self.accuracies(cell, everything)
        theirs, _ = self.accuracies(self.seal.baseline_of(cell), everything)
        differences = np.subtract(ours, theirs)
        absent = np.flatnonzero(np.isnan(differences))
        prefix = differences[: absent[0]] if len(absent) else differences
        ended = [outcome for outcome in self.outcomes(cell, everything) if outcome is not None]
        collapsed = sum(failed) - sum(outcome.ended == "diverged" for outcome in ended)
        interim = _descriptive(prefix, self.least_sd) if len(prefix) else None
        return Verdict(cell, word, False, 0, None, interim, sum(failed), collapsed, len(ended))


def _word(sign: int, within: bool) -> str:
    if not sign:
        return EQUIVALENT
    return (BETTER if sign > 0 else WORSE) + (SMALL if within else "")


def _descriptive(differences: NDArray[np.float64], least_sd: float) -> Interval:
    """The unadjusted 95 % t interval; NaN for a single difference."""
    from scipy.special import stdtrit

    seeds, mean = len(differences), float(differences.mean())
    if seeds < 2:
        return Interval(seeds, mean, math.nan, math.nan, math.nan, 0.0)
    sd = max(float(differences.std(ddof=1)), least_sd)
    half = float(stdtrit(seeds - 1, 1 - sequential.ALPHA / 2)) * sd / math.sqrt(seeds)
    low, high = max(mean - half, -sequential.MOST), min(mean + half, sequential.MOST)
    return Interval(seeds, mean, low, high, sd, seeds - 1.0)
