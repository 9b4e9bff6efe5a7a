"""The tables of ``rsc cost``: one a network, a row a strategy; what was not measured is left out."""

from __future__ import annotations

from resnet_shortcuts.cost.cost_request import CostReport
from resnet_shortcuts.cost.cost_sentences import cost_rows, how_measured, sentences
from resnet_shortcuts.tables import Column, Table

_COUNTED = (
    "Multiply-adds: a forward pass of one image; pooling, padding and adds count as zero. "
    "Activation memory: what autograd keeps for backward, parameters left out{precision}."
)

COLUMNS = (
    Column("network", "network", label=True),
    Column("shortcut", "shortcut", label=True),
    Column("parameters", "parameters", "count"),
    Column("multiply_adds", "multiply-adds", "large"),
    Column("saved_bytes", "activation memory, fp32, MiB", "mebibytes"),
    Column("memory_parameters", "parameters, MiB", "mebibytes"),
    Column("memory_gradients", "gradients, MiB", "mebibytes"),
    Column("memory_optimizer", "optimizer, MiB", "mebibytes"),
    Column("memory_activations", "activation memory, MiB", "mebibytes"),
    Column("peak_memory_bytes", "peak memory, MiB", "mebibytes"),
    Column("peak_reserved_bytes", "reserved memory, MiB", "mebibytes"),
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


def cost_tables(report: CostReport) -> list[Table]:
    """A table a network, without the columns that hold nothing; the notes say how the numbers were taken."""
    return [_table(report, network) for network in report.request.networks]


def _table(report: CostReport, network: str) -> Table:
    request = report.request
    rows = [row for row in cost_rows(report) if row["network"] == network]
    columns = [column for column in COLUMNS[1:] if any(row.get(column.key) is not None for row in rows)]
    counted_alone = all(row["memory_activations"] is None for row in rows)
    if not counted_alone:  # of fp32, it may exceed the peak of what was trained
        columns = [column for column in columns if column.key != "saved_bytes"]
    note = _COUNTED.format(precision=", fp32, eager" if counted_alone else f", at {request.precision}")
    errors = [f"{row['shortcut']}: {row['error']}" for row in rows if row["error"]]
    remarks = [line for line in (*sentences(report), *how_measured(report)) if line.startswith(f"{network}: ")]
    shape = "x".join(str(size) for size in request.input_shape)
    batch = f"batch size {request.batch_size}, {request.precision} on {request.device}"
    title = f"{network}: {shape}, {request.num_classes} classes, {batch}"
    return Table("cost", columns, rows, title, [note, *errors, *remarks])


def cost_data(report: CostReport) -> Table:
    """The whole report as one table for CSV and JSON: every column whether measured or not, errors last.

    The A/A control is a row of its own; the report's other fields are the table's facts.
    """
    facts = {"sentences": sentences(report), **report.model_dump(mode="json", exclude={"rows"})}
    return Table("cost", [*COLUMNS, Column("error", "error")], cost_rows(report), facts=facts)
