"""``rsc shortcuts``: what strategies there are. Answers without importing torch."""

from typing import Annotated, Any

import typer

from resnet_shortcuts.cli.app import app
from resnet_shortcuts.cli.options import Debug, Output
from resnet_shortcuts.cli.output import as_json, as_text, chosen_format, deliver

EXTENSIONS = {".md": "markdown", ".json": "json"}


@app.command()
def shortcuts(
    name: Annotated[str | None, typer.Argument(help="One strategy, by name or alias; without it, all.")] = None,
    format_: Annotated[str | None, typer.Option("--format", help="table, markdown or json.")] = None,
    output: Output = None,
    debug: Debug = False,
) -> None:
    """List the shortcut strategies: name, aliases, one line, source."""
    from resnet_shortcuts.shortcuts.catalogue import find, strategies

    chosen = chosen_format(format_, output, EXTENSIONS, "table")
    rows = [_row(strategy) for strategy in ([find(name)] if name else strategies())]
    if chosen == "json":
        deliver(as_json("shortcuts", rows), output)
    elif chosen == "markdown":
        deliver(_markdown(rows), output)
    elif name:
        deliver("\n".join(f"{key:<8}  {_text(value)}" for key, value in rows[0].items()), output)
    else:
        _table(rows)


def _row(strategy: Any) -> dict[str, Any]:
    return {
        "name": strategy.name,
        "aliases": list(strategy.aliases),
        "summary": strategy.summary,
        "source": strategy.source,
    }


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _markdown(rows: list[dict[str, Any]]) -> str:
    lines = ["| name | aliases | what it does | source |", "| --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(_text(value) for value in row.values()) + " |" for row in rows]
    return "\n".join(lines)


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", no_wrap=True)
    table.add_column("aliases")
    table.add_column("what it does", ratio=2)
    table.add_column("source", ratio=1)
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    deliver(as_text(table), None)
