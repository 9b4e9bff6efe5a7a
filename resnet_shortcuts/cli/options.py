"""Options that several commands share, so that they are spelled and explained once."""

from pathlib import Path
from typing import Annotated

import typer

from resnet_shortcuts.paths import expand


def _expanded(path: Path | None) -> Path | None:
    """``~`` and variables, which the shell leaves in ``--results=~/x`` and in the environment."""
    return None if path is None else expand(path)


Config = Annotated[
    Path,
    typer.Option("--config", "-c", callback=_expanded, help="YAML file that says what to compare.", show_default=False),
]
Override = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override one key of the config; VALUE is read as YAML. Repeatable."
    ),
]
Results = Annotated[
    Path,
    typer.Option(
        "--results", envvar="RSC_RESULTS", callback=_expanded, help="Folder that holds one folder an experiment."
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        envvar="RSC_DATA_ROOT",
        callback=_expanded,
        help="Folder where data sets are looked for.",
        show_default=False,
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Format = Annotated[str | None, typer.Option("--format", help="table, markdown, csv, latex or json.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        callback=_expanded,
        help="Write to FILE; its extension (.txt .md .csv .tex .json) gives the format.",
        show_default=False,
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option("--baseline", help="Strategy that the others are compared with.", show_default="config, else A"),
]

DEFAULT_RESULTS = Path("results")
