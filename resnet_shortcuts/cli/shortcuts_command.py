"""``rsc shortcuts``: the strategies, and the operations they are composed of. Answers without importing torch."""

from typing import Annotated, Any

import typer

from resnet_shortcuts.cli.app import app
from resnet_shortcuts.cli.options import Debug, Output
from resnet_shortcuts.cli.output import TABLE_OR_JSON, as_json, as_text, chosen_format, deliver

EXTENSIONS = {**TABLE_OR_JSON, ".md": "markdown"}
_HEADINGS = {"name": "name", "aliases": "aliases", "summary": "what it does", "source": "source"}
_OPERATION_HEADINGS = {"kind": "composition key", "name": "value", "summary": "what it does"}


@app.command()
def shortcuts(
    name: Annotated[str | None, typer.Argument(help="One strategy, by name or alias; without it, all.")] = None,
    format_: Annotated[str | None, typer.Option("--format", help="table, markdown or json.")] = None,
    output: Output = None,
    debug: Debug = False,
) -> None:
    """List the shortcut strategies (name, aliases, one line, source) and the operations to compose others of."""
    from resnet_shortcuts.properties.shortcut_description import describe
    from resnet_shortcuts.shortcuts.catalogue import find, strategies
    from resnet_shortcuts.shortcuts.operations import REGISTRY

    chosen = chosen_format(format_, output, EXTENSIONS, "table")
    operations = [
        {"kind": kind, "name": operation.name, "summary": operation.summary}
        for kind, known in REGISTRY.items()
        for operation in known.values()
    ]
    rows = [describe(find(name))] if name is not None else [_row(strategy) for strategy in strategies()]
    if chosen == "json":
        deliver(as_json("shortcuts", rows, **({} if name else {"operations": operations})), output)
    elif name is not None:
        deliver(_in_full_markdown(rows[0]) if chosen == "markdown" else _in_full(rows[0]), output)
    elif chosen == "markdown":
        deliver(f"{_markdown(rows, _HEADINGS)}\n\n{_markdown(operations, _OPERATION_HEADINGS)}", output)
    else:
        tables = ((rows, _HEADINGS), (operations, _OPERATION_HEADINGS))
        deliver("\n\n".join(_table(*table, to_screen=output is None) for table in tables), output)


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


def _markdown(rows: list[dict[str, Any]], headings: dict[str, str]) -> str:
    lines = ["| " + " | ".join(headings.values()) + " |", "| --- " * len(headings) + "|"]
    lines += ["| " + " | ".join(_text(row[key]) for key in headings) + " |" for row in rows]
    return "\n".join(lines)


def _facts(row: dict[str, Any]) -> dict[str, str]:
    """The facts about one strategy; what it does not have is left out."""
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


def _table(rows: list[dict[str, Any]], headings: dict[str, str], *, to_screen: bool) -> str:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for key, heading in headings.items():
        table.add_column(heading, no_wrap=key == "name", ratio={"summary": 2, "source": 1}.get(key))
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    return as_text(table, to_screen=to_screen)
