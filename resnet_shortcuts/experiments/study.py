"""A config on this machine: its data prepared, device and precision resolved, its plan and its costs known."""

import contextlib
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_shortcuts import durable, locks, machine
from resnet_shortcuts.child_process import Fault
from resnet_shortcuts.config.experiment_config import Config, check_batch_size
from resnet_shortcuts.cost.cost_launch import CostPass, key_of, run_cost_pass
from resnet_shortcuts.cost.cost_request import CostReport, CostRequest
from resnet_shortcuts.data.data_config import steps_per_epoch
from resnet_shortcuts.data.prepare import describe, prepare
from resnet_shortcuts.data.source_contract import base_folder
from resnet_shortcuts.errors import EnvironmentFault, IntegrityError, UsageError
from resnet_shortcuts.experiments import processes, sealed_files
from resnet_shortcuts.experiments.kept_weights import kept_bytes
from resnet_shortcuts.experiments.plan import Plan, SealedVerdicts, make_plan
from resnet_shortcuts.experiments.runner import resolve_jobs
from resnet_shortcuts.experiments.sealing import seal_of
from resnet_shortcuts.experiments.store import Experiment, read_costs
from resnet_shortcuts.experiments.trainability import check_layers
from resnet_shortcuts.paths import cache_folder
from resnet_shortcuts.shortcuts.catalogue import find, label_meant
from resnet_shortcuts.shortcuts.custom_sources import needed_sources
from resnet_shortcuts.training.recipe import evaluated_images, total_steps
from resnet_shortcuts.training.step_settings import engine_for, evaluation_batch_size

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Study:
    """What a config comes to here. ``folder`` holds the decoded data, ``manifest`` describes them."""

    config: Config
    devices: tuple[str, ...]
    precision: str
    folder: Path
    manifest: Mapping[str, Any]
    plan: Plan
    train_images: int
    test_images: int
    validation_images: int
    warning: str | None = None

    @property
    def device(self) -> str:
        """The first device: ``cpu`` or ``cuda:n``. Others are of its kind."""
        return self.devices[0]

    @property
    def steps(self) -> int:
        """Optimizer steps of one run."""
        return total_steps(self.config.train, self.steps_per_epoch)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one epoch."""
        return steps_per_epoch(self.train_images, self.config.train.batch_size)

    @property
    def evaluation_images(self) -> int:
        """Images that all evaluations of one run look at."""
        return evaluated_images(
            self.steps,
            self.steps_per_epoch,
            self.config.run.evaluate_every,
            test_images=self.test_images,
            validation_images=self.validation_images,
        )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of what the network sees."""
        resolution = int(self.manifest["resolution"])
        return int(self.manifest["channels"]), resolution, resolution

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.manifest["classes"])


def open_study(
    config: Config,
    data_root: Path | None,
    progress: Progress | None = None,
    stored: Experiment | None = None,
    device: str | None = None,
    precision: str | None = None,
) -> Study:
    """Resolve device and precision, prepare the data, make the plan. Writes nothing but the decoded data in the cache.

    Where ``stored`` has a plan, that fixes what ``run.precision: auto`` means: it is part of the run ids, and unlike
    machines that share a folder must plan the same runs. ``device`` and ``precision`` are given where other machines
    train. Raises EnvironmentFault (no such device), DataError, SettingError (sizes that do not fit the data).
    """
    from resnet_shortcuts.data.dataset import load

    asked, elsewhere = _precision_asked(config, stored), device is not None
    devices = machine.resolve_devices(config.run.device) if device is None else (device,)
    if device is None:
        device = devices[0]
        precision = machine.resolve_precision(asked, device)
    elif asked != "auto" or precision is None:
        precision = machine.resolve_precision(asked, device)
    folder = prepare(
        config.data,
        data_root=data_root,
        cache=cache_folder(),
        progress=progress,
        check=lambda train_images: check_batch_size(config, train_images),
    )
    dataset = load(folder, config.data)
    plan = make_plan(config, dataset.identity, precision)
    seal = seal_of(config, baseline_of(config), len(dataset.classes), len(dataset.test))
    if seal is not None:
        plan = plan.model_copy(update={"verdicts": SealedVerdicts(families=(seal,))})
    return Study(
        config=config,
        devices=devices,
        precision=precision,
        folder=folder,
        manifest=describe(folder),
        plan=plan,
        train_images=len(dataset.train),
        test_images=len(dataset.test),
        validation_images=0 if dataset.validation is None else len(dataset.validation),
        warning=None if elsewhere else _warning(config, asked, device),
    )


