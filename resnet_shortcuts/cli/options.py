"""Options that several commands share, so that they are spelled and explained once."""

from pathlib import Path
from typing import Annotated

import typer

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.paths import expand


def _expanded(path: Path | None) -> Path | None:
    """``~`` and variables, which the shell leaves in ``--results=~/x`` and in the environment."""
    return None if path is None else expand(path)


ConfigFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE|NAME]",
        callback=_expanded,
        help="Config: a YAML file, or one that ships, such as cifar10-quick.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", callback=_expanded, help="The same as FILE.", show_default=False),
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
Again = Annotated[
    Path | None,
    typer.Option("--again", callback=_expanded, help="Folder to train them in.", show_default="RESULTS/reproduced"),
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

On = Annotated[
    str, typer.Option("--on", metavar="CLUSTER", help="Where to train: local, auto (this machine's Ray), HOST:PORT.")
]

DEFAULT_RESULTS = Path("results")


def chosen_config(file: Path | None, config: Path | None, command: str) -> Path:
    """The config that is given as an argument or by ``--config``. Raises UsageError unless exactly one of them is."""
    if file is not None and config is not None:
        raise UsageError("a config as FILE and by --config: only one is possible", command, "leave one of them out")
    chosen = config if file is None else file
    if chosen is None:
        raise UsageError("no config", command, f"name one: {command} FILE, or {command} --config FILE")
    return chosen
