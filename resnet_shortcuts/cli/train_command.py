"""``rsc train``: trains what a config asks for and is not there yet, measures costs, and ends with the table."""

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from resnet_shortcuts.cli.learning_rate import milestones_line
from resnet_shortcuts.cli.options import (
    DEFAULT_RESULTS,
    Config,
    ConfigFile,
    DataRoot,
    Debug,
    On,
    Override,
    Results,
    chosen_config,
)
from resnet_shortcuts.cli.output import deliver, say, screen
from resnet_shortcuts.cli.progress import StageProgress, SweepProgress, duration, say_waiting
from resnet_shortcuts.cli.settling import train_until_settled, with_all_seeds
from resnet_shortcuts.errors import IntegrityError, UsageError
from resnet_shortcuts.words import counted, side_by_side

if TYPE_CHECKING:
    from resnet_shortcuts.analysis.verdicts import Verdicts
    from resnet_shortcuts.experiments.plan import Plan
    from resnet_shortcuts.experiments.ray_cluster import Cluster
    from resnet_shortcuts.experiments.runner import Summary
    from resnet_shortcuts.experiments.shares import Share
    from resnet_shortcuts.experiments.store import Experiment
    from resnet_shortcuts.experiments.study import Study

TABLE_FILES = {"md": "markdown", "csv": "csv", "json": "json"}
FIGURE_FORMATS: tuple[Literal["png", "svg"], ...] = ("png", "svg")


def train(
    context: typer.Context,
    file: ConfigFile = None,
    config: Config = None,
    overrides: Override = None,
    jobs: Annotated[
        str, typer.Option("--jobs", "-j", help="Runs side by side; auto: one a core (CPU); 0: in this process.")
    ] = "auto",
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for runs that another process trains; else exit 75.")
    ] = True,
    until_settled: Annotated[
        bool, typer.Option("--until-settled", help="Train look by look; leave out strategies with a final verdict.")
    ] = False,
    max_seeds: Annotated[
        int | None, typer.Option("--max-seeds", min=1, help="Seeds that may carry a verdict (compare.max_seeds).")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="With --until-settled: train decided strategies on.")] = False,
    only: Annotated[
        str | None, typer.Option("--only", metavar="I/N", help="Train share I of N of the runs, for job arrays.")
    ] = None,
    on: On = "local",
    gpus_per_run: Annotated[
        float | None,
        typer.Option("--gpus-per-run", min=0, help="Share of a GPU for a run, with --on.", show_default="1, if any"),
    ] = None,
    cost: Annotated[bool, typer.Option("--cost/--no-cost", help="Measure costs after training.")] = True,
    results: Results = DEFAULT_RESULTS,
    data_root: DataRoot = None,
    debug: Debug = False,
) -> int:
    """Train every run of a config that is not done yet, measure what each strategy costs, show the table.

    Safe to interrupt: finished runs are kept, and the same command goes on.
    """
    from resnet_shortcuts.config.experiment_config import check_results_folder, read_config

    sealing = [] if max_seeds is None else [f"compare.max_seeds={max_seeds}"]
    loaded, document = read_config(chosen_config(file, config, "rsc train"), [*(overrides or []), *sealing])
    if until_settled:
        loaded = with_all_seeds(loaded)
    check_results_folder(results, loaded.name)
    share = _share(only, until_settled)

    from resnet_shortcuts.cli.cluster_option import joined
    from resnet_shortcuts.data.dataset import remarks
    from resnet_shortcuts.experiments.plan_guard import training
    from resnet_shortcuts.experiments.runner import run_plan
    from resnet_shortcuts.experiments.sealing import keep_seal
    from resnet_shortcuts.experiments.store import Experiment
    from resnet_shortcuts.experiments.study import jobs_of, open_study, rerunnable
    from resnet_shortcuts.experiments.trainability import check_networks

    stored = Experiment(results, loaded.name)
    cluster = None if on == "local" else context.with_resource(joined(on, gpus_per_run))
    where = {} if cluster is None else {"device": cluster.device, "precision": cluster.precision()}
    with document.locating_errors():
        study = open_study(loaded, data_root, StageProgress(), stored, **where)
    if study.warning:
        say(f"warning: {study.warning}")
    at_once = jobs_of(study, jobs) if cluster is None else cluster.all_slots()
    plan, kept = keep_seal(study.plan, stored)
    study = dataclasses.replace(study, plan=plan)
    if kept:
        say(kept)
    wanted = study.plan if share is None else share.of(study.plan)
    to_do = [run for run in wanted.runs if not stored.intact(run.run_id)]
    if to_do:
        with document.locating_errors():
            check_networks(study)
    with training(stored, study.plan):
        experiment = Experiment.create(results, rerunnable(loaded, data_root), study.plan)
        say(
            f"{loaded.name}: {counted(len(wanted.runs), 'run')}{f' ({share})' if share else ''}, "
            f"{len(to_do)} to train, {side_by_side(at_once)}, {study.precision} on {study.device}"
            f"{f' of {cluster}' if cluster else ''}"
        )
        for line in remarks(study.folder, study.config.data):
            say(line)
        if reading := milestones_line(study):
            say(reading)

        def train_part(part: "Plan") -> "Summary":
            with SweepProgress(study.steps, at_once) as progress:
                return run_plan(
                    part,
                    loaded,
                    study.folder,
                    experiment,
                    jobs=at_once,
                    devices=study.devices,
                    progress=progress,
                    wait=wait,
                    make_pool=None if cluster is None else cluster.pool,
                )

        summary = train_until_settled(wanted, experiment, train_part, keep) if until_settled else train_part(wanted)
        _check_still_there(Experiment.create(results, rerunnable(loaded, data_root), study.plan), summary)
        if summary.done:
            say(f"trained {counted(len(summary.done), 'run')}")
        if cost:
            _measure(study, experiment, cluster)
        return _finish(study, experiment, summary) if share is None else _finish_share(study, share, summary)


