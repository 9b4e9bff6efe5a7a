"""The compare table: one row a network and strategy, with accuracy over seeds and what the strategy costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resnet_shortcuts.analysis.experiment_records import (
    CostRecord,
    ExperimentRecord,
    RunRecord,
    in_order,
    pretty_network,
)
from resnet_shortcuts.analysis.statistics import mean_and_sd
from resnet_shortcuts.experiments.run_record import DEFAULT_RECIPE
from resnet_shortcuts.shortcuts.catalogue import strategies
from resnet_shortcuts.tables import Column, Table

COLUMNS = (
    Column("network", "network", label=True),
    Column("shortcut", "shortcut", label=True),
    Column("recipe", "recipe", label=True),
    Column("runs", "runs", "count"),
    Column("failed", "failed", "count"),
    Column("accuracy_mean", "accuracy, %", "percent"),
    Column("accuracy_sd", "sd, points", "percent"),
    Column("parameters", "parameters", "count"),
    Column("multiply_adds", "multiply-adds", "large"),
    Column("saved_bytes", "activation memory, fp32, MiB", "mebibytes"),
    Column("activation_bytes", "activation memory, as trained, MiB", "mebibytes"),
    Column("peak_memory_bytes", "peak memory, MiB", "mebibytes"),
    Column("step_ms", "step, ms", "milliseconds"),
    Column("step_ms_interval", "step, 95 %, ms", "durations"),
    Column("step_ratio", "step, ratio", "number"),
    Column("step_ratio_interval", "step ratio, 95 %", "ratios"),
    Column("inference_ms", "inference, ms", "milliseconds"),
    Column("inference_ms_interval", "inference, 95 %, ms", "durations"),
    Column("inference_ratio", "inference, ratio", "number"),
    Column("inference_ratio_interval", "inference ratio, 95 %", "ratios"),
    Column("train_seconds", "estimated training, s", "seconds"),
    Column("disturbed", "times disturbed"),
)
RUN_KEYS = ("shortcut", "runs", "failed", "accuracy_mean", "accuracy_sd")
COST_KEYS = tuple(column.key for column in COLUMNS[7:])


@dataclass(frozen=True)
class Row:
    """One network with one strategy; the fields are the JSON keys. Accuracy in percent; unmeasured is None.

    ``disturbed`` is 'yes' where other programs ran while times were taken, which are not to be relied on then.
    """

    network: str
    shortcut: str
    recipe: str
    runs: int
    failed: int
    accuracy_mean: float | None
    accuracy_sd: float | None
    parameters: int | None = None
    multiply_adds: int | None = None
    saved_bytes: int | None = None
    activation_bytes: int | None = None
    peak_memory_bytes: int | None = None
    step_ms: float | None = None
    step_ms_interval: tuple[float, float] | None = None
    step_ratio: float | None = None
    step_ratio_interval: tuple[float, float] | None = None
    inference_ms: float | None = None
    inference_ms_interval: tuple[float, float] | None = None
    inference_ratio: float | None = None
    inference_ratio_interval: tuple[float, float] | None = None
    train_seconds: float | None = None
    disturbed: str | None = None


def cells_of(record: ExperimentRecord) -> dict[tuple[str, str], list[RunRecord]]:
    """The runs of each network and strategy, stored or missing, in the order of the plan."""
    cells: dict[tuple[str, str], list[RunRecord]] = {}
    for run in record.runs:
        cells.setdefault((run.network, run.shortcut), []).append(run)
    for network, shortcut, _ in record.missing:
        cells.setdefault((network, shortcut), [])
    return cells


def accuracies(runs: Sequence[RunRecord]) -> list[float]:
    """Test accuracies of the finished runs, percent."""
    return [run.test_accuracy for run in runs if run.finished and run.test_accuracy is not None]


def rows_of(record: ExperimentRecord) -> list[Row]:
    """One row a network and strategy of one (merged) experiment, in the order of the plan.

    ``runs`` counts the runs that are stored, ``failed`` those of them that crashed or diverged; mean and sd are over
    the finished ones.
    """
    costs = {(cost.network, cost.shortcut): cost for cost in record.costs}
    cells = cells_of(record)
    networks = in_order(network for network, _ in cells)
    return [_row(key, cells[key], costs.get(key)) for key in sorted(cells, key=lambda key: networks.index(key[0]))]


def _row(key: tuple[str, str], runs: Sequence[RunRecord], cost: CostRecord | None) -> Row:
    costs: dict[str, Any] = {} if cost is None else {name: getattr(cost, name) for name in COST_KEYS}
    if cost is not None:
        costs["disturbed"] = "yes" if cost.disturbed else "no"
    recipe = next((run.recipe for run in runs), DEFAULT_RECIPE)
    failed = sum(not run.finished for run in runs)
    return Row(*key, recipe, len(runs), failed, *mean_and_sd(accuracies(runs)), **costs)


def compare_table(record: ExperimentRecord, notes: Sequence[str] = ()) -> Table:
    """Every figure of one (merged) experiment, with the notes that say how its numbers arose."""
    summary = rows_of(record)
    networks = ", ".join(in_order(pretty_network(row.network) for row in summary))
    title = f"{record.name}: {record.regime.sentence(networks)}"
    return Table(
        "compare", COLUMNS, [vars(row) for row in summary], title, [*run_notes(record), *cost_notes(record), *notes]
    )


def terminal_view(table: Table) -> Table:
    """A table without columns that say nothing: one network for all rows, no failure, nothing measured."""

    def says_something(column: Column) -> bool:
        values = {row.get(column.key) for row in table.rows}
        if column.key in ("network", "recipe"):
            return len(values) != 1
        if column.key == "disturbed":
            return "yes" in values
        if column.key == "failed":
            return any(values)
        return column.key == "accuracy_mean" or values != {None}

    return dataclasses.replace(table, columns=[column for column in table.columns if says_something(column)])


def run_notes(record: ExperimentRecord) -> list[str]:
    """What must be said of the runs: failures, what is missing, left over or damaged, and what is odd in the data."""
    cells = cells_of(record)
    notes = []
    if any(cells.values()):
        notes.append("Accuracy: last epoch, mean and standard deviation over finished runs.")
    notes += _failures(cells) + twins(in_order(shortcut for _, shortcut in cells))
    if record.missing:
        names = in_order(f"{network} {shortcut} seed {seed}" for network, shortcut, seed in record.missing)
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        todo = f" Train them:\n{record.command}" if record.command else ""
        notes.append(f"Missing runs ({len(names)}): {shown}.{todo}")
    if record.left_over:
        notes.append(f"Left over, not in the plan and not counted: {', '.join(record.left_over)}.")
    if record.damaged:
        notes.append(f"Damaged and left out: {', '.join(record.damaged)}.")
    return notes + [f"Data: {warning}." for warning in record.data_warnings]


def twins(names: Sequence[str]) -> list[str]:
    """How to read a difference between two names of one network, for each such pair."""
    pairs = {frozenset((strategy.name, strategy.same_as)) for strategy in strategies() if strategy.same_as}
    return [
        f"{first} and {second} are one network under two names: a difference between them is noise."
        for place, first in enumerate(names)
        for second in names[place + 1 :]
        if {first, second} in pairs
    ]


def _failures(cells: Mapping[tuple[str, str], Sequence[RunRecord]]) -> list[str]:
    lines = []
    for (network, shortcut), runs in cells.items():
        failed = [run for run in runs if not run.finished]
        if failed:
            reasons = ", ".join(in_order(run.reason or run.status for run in failed))
            mean = "it has no mean" if len(failed) == len(runs) else "its mean is over the others"
            lines.append(f"{shortcut} on {network} fails {len(failed)} of {len(runs)} ({reasons}); {mean}.")
    return lines


def cost_notes(record: ExperimentRecord) -> list[str]:
    """How the costs were measured, and what they say."""
    costs = record.costs
    if not costs:
        return ["Costs were not measured."]
    batch = next((f"batch size {cost.batch_size}" for cost in costs if cost.batch_size), "")
    precision = next((cost.precision for cost in costs if cost.precision), "")
    machine = next((cost.hardware for cost in costs if cost.hardware), "")
    conditions = ", ".join(filter(None, (batch, precision, machine)))
    return [
        "Activation memory: what autograd keeps for backward, parameters left out. Peak memory: the most that training "
        "has in use at any time, network and optimizer included. Step: median, strategies interleaved, nothing else "
        "running. Estimated training: steps and evaluation of one run on a machine of its own."
        f"{f' Measured at {conditions}.' if conditions else ''} Multiply-adds: a forward pass of one image; pooling, "
        "padding and adds count as zero.",
        *record.cost_sentences,
    ]
