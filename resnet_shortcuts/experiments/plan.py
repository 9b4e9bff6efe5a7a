"""What a config means to train: one run a seed, network and shortcut, each named by a hash of its science.

The science of a run is all that its result follows from: strategy, network, data content and preparation, recipe,
seed, precision, format version. How it was executed (device, threads, jobs, versions) is recorded, not hashed.

``plan.json`` is sealed like the records of runs: who reads it need not hash every run's science again to know that
nobody has edited it. Plans of format 1 carry no hash; of them every run is checked.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from resnet_shortcuts.config.experiment_config import Config, check_batch_size
from resnet_shortcuts.data.data_config import steps_per_epoch
from resnet_shortcuts.experiments import sealed_files
from resnet_shortcuts.training.recipe import schedule_problem, total_steps

SCIENCE_FORMAT = 1
FORMAT, UNSEALED = 2, 1
"""The format that is written, and the older one that is still read."""
ID_LENGTH = 16


@dataclass(frozen=True)
class PlannedRun:
    """One run: `network` and `shortcut` are the labels that the config's own specs carry and that tables show."""

    run_id: str
    network: str
    shortcut: str
    seed: int
    science: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """The runs of an experiment. Seeds are outermost: a sweep that is stopped has compared all strategies so far."""

    name: str
    precision: str
    runs: tuple[PlannedRun, ...]

    def find(self, run_id: str) -> PlannedRun | None:
        """The run of this id, or None."""
        return next((run for run in self.runs if run.run_id == run_id), None)

    def to_json(self) -> str:
        """JSON for ``plan.json``; the same plan is always the same text."""
        return sealed_files.render({"format": FORMAT, **asdict(self)}).decode()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The plan that `to_json` wrote, or an older one. Raises ValueError, saying why, where the text is not one."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError("not JSON") from error
        written = document.get("format") if isinstance(document, dict) else None
        if written not in (FORMAT, UNSEALED):
            raise ValueError(f"of format {written}, and this version reads {FORMAT}" if written else "not a plan")
        sealed = written == FORMAT or sealed_files.SEAL in document
        if sealed and not sealed_files.seal_holds(text.encode()):
            raise ValueError("its hash does not fit its content")
        try:
            runs = tuple(PlannedRun(**run) for run in document["runs"])
            plan = cls(str(document["name"]), str(document["precision"]), runs)
        except (KeyError, TypeError) as error:
            raise ValueError("something is missing") from error
        if not sealed:
            _check_ids(runs)
        return plan


def _check_ids(runs: Iterable[PlannedRun]) -> None:
    """Raises ValueError where a run is not the one that its id says: what an unsealed plan can be checked for."""
    for run in runs:
        if run_id(run.science) != run.run_id or run.seed != run.science.get("seed"):
            raise ValueError(f"run {run.run_id} is not what its science says")


def run_id(science: Mapping[str, Any]) -> str:
    """Sixteen hex digits of the SHA-256 of the canonical JSON of a run's science."""
    return sealed_files.sha256(sealed_files.canonical(science))[:ID_LENGTH]


def make_plan(config: Config, data_identity: Mapping[str, Any], precision: str) -> Plan:
    """The runs of a config on data of this identity (`Dataset.identity`), at this resolved precision (fp32 or bf16).

    Raises SettingError where a batch is larger than the training set, or part of the schedule lies past a run's end.
    """
    if isinstance(data_identity.get("train_size"), int):
        check_batch_size(config, data_identity["train_size"])
        _check_schedule(config, data_identity["train_size"])
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision {precision!r} is not resolved")
    shared = {
        "format": SCIENCE_FORMAT,
        "data": {**data_identity, "normalize": config.data.normalize, "augment": sorted(config.data.augment)},
        "recipe": config.train.identity(),
        "precision": precision,
    }
    runs = []
    for seed in config.seeds:
        for network in config.networks:
            for shortcut in config.shortcuts:
                own = {"network": network.identity(), "shortcut": shortcut.identity(), "seed": seed}
                science = json.loads(sealed_files.canonical({**shared, **own}))
                runs.append(PlannedRun(run_id(science), network.label, shortcut.name, seed, science))
    return Plan(config.name, precision, tuple(runs))


def _check_schedule(config: Config, train_images: int) -> None:
    """Raises SettingError for a setting of the schedule that takes no effect in runs of this length."""
    steps = total_steps(config.train, steps_per_epoch(train_images, config.train.batch_size))
    problem = schedule_problem(config.train, steps)
    if problem is not None:
        raise problem.within("train")
