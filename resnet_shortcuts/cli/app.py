"""The Typer application that the command modules register on."""

import typer

app = typer.Typer(
    name="rsc",
    help="Which shortcut should a residual network use where the dimensions change? Train and compare them all.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
