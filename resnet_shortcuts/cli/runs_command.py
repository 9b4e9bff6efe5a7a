"""``rsc runs``: every run of an experiment and what became of it; ``--prune`` deletes what is not finished."""

import sys
from collections import Counter
from typing import Annotated, Any

import typer

from resnet_shortcuts import garbage_collector
from resnet_shortcuts.cli.compare_command import find_experiments
from resnet_shortcuts.cli.options import DEFAULT_RESULTS, Debug, Format, Output, Results
from resnet_shortcuts.cli.output import chosen_format, say, show
from resnet_shortcuts.errors import Exit, UsageError
from resnet_shortcuts.tables import Column, Table
from resnet_shortcuts.words import counted

COLUMNS = (
    Column("run_id", "run", priority=1),
    Column("network", "network", label=True),
    Column("shortcut", "shortcut", label=True),
    Column("seed", "seed", "count", label=True),
    Column("state", "state"),
    Column("test_accuracy", "accuracy, %", "percent"),
    Column("reason", "reason", wrap=True),
)


@garbage_collector.at_rest()
def runs(
    experiment: Annotated[str | None, typer.Argument(metavar="[NAME|DIR]", help="Without it, the newest.")] = None,
    format_: Format = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete what is neither finished nor running, after asking.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --prune: do not ask.")] = False,
    output: Output = None,
    results: Results = DEFAULT_RESULTS,
    debug: Debug = False,
) -> int:
    """List the runs of an experiment and what became of each: done, running, interrupted, failed, damaged and so on."""
    from resnet_shortcuts.experiments.run_states import list_runs

    chosen = chosen_format(format_, output)
    if yes and not prune:
        raise UsageError("--yes goes with --prune", "rsc runs", "leave it out, or add --prune")
    if output is not None and prune:
        raise UsageError("--prune and -o exclude each other", "rsc runs", "prune first, then write the list")
    opened = find_experiments(results, [experiment] if experiment else [])[0]
    if prune:
        return _prune(opened, yes)
    rows = [vars(state) for state in list_runs(opened)]
    counts = ", ".join(f"{number} {state}" for state, number in Counter(row["state"] for row in rows).items())
    notes = [f"{counted(len(rows), 'run')}: {counts}"]
    show([Table("runs", COLUMNS, rows, notes=notes, facts={"name": opened.name})], chosen, output)
    return Exit.INTEGRITY if any(row["state"] in ("damaged", "newer") for row in rows) else Exit.OK


def _prune(experiment: Any, yes: bool) -> int:
    from resnet_shortcuts.experiments.run_states import prunable, prune

    folders = prunable(experiment)
    if not folders:
        say(f"{experiment.name}: nothing to delete")
        return Exit.OK
    for folder in folders:
        say(str(folder))
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("--prune asks before it deletes", "no terminal to ask on", "add --yes")
        if not typer.confirm(f"Delete {counted(len(folders), 'unfinished run')}?", err=True):
            say("nothing was deleted")
            return Exit.OK
    deleted = prune(experiment)
    say(f"deleted {counted(len(deleted), 'unfinished run')} of {experiment.name}; finished ones were not touched")
    return Exit.OK
