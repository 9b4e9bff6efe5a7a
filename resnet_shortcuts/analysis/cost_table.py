"""The tables of ``rsc cost``: one a network, a row a strategy; what was not measured is left out."""

from __future__ import annotations

from resnet_shortcuts.analysis.render import csv_text, json_text
from resnet_shortcuts.analysis.table import Column, Table
from resnet_shortcuts.cost.cost_request import CostReport
from resnet_shortcuts.cost.cost_sentences import cost_rows, how_measured, sentences

_COUNTED = (
    "Multiply-adds: a forward pass of one image; pooling, padding and adds count as zero. "
    "Saved: what autograd keeps for backward, fp32, eager, parameters left out."
)

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
    Column("step_ms_interval", "step, 95 %, ms", "durations"),
    Column("ratio", "step, ratio", "number"),
    Column("ratio_interval", "step ratio, 95 %", "ratios"),
    Column("images_per_second", "images, a second", "seconds"),
    Column("inference_ms", "inference, ms", "milliseconds"),
    Column("inference_ms_interval", "inference, 95 %, ms", "durations"),
    Column("inference_ratio", "inference, ratio", "number"),
    Column("inference_ratio_interval", "inference, ratio, 95 %", "ratios"),
)
_ERROR = Column("error", "error")


def cost_tables(report: CostReport) -> list[Table]:
    """A table a network, without the columns that hold nothing; the notes say how the numbers were taken."""
    tables = []
    told = [*sentences(report), *how_measured(report)]
    for network in report.request.networks:
        rows = [row for row in cost_rows(report) if row["network"] == network]
        held = [
            column
            for column in COLUMNS
            if column.key != "network" and any(row.get(column.key) is not None for row in rows)
        ]
        notes = [f"{row['shortcut']}: {row['error']}" for row in rows if row["error"]]
        notes += [line for line in told if line.startswith(f"{network}: ")]
        tables.append(Table("cost", held, rows, _title(report, network), [_COUNTED, *notes]))
    return tables


def cost_csv(report: CostReport) -> str:
    """One table of all networks, every column whether measured or not, errors last; ends of intervals stand apart."""
    return csv_text(Table("cost", [*COLUMNS, _ERROR], cost_rows(report)))


def cost_json(report: CostReport) -> str:
    """The whole report as the one JSON object of every ``--format json``; the A/A control is a row of its own."""
    document = report.model_dump(mode="json", exclude={"rows"})
    rows = cost_rows(report)
    return json_text(
        Table("cost", [Column(key, key) for key in rows[0]], rows), sentences=sentences(report), **document
    )


def _title(report: CostReport, network: str) -> str:
    request = report.request
    shape = "x".join(str(size) for size in request.input_shape)
    data = f"{shape}, {request.num_classes} classes"
    return f"{network}: {data}, batch size {request.batch_size}, {request.precision} on {request.device}"