def _warning(config: Config, precision: str, device: str) -> str | None:
    """What to say of the device before anything trains."""
    blind = machine.blind_gpu_warning() if config.run.device == "auto" and device == "cpu" else None
    return blind or machine.precision_warning(precision, device)


def _precision_asked(config: Config, stored: Experiment | None) -> str:
    """The precision of the config, or where that is auto the one of the stored plan. A damaged plan decides nothing."""
    if stored is not None and config.run.precision == "auto":
        with contextlib.suppress(IntegrityError):
            return stored.plan().precision
    return config.run.precision


def rerunnable(config: Config, data_root: Path | None) -> Config:
    """The config with the absolute folder of its data, so that the stored one can be run again from anywhere."""
    place = base_folder(config.data, data_root)
    if config.data.source == "digits" or place is None:
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"root": str(place.absolute())})})


def baseline_of(config: Config) -> str:
    """The strategy that others are compared with: the config's, else A where it is there, else the first."""
    names = [strategy.name for strategy in config.shortcuts]
    return label_meant(config.compare.baseline or "A", names) or label_meant("A", names) or names[0]


def network_counts(study: Study) -> list[dict[str, Any]]:
    """Parameters, multiply-adds (of one image's forward pass) and bytes of the weights that a run keeps, of each
    network with each strategy; imports torch.

    Raises UsageError where a strategy cannot serve a network, before anything is trained, and SettingError where
    batches of one image cannot be trained on.
    """
    from resnet_shortcuts.cost.counting import multiply_adds, outline, parameters

    check_layers(study)
    rows = []
    for network in study.config.networks:
        for shortcut in study.config.shortcuts:
            model = outline(network, shortcut, study.input_shape, study.classes)
            rows.append(
                {
                    "network": network.label,
                    "shortcut": shortcut.name,
                    "parameters": parameters(model),
                    "multiply_adds": multiply_adds(model, study.input_shape),
                    "weights_bytes": kept_bytes(study.config.run.keep_weights, model),
                }
            )
    return rows


def evaluation_size(study: Study) -> int | None:
    """Images in a batch of an evaluation where that is not the batch size of training."""
    size = evaluation_batch_size(study.device, study.config.train.batch_size, study.input_shape)
    return None if size == study.config.train.batch_size else size


def cost_request(study: Study, **changes: Any) -> CostRequest:
    """What the cost pass of this study measures: its networks and strategies with the settings of its runs."""
    config, train = study.config, study.config.train
    request = CostRequest(
        networks={network.label: network.model_dump(mode="json", exclude_none=True) for network in config.networks},
        shortcuts={strategy.name: strategy.reference() for strategy in config.shortcuts},
        baseline=baseline_of(config),
        identities={strategy.name: strategy.identity() for strategy in config.shortcuts},
        input_shape=study.input_shape,
        num_classes=study.classes,
        batch_size=train.batch_size,
        evaluation_batch_size=evaluation_size(study),
        precision="bf16" if study.precision == "bf16" else "fp32",
        engine=engine_for(study.device),
        compile=config.run.compile,
        tf32=config.run.tf32,
        device=study.device,
        momentum=train.momentum,
        nesterov=train.nesterov,
        weight_decay=train.weight_decay,
        label_smoothing=train.label_smoothing,
        seconds=config.cost.seconds,
    )
    return CostRequest.model_validate({**request.model_dump(), **changes})


