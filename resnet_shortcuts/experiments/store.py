"""Where results live: ``results/NAME/``. A finished run is a folder published whole, never changed, verified when read.

config.yaml  plan.json  cost/*.json
runs/RUN_ID/{run.json, history.json, predictions.safetensors[, weights.safetensors]}   finished: done or diverged
work/RUN_ID/{lock, log.txt, checkpoint-*, failed.json}                                  on the way, or crashed
damaged/RUN_ID-N/                                                                       set aside by `train`
sources/SHA256/FILE.py                                                                  of custom shortcuts

The results folder, NAME, runs/ and work/ may be links to other disks; nothing else may.
"""

import contextlib
import json
import os
import re
import shlex
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import PrivateAttr, TypeAdapter
from safetensors import SafetensorError
from safetensors.numpy import load, save

from resnet_shortcuts import durable, locks
from resnet_shortcuts.errors import IntegrityError, UsageError
from resnet_shortcuts.experiments import sealed_files
from resnet_shortcuts.experiments.run_record import Epoch, RunRecord
from resnet_shortcuts.experiments.sealed_files import LEFT_OUT, NewerFormatError
from resnet_shortcuts.hashing import canonical, sha256
from resnet_shortcuts.suggestions import did_you_mean

if TYPE_CHECKING:
    from resnet_shortcuts.config.experiment_config import Config
    from resnet_shortcuts.cost.cost_request import CostReport
    from resnet_shortcuts.experiments.plan import Plan

RUN, HISTORY, PREDICTIONS, WEIGHTS = "run.json", "history.json", "predictions.safetensors", "weights.safetensors"
PLAN, DEFAULT_RESULTS = "plan.json", Path("results")
CONFIG, FAILED, LOCK, LOG = "config.yaml", "failed.json", "lock", "log.txt"
LARGEST_CONFIG = 2**20
ACCURACY_TOLERANCE = 1e-4
"""Percentage points by which a recorded accuracy may differ from that of the predictions, which is rounding."""
_EPOCHS = TypeAdapter(list[Epoch])
_RUN_ID = re.compile(r"[0-9a-f]{16}")
_OWN_WORK = re.compile(r"lock|log\.txt|failed\.json|publish|checkpoint-\d+-\d+\.(json|safetensors)|\..*\.tmp-.*")
"""Names of what a work folder holds; 'publish' is what versions before format 3 left."""


