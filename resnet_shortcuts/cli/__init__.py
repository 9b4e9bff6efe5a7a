"""The command line: thin commands over the rooms below. Nothing heavy is imported before a command needs it."""

import contextlib
import errno
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Annotated, NoReturn

import typer

from resnet_shortcuts import __version__
from resnet_shortcuts.cli import (
    compare_command,
    cost_command,
    doctor_command,
    export_command,
    paper_command,
    plan_command,
    reproduce_command,
    runs_command,
    shortcuts_command,
    slurm_command,
    train_command,
    verify_command,
)
from resnet_shortcuts.cli.output import deliver, say
from resnet_shortcuts.cli.streams import make_unbreakable
from resnet_shortcuts.errors import Exit, RscError
from resnet_shortcuts.suggestions import did_you_mean

_COMMANDS: dict[Callable[..., int | None], str] = {
    train_command.train: "Train the runs of a config, measure costs, show the answer.",
    compare_command.compare: "Compare strategies: accuracy, verdicts, costs.",
    compare_command.report: "Write one HTML page with every figure.",
    paper_command.paper: "Write methods, tables, figures and BibTeX for a paper.",
    plan_command.plan: "Show what a config would train and what it could show.",
    reproduce_command.reproduce: "Train stored runs again: do they come out the same?",
    export_command.export: "Write a run's trained weights as a file.",
    runs_command.runs: "List the runs of an experiment; --prune deletes leftovers.",
    shortcuts_command.shortcuts: "List the strategies, or describe one.",
    verify_command.verify: "Measure what strategies do against what they declare.",
    cost_command.cost: "Count or measure what strategies cost.",
    slurm_command.slurm: "Write a SLURM job array that trains a config.",
    doctor_command.doctor: "Show what this machine can do and what is wrong.",
}
"""With a line each, in the order of ``rsc --help``."""

QUESTION = "Which shortcut should a residual network use where the dimensions change?"
OVERVIEW = f"""\
{QUESTION}

  rsc train benchmark      train nine strategies on embedded data
  rsc compare benchmark    the answer again: accuracy, verdicts, costs
  rsc report benchmark     the same as one HTML page, with figures
  rsc plan cifar10-quick   what would be trained, and what it could show
  rsc shortcuts            every strategy by name, with its source

All commands: rsc --help. One of them: rsc train --help.
"""

app = typer.Typer(
    name="rsc",
    help=f"{QUESTION} Train and compare them all.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command, _line in _COMMANDS.items():
    app.command(short_help=_line)(_command)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"rsc {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of ``rsc`` itself; without a command, the five that matter first."""
    if context.invoked_subcommand is None:
        deliver(OVERVIEW, None)


# The base of every error of Typer's command-line parser, under whatever Click this Typer brings.
_ParserError: type[Exception] = typer.BadParameter.__mro__[1]


class _Terminated(BaseException):
    """SIGTERM or SIGHUP outside the sweep of ``train``: like KeyboardInterrupt, nothing else catches it."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Within, SIGTERM and SIGHUP raise `_Terminated`, so that processes are ended and a line is printed."""

    def end(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves SIGHUP
                before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point of ``rsc``: runs a command, prints errors as one line each, exits with the right code."""
    make_unbreakable()
    sys.exit(_run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        with _terminable():
            result = command.main(args=arguments, prog_name="rsc", standalone_mode=False)
        if result == Exit.INTERRUPTED:  # Typer makes this of KeyboardInterrupt
            raise KeyboardInterrupt
    except (KeyboardInterrupt, _Terminated) as stopped:
        what = "interrupted" if isinstance(stopped, KeyboardInterrupt) else "terminated"
        measuring = arguments[:1] == ["cost"]
        kept = "nothing was measured to the end" if measuring else "finished runs are kept"
        _complain(f"{what}: {kept}: the same command {'starts again' if measuring else 'goes on where it was'}")
        return Exit.INTERRUPTED if what == "interrupted" else Exit.TERMINATED
    except typer.Abort:
        _complain("aborted: nothing was changed")
        return Exit.INTERRUPTED
    except RscError as error:
        _debug(arguments)
        _complain(*error.lines)
        return error.exit_code
    except _ParserError as error:
        return _parser_error(command, error)
    except (OSError, MemoryError) as error:
        _debug(arguments)
        code, line = _refused(error)
        _complain(line)
        return code
    except Exception as error:  # the process boundary: a user never gets a traceback unasked
        _debug(arguments)
        message = " ".join(str(error).split()) or "no message"
        _complain(f"internal: {type(error).__name__}: {message}: run again with --debug and report the traceback")
        return Exit.RUN_FAILED
    return result if isinstance(result, int) else Exit.OK


def _refused(error: OSError | MemoryError) -> tuple[Exit, str]:
    """Exit code and line for what the operating system refused, wherever that was."""
    if isinstance(error, MemoryError):
        return Exit.ENVIRONMENT, f"out of memory: {error or 'this process'}: free some memory, or lower the batch size"
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return Exit.ENVIRONMENT, "too many open files: the limit of this process: raise it, such as by ulimit -n 256"
    if error.errno == errno.ENAMETOOLONG:
        return Exit.USAGE, f"name too long: {str(error.filename)[:60]}...: choose a shorter one"
    where = error.filename or "the operating system"
    return Exit.ENVIRONMENT, f"{error.strerror or error}: {where}: check it and try again (--debug shows where it was)"


def _parser_error(command: object, error: Exception) -> int:
    """Typer's parser errors in the house's one-line form, with the nearest valid command or option."""
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "rsc"
    todo = f"see '{where} --help'"
    message = " ".join(str(getattr(error, "format_message", error.__str__)()).split())
    if message.startswith("No such command"):
        name = message.split("'")[1] if "'" in message else message
        todo = did_you_mean(name, sorted(getattr(command, "commands", {})))
        message = f"no such command '{name}'"
    elif message.startswith("No such option") and context:
        name = getattr(error, "option_name", "")
        todo = did_you_mean(name, [option for known in context.command.params for option in known.opts]) or todo
        message = f"no such option '{name}'"
    _complain(f"{message[:1].lower()}{message[1:].rstrip('.')}: {where}: {todo}")
    return Exit.USAGE


def _complain(*lines: str) -> None:
    for line in lines:
        say(f"error: {line}")


def _debug(arguments: list[str]) -> None:
    if "--debug" in arguments:
        traceback.print_exc()
