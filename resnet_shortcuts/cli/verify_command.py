"""``rsc verify``: measures what strategies do and compares it with what their operations declare."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from resnet_shortcuts.cli.options import Debug, Format, Output
from resnet_shortcuts.cli.output import chosen_format, say, show
from resnet_shortcuts.errors import Exit, UsageError
from resnet_shortcuts.tables import Column, Table

if TYPE_CHECKING:
    from resnet_shortcuts.properties.property_row import PropertyRow


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Strategies, by name or alias.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every registered strategy.")] = False,
    depths: Annotated[
        list[int] | None,
        typer.Option(
            "--gradients", metavar="DEPTH", help="Gradient norms in a CIFAR ResNet of this depth too. Repeatable."
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(min=1, help="Repeat from so many seeds; gradients only at initialisation."),
    ] = 1,
    decoders: Annotated[
        bool,
        typer.Option("--decoders", help="What decoders that are not linear get back, too (half a minute a strategy)."),
    ] = False,
    format_: Format = None,
    output: Output = None,
    debug: Debug = False,
) -> int:
    """Measure linearity, rank, coverage, gradients and information; exit 1 where a declaration is broken."""
    from resnet_shortcuts.shortcuts.catalogue import find, strategies

    chosen = chosen_format(format_, output)
    if bool(names) == all_:
        raise UsageError("names and --all: exactly one is needed", "rsc verify", "name strategies, or say --all")
    asked = [find(name) for name in names or []] or list(strategies())
    from resnet_shortcuts.properties import network_checks as engine

    rows: list[PropertyRow] = []
    decoded = [strategy.name for strategy in asked] if decoders else []
    if seeds > 1:
        for seed in range(seeds):
            say(f"seed {seed + 1} of {seeds}")
            rows += engine.verify_seed([strategy.name for strategy in asked], seed, depths or (), decoders=decoded)
    else:
        for number, strategy in enumerate(asked, start=1):
            say(f"{number} of {len(asked)}: {strategy.name}")
            rows += engine.verify([strategy], depths=depths or (), decoders=decoded)
    broken = [row for row in rows if row["ok"] is False]
    show([_table(rows)], chosen, output)
    for row in broken:
        say(
            f"error: {row['strategy']}: {row['property']} on {row['on']}: measured {_text(row['measured'])}, "
            f"declared {_text(row['declared'])}: one of the two is wrong"
        )
    properties = "1 property" if len(rows) == 1 else f"{len(rows)} properties"
    say(f"{properties} measured, {sum(row['ok'] is True for row in rows)} as declared, {len(broken)} broken")
    return Exit.RUN_FAILED if broken else Exit.OK


def _text(value: Any) -> str:
    if isinstance(value, list):
        shown = ", ".join(_text(item) for item in value[:5])
        return f"{shown}, ... ({len(value)})" if len(value) > 5 else shown or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def _table(rows: "list[PropertyRow]") -> Table:
    columns = [
        Column("strategy", "strategy", label=True),
        Column("property", "property", wrap=True),
        Column("on", "on", wrap=True),
        *([Column("seed", "seed", "count")] if "seed" in rows[0] else []),
        Column("measured", "measured", wrap=True, formatter=_text),
        Column("declared", "declared", wrap=True, formatter=_text),
        Column("ok", "as declared", formatter=lambda ok: "yes" if ok else "NO"),
    ]
    return Table("verify", columns, rows, notes=list(dict.fromkeys(row["note"] for row in rows if row["note"])))
