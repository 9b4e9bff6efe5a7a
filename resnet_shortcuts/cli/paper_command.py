"""``rsc paper``: the parts of a paper that a comparison gives. Never trains."""

from pathlib import Path
from typing import Annotated

import typer

from resnet_shortcuts import garbage_collector
from resnet_shortcuts.analysis.judging import judged
from resnet_shortcuts.cli.compare_command import (
    Claims,
    Experiments,
    FigureStyle,
    FigureWidth,
    Margin,
    command_line,
    find_experiments,
    judge_claims_of,
    report_problems,
)
from resnet_shortcuts.cli.options import DEFAULT_RESULTS, Baseline, Debug, Results
from resnet_shortcuts.cli.output import say
from resnet_shortcuts.errors import UsageError

Folder = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder to write to.", show_default="paper/ in the experiment's folder"),
]


@garbage_collector.at_rest()
def paper(
    experiments: Experiments = None,
    baseline: Baseline = None,
    margin: Margin = None,
    output: Folder = None,
    claims: Claims = False,
    width: FigureWidth = "double",
    style: FigureStyle = "paper",
    results: Results = DEFAULT_RESULTS,
    debug: Debug = False,
) -> int:
    """Write methods paragraph, tables, figures, BibTeX and commands as LaTeX parts, ready for \\input."""
    from resnet_shortcuts.analysis.drawing import look_of
    from resnet_shortcuts.analysis.figures import figures
    from resnet_shortcuts.analysis.paper import paper_files
    from resnet_shortcuts.durable import write_file
    from resnet_shortcuts.paths import expand

    chosen = find_experiments(results, experiments or [])
    folder = chosen[0].folder / "paper" if output is None else expand(output)
    if folder.exists() and not folder.is_dir():
        raise UsageError("this is a file, a paper needs a folder", str(folder), "name another: -o FOLDER")
    verdicts, notes = judged(chosen, baseline, margin)
    names = [experiment.name for experiment in chosen]
    commands = [command_line(command, names, baseline, margin, claims=claims) for command in ("compare", "paper")]
    judgements = judge_claims_of(verdicts) if claims else []
    files = list(paper_files(verdicts, figures(verdicts, look_of(width, style)), commands, notes, judgements))
    for name, content in files:
        write_file(folder / name, content)
    say(f"wrote {len(files)} files to {folder}: see them as one page with: pdflatex paper (and bibtex paper) there")
    return report_problems(verdicts)
