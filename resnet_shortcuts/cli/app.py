"""The Typer application that the command modules register on."""

from typing import Annotated

import typer

from resnet_shortcuts import __version__

app = typer.Typer(
    name="rsc",
    help="Which shortcut should a residual network use where the dimensions change? Train and compare them all.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"rsc {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of ``rsc`` itself, before any command."""
