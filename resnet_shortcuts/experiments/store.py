"""Where results live: ``results/NAME/``. A finished run is a folder published whole, never changed, verified when read.

config.yaml  plan.json  cost/*.json
runs/RUN_ID/{run.json, history.json, predictions.safetensors[, weights.safetensors]}   finished: done or diverged
work/RUN_ID/{lock, log.txt, checkpoint-*, failed.json}                                  on the way, or crashed
damaged/RUN_ID-N/                                                                       set aside by `train`
"""

import contextlib
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from resnet_shortcuts import durable
from resnet_shortcuts.errors import IntegrityError, UsageError
from resnet_shortcuts.experiments import locks, sealed_files
from resnet_shortcuts.suggestions import did_you_mean

if TYPE_CHECKING:
    from resnet_shortcuts.config.experiment_config import Config
    from resnet_shortcuts.cost.cost_request import CostReport
    from resnet_shortcuts.experiments.plan import Plan

RUN, HISTORY, PREDICTIONS, WEIGHTS = "run.json", "history.json", "predictions.safetensors", "weights.safetensors"
PLAN, DEFAULT_RESULTS = "plan.json", Path("results")
FAILED, LOCK, LOG = "failed.json", "lock", "log.txt"


@dataclass(frozen=True)
class StoredRun:
    """A run that ended: ``status`` is 'done', 'diverged' or 'failed' (crashed or out of memory; has no files)."""

    folder: Path
    record: dict[str, Any]

    @property
    def run_id(self) -> str:
        """The first 16 hexadecimal digits of the hash of `science`."""
        return str(self.record["run_id"])

    @property
    def status(self) -> str:
        """'done', 'diverged' or 'failed'."""
        return str(self.record["status"])

    @property
    def reason(self) -> str:
        """Why it diverged or failed; empty if done."""
        return str(self.record.get("reason", ""))

    @property
    def network(self) -> str:
        """The name of the network, as tables show it."""
        return str(self.record["labels"]["network"])

    @property
    def shortcut(self) -> str:
        """The name of the strategy, as tables show it."""
        return str(self.record["labels"]["shortcut"])

    @property
    def seed(self) -> int:
        """The seed of everything drawn at random."""
        return int(self.record["labels"]["seed"])

    @property
    def science(self) -> dict[str, Any]:
        """What the id hashes: strategy, network, data, recipe, seed, precision, format."""
        return dict(self.record["science"])

    @property
    def environment(self) -> dict[str, Any]:
        """Where and with what it ran: recorded, not hashed."""
        return dict(self.record.get("environment", {}))

    @property
    def test_accuracy(self) -> float | None:
        """Percent, after the last epoch; None unless done."""
        return self.record.get("test_accuracy")

    @property
    def train_error(self) -> float | None:
        """Percent of training images (as augmented) answered wrongly during the last epoch; None without an epoch."""
        return self.record.get("train_error")

    @property
    def elapsed_seconds(self) -> float | None:
        """Wall time of all sessions together; the machine was shared, so this is no cost."""
        return self.record.get("elapsed_seconds")

    def history(self) -> list[dict[str, Any]]:
        """One dict an epoch, as ``training.loop.Outcome`` has it; empty for a failed run. Raises IntegrityError."""
        if HISTORY not in self._listed:
            return []
        epochs: list[dict[str, Any]] = json.loads(self._read(HISTORY))
        return epochs

    def predictions(self) -> NDArray[np.int64]:
        """The predicted class of each test image, int64 (n_test,). Raises IntegrityError."""
        return self._answers["predictions"].astype(np.int64)

    def labels(self) -> NDArray[np.int64]:
        """The true class of each test image, int64 (n_test,). Raises IntegrityError."""
        return self._answers["labels"].astype(np.int64)

    def labels_correct(self) -> NDArray[np.bool_]:
        """Whether each test image was answered rightly, bool (n_test,). Raises IntegrityError."""
        right: NDArray[np.bool_] = self._answers["predictions"] == self._answers["labels"]
        return right

    def verify(self, *names: str) -> Self:
        """Read these files, or every one, and compare each with its hash. Raises IntegrityError."""
        for name in names or self._listed:
            if name in self._listed:
                self._read(name)
        return self

    @property
    def _listed(self) -> dict[str, Any]:
        listed: dict[str, Any] = self.record.get("files", {})
        return listed

    @cached_property
    def _answers(self) -> dict[str, NDArray[Any]]:
        if PREDICTIONS not in self._listed:
            what = f"a {self.status} run has no predictions"
            raise IntegrityError(what, str(self.folder / PREDICTIONS), "it is left out")
        try:
            return dict(load(self._read(PREDICTIONS)))
        except SafetensorError as error:
            raise IntegrityError("damaged predictions", str(self.folder / PREDICTIONS), "it is left out") from error

    def _read(self, name: str) -> bytes:
        if os.sep in name:
            raise IntegrityError("the record names a file elsewhere", str(self.folder), "it is left out")
        return sealed_files.read_listed(f"{self.folder}{os.sep}{name}", self._listed[name])


