"""``rsc train``: trains what a config asks for and is not there yet, measures costs, and ends with the table."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from resnet_shortcuts.cli.app import app
from resnet_shortcuts.cli.learning_rate import milestones_line
from resnet_shortcuts.cli.options import (
    DEFAULT_RESULTS,
    Config,
    ConfigFile,
    DataRoot,
    Debug,
    Override,
    Results,
    chosen_config,
)
from resnet_shortcuts.cli.output import deliver, say
from resnet_shortcuts.cli.progress import StageProgress, SweepProgress, duration, say_waiting
from resnet_shortcuts.errors import IntegrityError
from resnet_shortcuts.words import counted, side_by_side

if TYPE_CHECKING:
    from resnet_shortcuts.experiments.runner import Summary
    from resnet_shortcuts.experiments.store import Experiment
    from resnet_shortcuts.experiments.study import Study


@app.command()
def train(
    file: ConfigFile = None,
    config: Config = None,
    overrides: Override = None,
    jobs: Annotated[
        str, typer.Option("--jobs", "-j", help="Runs side by side; auto: one a core (CPU); 0: in this process.")
    ] = "auto",
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for runs that another process trains; else exit 75.")
    ] = True,
    results: Results = DEFAULT_RESULTS,
    data_root: DataRoot = None,
    debug: Debug = False,
) -> int:
    """Train every run of a config that is not done yet, measure what each strategy costs, show the table.

    Safe to interrupt: finished runs are kept, and the same command goes on.
    """
    from resnet_shortcuts.config.experiment_config import check_results_folder, read_config

    loaded, document = read_config(chosen_config(file, config, "rsc train"), overrides or [])
    check_results_folder(results, loaded.name)

    from resnet_shortcuts.data.dataset import remarks
    from resnet_shortcuts.experiments.plan_guard import training
    from resnet_shortcuts.experiments.runner import run_plan
    from resnet_shortcuts.experiments.sealing import keep_seal
    from resnet_shortcuts.experiments.store import Experiment
    from resnet_shortcuts.experiments.study import jobs_of, open_study, rerunnable
    from resnet_shortcuts.experiments.trainability import check_networks

    with document.locating_errors():
        study = open_study(loaded, data_root, StageProgress())
    if study.warning:
        say(f"warning: {study.warning}")
    for line in remarks(study.folder, study.config.data):
        say(line)
    at_once = jobs_of(study, jobs)
    stored = Experiment(results, loaded.name)
    plan, kept = keep_seal(study.plan, stored)
    study = dataclasses.replace(study, plan=plan)
    if kept:
        say(kept)
    to_do = [run for run in study.plan.runs if not stored.intact(run.run_id)]
    if to_do:
        with document.locating_errors():
            check_networks(study)
    with training(stored, study.plan):
        experiment = Experiment.create(results, rerunnable(loaded, data_root), study.plan)
        say(
            f"{loaded.name}: {counted(len(study.plan.runs), 'run')}, {len(to_do)} to train, {side_by_side(at_once)}, "
            f"{study.precision} on {study.device}"
        )
        if reading := milestones_line(study):
            say(reading)
        with SweepProgress(study.steps, at_once) as progress:
            summary = run_plan(
                study.plan,
                loaded,
                study.folder,
                experiment,
                jobs=at_once,
                device=study.device,
                progress=progress,
                wait=wait,
            )
        _check_still_there(study, Experiment.create(results, rerunnable(loaded, data_root), study.plan), summary)
        if summary.done:
            say(f"trained {counted(len(summary.done), 'run')}")
        _measure(study, experiment)
        return _finish(study, experiment, summary)


def _check_still_there(study: "Study", experiment: "Experiment", summary: "Summary") -> None:
    """Raises IntegrityError where results of this sweep were deleted while it went on."""
    ended = [run.run_id for run in study.plan.runs if run.run_id not in {**summary.failed, **summary.damaged}]
    deleted = sum(not experiment.finished(run_id) for run_id in ended)
    if deleted:
        what = f"results were deleted during training: {deleted} of {counted(len(ended), 'finished run')}"
        raise IntegrityError(what, str(experiment.folder), "run the same command again")


def _measure(study: "Study", experiment: "Experiment") -> None:
    """The cost pass, unless it was taken on this hardware already; counts alone where the config asks for no more."""
    from resnet_shortcuts.experiments.study import cost_file, cost_request, measure_costs

    measured = study.config.cost.measure
    request = cost_request(study) if measured else cost_request(study, passes=("counts",))
    if cost_file(experiment, request).exists():
        return
    if measured:
        say(f"measuring costs with nothing else running (about {duration(study.config.cost.seconds)})")
    for warning in measure_costs(study, experiment, request, StageProgress(), say_waiting).warnings:
        say(f"warning: {warning}")


def _finish(study: "Study", experiment: "Experiment", summary: "Summary") -> int:
    from resnet_shortcuts.cli.compare_command import judged
    from resnet_shortcuts.cli.comparison_output import summary_as_text, write_tables

    verdicts, _ = judged([experiment], None, None)
    record = verdicts.record
    write_tables(verdicts, experiment.folder)
    deliver(summary_as_text(verdicts), None)
    name = study.config.name
    say(f"every difference and how sure it is: rsc compare {name}; a page with figures: rsc report {name}")
    labels = {run.run_id: f"{run.network} {run.shortcut} seed {run.seed}" for run in study.plan.runs}
    for kind, runs in (("failed", summary.failed), ("diverged", summary.diverged), ("damaged", summary.damaged)):
        for run_id, reason in runs.items():
            say(f"error: run {kind}: {labels.get(run_id, run_id)} ({run_id}): {reason}")
    if record.damaged:
        raise IntegrityError("; ".join(record.damaged), str(experiment.folder), "run the same command again")
    return summary.exit_code
