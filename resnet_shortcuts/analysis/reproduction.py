"""Whether runs that were trained again agree with the stored ones: to the last bit, or as far as seeds explain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_shortcuts.analysis.statistics import ALPHA, critical
from resnet_shortcuts.machine import Hardware
from resnet_shortcuts.tables import Column, Table
from resnet_shortcuts.words import counted

if TYPE_CHECKING:
    from resnet_shortcuts.experiments.store import StoredRun

IDENTICAL, WITHIN, DIFFERS = "bit-identical", "within seeds", "differs"
UNKNOWN = "not bit-identical"
"""Where the stored runs do not say how far seeds lie apart."""
_LEAST_SD = 0.01
"""Points: what one of 10,000 test images counts."""


@dataclass(frozen=True)
class Spread:
    """How far runs of one strategy lie apart over seeds: the pooled standard deviation in points, and its ``df``."""

    sd: float
    df: int

    def limit(self, runs: int) -> float:
        """How far a run may lie from the stored one, as two seeds do, at 5 % for all ``runs`` together."""
        return critical(self.df, ALPHA / runs) * max(self.sd, _LEAST_SD) * math.sqrt(2)


@dataclass(frozen=True)
class Reproduced:
    """A stored run and the one that was trained again. ``limit``: None where nothing says how far seeds lie apart."""

    stored: StoredRun
    again: StoredRun
    limit: float | None

    @property
    def like_hardware(self) -> bool:
        """Whether nothing that both records say of their hardware differs."""
        theirs = Hardware.recorded(self.again.environment)
        return Hardware.recorded(self.stored.environment).agrees(theirs)

    @property
    def difference(self) -> float | None:
        """Accuracy now less the stored one, in points; None where one of the two has none."""
        if self.stored.test_accuracy is None or self.again.test_accuracy is None:
            return None
        return self.again.test_accuracy - self.stored.test_accuracy

    @property
    def same_answers(self) -> float | None:
        """The share of test images that both classify alike; None where one of the two diverged."""
        if self.difference is None:
            return None
        ours, theirs = self.stored.predictions(), self.again.predictions()
        return float(np.mean(ours == theirs)) if ours.shape == theirs.shape else 0.0

    @property
    def verdict(self) -> str:
        """Bit-identical (trained weights and predictions), within what seeds explain, or different."""
        if self.stored.status != self.again.status:
            return DIFFERS
        same_bits = bool(self.stored.digests) and self.stored.digests == self.again.digests
        if same_bits and self.same_answers in (None, 1.0):
            return IDENTICAL
        if self.difference is None:
            return WITHIN  # both diverged
        if self.limit is None:
            return UNKNOWN
        return WITHIN if abs(self.difference) <= self.limit else DIFFERS


def spread_over_seeds(runs: Sequence[StoredRun]) -> Spread | None:
    """The spread of runs over seeds, pooled over what was trained from two seeds or more; None without any.

    Leave out the runs that are to be checked: one that differs much would make room for itself.
    """
    cells: dict[tuple[str, str, str], list[float]] = {}
    for run in runs:
        if run.test_accuracy is not None:
            cells.setdefault((run.network, run.shortcut, run.recipe), []).append(run.test_accuracy)
    squares = math.fsum(float(np.var(values)) * len(values) for values in cells.values())
    df = sum(len(values) - 1 for values in cells.values())
    return Spread(math.sqrt(squares / df), df) if df else None


def reproduced_table(results: Sequence[Reproduced]) -> Table:
    """A row a run, under a title that says how many came out how."""
    columns = [
        Column("network", "network", label=True),
        Column("shortcut", "shortcut", label=True),
        Column("seed", "seed", "count", label=True),
        Column("stored", "stored, %", "percent"),
        Column("again", "again, %", "percent"),
        Column("same_answers", "same answers, %", "percent"),
        Column("like_hardware", "like hardware", formatter=lambda alike: "yes" if alike else "no"),
        Column("verdict", "verdict"),
    ]
    verdicts = [each.verdict for each in results]
    words = {IDENTICAL: "bit-identical", WITHIN: "within what seeds explain", DIFFERS: "different", UNKNOWN: UNKNOWN}
    told = [f"{verdicts.count(verdict)} {text}" for verdict, text in words.items() if verdict in verdicts]
    title = f"{counted(len(results), 'run')} trained again: {', '.join(told)}."
    return Table("reproduce", columns, [_row(each) for each in results], title=title, notes=_notes(results))


def _row(each: Reproduced) -> dict[str, Any]:
    share = each.same_answers
    return {
        "network": each.stored.network,
        "shortcut": each.stored.shortcut,
        "seed": each.stored.seed,
        "run_id": each.stored.run_id,
        "stored": each.stored.test_accuracy,
        "again": each.again.test_accuracy,
        "same_answers": None if share is None else 100 * share,
        "like_hardware": each.like_hardware,
        "limit": each.limit,
        "verdict": each.verdict,
    }


def _notes(results: Sequence[Reproduced]) -> list[str]:
    limits = [each.limit for each in results if each.limit is not None]
    notes = ["Bit-identical: equal trained weights and equal predictions."]
    if limits:
        notes.append(
            f"Within what seeds explain: at most {limits[0]:.2f} points apart, as two seeds of a stored strategy are, "
            "at 5 % for all runs together."
        )
    else:
        notes.append("No strategy is stored with two seeds beside these runs, so nothing says how far seeds lie apart.")
    apart = [each for each in results if each.like_hardware and each.verdict in (WITHIN, UNKNOWN)]
    if apart:
        notes.append(
            "On hardware alike as far as the records say, yet not bit-identical: torch, threads or code differ."
        )
    return notes
