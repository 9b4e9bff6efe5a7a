"""Main effects and interactions where the strategies of an experiment form a grid of operations.

Strategies are compositions of a spatial and a channel operation. Where every spatial operation of a set was trained
with every channel operation of another, each effect is estimated from all runs of the grid: the effect of ``avg`` over
``stride`` is the mean over the channel operations, and the interaction is what that mean hides.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_shortcuts.analysis.experiment_records import DIVERGED, RunRecord, in_order
from resnet_shortcuts.analysis.procedure import BETTER, EQUIVALENT, INCONCLUSIVE, SMALL, WORSE, Interval
from resnet_shortcuts.analysis.sequential import ALPHA, MOST

FACTORS = ("spatial", "channels")
LEAST_SEEDS = 3
_MOST_LEVELS = 12
"""Of one factor; among more the largest grid is not searched for."""

Setting = tuple[str, str]
"""Network and recipe."""


@dataclass(frozen=True)
class Effect:
    """A contrast of the grid in percentage points, with its simultaneous interval.

    A main effect (``factor`` spatial or channels) says how much ``level`` is above ``reference``, averaged over the
    other factor. An interaction (``factor`` 'interaction') says how much that difference of the spatial operations
    ``level`` and ``reference`` is larger with ``within[0]`` than with ``within[1]``, channel operations. ``word``
    is read off the interval: better, worse ('..., by less than the margin' inside it), equivalent or inconclusive; of
    an interaction 'interaction', 'none beyond the margin' or 'inconclusive'.
    """

    factor: str
    level: str
    reference: str
    within: tuple[str, str] | None
    interval: Interval
    word: str

    def label(self) -> str:
        """'avg over stride', or 'avg over stride: with pad beside duplicate'."""
        beside = f": with {self.within[0]} beside {self.within[1]}" if self.within else ""
        return f"{self.level} over {self.reference}{beside}"


@dataclass(frozen=True)
class Factorial:
    """The grid and its effects.

    ``strategies`` names the strategy of each (spatial, channels). ``settings`` are the networks and recipes over which
    effects are averaged with equal weights, ``seeds`` those at which every cell of the grid has a result in each of
    them, ``left_out`` those with runs in some cells only. The ``effects`` share an error of 5 %.
    """

    spatial: Sequence[str]
    channels: Sequence[str]
    strategies: Mapping[tuple[str, str], str]
    settings: Sequence[Setting]
    seeds: Sequence[int]
    left_out: Sequence[int]
    effects: Sequence[Effect]
    margin: float


def factorial_effects(
    runs: Sequence[RunRecord], margin: float, chance: float | None = None, image_weight: float = 0.0
) -> Factorial | None:
    """Main effects of the spatial and the channel operation, and their interactions, in percentage points.

    Every effect is a mean over seeds of a contrast of all cells of the grid, seed by seed, so that what the runs of a
    seed share cancels; its interval is a t interval with n - 1 degrees of freedom, at 5 % divided by the number
    of effects (Bonferroni). All runs of the grid enter: a run that diverged at ``chance`` (percent; None: its seed is
    left out). A seed that lacks a cell is left out. ``image_weight`` is what one test image counts, in points: no
    standard deviation is taken to be smaller than what rounding to whole images makes.

    None where the strategies hold no grid of two by two or more, or fewer than three seeds are complete. Give the
    runs of one network to have its effects alone.
    """
    by_parts = _largest_grid(runs)
    if by_parts is None:
        return None
    spatial, channels = in_order(each for each, _ in by_parts), in_order(each for _, each in by_parts)
    values = _values(runs, set(by_parts.values()), chance)
    settings = _settings(values, by_parts.values())
    cells = [(setting, name) for setting in settings for name in by_parts.values()]
    seeds = sorted(set.intersection(*(set(values[cell]) for cell in cells))) if cells else []
    if len(seeds) < LEAST_SEEDS:
        return None
    table = np.array(
        [
            [[[values[setting, by_parts[a, b]][seed] for seed in seeds] for b in channels] for a in spatial]
            for setting in settings
        ]
    )
    averaged = table.mean(axis=0)  # (spatial, channels, seeds)
    contrasts = [*_contrasts(averaged, spatial, channels)]
    least_sd = image_weight / math.sqrt(6 * len(settings))
    effects = [_effect(*contrast, margin, len(contrasts), least_sd) for contrast in contrasts]
    some = {seed for cell in cells for seed in values[cell]}
    return Factorial(spatial, channels, by_parts, settings, seeds, sorted(some - set(seeds)), effects, margin)


def _largest_grid(runs: Sequence[RunRecord]) -> dict[tuple[str, str], str] | None:
    """Strategies by spatial and channel operation, of the largest complete grid; all else of them is equal."""
    alike: dict[str, dict[tuple[str, str], str]] = {}
    for run in runs:
        parts = run.built_of[1] if isinstance(run.built_of, tuple) else None
        if isinstance(parts, Mapping) and all(isinstance(parts.get(factor), str) for factor in FACTORS):
            rest = {key: value for key, value in parts.items() if key not in FACTORS}
            group = alike.setdefault(json.dumps(rest, sort_keys=True), {})
            group.setdefault((parts["spatial"], parts["channels"]), run.shortcut)
    grids = [grid for group in alike.values() for grid in _grids(group)]
    return max(grids, key=lambda grid: len(grid), default=None)


def _grids(known: Mapping[tuple[str, str], str]) -> Iterator[dict[tuple[str, str], str]]:
    """For every set of two or more spatial operations, the grid with the channel operations that all of them have."""
    spatial, channels = in_order(a for a, _ in known), in_order(b for _, b in known)
    for size in range(2, min(len(spatial), _MOST_LEVELS) + 1):
        for chosen in itertools.combinations(spatial[:_MOST_LEVELS], size):
            common = [b for b in channels if all((a, b) in known for a in chosen)]
            if len(common) >= 2:
                yield {(a, b): known[a, b] for a in chosen for b in common}


def _values(
    runs: Sequence[RunRecord], names: set[str], chance: float | None
) -> dict[tuple[Setting, str], dict[int, float]]:
    """Accuracy in percent by setting and strategy, and by seed; chance of runs that diverged."""
    values: dict[tuple[Setting, str], dict[int, float]] = {}
    for run in runs:
        value = chance if run.status == DIVERGED else run.test_accuracy if run.finished else None
        if run.shortcut in names and value is not None:
            values.setdefault(((run.network, run.recipe), run.shortcut), {})[run.seed] = value
    return values


def _settings(values: Mapping[tuple[Setting, str], Any], names: Iterable[str]) -> list[Setting]:
    """Networks and recipes on which the whole grid was trained."""
    known = dict.fromkeys(setting for setting, _ in values)
    return [setting for setting in known if all((setting, name) in values for name in names)]


Contrast = tuple[str, str, str, tuple[str, str] | None, NDArray[np.float64], float]
"""Factor, level, reference, what it lies within, the contrast seed by seed, and its variance over that of a cell."""


def _contrasts(table: NDArray[np.float64], spatial: Sequence[str], channels: Sequence[str]) -> Iterator[Contrast]:
    """All pairs of levels of each factor, then all interactions of two pairs; ``table`` is (spatial, channels, n)."""
    for axis, factor, levels in ((1, "spatial", spatial), (0, "channels", channels)):
        means = table.mean(axis=axis)
        for reference, level in itertools.combinations(range(len(levels)), 2):
            yield factor, levels[level], levels[reference], None, means[level] - means[reference], 2 / table.shape[axis]
    for (a, c), (b, d) in itertools.product(
        itertools.combinations(range(len(spatial)), 2), itertools.combinations(range(len(channels)), 2)
    ):
        difference = (table[c, d] - table[a, d]) - (table[c, b] - table[a, b])
        yield "interaction", spatial[c], spatial[a], (channels[d], channels[b]), difference, 4.0


def _effect(
    factor: str, level: str, reference: str, within: tuple[str, str] | None, by_seed: NDArray[np.float64],
    weight: float, margin: float, family: int, least_sd: float,
) -> Effect:  # fmt: skip
    from scipy.special import stdtrit

    seeds, mean = len(by_seed), float(by_seed.mean())
    sd = max(float(by_seed.std(ddof=1)), least_sd * math.sqrt(weight / 2))
    half = float(stdtrit(seeds - 1, 1 - ALPHA / (2 * family))) * sd / math.sqrt(seeds)
    low, high = max(mean - half, -2 * MOST), min(mean + half, 2 * MOST)
    interval = Interval(seeds, mean, low, high, sd, seeds - 1.0)
    return Effect(factor, level, reference, within, interval, _word(interval, margin, within is not None))


def _word(interval: Interval, margin: float, of_interaction: bool) -> str:
    sign = (interval.low > 0) - (interval.high < 0)
    inside = -margin < interval.low and interval.high < margin
    if of_interaction:
        return "none beyond the margin" if inside else "interaction" if sign else INCONCLUSIVE
    if not sign:
        return EQUIVALENT if inside else INCONCLUSIVE
    return (BETTER if sign > 0 else WORSE) + (SMALL if inside else "")
