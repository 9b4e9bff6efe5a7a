"""``rsc shortcuts``: which strategies there are. Answers without importing torch."""

from typing import Annotated, Any

import typer

from resnet_shortcuts.cli.app import app
from resnet_shortcuts.cli.options import Debug, Format, Output
from resnet_shortcuts.cli.output import chosen_format, show
from resnet_shortcuts.tables import Column, Table

_FACTS = ("name", "aliases", "summary", "formula", "source", "note", "refuses")


@app.command()
def shortcuts(
    name: Annotated[str | None, typer.Argument(help="One strategy, by name or alias; without it, all.")] = None,
    format_: Format = None,
    output: Output = None,
    debug: Debug = False,
) -> None:
    """List the shortcut strategies: name, aliases, one line, source."""
    from resnet_shortcuts.properties.shortcut_description import describe
    from resnet_shortcuts.shortcuts.catalogue import find, strategies

    chosen = chosen_format(format_, output)
    if name is None:
        show([_list([_row(strategy) for strategy in strategies()])], chosen, output)
        return
    strategy = describe(find(name))
    show([_details(strategy)], chosen, output, Table("shortcuts", (), [strategy]) if chosen == "json" else None)


def _row(strategy: Any) -> dict[str, Any]:
    row = {key: getattr(strategy, key) for key in ("name", "aliases", "summary", "source")}
    return {**row, "aliases": list(strategy.aliases)}


def _list(rows: list[dict[str, Any]]) -> Table:
    columns = (
        Column("name", "name", label=True),
        Column("aliases", "aliases", wrap=True, formatter=_text),
        Column("summary", "what it does", wrap=True),
        Column("source", "source", wrap=True),
    )
    return Table("shortcuts", columns, rows)


def _details(strategy: dict[str, Any]) -> Table:
    """One strategy, a row a fact; what it does not have is left out."""
    facts = {key: strategy[key] for key in _FACTS if strategy[key]}
    if strategy["cost"]:
        costs = ", ".join(f"{value:,} {key.replace('_', '-')}" for key, value in strategy["cost"].items())
        facts["cost"] = f"{costs} from (16, 32, 32) to (32, 16, 16)"
    declared = {key: value for key, value in (strategy["properties"] or {}).items() if value is not None}
    facts |= {f"declared: {key}": value for key, value in declared.items()}
    columns = (Column("fact", "fact", label=True), Column("value", "value", wrap=True))
    notes = [f"Measure the declared properties: rsc verify {strategy['name']}"] if declared else []
    rows = [{"fact": key, "value": _text(value)} for key, value in facts.items()]
    return Table("shortcuts", columns, rows, notes=notes)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