class StoredRun(RunRecord):
    """The record of a run that ended, and the files beside it, verified when they are read."""

    _folder: Path = PrivateAttr()

    @classmethod
    def read(cls, folder: Path | str, name: str = RUN) -> Self:
        """The run whose record is this file. Raises IntegrityError (NewerFormatError) where it is not sound."""
        run = sealed_files.load(f"{folder}{os.sep}{name}", cls)
        run._folder = Path(folder)
        return run

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self._folder

    def history(self) -> list[dict[str, Any]]:
        """One dict an epoch, as ``training.loop.Outcome`` has it; empty for a failed run. Raises IntegrityError."""
        if HISTORY not in self.files:
            return []
        data = self._read(HISTORY)
        try:
            _EPOCHS.validate_json(data)
            epochs: list[dict[str, Any]] = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise IntegrityError("ill-formed history", str(self._folder / HISTORY), LEFT_OUT) from error
        return epochs

    def predictions(self) -> NDArray[np.int64]:
        """The predicted class of each test image, int64 (n_test,). Raises IntegrityError."""
        return self._answers()[0].astype(np.int64)

    def labels_correct(self) -> NDArray[np.bool_]:
        """Whether each test image was answered rightly, bool (n_test,). Raises IntegrityError."""
        predictions, labels = self._answers()
        return np.asarray(predictions == labels)

    def content(self, name: str) -> bytes:
        """A file of the run, verified. Raises IntegrityError, KeyError where the record does not list it."""
        return self._read(name)

    def verify(self, *names: str) -> Self:
        """Read these files, or every one, and compare each with its hash, and the accuracy with the predictions.

        Raises IntegrityError.
        """
        for name in names or self.files:
            if name == PREDICTIONS:
                self._answers()
            elif name in self.files:
                self._read(name)
        return self

    def _answers(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The predicted and the true classes."""
        path = str(self._folder / PREDICTIONS)
        if PREDICTIONS not in self.files:
            raise IntegrityError(f"a {self.status} run has no predictions", path, LEFT_OUT)
        try:
            answers = load(self._read(PREDICTIONS))
            predictions, labels = answers["predictions"], answers["labels"]
        except (SafetensorError, KeyError) as error:
            raise IntegrityError("damaged predictions", path, LEFT_OUT) from error
        if predictions.ndim != 1 or predictions.shape != labels.shape or not labels.size:
            raise IntegrityError("ill-formed predictions", path, LEFT_OUT)
        accuracy = 100.0 * float((predictions == labels).mean())
        if self.test_accuracy is not None and abs(self.test_accuracy - accuracy) > ACCURACY_TOLERANCE:
            what = f"the record says {self.test_accuracy:g} % accuracy, its predictions have {accuracy:g} %"
            raise IntegrityError(what, path, LEFT_OUT)
        return predictions, labels

    def _read(self, name: str) -> bytes:
        if os.sep in name:
            raise IntegrityError("the record names a file elsewhere", str(self._folder), LEFT_OUT)
        listed = self.files[name]
        return sealed_files.read_listed(f"{self._folder}{os.sep}{name}", listed.bytes, listed.sha256)


class Experiment:
    """The folder of one experiment."""

    def __init__(self, results: Path, name: str) -> None:
        self.results, self.name = results, name
        self.folder = results / name

    @classmethod
    def open(cls, results: Path, name: str) -> "Experiment":
        """A stored experiment. Raises UsageError, with the nearest name, if there is none of this name."""
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
        """The experiment of this config, its config and plan written where they are new; again changes nothing.

        Raises EnvironmentFault, NewerFormatError where the stored plan is of a newer version.
        """
        experiment = cls(results, config.name)
        text = config.to_yaml()
        sealed = plan.model_copy(update={"config_sha256": sha256(text.encode())})
        sources = [source for shortcut in config.shortcuts for source in shortcut.sources_to_send]
        stored = {source.stored_path: source.text for source in sources if not source.only_here}
        rendered = {**stored, CONFIG: text, PLAN: sealed.to_json()}
        durable.make_folder(experiment.folder)
        durable.refuse_links(*(experiment.folder / name for name in ("cost", "cost/log.txt", "damaged", "sources")))
        with locks.locked(experiment.folder / ".lock"):
            try:
                experiment.plan()
            except NewerFormatError:
                raise  # its runs are not ours to replan
            except IntegrityError:
                pass  # none, or a damaged one: written anew
            for folder in (experiment.folder, experiment.folder / "cost", experiment._runs):
                durable.sweep(folder)
            for name, text in rendered.items():
                path = experiment.folder / name
                if path.is_symlink() or not path.is_file() or path.read_bytes() != text.encode():
                    durable.write_file(path, text.encode())
        return experiment

    def plan(self) -> "Plan":
        """The plan of the newest `train`. Raises IntegrityError (NewerFormatError)."""
        from resnet_shortcuts.experiments.plan import Plan

        path, todo = self.folder / PLAN, "the same 'rsc train' again writes it anew"
        if path.is_dir():
            raise IntegrityError("damaged plan (a folder has its name)", str(path), f"remove the folder; {todo}")
        try:
            return Plan.from_json(sealed_files.read(path).decode(), path)
        except NewerFormatError:
            raise
        except IntegrityError as error:
            raise IntegrityError(f"damaged or edited plan ({error.what})", str(path), todo) from error
        except UnicodeDecodeError as error:
            raise IntegrityError("damaged or edited plan (not text)", str(path), todo) from error

    def config_text(self, plan: "Plan") -> str:
        """The stored config, as YAML. Raises IntegrityError where it is not the one that the plan was made of."""
        path, todo = self.folder / CONFIG, "the same 'rsc train' again writes it anew"
        data = sealed_files.read(path, LARGEST_CONFIG)
        if plan.config_sha256 not in (None, sha256(data)):
            raise IntegrityError("damaged or edited config (it is not the one of the plan)", str(path), todo)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise IntegrityError("damaged config (not text)", str(path), todo) from error

    def run_folder(self, run_id: str) -> Path:
        """Where the finished run is, or will be."""
        return self._runs / run_id

    @cached_property
    def _runs(self) -> Path:
        return self.folder / "runs"

    def work_folder(self, run_id: str) -> Path:
        """Where a run on its way keeps lock, log and checkpoints."""
        return self.folder / "work" / run_id

    def claim(self, run_id: str) -> locks.Lock | None:
        """The lock of a run and its work folder, cleared of what dead writers left; None where another has it.

        Links in place of the two are removed, and what they lead to is left alone. Raises EnvironmentFault.
        """
        work = self.work_folder(run_id)
        for path in (work, work / LOCK):
            if path.is_symlink():
                durable.remove(path)
        lock = locks.try_lock(work / LOCK)
        if lock is not None:
            durable.sweep(work)
            log = work / LOG
            if log.is_symlink() or (log.exists() and not os.access(log, os.W_OK)):  # another user's
                durable.discard(log)
        return lock

    def finished(self, run_id: str) -> bool:
        """Whether a result is published; says nothing of whether it is still good."""
        return os.path.lexists(f"{self._runs}{os.sep}{run_id}")  # whatever it is: publishing would find it in the way

    def run(self, run_id: str, science: Mapping[str, Any] | None = None) -> StoredRun:
        """A finished run, its record verified, its files verified when read. Raises IntegrityError.

        ``science``: what the id hashes, where a plan that was verified says it; comparing is faster than hashing again.
        """
        folder = f"{self._runs}{os.sep}{run_id}"
        if os.path.islink(folder):  # noqa: PTH114
            raise IntegrityError("a link instead of a folder", folder, LEFT_OUT)
        run = StoredRun.read(folder)
        fits = run.science == science or sha256(canonical(run.science))[: len(run_id)] == run_id
        if run.run_id != run_id or not fits:
            raise IntegrityError("this result belongs to another run", folder, LEFT_OUT)
        answered = PREDICTIONS in run.files and run.test_accuracy is not None
        if run.status == "failed" or (run.status == "done" and not answered):
            raise IntegrityError("the record is not of a finished run", folder, LEFT_OUT)
        return run

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
        return sorted(self.finished_ids() - {run.run_id for run in (plan or self.plan()).runs})

    def finished_ids(self) -> set[str]:
        """Ids of the runs whose result is published: `finished` of each, in one look."""
        names = os.listdir(self._runs) if self._runs.is_dir() else []  # noqa: PTH208 (thousands of names)
        return {name for name in names if not name.startswith(".")}

    def begun_ids(self) -> set[str]:
        """Ids of the runs that have a work folder."""
        base = self.folder / "work"
        with os.scandir(base) if base.is_dir() else contextlib.nullcontext(()) as entries:
            return {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}

    def _ended(self, run_id: str) -> StoredRun | None:
        try:
            return self.run(run_id).verify() if self.finished(run_id) else self.failure(run_id)
        except IntegrityError:
            return None

    def intact(self, run_id: str) -> bool:
        """Whether a result is published and every file of it is as it was written."""
        try:
            return self.finished(run_id) and bool(self.run(run_id).verify())
        except IntegrityError:
            return False

    def failure(self, run_id: str) -> StoredRun | None:
        """The record of a crash that no later attempt has repaired. Raises NewerFormatError."""
        try:
            return StoredRun.read(self.work_folder(run_id), FAILED)
        except NewerFormatError:
            raise
        except IntegrityError:
            return None  # none, or one that was cut short: the run is simply not finished

    def publish(self, record: RunRecord, files: Mapping[str, bytes]) -> bool:
        """Store a finished run. For the holder of its lock. False where another process has published it meanwhile.

        Raises EnvironmentFault, IntegrityError where what was published meanwhile is damaged.
        """
        document = {**record.to_json(), "files": sealed_files.listing(files), "format": sealed_files.FORMAT}
        try:
            durable.write_folder(self.run_folder(record.run_id), {**files, RUN: sealed_files.render(document)})
        except FileExistsError:
            self.run(record.run_id).verify()
            return False
        return True

    def note_failure(self, record: RunRecord) -> None:
        """Keep why a run crashed. For the holder of its lock. Raises EnvironmentFault."""
        durable.write_file(self.work_folder(record.run_id) / FAILED, sealed_files.render(record.to_json()))

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
    """A stored cost report. Raises IntegrityError (NewerFormatError) where it is missing, damaged or not a report."""
    from resnet_shortcuts.cost.cost_request import FORMAT, CostReport

    document = sealed_files.parse(sealed_files.read(path), path)
    sealed_files.check_format(document.get("format"), "cost report", path, FORMAT)
    try:
        return CostReport.model_validate_json(json.dumps(document))
    except ValueError as error:
        raise IntegrityError("damaged cost report", str(path), LEFT_OUT) from error


def experiment_names(results: Path) -> list[str]:
    """Names of the experiments in a results folder, also of nested ones such as ``reference/MACHINE/benchmark``."""
    names, seen = [], set()
    for folder, below, files in os.walk(results, followlinks=True):
        place = os.path.realpath(folder)
        is_experiment = PLAN in files or PLAN in below  # a folder of that name is a damaged plan
        if is_experiment:
            names.append(str(Path(folder).relative_to(results)))
        if is_experiment or place in seen:  # an experiment may hold thousands of folders; links may lead in a circle
            below.clear()
        seen.add(place)
    return sorted(names)


def pack_predictions(predictions: NDArray[np.int64], labels: NDArray[np.int64]) -> bytes:
    """Predicted and true classes as safetensors, int32 (n_test,) each."""
    return save({"predictions": predictions.astype(np.int32), "labels": np.asarray(labels).astype(np.int32)})


def discard_work(folder: Path, lock: locks.Lock) -> None:
    """Delete what this package has put into a work folder and release its lock, the lock file last, so that another
    process never takes up a half-emptied folder. Other files stay, and the folder with them.
    """
    for path in list(folder.iterdir()) if folder.is_dir() else ():
        if path.name != LOCK and _OWN_WORK.fullmatch(path.name):
            durable.discard(path)
    with contextlib.suppress(OSError):
        (folder / LOCK).unlink()
    lock.release()
    with contextlib.suppress(OSError):  # another process has just begun to use it
        folder.rmdir()


def holds_work(folder: Path) -> bool:
    """Whether this is a work folder that this package made: a folder, not a link, named by a run id, with our files."""
    return (
        _RUN_ID.fullmatch(folder.name) is not None
        and not folder.is_symlink()
        and folder.is_dir()
        and any(_OWN_WORK.fullmatch(path.name) for path in folder.iterdir())
    )
