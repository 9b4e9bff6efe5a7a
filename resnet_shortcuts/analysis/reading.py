"""From the run store to plain records: reads and verifies, never trains, never writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from resnet_shortcuts import garbage_collector
from resnet_shortcuts.analysis.experiment_records import (
    CostRecord,
    ExperimentRecord,
    Regime,
    RunRecord,
    in_order,
    same_machine,
)
from resnet_shortcuts.cost.cost_sentences import sentences
from resnet_shortcuts.data.data_config import FOLDER_SOURCES, NAMES
from resnet_shortcuts.errors import IntegrityError, RscError
from resnet_shortcuts.experiments.sealed_files import shaped
from resnet_shortcuts.experiments.store import CONFIG, HISTORY, PREDICTIONS, read_costs, train_command
from resnet_shortcuts.machine import Hardware
from resnet_shortcuts.training.recipe import evaluated_images
from resnet_shortcuts.words import counted

if TYPE_CHECKING:
    from resnet_shortcuts.cost.cost_request import CostReport, CostRequest, CostRow
    from resnet_shortcuts.experiments.plan import Plan, PlannedRun
    from resnet_shortcuts.experiments.store import Experiment, StoredRun


@garbage_collector.at_rest()
def read_experiment(
    experiment: Experiment, *, images: bool = True, history: bool = True, whole: bool = False
) -> ExperimentRecord:
    """The runs that the experiment's plan names, verified, and its costs.

    Without ``images`` predictions and history are not looked at; without ``history`` that file is verified and no
    more, which saves a fifth of the time where no curve is drawn. ``whole``: every file of a run is verified, kept
    weights too. A damaged run is left out and named in ``damaged``, a damaged cost report likewise. Raises
    IntegrityError where the plan itself is damaged.
    """
    plan = experiment.plan()
    runs: list[RunRecord] = []
    missing: list[tuple[str, str, int]] = []
    damaged: list[str] = []
    config, text = _config(experiment, plan, damaged)
    for planned in plan.runs:
        try:
            run = _ended(experiment, planned, images, history, whole)
        except IntegrityError as error:
            damaged.append(str(error))
            run = None
        if run is None:
            missing.append((planned.network, planned.shortcut, planned.seed))
        else:
            runs.append(run)
    regime = _regime(plan.runs[0].science if plan.runs else {}, config)
    reports, bad = _reports(experiment.cost_files(), regime.batch_size)
    return ExperimentRecord(
        name=experiment.name,
        regime=regime,
        runs=_by_plan(runs, plan.runs),
        missing=missing,
        left_over=experiment.left_over(plan),
        damaged=[*damaged, *bad],
        costs=_costs(reports, regime, config),
        baseline=config.compare.baseline,
        margin=config.compare.margin,
        fail_above=config.compare.fail_above,
        command=train_command(experiment.folder / CONFIG, experiment.results),
        config_text=text,
        cost_sentences=[*sentences(reports[0]), *reports[0].warnings] if reports else [],
        seals=plan.verdicts.families if plan.verdicts else (),
    )


def _ended(experiment: Experiment, planned: PlannedRun, images: bool, history: bool, whole: bool) -> RunRecord | None:
    if not experiment.finished(planned.run_id):
        failure = experiment.failure(planned.run_id)
        return None if failure is None else _record(failure, planned, images=False, history=False)
    run = experiment.run(planned.run_id, planned.science)
    if whole:
        run.verify()
    elif images and not history:
        run.verify(HISTORY)
    return _record(run, planned, images, images and history)


def _record(run: StoredRun, planned: PlannedRun, images: bool, history: bool) -> RunRecord:
    """A stored run under the labels of the plan: an alias in an older config is the same science."""
    done = run.status == "done"
    return RunRecord(
        network=planned.network,
        shortcut=planned.shortcut,
        seed=planned.seed,
        recipe=planned.recipe,
        status=run.status,
        test_accuracy=run.test_accuracy if done else None,
        train_error=run.train_error,
        correct=run.labels_correct() if images and done else None,
        history=run.history() if history else (),
        reason=run.reason,
        run_id=run.run_id,
        environment=run.environment,
        data_vouched=run.data_vouched,
        predictions=run.files[PREDICTIONS].sha256 if PREDICTIONS in run.files else None,
        built_of=(planned.science["network"], planned.science["shortcut"]),
        data_warnings=run.data_warnings,
    )


def _by_plan(runs: Sequence[RunRecord], planned: Sequence[PlannedRun]) -> list[RunRecord]:
    """The runs grouped as tables show them: by network, then strategy, each in the plan's order."""
    networks, shortcuts = in_order(run.network for run in planned), in_order(run.shortcut for run in planned)
    return sorted(runs, key=lambda run: (networks.index(run.network), shortcuts.index(run.shortcut)))


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)


class _Data(_Section):
    source: str = ""
    root: str | None = None
    name: str | None = None

    def title(self) -> str:
        """What titles call the data set: the config's name for it, else the source's own, else the folder's."""
        folder = Path(self.root).name if self.root and self.source in FOLDER_SOURCES else ""
        return self.name or NAMES.get(self.source) or folder