class Experiment:
    """The folder of one experiment."""

    def __init__(self, results: Path, name: str) -> None:
        self.results, self.name = results, name
        self.folder = results / name

    @classmethod
    def open(cls, results: Path, name: str) -> "Experiment":
        """An experiment that is there. Raises UsageError, with the nearest name, if it is not."""
        experiment = cls(results, name)
        if not (experiment.folder / PLAN).exists():  # whatever it is: `plan` tells if it cannot be read
            known = experiment_names(results)
            what = f"no experiment '{name}'" if known else "nothing is stored yet"
            command = train_command(Path("configs") / "benchmark.yaml", results)
            close = f"{did_you_mean(name, known)} or train it: " if known else "train first: "
            raise UsageError(what, str(results), close + command)
        return experiment

    @classmethod
    def newest(cls, results: Path) -> "Experiment":
        """The experiment whose plan was written last. Raises UsageError if there is none."""
        names = experiment_names(results)
        if not names:
            return cls.open(results, "")
        return cls(results, max(names, key=lambda name: (results / name / PLAN).stat().st_mtime_ns))

    @classmethod
    def create(cls, results: Path, config: "Config", plan: "Plan") -> "Experiment":
        """The experiment of this config, its config and plan written where they are new. Raises EnvironmentFault."""
        experiment = cls(results, config.name)
        rendered = {"config.yaml": config.to_yaml(), PLAN: plan.to_json()}
        durable.make_folder(experiment.folder)
        with locks.locked(experiment.folder / ".lock"):
            for name, text in rendered.items():
                path = experiment.folder / name
                if not path.is_file() or path.read_bytes() != text.encode():  # bytes: damage need not be text
                    durable.write_file(path, text.encode())
        return experiment

    def plan(self) -> "Plan":
        """The plan of the newest `train`. Raises IntegrityError."""
        from resnet_shortcuts.experiments.plan import Plan

        path, todo = self.folder / PLAN, "the same 'rsc train' again writes it anew"
        if path.is_dir():
            raise IntegrityError("damaged plan (a folder has its name)", str(path), f"remove the folder; {todo}")
        try:
            return Plan.from_json(sealed_files.read(path).decode())
        except IntegrityError as error:
            raise IntegrityError(f"damaged or edited plan ({error.what})", str(path), todo) from error
        except UnicodeDecodeError as error:
            raise IntegrityError("damaged or edited plan (not text)", str(path), todo) from error
        except ValueError as error:
            raise IntegrityError(f"damaged or edited plan ({error})", str(path), todo) from error

    def run_folder(self, run_id: str) -> Path:
        """Where the finished run is, or will be."""
        return self._runs / run_id

    @cached_property
    def _runs(self) -> Path:
        return self.folder / "runs"

    def work_folder(self, run_id: str) -> Path:
        """Where a run on its way keeps lock, log and checkpoints."""
        return self.folder / "work" / run_id

    def finished(self, run_id: str) -> bool:
        """Whether a result is published; says nothing of whether it is still good."""
        return os.path.lexists(f"{self._runs}{os.sep}{run_id}")  # whatever it is: publishing would find it in the way

    def run(self, run_id: str, science: Mapping[str, Any] | None = None) -> StoredRun:
        """A finished run, its record verified, its files verified when read. Raises IntegrityError.

        ``science``: what the id hashes, where a plan that was verified says it; comparing is faster than hashing again.
        """
        folder = self.run_folder(run_id)
        path = f"{folder}{os.sep}{RUN}"
        record = sealed_files.parse(sealed_files.read(path), path)
        own = record.get("science")
        fits = (own is not None and own == science) or sealed_files.sha256(sealed_files.canonical(own))[
            : len(run_id)
        ] == run_id
        if record.get("run_id") != run_id or not fits:
            raise IntegrityError("this result belongs to another run", str(folder), "it is left out")
        if record.get("status") not in {"done", "diverged"} or not isinstance(record.get("files"), dict):
            raise IntegrityError("the record is not of a finished run", str(folder), "it is left out")
        return StoredRun(folder, record)

    def runs(self) -> list[StoredRun]:
        """The runs of the plan that ended, in its order, each verified whole; damaged ones are left out."""
        return [run for run in (self._ended(planned.run_id) for planned in self.plan().runs) if run is not None]

    def damaged(self) -> list[IntegrityError]:
        """What is wrong with each damaged result of the plan."""
        errors = []
        for planned in self.plan().runs:
            if self.finished(planned.run_id):
                try:
                    self.run(planned.run_id).verify()
                except IntegrityError as error:
                    errors.append(error)
        return errors

    def left_over(self, plan: "Plan | None" = None) -> list[str]:
        """Ids of stored runs that the plan does not name. ``plan``: as already read; reading it again takes time."""
        planned = {run.run_id for run in (plan or self.plan()).runs}
        names = {path.name for path in self._runs.iterdir()} if self._runs.is_dir() else set()
        return sorted(name for name in names - planned if not name.startswith("."))

    def _ended(self, run_id: str) -> StoredRun | None:
        if self.finished(run_id):
            try:
                return self.run(run_id).verify()
            except IntegrityError:
                return None
        return self.failure(run_id)

    def intact(self, run_id: str) -> bool:
        """Whether a result is published and every file of it is as it was written."""
        try:
            return self.finished(run_id) and bool(self.run(run_id).verify())
        except IntegrityError:
            return False

    def failure(self, run_id: str) -> StoredRun | None:
        """The record of a crash that no later attempt has mended."""
        path = self.work_folder(run_id) / FAILED
        if not path.is_file():
            return None
        try:
            return StoredRun(path.parent, sealed_files.parse(sealed_files.read(path), path))
        except IntegrityError:
            return None  # a torn note of a crash: the run is simply not finished

    def publish(self, run_id: str, record: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        """Make a finished run last. For the holder of its lock. Raises EnvironmentFault."""
        staging = self.work_folder(run_id) / "publish"
        durable.remove(staging)  # of an earlier attempt that died here
        whole = {**files, RUN: sealed_files.render({**record, "files": sealed_files.listing(files)})}
        durable.write_folder(self.run_folder(run_id), whole, staging)

    def set_aside(self, run_id: str) -> Path:
        """Move a damaged result out of the way, so that it can be trained again; returns where it is now."""
        base = self.folder / "damaged"
        number = next(n for n in range(10**6) if not (base / f"{run_id}-{n}").exists())
        durable.move(self.run_folder(run_id), base / f"{run_id}-{number}")
        return base / f"{run_id}-{number}"

    def cost_files(self) -> list[Path]:
        """The stored cost measurements."""
        return sorted((self.folder / "cost").glob("*.json"))


def train_command(config: Path, results: Path) -> str:
    """What to type to train the runs of a config into this results folder."""
    command = f"rsc train --config {shlex.quote(str(config))}"
    return command if results == DEFAULT_RESULTS else f"{command} --results {shlex.quote(str(results))}"


def read_costs(path: Path) -> "CostReport":
    """A stored cost report. Raises IntegrityError where it is missing, damaged or no report."""
    from resnet_shortcuts.cost.cost_request import CostReport

    try:
        return CostReport.model_validate_json(json.dumps(sealed_files.parse(sealed_files.read(path), path)))
    except ValueError as error:
        raise IntegrityError("damaged cost report", str(path), "it is left out") from error


def experiment_names(results: Path) -> list[str]:
    """Names of the experiments in a results folder, also of nested ones such as ``reference/MACHINE/benchmark``."""
    names = []
    for folder, below, files in os.walk(results):
        if PLAN in files or PLAN in below:  # a folder of that name is a damaged plan
            names.append(str(Path(folder).relative_to(results)))
            below.clear()  # an experiment may hold thousands of folders, and no other experiment
    return sorted(names)


def pack_predictions(predictions: NDArray[np.int64], labels: NDArray[np.int64]) -> bytes:
    """Predicted and true classes as safetensors, int32 (n_test,) each."""
    return save({"predictions": predictions.astype(np.int32), "labels": np.asarray(labels).astype(np.int32)})


def discard_work(folder: Path, lock: locks.Lock) -> None:
    """Empty a work folder and let its lock go, the lock file last: who waits for it never finds a half-emptied one."""
    for path in folder.iterdir():
        if path.name != LOCK:
            durable.discard(path)
    lock.release(remove=True)
    with contextlib.suppress(OSError):  # another process has just begun to use it
        folder.rmdir()
