"""Stored runs trained once more, elsewhere: the same config, the same data, the same ids, in another results folder."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from resnet_shortcuts.config.experiment_config import Config, read_config
from resnet_shortcuts.errors import DataError, IntegrityError, UsageError
from resnet_shortcuts.experiments.plan import Plan, PlannedRun
from resnet_shortcuts.experiments.store import CONFIG, Experiment
from resnet_shortcuts.experiments.study import Progress, Study, open_study
from resnet_shortcuts.random_streams import numpy_stream
from resnet_shortcuts.suggestions import did_you_mean
from resnet_shortcuts.words import counted


def chosen_runs(experiment: Experiment, plan: Plan, number: int, ids: Sequence[str] = ()) -> list[PlannedRun]:
    """``number`` of the stored runs, drawn the same way each time, or those with these ids.

    Raises UsageError where there are fewer, or none with such an id.
    """
    stored = [run for run in plan.runs if experiment.finished(run.run_id)]
    if ids:
        by_id = {run.run_id: run for run in stored}
        for run_id in ids:
            if run_id not in by_id:
                raise UsageError(f"no stored run '{run_id}'", str(experiment.folder), did_you_mean(run_id, by_id))
        return [by_id[run_id] for run_id in dict.fromkeys(ids)]
    if len(stored) < number:
        todo = f"--runs {len(stored)}" if stored else "train it first"
        raise UsageError(f"only {counted(len(stored), 'run')} stored", str(experiment.folder), todo)
    order = numpy_stream("reproduce", experiment.name).permutation(len(stored))
    return [stored[int(place)] for place in order[:number]]


def stored_study(experiment: Experiment, plan: Plan, data_root: Path | None, progress: Progress) -> Study:
    """The config of a stored experiment on this machine, with the plan that it has.

    Raises DataError where the images here are not those of the stored runs, and what `open_study` raises where there
    are none; IntegrityError where the stored config does not lead to the stored plan.
    """
    experiment.config_text(plan)  # raises where it is not the one of the plan
    config, document = read_config(experiment.folder / CONFIG)
    with document.locating_errors():
        study = open_study(_here(config, data_root), data_root, progress, experiment)
    _check_data(experiment, plan, study.plan)
    if not {run.run_id for run in plan.runs} <= {run.run_id for run in study.plan.runs}:
        what = "the stored config and the stored plan are of different runs"
        raise IntegrityError(what, str(experiment.folder), "restore both from where they came")
    return dataclasses.replace(study, plan=study.plan.model_copy(update={"verdicts": plan.verdicts}))


def _here(config: Config, data_root: Path | None) -> Config:
    """The config without the place of the data on the machine that trained it, where that is not here."""
    root = config.data.root
    if root is None or (data_root is None and Path(root).exists()):
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"root": None})})


def _check_data(experiment: Experiment, stored: Plan, here: Plan) -> None:
    theirs, ours = stored.shared["data"], here.shared["data"]
    for key in theirs.keys() | ours.keys():
        if theirs.get(key) != ours.get(key):
            what = f"the data here are not those of the stored runs ({key}: {_short(theirs, key)} there, "
            what += f"{_short(ours, key)} here)"
            raise DataError(what, str(experiment.folder), "name the folder of the same images: --data-root")


def _short(data: dict[str, object], key: str) -> str:
    return str(data.get(key))[:12]