class _Run(_Section):
    evaluate_every: Annotated[int, Field(ge=1)] = 1


class _Compare(_Section):
    baseline: str | None = None
    margin: Annotated[float, Field(gt=0)] = 0.2
    fail_above: float | None = None


class _Config(_Section):
    """What a comparison asks a stored config."""

    data: _Data = _Data()
    run: _Run = _Run()
    compare: _Compare = _Compare()


def _config(experiment: Experiment, plan: Plan, damaged: list[str]) -> tuple[_Config, str]:
    """The stored config, as far as it is asked for, and its text.

    Its strategies are not looked up: a custom one may be gone by now. A config that cannot be read, or is not the
    plan's, is named in ``damaged``; the runs are shown all the same, with the default margin.
    """
    from resnet_shortcuts.config import yaml_lines

    path = experiment.folder / CONFIG
    try:
        text = experiment.config_text(plan)
        return shaped(yaml_lines.parse(text, lambda line, column: f"{path}:{line}").data, _Config, path), text
    except RscError as error:
        damaged.append(str(error))
        return _Config(), ""


def _regime(science: Mapping[str, Any], config: _Config) -> Regime:
    data, recipe = dict(science.get("data") or {}), dict(science.get("recipe") or {})
    return Regime(
        source=config.data.source,
        name=config.data.title(),
        train_images=data.get("train_size"),
        test_images=data.get("test_size"),
        epochs=recipe.get("epochs"),
        iterations=recipe.get("iterations"),
        batch_size=recipe.get("batch_size"),
        precision=str(science.get("precision", "")),
        augment=tuple(data.get("augment") or ()),
        normalize=str(data.get("normalize", "")),
        resolution=data.get("resolution"),
        content=str(data.get("content", "")),
        recipe=recipe,
        data=data,
    )


def _reports(paths: Sequence[Path], batch_size: int | None) -> tuple[list[CostReport], list[str]]:
    """The stored cost reports at this batch size, newest first, and what is wrong with those that cannot be read."""
    reports, damaged = [], []
    for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            reports.append(read_costs(path))
        except IntegrityError as error:
            damaged.append(str(error))
    return [report for report in reports if batch_size in (None, report.request.batch_size)], damaged


def _costs(reports: Sequence[CostReport], regime: Regime, config: _Config) -> list[CostRecord]:
    """One record a network and strategy; the newest report goes first.

    Reports from other machines than the newest one's are not mixed in.
    """
    costs: dict[tuple[str, str], CostRecord] = {}
    for report in reports:
        for record in _of_report(report, regime, config):
            first = next(iter(costs.values()), record)
            if same_machine(first, record):
                costs.setdefault((record.network, record.shortcut), record)
    return list(costs.values())


def _of_report(report: CostReport, regime: Regime, config: _Config) -> list[CostRecord]:
    request, facts = report.request, report.environment
    threads = counted(facts.threads, "thread") if facts.threads else None
    machine = (facts.device, threads, f"torch {facts.torch}" if facts.torch else None)
    races = {race.network: race for race in report.races}
    records = []
    for row in report.rows:
        race = races.get(row.network)
        records.append(
            CostRecord(
                network=row.network,
                shortcut=row.shortcut,
                hardware=", ".join(filter(None, machine)),
                machine=Hardware.recorded(facts.model_dump()),
                precision=request.precision,
                batch_size=request.batch_size,
                parameters=row.parameters,
                multiply_adds=row.multiply_adds,
                saved_bytes=row.saved_bytes,
                peak_memory_bytes=row.peak_memory_bytes,
                step_ms=row.step_ms,
                step_ms_interval=row.step_ms_interval,
                step_ratio=row.ratio,
                step_ratio_interval=row.ratio_interval,
                ratio_baseline=race.baseline if race else "",
                noise=race.noise if race else None,
                train_seconds=_train_seconds(row, request, regime, config.run.evaluate_every),
                activation_bytes=row.activation_bytes(request.precision),
                inference_ms=row.inference_ms,
                inference_ms_interval=row.inference_ms_interval,
                inference_ratio=row.inference_ratio,
                inference_ratio_interval=row.inference_ratio_interval,
                on_cpu=request.device_type == "cpu",
                disturbed=report.disturbed,
            )
        )
    return records


def _train_seconds(row: CostRow, request: CostRequest, regime: Regime, evaluate_every: int) -> float | None:
    """Time of one run with nothing else on the machine, from these costs; None where the regime does not say enough."""
    from resnet_shortcuts.cost.cost_request import train_seconds

    an_epoch = regime.steps_per_epoch
    if an_epoch is None:
        return None
    steps = regime.iterations if regime.iterations is not None else round((regime.epochs or 0) * an_epoch)
    validation = int(regime.data.get("validation") or 0)
    images = evaluated_images(
        steps, an_epoch, evaluate_every, test_images=regime.test_images or 0, validation_images=validation
    )
    batch = request.evaluation_batch_size or request.batch_size
    return train_seconds(row, steps=steps, evaluation_images=images, evaluation_batch_size=batch)
