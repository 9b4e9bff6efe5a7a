"""Published figures, shown beside ours only where network, strategy, data and recipe fit; else the reason why not."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, Regime, in_order
from resnet_shortcuts.analysis.statistics import mean_and_sd
from resnet_shortcuts.analysis.summary import accuracies
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
def data() -> dict[str, Any]:
    """The shipped data file, ``published.json``."""
    text = resources.files("resnet_shortcuts.analysis").joinpath("published.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def published(record: ExperimentRecord) -> list[Published]:
    """Every published figure whose network and strategy are among the runs, in the order of the data file."""
    ours = set(in_order(f"{run.network}\t{run.shortcut}" for run in record.runs))
    vouched = all(run.data_vouched for run in record.runs if run.finished)
    found = []
    for entry in data()["sets"]:
        reason = unlike(entry, record.regime, vouched)
        for row in entry["rows"]:
            network, shortcut = row["network"], row["shortcut"]
            if f"{network}\t{shortcut}" in ours:
                figure = "" if reason else _figure(row, entry["statistic"])
                one = Published(network, shortcut, figure, entry["protocol"], entry["source"], reason)
                found.append(_beside(one, record) if figure else one)
    return found


def _beside(one: Published, record: ExperimentRecord) -> Published:
    runs = [run for run in record.runs if (run.network, run.shortcut) == (one.network, one.shortcut)]
    ours = accuracies(runs)
    mean, _ = mean_and_sd(ours)
    error = None if mean is None else 100 - mean
    return dataclasses.replace(one, our_error=error, our_seeds=len(ours), our_runs=len(runs))


def unlike(entry: Mapping[str, Any], regime: Regime, vouched: bool) -> str:
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
    reasons = _differences(entry["recipe"], regime.recipe, regime.iterations)
    if sorted(regime.augment) != sorted(entry["augment"]):
        reasons.append(f"augmentation: {'+'.join(entry['augment'])} there, {'+'.join(regime.augment) or 'none'} here")
    if regime.normalize != entry["normalize"]:
        reasons.append(f"normalisation: {entry['normalize']} there, {regime.normalize} here")
    return reasons


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any], total: int | None, path: str = "") -> list[str]:
    """Keys of their recipe that ours does not share, and keys of ours that theirs has not; fractions as iterations."""
    found = []
    for key in in_order([*theirs, *ours]):
        a, b = theirs.get(key), ours.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += _differences(a, b, total, f"{path}{key}.")
        elif key == "milestones":
            b = _iterations(b or [], total)
            if a != b:
                found.append(f"{path}{key}: {a} there, {b} here")
        elif a != b and not (a is None and not b):
            found.append(f"{path}{key}: {'none' if a is None else a} there, {'none' if b is None else b} here")
    return found


def _iterations(milestones: Sequence[float], total: int | None) -> list[float]:
    return [round(m * total) if total and isinstance(m, float) and m <= 1 else m for m in milestones]


def _figure(row: Mapping[str, Any], statistic: str) -> str:
    if row["error"] is None:
        return f"{row['text']} ({statistic})"
    mean = f"; mean {row['mean']:.2f} ± {row['sd']:.2f} over {row['runs']} runs" if "mean" in row else ""
    return f"{row['error']:.2f} ({statistic}{mean})"
