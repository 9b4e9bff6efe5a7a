"""What is fixed before the first look at an experiment's results, so that its verdicts hold however people work."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

LOOK_FRACTIONS = (0.4, 0.7, 1.0)
LEAST_SEEDS = 3
"""A look at fewer seeds estimates no variance worth the name."""
LEAST_FOR_LOOKS = 7
"""With fewer seeds than this, looks before the last one cost a third of the power and save next to nothing."""
PROCEDURE = 1
"""Version of the procedure that reads the seal."""


class Cell(NamedTuple):
    """A strategy on a network under a recipe, by the labels that tables show."""

    network: str
    recipe: str
    shortcut: str


def look_sizes(max_seeds: int, fractions: Sequence[float] = LOOK_FRACTIONS) -> tuple[int, ...]:
    """Seeds at each look, ascending: each fraction of ``max_seeds``, rounded up, at least three, and all of them.

    Empty under three seeds, a single look under seven. Raises ValueError for fractions outside (0, 1].
    """
    if any(not 0 < fraction <= 1 for fraction in fractions):
        raise ValueError("look fractions must be above 0 and at most 1")
    if max_seeds < LEAST_SEEDS:
        return ()
    if max_seeds < LEAST_FOR_LOOKS:
        return (max_seeds,)
    rounded_up = (math.ceil(fraction * max_seeds - 1e-9) for fraction in fractions)
    return tuple(sorted({max(LEAST_SEEDS, size) for size in rounded_up} | {max_seeds}))


class VerdictSeal(BaseModel):
    """The settings of one family of comparisons.

    ``seeds`` are all seeds that may carry a verdict, in the order in which looks use them; ``looks`` says how many of
    them each look uses, ascending, the last one all of them (empty: fewer than three seeds, no verdict is possible).
    ``margin`` is in percentage points. The family is every strategy on every network under every recipe; the baseline
    is none of the strategies. ``own_variance`` names strategies whose variance is not pooled with that of the others.
    A run whose final training error in percent is above ``fail_above`` counts as collapsed; None: above half-way
    between chance and the median of the baseline. ``classes`` and ``test_images`` describe what is learnt.

    Raises ValidationError for settings that contradict each other, among them a margin below the weight of one test
    image.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    procedure: Annotated[int, Field(ge=PROCEDURE, le=PROCEDURE)] = PROCEDURE
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    looks: tuple[int, ...]
    margin: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
    baseline: str
    networks: Annotated[tuple[str, ...], Field(min_length=1)]
    recipes: Annotated[tuple[str, ...], Field(min_length=1)] = ("default",)
    strategies: tuple[str, ...]
    own_variance: tuple[str, ...] = ()
    fail_above: Annotated[float, Field(gt=0, le=100)] | None = None
    classes: Annotated[int, Field(ge=2)]
    test_images: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("a seed is listed twice")
        if self.baseline in self.strategies:
            raise ValueError(f"the baseline {self.baseline} is listed among the strategies")
        if list(self.looks) != sorted(set(self.looks)) or any(size < LEAST_SEEDS for size in self.looks):
            raise ValueError(f"looks must ascend, and each needs at least {LEAST_SEEDS} seeds")
        possible = len(self.seeds) >= LEAST_SEEDS
        if (self.looks[-1] if self.looks else None) != (len(self.seeds) if possible else None):
            raise ValueError("the last look must use all seeds")
        if self.margin < self.image_weight * (1 - 1e-9):
            raise ValueError(
                f"a margin of {self.margin:g} points is less than one of {self.test_images:,} test images counts: "
                f"at least {self.image_weight:.3g}"
            )
        return self

    @property
    def chance(self) -> float:
        """Accuracy of guessing, percent."""
        return 100 / self.classes

    @property
    def image_weight(self) -> float:
        """What one test image counts, percentage points."""
        return 100 / self.test_images

    @property
    def max_seeds(self) -> int:
        """How many seeds may carry a verdict."""
        return len(self.seeds)

    @property
    def family(self) -> int:
        """How many comparisons share the error of 5 %."""
        return len(self.networks) * len(self.recipes) * len(self.strategies)

    def cells(self) -> Iterator[Cell]:
        """Every comparison of the family, named by its strategy."""
        for network in self.networks:
            for recipe in self.recipes:
                for strategy in self.strategies:
                    yield Cell(network, recipe, strategy)

    def baseline_of(self, cell: Cell) -> Cell:
        """The baseline's runs that this comparison is made with."""
        return cell._replace(shortcut=self.baseline)