def _share(only: str | None, until_settled: bool) -> "Share | None":
    from resnet_shortcuts.experiments.shares import Share

    if only is not None and until_settled:
        raise UsageError("a share is not trained look by look", "--only with --until-settled", "leave one of them out")
    return None if only is None else Share.parse(only)


def _check_still_there(experiment: "Experiment", summary: "Summary") -> None:
    """Raises IntegrityError where results of this sweep were deleted while it went on."""
    ended = {*summary.done, *summary.skipped, *summary.diverged}
    deleted = sum(not experiment.finished(run_id) for run_id in ended)
    if deleted:
        what = f"results were deleted during training: {deleted} of {counted(len(ended), 'finished run')}"
        raise IntegrityError(what, str(experiment.folder), "run the same command again")


def _measure(study: "Study", experiment: "Experiment", cluster: "Cluster | None") -> None:
    """The cost pass, unless it was taken on this hardware already; only counts where the config asks for no more.

    On a cluster it is one task that has a node to itself.
    """
    from resnet_shortcuts.experiments.study import cost_file, cost_request, measure_costs, measure_elsewhere
    from resnet_shortcuts.locks import locked

    measured = study.config.cost.measure
    request = cost_request(study) if measured else cost_request(study, passes=("counts",))
    if cluster is not None and measured:
        say(f"measuring costs on one node, with nothing else on it (about {duration(study.config.cost.seconds)})")
        for warning in measure_elsewhere(experiment, request, cluster.measure):
            say(f"warning: {warning}")
        return
    path = cost_file(experiment, request)
    if path.exists():
        return
    with locked(path.with_suffix(".lock"), say_waiting):  # of processes that share the folder, one measures
        if path.exists():
            return
        if measured:
            say(f"measuring costs with nothing else running (about {duration(study.config.cost.seconds)})")
        for warning in measure_costs(study, experiment, request, StageProgress(), say_waiting).warnings:
            say(f"warning: {warning}")


def _finish(study: "Study", experiment: "Experiment", summary: "Summary") -> int:
    from resnet_shortcuts.analysis.first_screen import first_screen
    from resnet_shortcuts.analysis.judging import judged
    from resnet_shortcuts.cli.compare_command import details_command, named

    verdicts, notes = judged([experiment], None, None)
    record = verdicts.record
    _write_tables(verdicts, experiment.folder)
    report = shlex.join(["rsc", "report", named(experiment)])
    more = f"{details_command([experiment])}; as a page: {report}"
    deliver(first_screen(verdicts, notes, more, **screen()), None)
    _say_failures(study, summary)
    if record.damaged:
        raise IntegrityError("; ".join(record.damaged), str(experiment.folder), "run the same command again")
    return summary.exit_code


def _finish_share(study: "Study", share: "Share", summary: "Summary") -> int:
    """A share has no table of its own: others are still being trained."""
    _say_failures(study, summary)
    ended = len(summary.done) + len(summary.skipped)
    say(f"{share}: {counted(ended, 'run')} finished; when every share is: rsc compare {study.config.name}")
    return summary.exit_code


def _say_failures(study: "Study", summary: "Summary") -> None:
    labels = {run.run_id: f"{run.network} {run.shortcut} seed {run.seed}" for run in study.plan.runs}
    for kind, runs in (("failed", summary.failed), ("diverged", summary.diverged), ("damaged", summary.damaged)):
        for run_id, reason in runs.items():
            say(f"error: run {kind}: {labels.get(run_id, run_id)} ({run_id}): {reason}")


def _write_tables(verdicts: "Verdicts", folder: Path) -> None:
    """Write table.{md,csv,json} and the figure of accuracy against cost into the experiment's folder."""
    from resnet_shortcuts.analysis.cost_figure import cost_figure
    from resnet_shortcuts.analysis.published import published
    from resnet_shortcuts.analysis.result_text import comparison_text
    from resnet_shortcuts.durable import write_file

    publications, drawing = published(verdicts.record), cost_figure(verdicts.record)
    files = {
        f"table.{extension}": comparison_text(
            verdicts, format_, publications=publications, details=True, **screen(False)
        ).encode()
        for extension, format_ in TABLE_FILES.items()
    }
    if drawing is not None:
        files |= {f"accuracy-vs-cost.{format_}": drawing.render(format_) for format_ in FIGURE_FORMATS}
    for name, content in files.items():
        write_file(folder / name, content)
    say(f"wrote {', '.join(files)} in {folder}")
