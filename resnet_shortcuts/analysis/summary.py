"""The compare table: one row a network and strategy, with accuracy over seeds and what the strategy costs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from resnet_shortcuts.analysis.experiment_records import (
    CostRecord,
    ExperimentRecord,
    RunRecord,
    in_order,
    pretty_network,
)
from resnet_shortcuts.analysis.merge import merge
from resnet_shortcuts.analysis.table import Column, Table

COLUMNS = (
    Column("network", "network", label=True),
    Column("shortcut", "shortcut", label=True),
    Column("runs", "runs", "count"),
    Column("failed", "failed", "count"),
    Column("accuracy_mean", "accuracy, %", "percent"),
    Column("accuracy_sd", "sd, points", "percent"),
    Column("parameters", "parameters", "count"),
    Column("multiply_adds", "multiply-adds", "large"),
    Column("saved_bytes", "saved, MiB", "mebibytes"),
    Column("peak_memory_bytes", "peak, MiB", "mebibytes"),
    Column("step_ms", "step, ms", "milliseconds"),
    Column("train_seconds", "alone, computed, s", "seconds"),
)


@dataclass(frozen=True)
class Row:
    """One network with one strategy; the fields are the JSON keys. Accuracy in percent; unmeasured is None."""

    network: str
    shortcut: str
    runs: int
    failed: int
    accuracy_mean: float | None
    accuracy_sd: float | None
    parameters: int | None = None
    multiply_adds: int | None = None
    saved_bytes: int | None = None
    peak_memory_bytes: int | None = None
    step_ms: float | None = None
    train_seconds: float | None = None


def mean_and_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation; None where there is nothing to say (no value; sd of one value)."""
    if not values:
        return None, None
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def rows(experiments: Sequence[ExperimentRecord]) -> list[Row]:
    """One row a network and strategy, in the order of the plan.

    ``runs`` counts the runs that are stored, ``failed`` those of them that crashed or diverged; mean and sd are over
    the finished ones. Raises UsageError where the experiments must not be mixed.
    """
    return rows_of(merge(experiments)[0])


def rows_of(record: ExperimentRecord) -> list[Row]:
    """The rows of one (merged) experiment."""
    costs = {(cost.network, cost.shortcut): cost for cost in record.costs}
    planned = [(run.network, run.shortcut) for run in record.runs] + [key[:2] for key in record.missing]
    found: dict[tuple[str, str], list[RunRecord]] = {key: [] for key in dict.fromkeys(planned)}
    for run in record.runs:
        found[run.network, run.shortcut].append(run)
    networks = in_order(network for network, _ in found)
    ordered = sorted(found, key=lambda key: networks.index(key[0]))
    return [_row(key, found[key], costs.get(key)) for key in ordered]


def _row(key: tuple[str, str], runs: Sequence[RunRecord], cost: CostRecord | None) -> Row:
    accuracies = [run.test_accuracy for run in runs if run.finished and run.test_accuracy is not None]
    mean, sd = mean_and_sd(accuracies)
    failed = sum(not run.finished for run in runs)
    row = Row(key[0], key[1], len(runs), failed, mean, sd)
    if cost is None:
        return row
    return dataclasses.replace(
        row, parameters=cost.parameters, multiply_adds=cost.multiply_adds, saved_bytes=cost.saved_bytes,
        peak_memory_bytes=cost.peak_memory_bytes, step_ms=cost.step_ms, train_seconds=cost.train_seconds,
    )  # fmt: skip


def as_dicts(summary: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as plain mappings with the JSON keys."""
    return [dataclasses.asdict(row) for row in summary]


def compare_table(record: ExperimentRecord, notes: Sequence[str] = ()) -> Table:
    """The compare table of one (merged) experiment, with the notes that say how its numbers arose."""
    summary = rows_of(record)
    networks = in_order(row.network for row in summary)
    title = f"{record.name}: " + record.regime.sentence(", ".join(pretty_network(name) for name in networks))
    return Table("compare", COLUMNS, as_dicts(summary), title, [*_notes(record, summary), *notes])


def terminal_view(table: Table) -> Table:
    """The compare table without columns that say nothing: one network for all rows, no failure, nothing measured."""
    networks = {row["network"] for row in table.rows}
    dull = {"network"} if len(networks) == 1 else set()
    dull |= {column.key for column in table.columns if all(row.get(column.key) is None for row in table.rows)} - {
        "accuracy_mean"
    }
    if not any(row.get("failed") for row in table.rows):
        dull |= {"failed"}
    return table.only([column.key for column in table.columns if column.key not in dull])


def _notes(record: ExperimentRecord, summary: Sequence[Row]) -> list[str]:
    notes = []
    if any(row.runs for row in summary):
        notes.append("Accuracy: last epoch, mean and standard deviation over finished runs.")
    notes += _failures(record) + _twins(in_order(row.shortcut for row in summary))
    if record.missing:
        names = in_order(f"{network} {shortcut} seed {seed}" for network, shortcut, seed in record.missing)
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        todo = f" Train them:\n{record.command}" if record.command else ""
        notes.append(f"Missing runs ({len(names)}): {shown}.{todo}")
    if record.left_over:
        notes.append(f"Left over, not in the plan and not counted: {', '.join(record.left_over)}.")
    if record.damaged:
        notes.append(f"Damaged and left out: {', '.join(record.damaged)}.")
    return [*notes, *_cost_notes(record.costs), *record.cost_sentences]


def _twins(names: Sequence[str]) -> list[str]:
    """What to make of a difference between two names of one network, for each such pair."""
    from resnet_shortcuts.shortcuts.catalogue import CATALOGUE

    pairs = {frozenset((one.name, one.same_as)) for one in CATALOGUE if one.same_as}
    return [
        f"{first} and {second} are one network under two names: a difference between them is noise."
        for place, first in enumerate(names)
        for second in names[place + 1 :]
        if {first, second} in pairs
    ]


def _failures(record: ExperimentRecord) -> list[str]:
    lines = []
    for key in in_order(f"{run.network}\t{run.shortcut}" for run in record.runs if not run.finished):
        network, shortcut = key.split("\t")
        here = [run for run in record.runs if (run.network, run.shortcut) == (network, shortcut)]
        bad = [run for run in here if not run.finished]
        reasons = ", ".join(in_order(run.reason or run.status for run in bad))
        count = f"{len(bad)} of {len(here)}"
        mean = "it has no mean" if len(bad) == len(here) else "its mean is over the others"
        lines.append(f"{shortcut} on {network} fails {count} ({reasons}); {mean}.")
    return lines


def _cost_notes(costs: Sequence[CostRecord]) -> list[str]:
    if not costs:
        return ["Costs were not measured."]
    machine = next((cost.hardware for cost in costs if cost.hardware), "")
    batch = next((cost.batch_size for cost in costs if cost.batch_size), None)
    precision = next((cost.precision for cost in costs if cost.precision), "")
    at = ", ".join(part for part in (f"batch size {batch}" if batch else "", precision, machine) if part)
    return [
        "Saved: what autograd keeps for backward, fp32, parameters left out. Peak: of training, network and optimizer "
        "included. Step: median, strategies interleaved, nothing else running. Alone: steps and evaluation of one run "
        f"on a machine of its own, computed.{f' Measured at {at}.' if at else ''} Multiply-adds: a forward pass of one "
        "image; pooling, padding and adds count as zero."
    ]
