"""Training a study as the Python API does it: all that is not done yet, then its costs, without a progress line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from resnet_shortcuts.experiments.plan_guard import training
from resnet_shortcuts.experiments.runner import run_plan
from resnet_shortcuts.experiments.sealing import keep_seal
from resnet_shortcuts.experiments.store import Experiment
from resnet_shortcuts.experiments.study import (
    Study,
    cost_file,
    cost_request,
    jobs_of,
    measure_costs,
    rerunnable,
)
from resnet_shortcuts.experiments.trainability import check_networks
from resnet_shortcuts.shortcuts.custom_sources import in_this_process_only


def train_study(study: Study, results: Path, data_root: Path | None, jobs: int | str | None, wait: bool) -> Experiment:
    """Train what is not done yet and measure costs where the config asks for it. Raises what `run_plan` raises."""
    config, stored = study.config, Experiment(results, study.config.name)
    plan, _ = keep_seal(study.plan, stored)
    study = dataclasses.replace(study, plan=plan)
    at_once = jobs_of(study, jobs)
    if not all(stored.intact(run.run_id) for run in plan.runs):
        check_networks(study)
    with training(stored, plan):
        experiment = Experiment.create(results, rerunnable(config, data_root), plan)
        run_plan(plan, config, study.folder, experiment, jobs=at_once, devices=study.devices, wait=wait)
        request = cost_request(study) if config.cost.measure else cost_request(study, passes=("counts",))
        measurable = not any(in_this_process_only(strategy) for strategy in config.shortcuts)
        if measurable and not cost_file(experiment, request).exists():
            measure_costs(study, experiment, request, lambda *_: None, lambda: None)
    return experiment
