"""``rsc doctor``: what this machine and installation can do, what is wrong, and what to do about it."""

from typing import Annotated, Any

import typer

from resnet_shortcuts.cli.app import app
from resnet_shortcuts.cli.options import DEFAULT_RESULTS, DataRoot, Debug, Output, Results
from resnet_shortcuts.cli.output import TABLE_OR_JSON, as_json, chosen_format, deliver
from resnet_shortcuts.errors import Exit


@app.command()
def doctor(
    results: Results = DEFAULT_RESULTS,
    data_root: DataRoot = None,
    format_: Annotated[str | None, typer.Option("--format", help="table or json.")] = None,
    output: Output = None,
    debug: Debug = False,
) -> int:
    """Show versions, devices, threads and data found; say what is wrong (exit 5) and what to do."""
    from resnet_shortcuts.experiments.health import examine

    chosen = chosen_format(format_, output, TABLE_OR_JSON, "table")
    rows = examine(results, data_root)
    if chosen == "json":
        deliver(as_json("doctor", rows), output)
    else:
        width = max(len(row["what"]) for row in rows)
        deliver("\n".join(_line(row, width) for row in rows), output)
    return Exit.ENVIRONMENT if any(row["state"] == "wrong" for row in rows) else Exit.OK


def _line(row: dict[str, Any], width: int) -> str:
    todo = f"  -> {row['todo']}" if row["todo"] else ""
    return f"{row['state']:<6} {row['what']:<{width}}  {row['found']}{todo}"
