"""The tables of ``rsc cost``: one a network, a row a strategy; what was not measured is left out."""

from __future__ import annotations

from typing import Any

from resnet_shortcuts.analysis.render import json_text
from resnet_shortcuts.analysis.table import Column, Table
from resnet_shortcuts.cost.sentences import sentences
from resnet_shortcuts.cost.spec import CostReport, CostRow

COLUMNS = (
    Column("network", "network", label=True),
    Column("shortcut", "shortcut", label=True),
    Column("parameters", "parameters", "count"),
    Column("multiply_adds", "multiply-adds", "large"),
    Column("saved_bytes", "saved, MiB", "mebibytes"),
    Column("memory_parameters", "memory: parameters, MiB", "mebibytes"),
    Column("memory_gradients", "memory: gradients, MiB", "mebibytes"),
    Column("memory_optimizer", "memory: optimizer, MiB", "mebibytes"),
    Column("memory_activations", "memory: activations, MiB", "mebibytes"),
    Column("peak_memory_bytes", "peak, MiB", "mebibytes"),
    Column("peak_reserved_bytes", "reserved, MiB", "mebibytes"),
    Column("step_ms", "step, ms", "milliseconds"),
    Column("ratio", "step, ratio", "number"),
    Column("ratio_interval", "ratio, 95 %", "text"),
    Column("images_per_second", "images, a second", "seconds"),
    Column("inference_ms", "inference, ms", "milliseconds"),
    Column("inference_ratio", "inference, ratio", "number"),
)


def cost_tables(report: CostReport) -> list[Table]:
    """A table a network, without the columns that hold nothing; the notes say how the numbers were taken."""
    tables = []
    for network in report.request.networks:
        rows = [_row(row) for row in report.rows if row.network == network]
        held = [
            column
            for column in COLUMNS
            if column.key != "network" and any(row.get(column.key) is not None for row in rows)
        ]
        tables.append(Table("cost", held, rows, _title(report, network), _notes(report, network)))
    return tables


def cost_json(report: CostReport) -> str:
    """The whole report as the one JSON object of every ``--format json``."""
    document = report.model_dump(mode="json")
    rows = document.pop("rows")
    columns = [Column(key, key) for key in CostRow.model_fields]
    return json_text(Table("cost", columns, rows), sentences=sentences(report), **document)


def _row(row: CostRow) -> dict[str, Any]:
    values = row.model_dump()
    memory = values.pop("memory") or {}
    values |= {f"memory_{part}": memory.get(part) for part in ("parameters", "gradients", "optimizer", "activations")}
    if row.ratio_interval is not None:
        values["ratio_interval"] = f"{row.ratio_interval[0]:.3f} to {row.ratio_interval[1]:.3f}"
    return values


def _title(report: CostReport, network: str) -> str:
    request = report.request
    shape = "x".join(str(size) for size in request.input_shape)
    return f"{network}: {shape}, batch size {request.batch_size}, {request.precision} on {request.device}"


def _notes(report: CostReport, network: str) -> list[str]:
    notes = [
        "Multiply-adds: a forward pass of one image; pooling, padding and adds count as zero. "
        "Saved: what autograd keeps for backward, fp32, eager, parameters left out."
    ]
    notes += [f"{row.shortcut}: {row.error}" for row in report.rows if row.network == network and row.error]
    for race in report.races:
        if race.network == network:
            noise = "unknown" if race.noise is None else f"{race.noise:.1%}"
            notes.append(
                f"Time: {race.rounds} interleaved rounds, ended by {race.stopped}; ratios refer to {race.baseline}; "
                f"two timings of {race.baseline} itself differ by up to {noise} (A/A), and no smaller one counts."
            )
    return [*notes, *(line for line in sentences(report) if line.startswith(f"{network}: "))]
