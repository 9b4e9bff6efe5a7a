"""What a run needs to be trained anywhere, and what is reported of it on the way: the models that runner and worker
share. Imports no torch."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, TypeAdapter

from resnet_shortcuts import machine
from resnet_shortcuts.child_process import Fault, Message, Ready, Request
from resnet_shortcuts.config.experiment_config import Config, RunSpec, StrategyField
from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.experiments.plan import Plan, PlannedRun
from resnet_shortcuts.experiments.run_record import Code, Labels, RunRecord
from resnet_shortcuts.experiments.store import Experiment
from resnet_shortcuts.models.network_config import NetworkSpec
from resnet_shortcuts.shortcuts.custom_sources import CustomSource, needed_sources
from resnet_shortcuts.source_hash import source_sha256
from resnet_shortcuts.training.recipe import TrainSpec


class WorkerSetup(Request):
    """What all runs of a sweep share. ``dataset`` is the folder of the decoded data; device, precision and threads (of
    one run) are resolved. ``environment`` is recorded with each run and decides nothing. ``sources`` define the custom
    strategies, to be loaded before jobs are read."""

    kind: Literal["train"] = "train"
    results: Path
    name: str
    dataset: Path
    data: DataSpec
    train: TrainSpec
    run: RunSpec
    device: str
    precision: Literal["fp32", "bf16"]
    threads: int
    environment: dict[str, JsonValue]
    code: Code
    sources: tuple[CustomSource, ...]


class RunJob(Message):
    """One run. ``science`` is what its id hashes (see `plan`): recorded, and not interpreted. ``losses`` counts the
    processes that were killed while they trained it in this sweep."""

    run_id: str
    network: NetworkSpec
    shortcut: StrategyField
    labels: Labels
    science: dict[str, JsonValue]
    losses: int = 0

    def record(self, status: str, reason: str, **facts: Any) -> RunRecord:
        """The record of this run, which ended so."""
        about = {"run_id": self.run_id, "science": self.science, "labels": self.labels, "losses": self.losses}
        return RunRecord.model_validate({**about, "status": status, "reason": reason, **facts})


class Event(Message):
    """Something that happened to a run."""

    run_id: str


class Trained(Event):
    """Optimizer steps done so far, and the epoch, from 0."""

    event: Literal["progress"] = "progress"
    step: int
    epoch: int


class Remark(Event):
    """A warning for the user; ``once``: it is the same for all runs, and said once."""

    event: Literal["warning"] = "warning"
    text: str
    once: bool = False


class Done(Event):
    """The result is published. ``status`` is 'done' or 'diverged'; ``test_accuracy`` is in percent."""

    event: Literal["done"] = "done"
    status: str
    reason: str
    test_accuracy: float | None
    elapsed_seconds: float


class Failed(Event):
    """The run crashed; ``damaged``: because of what was stored, which says nothing of its strategy."""

    event: Literal["failed"] = "failed"
    reason: str
    damaged: bool


class OutOfMemory(Event):
    """A GPU's memory did not suffice. Nothing is recorded yet: beside fewer runs it may."""

    event: Literal["out-of-memory"] = "out-of-memory"
    reason: str


class DeviceFailed(Event):
    """The GPU failed while it trained this run, which says nothing of the run."""

    event: Literal["device-failed"] = "device-failed"
    reason: str


class Left(Event):
    """Not trained to its end here: another process trains it (busy) or has published its result (elsewhere), or the run
    was stopped as asked, with a checkpoint saved.
    """

    event: Literal["busy", "elsewhere", "stopped"]


class Lost(Event):
    """The process that trained it has ended. ``started`` is false where it ended before it could train anything."""

    event: Literal["lost"] = "lost"
    reason: str
    started: bool


RunEvent = Trained | Remark | Done | Failed | OutOfMemory | DeviceFailed | Left | Lost | Fault
EVENTS: TypeAdapter[RunEvent | Ready] = TypeAdapter(Annotated[RunEvent | Ready, Field(discriminator="event")])


def worker_setup(
    config: Config, plan: Plan, dataset_folder: Path, experiment: Experiment, devices: tuple[str, ...], jobs: int
) -> WorkerSetup:
    """What the workers of a sweep are started with. ``jobs`` go side by side on each device; 0 stands for this process.

    ``device`` is the first; a pool gives each worker its own.
    """
    device = devices[0]
    threads = 1 if device == "cpu" else max(1, machine.cores() // max(1, jobs * len(devices)))
    facts = run_environment(device, threads, config.run, plan.precision)
    environment = {**facts, "jobs": jobs}
    if jobs:
        environment["preloaded"] = str(machine.tcmalloc_path() or "") or None
    return WorkerSetup(
        results=experiment.results.absolute(),
        name=experiment.name,
        dataset=dataset_folder.absolute(),
        data=config.data,
        train=config.train,
        run=config.run,
        device=device,
        precision=plan.precision,
        threads=threads,
        environment=environment,
        code=Code(version=facts["resnet_shortcuts"], source_sha256=source_sha256(), commit=facts["commit"]),
        sources=needed_sources(config.shortcuts) if jobs else (),
    )


def run_environment(device: str, threads: int, run: RunSpec, precision: str) -> dict[str, Any]:
    """What is recorded of the process that trains: the machine and how a run is executed here."""
    execution = {"threads": threads, "compile": run.compile, "memory_format": "channels_last", "precision": precision}
    return {**machine.environment(device), **execution, **({} if device == "cpu" else {"tf32": run.tf32})}


def run_job(run: PlannedRun, config: Config, losses: int = 0) -> RunJob:
    """A planned run with the models that the config has of it."""
    return RunJob(
        run_id=run.run_id,
        network=next(network for network in config.networks if network.label == run.network),
        shortcut=next(strategy for strategy in config.shortcuts if strategy.name == run.shortcut),
        labels=Labels(network=run.network, shortcut=run.shortcut, seed=run.seed, recipe=run.recipe),
        science=run.science,
        losses=losses,
    )
