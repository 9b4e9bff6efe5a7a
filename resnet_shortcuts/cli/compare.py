"""``rsc compare``: reads stored runs and shows what they say. Never trains."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resnet_shortcuts.cli.app import app
from resnet_shortcuts.cli.options import DEFAULT_RESULTS, Baseline, Debug, Output, Results
from resnet_shortcuts.cli.output import chosen_format, deliver, say
from resnet_shortcuts.errors import Exit

if TYPE_CHECKING:
    from resnet_shortcuts.experiments.store import Experiment


@app.command()
def compare(
    experiments: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME|DIR]...", help="Experiments; without any, the newest.")
    ] = None,
    baseline: Baseline = None,
    format_: Annotated[str | None, typer.Option("--format", help="table, markdown, csv, latex or json.")] = None,
    output: Output = None,
    results: Results = DEFAULT_RESULTS,
    debug: Debug = False,
) -> int:
    """Compare the strategies of one or more experiments: accuracy over seeds, and what each costs."""
    from resnet_shortcuts.analysis.merge import merge
    from resnet_shortcuts.analysis.read import read_experiment
    from resnet_shortcuts.analysis.render import EXTENSIONS
    from resnet_shortcuts.cli.tables import render_comparison

    chosen = chosen_format(format_, output, EXTENSIONS, "table")
    read = [read_experiment(experiment) for experiment in find_experiments(results, experiments or [])]
    record, notes = merge(read)
    deliver(render_comparison(record, chosen, to_screen=output is None, notes=notes), output)
    for problem in record.damaged:
        say(f"error: {problem}")
    return Exit.INTEGRITY if record.damaged else Exit.OK


def find_experiments(results: Path, names: list[str]) -> list["Experiment"]:
    """The experiments of these names or folders; the newest without any. Raises UsageError with the nearest name."""
    from resnet_shortcuts.experiments.store import Experiment

    if not names:
        return [Experiment.newest(results)]
    found = []
    for name in names:
        folder = Path(name)
        if (folder / "plan.json").is_file():
            found.append(Experiment.open(folder.resolve().parent, folder.resolve().name))
        else:
            found.append(Experiment.open(results, name))
    return found
