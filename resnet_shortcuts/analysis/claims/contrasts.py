"""Differences between two strategies that claims rest on, judged by what the experiment has sealed.

The contrasts are those of the question, fixed before any run, and share an error of 5 % of their own. In a sealed
experiment each look that is complete gives an interval at its share of the error, and what holds is in all of them:
that is right however often anyone looks. Without a seal there is one look, at all common seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resnet_shortcuts.analysis import sequential
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, RunRecord
from resnet_shortcuts.analysis.procedure import Reader
from resnet_shortcuts.analysis.sealed_verdicts import results_of
from resnet_shortcuts.analysis.verdicts import Pair, finished_by_seed
from resnet_shortcuts.experiments.run_record import DEFAULT_RECIPE
from resnet_shortcuts.experiments.verdict_seal import LEAST_SEEDS, Cell

_SAME = 1e-9  # points; a smaller standard deviation is rounding


@dataclass(frozen=True)
class Contrast:
    """``ours`` minus ``theirs`` in points over ``seeds`` seeds; the ends are NaN where there is no interval.

    ``waits_for`` is the size of the first look where it is not complete, or the seeds that are needed at least; 0 where
    there was a look.
    """

    network: str
    ours: str
    theirs: str
    seeds: int
    mean: float
    low: float = math.nan
    high: float = math.nan
    waits_for: int = 0

    def within(self, margin: float) -> bool:
        """Whether it is shown to lie inside the margin."""
        return -margin < self.low and self.high < margin


def contrasts(record: ExperimentRecord, pairs: Sequence[tuple[str, str]], networks: Sequence[str]) -> list[Contrast]:
    """Each pair on each network, in order; their intervals hold together with a probability of 95 %."""
    if record.seals:
        return _sealed(record, pairs, networks)
    of_pair = {
        (network, ours, theirs): _pair(record, network, ours, theirs) for network in networks for ours, theirs in pairs
    }
    family = sum(len(pair.seeds) >= LEAST_SEEDS for pair in of_pair.values())
    return [_at_once(*names, pair, family) for names, pair in of_pair.items()]


def _pair(record: ExperimentRecord, network: str, ours: str, theirs: str) -> Pair:
    return Pair(*(finished_by_seed(runs_of(record, network, name)) for name in (ours, theirs)))


def runs_of(record: ExperimentRecord, network: str, shortcut: str) -> list[RunRecord]:
    """The runs of a strategy on a network."""
    return [run for run in record.runs if (run.network, run.shortcut) == (network, shortcut)]


def _at_once(network: str, ours: str, theirs: str, pair: Pair, family: int) -> Contrast:
    """One look at the seeds that both have finished."""
    names, seeds = (network, ours, theirs), len(pair.seeds)
    if seeds < LEAST_SEEDS:
        return Contrast(*names, seeds, math.nan, waits_for=LEAST_SEEDS)
    mean, half = _interval(pair.differences, sequential.ALPHA / family, 0.0)
    return Contrast(*names, seeds, mean, *((mean - half, mean + half) if half > _SAME else ()))


def _sealed(record: ExperimentRecord, pairs: Sequence[tuple[str, str]], networks: Sequence[str]) -> list[Contrast]:
    seal, family = record.seals[0], len(pairs) * len(networks)
    reader = Reader(seal, results_of(record.runs))
    levels = list(zip(seal.looks, sequential.look_levels(seal.looks), strict=True)) if seal.looks else []

    def judged(network: str, ours: str, theirs: str) -> Contrast:
        cells = Cell(network, DEFAULT_RECIPE, ours), Cell(network, DEFAULT_RECIPE, theirs)
        low, high, seeds, mean = -sequential.MOST, sequential.MOST, 0, math.nan
        for size, level in levels:
            first, second = (reader.accuracies(cell, size)[0] for cell in cells)
            differences = [a - b for a, b in zip(first, second, strict=True)]
            if any(math.isnan(difference) for difference in differences):
                break
            least = 0.0 if reader.identical(*cells, size) else reader.least_sd
            mean, half = _interval(differences, level / family, least)
            low, high, seeds = max(low, mean - half), min(high, mean + half), size
        if not seeds:
            return Contrast(network, ours, theirs, 0, math.nan, waits_for=seal.looks[0] if seal.looks else LEAST_SEEDS)
        return Contrast(network, ours, theirs, seeds, mean, low, high)

    return [judged(network, *pair) for network in networks for pair in pairs]


def _interval(differences: Sequence[float], error: float, least_sd: float) -> tuple[float, float]:
    """Mean, and half the width of the t interval with this two-sided error; the sd is at least ``least_sd``."""
    from scipy.special import stdtrit

    values = np.asarray(differences, dtype=np.float64)
    sd = max(float(values.std(ddof=1)), least_sd)
    half = float(stdtrit(len(values) - 1, 1 - error / 2)) * sd / math.sqrt(len(values))
    return float(values.mean()), half
