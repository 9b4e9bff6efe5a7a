"""Options that several commands share, so that they are spelled and explained once."""

from pathlib import Path
from typing import Annotated

import typer

from resnet_shortcuts.errors import UsageError

ConfigFile = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE|NAME]", help="Config: a YAML file, or one that ships, such as cifar10-quick."),
]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="The same as FILE.", show_default=False)]
Override = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override one key of the config; VALUE is read as YAML. Repeatable."
    ),
]
Results = Annotated[
    Path, typer.Option("--results", envvar="RSC_RESULTS", help="Folder that holds one folder an experiment.")
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root", envvar="RSC_DATA_ROOT", help="Folder where data sets are looked for.", show_default=False
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write to FILE; the format follows its extension.", show_default=False),
]
Baseline = Annotated[
    str | None,
    typer.Option("--baseline", help="Strategy that the others are compared with.", show_default="config, else A"),
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
