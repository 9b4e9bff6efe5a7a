"""``rsc shortcuts``: the strategies, and the operations they are composed of. Answers without importing torch."""

from typing import Annotated, Any

import typer

from resnet_shortcuts.cli.options import Debug, Format, Output
from resnet_shortcuts.cli.output import chosen_format, show
from resnet_shortcuts.tables import Column, Table


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(str(item) for item in value) if isinstance(value, (list, tuple)) else str(value)


COLUMNS = (
    Column("name", "name", label=True),
    Column("aliases", "aliases", wrap=True, formatter=_text),
    Column("summary", "what it does", wrap=True),
    Column("source", "source", wrap=True),
)
OPERATION_COLUMNS = (
    Column("key", "key of a composition"),
    Column("name", "value", label=True),
    Column("summary", "what it does", wrap=True),
)
FACT_COLUMNS = (Column("fact", "fact", label=True), Column("value", "value", wrap=True))
LIST_KEYS = ("name", "aliases", "summary", "source")
_FACTS = ("name", "aliases", "summary", "formula", "source", "note", "refuses")


def shortcuts(
    name: Annotated[str | None, typer.Argument(help="One strategy, by name or alias; without it, all.")] = None,
    format_: Format = None,
    output: Output = None,
    debug: Debug = False,
) -> None:
    """List the shortcut strategies (name, aliases, one line, source) and the operations to compose others of."""
    from resnet_shortcuts.properties.shortcut_description import describe
    from resnet_shortcuts.shortcuts.catalogue import find, strategies

    chosen = chosen_format(format_, output)
    if name is None:
        rows = [{key: getattr(strategy, key) for key in LIST_KEYS} for strategy in strategies()]
        operations = _operations()
        show([Table("shortcuts", COLUMNS, rows, facts={"operations": operations.rows}), operations], chosen, output)
        return
    strategy = describe(find(name))
    show([_details(strategy)], chosen, output, Table("shortcuts", (), [strategy]) if chosen == "json" else None)


def _operations() -> Table:
    from resnet_shortcuts.shortcuts.operations import REGISTRY

    rows = [
        {"key": kind, "name": operation.name, "summary": operation.summary}
        for kind, known in REGISTRY.items()
        for operation in known.values()
    ]
    return Table("operations", OPERATION_COLUMNS, rows)


def _details(strategy: dict[str, Any]) -> Table:
    """One strategy, a row a fact; what it does not have is left out."""
    facts = {key: strategy[key] for key in _FACTS if strategy[key]}
    if strategy["cost"]:
        costs = ", ".join(f"{value:,} {key.replace('_', '-')}" for key, value in strategy["cost"].items())
        facts["cost"] = f"{costs} from (16, 32, 32) to (32, 16, 16)"
    declared = {key: value for key, value in (strategy["properties"] or {}).items() if value is not None}
    facts |= {f"declared: {key}": value for key, value in declared.items()}
    notes = [f"Measure the declared properties: rsc verify {strategy['name']}"] if declared else []
    rows = [{"fact": key, "value": _text(value)} for key, value in facts.items()]
    return Table("shortcuts", FACT_COLUMNS, rows, notes=notes)
