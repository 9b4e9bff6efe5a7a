"""``rsc reproduce``: trains some stored runs again and says whether they come out the same."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resnet_shortcuts.cli.options import DEFAULT_RESULTS, Again, DataRoot, Debug, Format, Output, Results
from resnet_shortcuts.cli.output import chosen_format, say, show
from resnet_shortcuts.cli.progress import StageProgress, SweepProgress
from resnet_shortcuts.errors import Exit, UsageError
from resnet_shortcuts.words import counted, side_by_side

if TYPE_CHECKING:
    from resnet_shortcuts.experiments.plan import PlannedRun
    from resnet_shortcuts.experiments.runner import Summary
    from resnet_shortcuts.experiments.store import Experiment
    from resnet_shortcuts.experiments.study import Study

REFERENCE = "reference"
AGAIN = "reproduced"
"""The folder below ``--results`` where runs are trained again."""


def reproduce(
    name: Annotated[str, typer.Argument(metavar="NAME|DIR", help="A stored experiment.")],
    runs: Annotated[int, typer.Option("--runs", min=1, help="How many of its runs, drawn from all of them.")] = 3,
    ids: Annotated[list[str] | None, typer.Option("--run", metavar="ID", help="This run instead. Repeatable.")] = None,
    jobs: Annotated[str, typer.Option("--jobs", "-j", help="Runs side by side; auto: one a core (CPU).")] = "auto",
    again: Again = None,
    results: Results = DEFAULT_RESULTS,
    data_root: DataRoot = None,
    format_: Format = None,
    output: Output = None,
    debug: Debug = False,
) -> int:
    """Train some stored runs again: bit-identical (like hardware), or within what seeds explain? Else exit 1.

    An experiment is looked for in --results, then in its folder 'reference'. Safe to interrupt: the same command goes
    on.
    """
    from resnet_shortcuts.analysis.reproduction import DIFFERS, Reproduced, reproduced_table, spread_over_seeds
    from resnet_shortcuts.experiments.retraining import chosen_runs, stored_study

    chosen = chosen_format(format_, output)
    experiment = _stored(results, name)
    plan = experiment.plan()
    picked = chosen_runs(experiment, plan, runs, ids or ())
    stored = {run.run_id: experiment.run(run.run_id, run.science).verify() for run in picked}
    study = stored_study(experiment, plan, data_root, StageProgress())
    target = results / AGAIN if again is None else again
    if (target / study.config.name).resolve() == experiment.folder.resolve():
        raise UsageError("the stored runs are there", str(target), "choose another folder: --again")
    trained, summary = _train(study, target, picked, jobs, data_root)
    spread = spread_over_seeds([run for run in experiment.runs() if run.run_id not in stored])
    limit = None if spread is None else spread.limit(len(picked))
    found = [
        Reproduced(run, trained.run(run_id).verify(), limit)
        for run_id, run in stored.items()
        if trained.finished(run_id)
    ]
    for kind, reasons in (("failed", summary.failed), ("damaged", summary.damaged)):
        for run_id, reason in reasons.items():
            say(f"error: run {kind}: {run_id}: {reason}")
    show([reproduced_table(found)], chosen, output)
    say(f"trained in {trained.folder}: delete it to train them once more")
    differ = any(each.verdict == DIFFERS for each in found) or len(found) < len(picked)
    return Exit.RUN_FAILED if differ else Exit.OK


def _stored(results: Path, name: str) -> "Experiment":
    """The experiment of this name or folder, in the results or in their folder of reference results."""
    from resnet_shortcuts.cli.compare_command import find_experiments
    from resnet_shortcuts.experiments.store import PLAN

    if not (results / name / PLAN).exists() and (results / REFERENCE / name / PLAN).exists():
        results = results / REFERENCE
    return find_experiments(results, [name])[0]


def _train(
    study: "Study", target: Path, picked: "list[PlannedRun]", jobs: str, data_root: Path | None
) -> "tuple[Experiment, Summary]":
    """Train these runs below ``target``, but what was trained there before."""
    from resnet_shortcuts.config.experiment_config import check_results_folder
    from resnet_shortcuts.experiments.plan import Plan
    from resnet_shortcuts.experiments.plan_guard import training
    from resnet_shortcuts.experiments.runner import run_plan
    from resnet_shortcuts.experiments.store import Experiment
    from resnet_shortcuts.experiments.study import jobs_of, rerunnable
    from resnet_shortcuts.experiments.trainability import check_networks

    check_results_folder(target, study.config.name)
    if study.warning:
        say(f"warning: {study.warning}")
    at_once = jobs_of(study, jobs)
    wanted = {run.run_id for run in picked}
    part = Plan.model_validate({**dict(study.plan), "runs": [row for row in study.plan.rows if row[0] in wanted]})
    experiment = Experiment(target, study.config.name)
    to_do = sum(not experiment.intact(run_id) for run_id in wanted)
    if to_do:
        check_networks(study)
    with training(experiment, part):
        experiment = Experiment.create(target, rerunnable(study.config, data_root), part)
        say(
            f"{study.config.name}: {counted(len(wanted), 'stored run')}, {to_do} to train again, "
            f"{side_by_side(at_once)}, {study.precision} on {study.device}"
        )
        with SweepProgress(study.steps, at_once) as progress:
            summary = run_plan(
                part, study.config, study.folder, experiment, jobs=at_once, devices=study.devices, progress=progress
            )
    return experiment, summary
