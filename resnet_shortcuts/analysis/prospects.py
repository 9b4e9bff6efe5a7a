"""What a sealed experiment can be expected to settle: whether seeds, margin and family allow a verdict at all."""

from __future__ import annotations

import math

from resnet_shortcuts.analysis.planning import Design, Spread, seeds_to_settle
from resnet_shortcuts.analysis.sealed_verdicts import Sealed
from resnet_shortcuts.experiments.verdict_seal import LEAST_SEEDS, VerdictSeal
from resnet_shortcuts.words import counted

MANY = "more than 10,000"
REFERENCE_SDS = (0.1, 0.25, 0.5, 1.0)
"""Standard deviations in points of a difference between two strategies, seed by seed, to plan with before any run."""


def measured_spread(sealed: Sealed) -> Spread | None:
    """The median standard deviation of the differences in the stored runs; None where no comparison has two seeds."""
    intervals = [verdict.interval or verdict.interim for each in sealed.standings for verdict in each.verdicts]
    known = sorted(
        (interval.sd, interval.df) for interval in intervals if interval is not None and interval.df and interval.sd
    )
    return Spread(*known[len(known) // 2]) if known else None


def prospects(seal: VerdictSeal, spread: Spread | None = None) -> list[str]:
    """Sentences on what the sealed seeds can settle, with the seeds that would do where they cannot.

    ``spread`` is what stored runs show, None before any.
    """
    design = Design.of(seal)
    family = f"{counted(seal.family, 'comparison')}, margin {counted(seal.margin, 'point')}"
    if not design.possible:
        return [
            f"no verdict is possible with {counted(seal.max_seeds, 'seed')}: at least {LEAST_SEEDS} are needed; "
            f"{_needed(design, seal, spread)} ({family})"
        ]
    sizes = ", ".join(str(size) for size in seal.looks)
    largest = design.largest_sd(seal.margin) or 0.0
    text = f"verdicts at {sizes} of {counted(seal.max_seeds, 'seed')} ({family}): "
    if spread is None:
        limit = f"likely (80 %) where differences have an sd up to {largest:.2g} points"
        return [f"{text}{limit}; {_needed(design, seal, spread)}"]
    bound = spread.upper()
    if bound <= largest:
        return [f"{text}likely (80 %), as the stored differences have an sd of at most {bound:.2g} points"]
    return [
        f"{text}unlikely for differences up to the margin: the stored ones have an sd of up to {bound:.2g} points, and "
        f"{largest:.2g} is the most that so few seeds can settle; {_needed(design, seal, spread)}"
    ]


def _needed(design: Design, seal: VerdictSeal, spread: Spread | None) -> str:
    """How many seeds would settle the margin, for the stored spread or for reference values."""
    if spread is not None:
        seeds = _seeds(design, seal, spread)
        return f"{seeds} would do" + ("" if seeds == MANY else f": --set compare.max_seeds={seeds}")
    listed = [f"{sd:g}: {_seeds(design, seal, Spread(sd, math.inf))}" for sd in REFERENCE_SDS]
    return f"seeds that settle the margin, by sd of the differences: {', '.join(listed)}"


def _seeds(design: Design, seal: VerdictSeal, spread: Spread) -> str:
    seeds = seeds_to_settle(seal.margin, spread, design.family, design.pooled)
    return MANY if seeds is None else str(seeds)
