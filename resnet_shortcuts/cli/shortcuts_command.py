"""``rsc shortcuts``: what strategies there are. Answers without importing torch."""

from typing import Annotated, Any

import typer

from resnet_shortcuts.cli.app import app
from resnet_shortcuts.cli.options import Debug, Output
from resnet_shortcuts.cli.output import TABLE_OR_JSON, as_json, as_text, chosen_format, deliver

EXTENSIONS = {**TABLE_OR_JSON, ".md": "markdown"}
_HEADINGS = {"name": "name", "aliases": "aliases", "summary": "what it does", "source": "source"}


@app.command()
def shortcuts(
    name: Annotated[str | None, typer.Argument(help="One strategy, by name or alias; without it, all.")] = None,
    format_: Annotated[str | None, typer.Option("--format", help="table, markdown or json.")] = None,
    output: Output = None,
    debug: Debug = False,
) -> None:
    """List the shortcut strategies: name, aliases, one line, source."""
    from resnet_shortcuts.properties.shortcut_description import describe
    from resnet_shortcuts.shortcuts.catalogue import find, strategies

    chosen = chosen_format(format_, output, EXTENSIONS, "table")
    rows = [describe(find(name))] if name is not None else [_row(strategy) for strategy in strategies()]
    if chosen == "json":
        deliver(as_json("shortcuts", rows), output)
    elif name is not None:
        deliver(_in_full_markdown(rows[0]) if chosen == "markdown" else _in_full(rows[0]), output)
    elif chosen == "markdown":
        deliver(_markdown(rows), output)
    else:
        deliver(_table(rows, to_screen=output is None), output)


def _row(strategy: Any) -> dict[str, Any]:
    return {
        "name": strategy.name,
        "aliases": list(strategy.aliases),
        "summary": strategy.summary,
        "source": strategy.source,
    }


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)


def _markdown(rows: list[dict[str, Any]]) -> str:
    lines = ["| " + " | ".join(_HEADINGS.values()) + " |", "| --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(_text(row[key]) for key in _HEADINGS) + " |" for row in rows]
    return "\n".join(lines)


def _facts(row: dict[str, Any]) -> dict[str, str]:
    """What there is to say of one strategy; what it does not have is left out."""
    keys = ("name", "aliases", "summary", "formula", "source", "note", "refuses")
    facts = {key: _text(row[key]) for key in keys if row[key]}
    if row["cost"]:
        costs = ", ".join(f"{value:,} {key.replace('_', '-')}" for key, value in row["cost"].items())
        facts["cost"] = f"{costs} from (16, 32, 32) to (32, 16, 16)"
    return facts


def _properties(row: dict[str, Any]) -> dict[str, str]:
    return {key: _text(value) for key, value in (row["properties"] or {}).items() if value is not None}


def _in_full(row: dict[str, Any]) -> str:
    """One strategy, a line a fact."""
    lines = [f"{key:<10} {text}" for key, text in _facts(row).items()]
    properties = _properties(row)
    if properties:
        width = max(len(key) for key in properties)
        lines += ["", f"declared properties (measure them: rsc verify {row['name']})"]
        lines += [f"  {key:<{width}}  {text}" for key, text in properties.items()]
    return "\n".join(lines)


def _in_full_markdown(row: dict[str, Any]) -> str:
    """One strategy, a row a fact."""
    facts = {"": "", **_facts(row), **{f"declared: {key}": text for key, text in _properties(row).items()}}
    lines = [f"| {key} | {text.replace('|', chr(92) + '|')} |" for key, text in facts.items()]
    return "\n".join([lines[0], "| --- | --- |", *lines[1:]])


def _table(rows: list[dict[str, Any]], *, to_screen: bool) -> str:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", no_wrap=True)
    table.add_column("aliases")
    table.add_column("what it does", ratio=2)
    table.add_column("source", ratio=1)
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    return as_text(table, to_screen=to_screen)