def cost_file(experiment: Experiment, request: CostRequest) -> Path:
    """Where the report of this request is kept: by hardware and by what was measured."""
    return experiment.folder / "cost" / f"{key_of(request)}.json"


def measure(
    request: CostRequest, progress: Progress, waiting: Callable[[], None] = lambda: None, log: Path | None = None
) -> CostReport:
    """Run a cost pass with the training workers' environment, as `run_cost_pass` does.

    One that takes times waits until no other one runs on this machine; ``waiting`` is called if it has to.
    """
    with contextlib.ExitStack() as held:
        if "time" in request.passes:
            with contextlib.suppress(EnvironmentFault):  # where the cache is read-only, nothing can be waited for
                held.enter_context(locks.locked(cache_folder() / "cost-pass.lock", waiting))
        return run_cost_pass(request, progress, processes.environment(request.threads), log)


def measure_costs(
    study: Study, experiment: Experiment, request: CostRequest, progress: Progress, waiting: Callable[[], None]
) -> CostReport:
    """`measure`, and keep the report; a stored report that knows more is kept instead, and the new one says so."""
    log = experiment.folder / "cost" / "log.txt"
    durable.make_folder(log.parent)
    return keep_report(experiment, measure(request, progress, waiting, log))


def measure_elsewhere(
    experiment: Experiment, request: CostRequest, ask: Callable[[str, list[str]], str]
) -> tuple[str, ...]:
    """A cost pass on a machine that ``ask`` reaches, unless its hardware was measured already; the warnings.

    ``ask`` takes a `CostPass` and the keys of stored reports, and returns a report, a `Fault`, or nothing, as JSON.
    """
    strategies = [find(reference) for reference in request.shortcuts.values()]
    asked = CostPass(request=request, sources=needed_sources(strategies))
    text = ask(asked.model_dump_json(), [path.stem for path in experiment.cost_files()])
    if not text:
        return ()
    if "event" in json.loads(text):
        raise Fault.model_validate_json(text).as_error()
    return keep_report(experiment, CostReport.model_validate_json(text)).warnings


def keep_report(experiment: Experiment, report: CostReport) -> CostReport:
    """Store the report of a cost pass, taken on this machine or another, unless the stored one knows more."""
    path, kept = experiment.folder / "cost" / f"{report.key}.json", ""
    try:
        if _knows_more(read_costs(path), report):
            kept = f"the stored report, of more rounds, is kept: to replace it, delete {path} and measure again"
    except sealed_files.NewerFormatError as error:
        kept = f"the stored report is kept: {error}"
    except IntegrityError:
        pass  # none, or a damaged one: rewritten
    if kept:
        return report.model_copy(update={"warnings": (*report.warnings, kept)})
    durable.write_file(path, sealed_files.render(report.model_dump(mode="json")))
    return report


def _knows_more(ours: CostReport, theirs: CostReport) -> bool:
    """Whether, for some network, ours has more rounds and no more noise."""
    by_network = {race.network: race for race in theirs.races}
    for race in ours.races:
        other = by_network.get(race.network)
        if other is None or (other.rounds < race.rounds and (other.noise or math.inf) > (race.noise or math.inf)):
            return True
    return False


def jobs_of(study: Study, asked: str | int | None) -> int:
    """How many runs go side by side: as asked, else one a core on a CPU and one on a GPU; 0 is one, in this process.

    Raises UsageError.
    """
    wanted = study.config.run.jobs if asked is None or asked == "auto" else asked
    if wanted == "auto":
        return resolve_jobs(wanted, study.device)
    most = 16 * (os.cpu_count() or 1)
    if not str(wanted).isdecimal() or int(wanted) > most:
        todo = f"give 1 to {most}, auto, or 0 to train in this process"
        raise UsageError(f"'{wanted}' is not a valid job count", "--jobs", todo)
    return int(wanted)
