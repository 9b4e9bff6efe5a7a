"""Published figures, shown beside ours only where network, strategy, data and recipe fit; else the reason why not."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, Regime
from resnet_shortcuts.analysis.merge import differences
from resnet_shortcuts.analysis.statistics import mean_and_sd
from resnet_shortcuts.analysis.summary import accuracies, cells_of
from resnet_shortcuts.words import counted


@dataclass(frozen=True)
class Published:
    """One published figure for a network and strategy that we ran: test error in percent as printed, or why it is not.

    ``figure`` is empty unless it fits; ``reason`` is empty if it does. Where it fits, ``our_error`` is 100 less our
    mean accuracy over ``our_seeds`` finished runs of ``our_runs``; None where none has finished.
    """

    network: str
    shortcut: str
    figure: str
    protocol: str
    source: str
    reason: str
    our_error: float | None = None
    our_seeds: int | None = None
    our_runs: int | None = None

    @property
    def ours(self) -> str | None:
        """Our error beside the published one, with how many seeds it is the mean of; None where none is shown."""
        if not self.figure:
            return None
        if self.our_error is None:
            return f"none of {counted(self.our_runs or 0, 'run')} has finished"
        of = "" if self.our_seeds == self.our_runs else f" finished of {self.our_runs}"
        return f"{self.our_error:.2f} (last epoch, mean of {counted(self.our_seeds or 0, 'seed')}{of})"


@functools.cache
def data() -> Any:
    """The shipped data file, ``published.json``."""
    return json.loads(resources.files("resnet_shortcuts.analysis").joinpath("published.json").read_bytes())


def published(record: ExperimentRecord) -> list[Published]:
    """Every published figure whose network and strategy are among the runs, in the order of the data file."""
    cells = {cell: runs for cell, runs in cells_of(record).items() if runs}
    vouched = all(run.data_vouched for run in record.runs if run.finished)
    rows = []
    for entry in data()["sets"]:
        reason = mismatch(entry, record.regime, vouched)
        for row in entry["rows"]:
            cell = row["network"], row["shortcut"]
            if cell not in cells:
                continue
            fields = entry["protocol"], entry["source"], reason
            if reason:
                rows.append(Published(*cell, "", *fields))
                continue
            ours = accuracies(cells[cell])
            mean, _ = mean_and_sd(ours)
            error = None if mean is None else 100 - mean
            rows.append(Published(*cell, _figure(row, entry["statistic"]), *fields, error, len(ours), len(cells[cell])))
    return rows


def mismatch(entry: Mapping[str, Any], regime: Regime, vouched: bool) -> str:
    """Why this set of figures cannot stand beside ours; empty where it can.

    ``vouched``: whether the files that our runs read had to bear the hashes that their source publishes.
    """
    wanted = entry["data"]
    reasons = []
    if regime.source != wanted["source"]:
        reasons.append(f"data: {wanted['source']} there, {regime.source or 'unknown'} here")
    elif wanted["vouched"] and not vouched:
        reasons.append("data: no hash vouches that it is the lossless original")
    for ours, key in ((regime.train_images, "train_size"), (regime.test_images, "test_size")):
        if ours != wanted[key]:
            reasons.append(f"{key}: {wanted[key]:,} there, {ours if ours is None else f'{ours:,}'} here")
    if entry.get("unlike"):
        reasons.append(entry["unlike"])
    elif not reasons:
        reasons += _recipe(entry, regime)
    return "; ".join(reasons)


def _recipe(entry: Mapping[str, Any], regime: Regime) -> list[str]:
    recipe = dict(regime.recipe)
    schedule = recipe.get("schedule")
    if isinstance(schedule, Mapping):
        recipe["schedule"] = {
            **schedule,
            "milestones": _iterations(schedule.get("milestones") or [], regime.iterations),
        }
    reasons = [
        f"{key}: {'none' if theirs is None else theirs} there, {'none' if ours is None else ours} here"
        for key, theirs, ours in differences(entry["recipe"], recipe)
        if theirs is not None or ours
    ]
    if sorted(regime.augment) != sorted(entry["augment"]):
        reasons.append(f"augmentation: {'+'.join(entry['augment'])} there, {'+'.join(regime.augment) or 'none'} here")
    if regime.normalize != entry["normalize"]:
        reasons.append(f"normalisation: {entry['normalize']} there, {regime.normalize} here")
    return reasons


def _iterations(milestones: Sequence[float], total: int | None) -> list[float]:
    """Milestones as iterations: fractions are of ``total``."""
    return [round(m * total) if total and isinstance(m, float) and m <= 1 else m for m in milestones]


def _figure(row: Mapping[str, Any], statistic: str) -> str:
    if row["error"] is None:
        return f"{row['text']} ({statistic})"
    mean = f"; mean {row['mean']:.2f} ± {row['sd']:.2f} over {row['runs']} runs" if "mean" in row else ""
    return f"{row['error']:.2f} ({statistic}{mean})"
