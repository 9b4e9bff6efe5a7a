"""``rsc compare`` and ``rsc report``: read stored runs and show what they say. Never train."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from resnet_shortcuts import garbage_collector, tables
from resnet_shortcuts.analysis.judging import judged
from resnet_shortcuts.cli.options import DEFAULT_RESULTS, Baseline, Debug, Format, Output, Results
from resnet_shortcuts.cli.output import chosen_format, deliver, say, screen
from resnet_shortcuts.errors import Exit, UsageError
from resnet_shortcuts.words import counted

if TYPE_CHECKING:
    from resnet_shortcuts.analysis.claims import Claim
    from resnet_shortcuts.analysis.verdicts import Verdicts
    from resnet_shortcuts.experiments.store import Experiment

Experiments = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME|DIR]...", help="Experiments; without any, the newest.")
]
FigureWidth = Annotated[
    Literal["single", "double", "slide"],
    typer.Option("--width", help="Figure files for a column (single), a page (double) or a slide."),
]
FigureStyle = Annotated[
    Literal["paper", "dark"], typer.Option("--style", help="Figure files on white (paper) or on black (dark).")
]
Claims = Annotated[bool, typer.Option("--claims", help="Judge the question's ten claims, whatever was compared.")]
Margin = Annotated[
    float | None,
    typer.Option(help="Points of accuracy that count as equal.", show_default="config, else 0.2", min=1e-6, max=100),
]


@garbage_collector.at_rest()
def compare(
    experiments: Experiments = None,
    baseline: Baseline = None,
    margin: Margin = None,
    details: Annotated[bool, typer.Option("--details", help="Every table, not the answer alone.")] = False,
    claims: Claims = False,
    format_: Format = None,
    output: Output = None,
    columns: Annotated[
        str | None,
        typer.Option("--columns", metavar="STRATEGY,SEED,SCORE", help="Of a CSV file of runs, where it names them so."),
    ] = None,
    results: Results = DEFAULT_RESULTS,
    debug: Debug = False,
) -> int:
    """Compare strategies: accuracy over seeds, which differences are real, and what each strategy costs."""
    from resnet_shortcuts.analysis.published import published
    from resnet_shortcuts.analysis.result_text import comparison_text

    chosen = chosen_format(format_, output)
    if claims and chosen == "csv":
        known = ", ".join(name for name in tables.FORMATS if name != "csv")
        raise UsageError("CSV is one table and cannot hold the claims", "--claims", f"leave it out, or use {known}")
    if _is_csv(experiments or [], columns):
        verdicts = _of_csv(experiments or [], columns, baseline, margin)
        notes: list[str] = []
        more = ""
    else:
        chosen_experiments = find_experiments(results, experiments or [])
        verdicts, notes = judged(chosen_experiments, baseline, margin, history=False)
        more = details_command(chosen_experiments, baseline, margin)
    judgements = judge_claims_of(verdicts) if claims else []
    publications = published(verdicts.record)
    text = comparison_text(
        verdicts, chosen, notes=notes, claims=judgements, publications=publications, details=details,
        more=more, **screen(output is None),
    )  # fmt: skip
    deliver(text, output)
    return report_problems(verdicts, shown=output is None and chosen in ("table", "markdown"))


def report(
    experiments: Experiments = None,
    baseline: Baseline = None,
    margin: Margin = None,
    output: Output = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    claims: Claims = False,
    width: FigureWidth = "double",
    style: FigureStyle = "paper",
    results: Results = DEFAULT_RESULTS,
    debug: Debug = False,
) -> int:
    """Write one self-contained HTML file, and every figure as SVG, PNG and PDF beside it."""
    from resnet_shortcuts.analysis.claims import are_compared
    from resnet_shortcuts.analysis.drawing import look_of
    from resnet_shortcuts.analysis.figures import figure_files, figures
    from resnet_shortcuts.analysis.published import published
    from resnet_shortcuts.analysis.report import report_html
    from resnet_shortcuts.durable import write_file

    chosen_format(None, output, {".html": "html", ".htm": "html"})
    chosen = find_experiments(results, experiments or [])
    verdicts, notes = judged(chosen, baseline, margin)
    target = output or chosen[0].folder / "report.html"
    drawings = figures(verdicts, look_of(width, style))
    text = report_html(
        verdicts,
        notes=notes,
        claims=judge_claims_of(verdicts) if claims or are_compared(verdicts.record) else (),
        publications=published(verdicts.record),
        command=command_line("report", [experiment.name for experiment in chosen], baseline, margin, claims=claims),
    )
    write_file(target, text.encode())
    folder = target.parent / f"{target.stem}-figures"
    for name, content in figure_files(drawings):
        write_file(folder / name, content)
    say(f"wrote {target} and {counted(len(drawings), 'figure')} in {folder}")
    if open_:
        import webbrowser

        if not webbrowser.open(target.absolute().as_uri()):
            say(f"no browser could be opened: open {target} yourself")
    return report_problems(verdicts)


def _is_csv(experiments: list[str], columns: str | None) -> bool:
    """Whether a CSV file of runs is meant. Raises UsageError where --columns goes with nothing."""
    csv = any(name.lower().endswith(".csv") for name in experiments)
    if columns is not None and not csv:
        raise UsageError("--columns goes with a CSV file of runs", "rsc compare", "name one: rsc compare runs.csv")
    return csv


def _of_csv(experiments: list[str], columns: str | None, baseline: str | None, margin: float | None) -> "Verdicts":
    """The verdicts on a CSV file, one row a run."""
    from resnet_shortcuts.analysis.frame_results import judge_frame, read_runs

    if len(experiments) > 1:
        raise UsageError("a CSV file is compared by itself", "rsc compare", "put all runs into one file")
    keys, names = ("strategy", "seed", "score"), (columns or ",,").split(",")
    if len(names) != len(keys):
        raise UsageError(f"'{columns}' does not name three columns", "--columns", "write STRATEGY,SEED,SCORE")
    named = {key: name.strip() or None for key, name in zip(keys, names, strict=True)}
    return judge_frame(read_runs(Path(experiments[0])), named, baseline, margin)


def details_command(experiments: "list[Experiment]", baseline: str | None = None, margin: float | None = None) -> str:
    """The command that prints every table of these experiments."""
    return f"{command_line('compare', map(named, experiments), baseline, margin)} --details"


def command_line(
    command: str, names: Iterable[str], baseline: str | None, margin: float | None, *, claims: bool = False
) -> str:
    """The command with these experiments and with the options that change what it says."""
    words = ["rsc", command, *names]
    words += ["--baseline", baseline] if baseline else []
    words += ["--margin", f"{margin:g}"] if margin else []
    return shlex.join([*words, *["--claims"] * claims])


def named(experiment: "Experiment") -> str:
    """What a command calls the experiment: its name in the results folder of here, else its folder."""
    return experiment.name if experiment.results == DEFAULT_RESULTS else str(experiment.folder)


def judge_claims_of(verdicts: "Verdicts") -> "list[Claim]":
    """The question's claims, judged from runs, costs and what ``rsc verify`` measures (measured once, then kept)."""
    from resnet_shortcuts.analysis.claims import CLAIMED, FITTED, judge_claims
    from resnet_shortcuts.cli.progress import StageProgress
    from resnet_shortcuts.experiments.measured_properties import measured_properties

    measured = measured_properties(CLAIMED, FITTED, StageProgress())
    return judge_claims(verdicts.record, measured, verdicts.margin)


def find_experiments(results: Path, names: list[str]) -> "list[Experiment]":
    """The experiments of these names or folders; the newest without any. Raises UsageError with the nearest name."""
    from resnet_shortcuts.experiments.store import Experiment

    if not names:
        return [Experiment.newest(results)]
    experiments = []
    for name in names:
        folder = Path(name)
        if (folder / "plan.json").exists():
            experiments.append(Experiment.open(folder.resolve().parent, folder.resolve().name))
        else:
            experiments.append(Experiment.open(results, name))
    return experiments


def report_problems(verdicts: "Verdicts", *, shown: bool = False) -> int:
    """Says what is wrong with the data and with stored files on standard error; files decide the exit code.

    ``shown``: what is wrong with the data stands on the screen already.
    """
    for warning in () if shown else verdicts.record.data_warnings:
        say(f"warning: {warning}")
    for problem in verdicts.record.damaged:
        say(f"error: {problem}")
    return Exit.INTEGRITY if verdicts.record.damaged else Exit.OK
