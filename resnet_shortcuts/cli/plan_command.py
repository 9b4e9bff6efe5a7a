"""``rsc plan``: validates a config and shows what would run. Trains nothing."""

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resnet_shortcuts.cli.learning_rate import course_table, milestones_line
from resnet_shortcuts.cli.options import (
    DEFAULT_RESULTS,
    Config,
    ConfigFile,
    DataRoot,
    Debug,
    Format,
    Output,
    Override,
    Results,
    chosen_config,
)
from resnet_shortcuts.cli.output import chosen_format, say, show
from resnet_shortcuts.cli.progress import duration
from resnet_shortcuts.tables import Column, Table
from resnet_shortcuts.words import counted, side_by_side

if TYPE_CHECKING:
    from resnet_shortcuts.analysis.experiment_records import ExperimentRecord
    from resnet_shortcuts.experiments.store import Experiment
    from resnet_shortcuts.experiments.study import Study

COLUMNS = (
    Column("network", "network", label=True),
    Column("shortcut", "shortcut", label=True),
    Column("parameters", "parameters", "count"),
    Column("multiply_adds", "multiply-adds", "count"),
    Column("runs_done", "runs done", "count"),
    Column("runs_to_do", "to do", "count"),
)


def plan(
    file: ConfigFile = None,
    config: Config = None,
    overrides: Override = None,
    results: Results = DEFAULT_RESULTS,
    data_root: DataRoot = None,
    seal: Annotated[
        bool,
        typer.Option("--seal", help="Store plan and config, so that the verdicts' settings are fixed from now on."),
    ] = False,
    format_: Format = None,
    output: Output = None,
    debug: Debug = False,
) -> None:
    """Validate a config and show what would run: runs done and to do, costs, estimated time, learning rate."""
    from resnet_shortcuts.config.experiment_config import check_results_folder, read_config
    from resnet_shortcuts.experiments.estimate import START_SECONDS, estimate
    from resnet_shortcuts.experiments.store import Experiment
    from resnet_shortcuts.experiments.study import network_counts, open_study

    chosen = chosen_format(format_, output)
    loaded, document = read_config(chosen_config(file, config, "rsc plan"), overrides or [])
    with document.locating_errors():
        study = open_study(loaded, data_root, lambda *_: None, Experiment(results, loaded.name))
        if study.warning:
            say(f"warning: {study.warning}")
        rows = network_counts(study)
    experiment, course = Experiment(results, study.config.name), course_table(study)
    if seal:
        check_results_folder(results, study.config.name)
        say(_store(study, experiment))
    stored = _stored(experiment)
    _count_runs(study, experiment, stored, rows)
    estimates = estimate(study, rows)
    expected = _prospects(study, stored)
    total = START_SECONDS + sum(row["seconds"] or 0.0 for row in rows) if estimates.source else 0.0
    facts = {
        "name": study.config.name,
        "device": study.device,
        "precision": study.precision,
        "train_images": study.train_images,
        "test_images": study.test_images,
        "steps_a_run": study.steps,
        "jobs": estimates.jobs,
        "estimated_seconds": total,
        "estimated_from": estimates.source,
        "weights_bytes": _kept_bytes(rows),
        "learning_rate": course.rows,
        "verdicts": expected,
    }
    table = Table("plan", COLUMNS, rows, facts=facts)
    if chosen == "json":
        show([table], chosen, output)
        return
    say(
        f"{study.config.name}: {study.train_images:,} training and {study.test_images:,} test images, "
        f"{counted(study.steps, 'step')} a run, {study.precision} on {study.device}, {side_by_side(estimates.jobs)}"
    )
    if reading := milestones_line(study):
        say(reading)
    show([table, course], chosen, output)
    to_do = sum(row["runs_to_do"] for row in rows)
    left = f"about {duration(total)} ({estimates.source})" if to_do else "nothing to train"
    say(f"{counted(sum(row['runs_done'] for row in rows), 'run')} done, {to_do} to do: {left}")
    say(_weights_line(study, rows))
    for sentence in expected:
        say(sentence)


def _store(study: "Study", experiment: "Experiment") -> str:
    """Store plan and config as `rsc train` does, without the place of the data; what to tell the user of it.

    Committed before any run is trained, the two are a pre-registration. Settings that are sealed already stay.
    """
    from resnet_shortcuts.experiments.plan_guard import training
    from resnet_shortcuts.experiments.sealing import keep_seal
    from resnet_shortcuts.experiments.store import Experiment

    plan, kept = keep_seal(study.plan, experiment)
    with training(experiment, plan):
        Experiment.create(experiment.results, study.config, plan)
    return kept or f"sealed {experiment.folder}: commit it before the first run"


def _kept_bytes(rows: list[dict[str, Any]]) -> int:
    """Bytes of the weights that all runs keep."""
    return sum(row["weights_bytes"] * (row["runs_done"] + row["runs_to_do"]) for row in rows)


def _weights_line(study: "Study", rows: list[dict[str, Any]]) -> str:
    keep, total = study.config.run.keep_weights, _kept_bytes(rows)
    left_out = sorted({row["network"] for row in rows if not row["weights_bytes"]})
    if not total:
        reason = "run.keep_weights is false" if keep is False else "over 50 MB a run; run.keep_weights: true keeps them"
        return f"trained weights are not kept: {reason}"
    line = f"trained weights take {total / 1e6:,.1f} MB in all"
    return f"{line}; not kept, over 50 MB a run: {', '.join(left_out)}" if left_out else line


def _stored(experiment: "Experiment") -> "ExperimentRecord | None":
    """What is stored of the experiment, every file verified; None where nothing is, or its plan cannot be read."""
    from resnet_shortcuts.analysis.reading import read_experiment
    from resnet_shortcuts.errors import IntegrityError

    try:
        return read_experiment(experiment, images=False, history=False, whole=True)
    except IntegrityError:
        return None


def _count_runs(
    study: "Study", experiment: "Experiment", stored: "ExperimentRecord | None", rows: list[dict[str, Any]]
) -> None:
    """Enter into the row of each network and strategy how many of its runs are done and to do."""
    verified = {run.run_id for run in stored.runs if run.status != "failed"} if stored else set()
    done: Counter[tuple[str, str]] = Counter()
    planned: Counter[tuple[str, str]] = Counter()
    for run in study.plan.runs:
        planned[run.network, run.shortcut] += 1
        done[run.network, run.shortcut] += run.run_id in verified or experiment.intact(run.run_id)
    for row in rows:
        key = row["network"], row["shortcut"]
        row |= {"runs_done": done[key], "runs_to_do": planned[key] - done[key]}


def _prospects(study: "Study", stored: "ExperimentRecord | None") -> list[str]:
    """What the seeds, margin and family can settle, by the spread of stored runs where there are any."""
    from resnet_shortcuts.analysis.prospects import measured_spread, prospects
    from resnet_shortcuts.analysis.sealed_verdicts import sealed_verdicts

    if study.plan.verdicts is None:
        return []
    (seal,), spread = study.plan.verdicts.families, None
    if stored is not None:
        record = replace(stored, seals=[seal])
        spread = measured_spread(sealed_verdicts(record, seal.baseline, seal.margin))
    return prospects(seal, spread)
