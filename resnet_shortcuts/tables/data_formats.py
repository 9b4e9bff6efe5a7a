"""Tables for programs: CSV and JSON, with values as they are stored and the units of the JSON schema."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from typing import Any

from resnet_shortcuts.tables.escaping import escape_csv, escape_json
from resnet_shortcuts.tables.table_model import PAIRS, Table


def csv_text(table: Table) -> str:
    """One table as CSV (RFC 4180, LF): keys as heading, an empty cell for None, the ends of an interval as two cells.

    Text that a spreadsheet could take for a formula is escaped.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    heading: list[str] = []
    for column in table.columns:
        heading += [f"{column.key}_low", f"{column.key}_high"] if column.kind in PAIRS else [column.key]
    writer.writerow(escape_csv(key) for key in heading)
    for row in table.rows:
        cells: list[Any] = []
        for column in table.columns:
            value = plain(row.get(column.key))
            cells += (value or [None, None]) if column.kind in PAIRS else [value]
        writer.writerow(_csv_cell(cell) for cell in cells)
    return stream.getvalue()


def _csv_cell(value: Any) -> Any:
    if isinstance(value, list):
        value = "; ".join(str(item) for item in value)
    return escape_csv(value) if isinstance(value, str) else "" if value is None else value


def json_text(table: Table) -> str:
    """``{"schema": 1, "kind": ..., "rows": [...]}`` with every key of the rows, then the table's ``facts``."""
    body = {"schema": 1, "kind": table.kind, "rows": table.rows, **table.facts}
    return escape_json(json.dumps(plain(body), indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def plain(value: Any) -> Any:
    """The value as JSON knows it: no NumPy scalars, no tuples, None for NaN and infinities."""
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
