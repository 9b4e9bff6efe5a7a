"""`Experiment`: a config that can be trained here, or results that are stored already, as DataFrames and verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from resnet_shortcuts.analysis.experiment_records import ExperimentRecord
from resnet_shortcuts.analysis.judging import judged
from resnet_shortcuts.analysis.reading import read_experiment
from resnet_shortcuts.config.experiment_config import Config, check_results_folder, read_config
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.experiments import store
from resnet_shortcuts.paths import expand
from resnet_shortcuts.result import Result
from resnet_shortcuts.words import counted

if TYPE_CHECKING:
    from torch import nn

RUN_COLUMNS = (
    "network", "shortcut", "recipe", "seed", "status", "test_accuracy", "train_error", "reason", "run_id",
)  # fmt: skip
_KEYS = ("network", "shortcut", "recipe", "seed", "run_id")
_EPOCH = (
    "epoch", "step", "learning_rate", "train_loss", "train_accuracy", "test_accuracy", "validation_accuracy",
)  # fmt: skip
HISTORY_COLUMNS = (*_KEYS, *_EPOCH)
COST_COLUMNS = (
    "network", "shortcut", "hardware", "precision", "batch_size", "parameters", "multiply_adds", "saved_bytes",
    "peak_memory_bytes", "step_ms", "step_ms_interval", "step_ratio", "step_ratio_interval", "ratio_baseline", "noise",
    "train_seconds",
)  # fmt: skip


class Experiment:
    """Strategies x networks x seeds on one data set: a config (`from_config`), or stored results (`load`).

    Example:
        >>> import resnet_shortcuts as rs, tempfile
        >>> exp = rs.Experiment.from_config(
        ...     {"name": "tiny", "data": {"source": "digits", "train_size": 60, "test_size": 40},
        ...      "networks": ["cifar-resnet-8"], "shortcuts": ["A", "max-pad"], "seeds": 1,
        ...      "train": {"epochs": 1, "batch_size": 20}, "cost": {"measure": False}})
        >>> exp.train(results=tempfile.mkdtemp(), jobs=0)
        Experiment 'tiny': 2 of 2 runs finished
        >>> exp.runs().status.tolist()
        ['done', 'done']
        >>> len(exp.history())
        2
    """

    def __init__(self, stored: store.Experiment | None, config: Config | None, data_root: Path | None = None) -> None:
        self._stored, self._config, self._data_root = stored, config, data_root

    @classmethod
    def from_config(
        cls, config: str | Path | Mapping[str, Any], *, data_root: str | Path | None = None, **changes: Any
    ) -> Self:
        """The experiment that a config describes; nothing is read but the config, and nothing is written.

        Args:
            config: a YAML file, the name of a config that ships (``cifar10-quick``), or the same as a mapping.
            data_root: folder where data sets are looked for.
            changes: keys of the config with other values, such as ``shortcuts=["A", "max-pad"], seeds=5``; a section
                takes the keys that change: ``train={"epochs": 3}``.

        Raises:
            UsageError: what is wrong with the config, with its file and line, or with a change.
        """
        overrides = [f"{key}={json.dumps(value)}" for key, value in _flat(changes)]
        loaded = read_config(Path(config), overrides)[0] if isinstance(config, str | Path) else _built(config, changes)
        return cls(None, loaded, None if data_root is None else expand(Path(data_root)))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The experiment that is stored in this folder. Raises UsageError with the nearest name if there is none."""
        folder = expand(Path(path))
        if not (folder / store.PLAN).exists() and folder.name == str(folder):
            folder = store.DEFAULT_RESULTS / folder
        if (folder / store.PLAN).exists():
            folder = folder.resolve()
        return cls(store.Experiment.open(folder.parent, folder.name), None)

    @property
    def name(self) -> str:
        """What it is called, which is the name of its folder."""
        return self._stored.name if self._stored else self.config.name

    @property
    def config(self) -> Config:
        """The validated config. Raises UsageError, IntegrityError where a stored one cannot be read."""
        if self._config is None:
            self._config = read_config(self._experiment.folder / store.CONFIG)[0]
        return self._config

    def train(
        self, results: str | Path = store.DEFAULT_RESULTS, jobs: int | str | None = None, *, wait: bool = True
    ) -> Self:
        """Train every run that is not done yet, measure costs if the config asks for it; safe to interrupt.

        Args:
            results: the folder that holds a folder an experiment.
            jobs: runs side by side, each in a process; 0: in this process, which is the way for strategies that are
                registered in a notebook; default: the config's.
            wait: whether to wait for runs that another process trains.

        Returns:
            The experiment itself. Runs that failed or diverged are rows of `runs`, not exceptions.

        Raises:
            UsageError, DataError, EnvironmentFault, BusyError: what keeps it from being trained, in one line.
        """
        from resnet_shortcuts.experiments.study import open_study
        from resnet_shortcuts.experiments.study_training import train_study

        folder = expand(Path(results))
        check_results_folder(folder, self.config.name)
        study = open_study(self.config, self._data_root)
        self._stored = train_study(study, folder, self._data_root, jobs, wait)
        return self

    def runs(self) -> pd.DataFrame:
        """One row a planned run.

        Returns:
            A DataFrame with the columns ``network``, ``shortcut``, ``recipe``, ``seed``, ``status`` (done, diverged,
            failed, or missing), ``test_accuracy`` (percent, after the last epoch; NaN unless done), ``train_error``
            (percent, last epoch), ``reason`` (why it failed) and ``run_id``.

        Raises:
            UsageError: nothing is stored yet. IntegrityError: the plan is damaged; damaged runs count as missing.
        """
        record = self._record(history=False)
        rows = [{key: getattr(run, key) for key in RUN_COLUMNS} for run in record.runs]
        rows += [
            {"network": network, "shortcut": shortcut, "seed": seed, "status": "missing", "reason": ""}
            for network, shortcut, seed in record.missing
        ]
        frame = pd.DataFrame(rows, columns=list(RUN_COLUMNS))
        return frame.astype({"test_accuracy": "float64", "train_error": "float64"})

    def history(self) -> pd.DataFrame:
        """One row a run and epoch.

        Returns:
            A DataFrame with the columns ``network``, ``shortcut``, ``recipe``, ``seed``, ``run_id``, ``epoch`` (from
            1), ``step`` (optimizer steps so far), ``learning_rate`` (of the last step), ``train_loss``,
            ``train_accuracy`` (percent, of the images as augmented), ``test_accuracy`` and ``validation_accuracy``
            (percent; NaN in epochs without an evaluation).

        Raises:
            UsageError: nothing is stored yet.
        """
        rows = [
            {**{key: getattr(run, key) for key in _KEYS}, **{key: epoch.get(key) for key in _EPOCH}}
            for run in self._record().runs
            for epoch in run.history
        ]
        frame = pd.DataFrame(rows, columns=list(HISTORY_COLUMNS))
        return frame.astype(dict.fromkeys(_EPOCH[2:], "float64"))

    def costs(self) -> pd.DataFrame:
        """One row a network and strategy: what it costs, on the machine of the newest measurement.

        Returns:
            A DataFrame with the columns ``network``, ``shortcut``, ``hardware``, ``precision``, ``batch_size``,
            ``parameters``, ``multiply_adds`` (of one image), ``saved_bytes`` (activation memory of a batch),
            ``peak_memory_bytes``, ``step_ms`` and ``step_ms_interval``, ``step_ratio`` (to the baseline's) and
            ``step_ratio_interval``, ``ratio_baseline``, ``noise`` and ``train_seconds``. What was not measured is
            missing, never 0.

        Raises:
            UsageError: nothing is stored yet.
        """
        rows = [{key: getattr(cost, key) for key in COST_COLUMNS} for cost in self._record(history=False).costs]
        return pd.DataFrame(rows, columns=list(COST_COLUMNS))

    def compare(self, baseline: str | None = None, margin: float | None = None) -> Result:
        """Judge every strategy against the baseline.

        Args:
            baseline: a strategy by name or alias; default: the config's, else A.
            margin: percentage points of accuracy that count as equal; default: the config's.

        Raises:
            UsageError: no run is finished, or the baseline is not among them.
        """
        verdicts, notes = judged([self._experiment], baseline, margin)
        return Result(verdicts, notes)

    def model(
        self, strategy: str, seed: int = 0, *, network: str | None = None, recipe: str | None = None
    ) -> nn.Module:
        """The trained network of one run, with its weights, in evaluation mode on the CPU.

        Args:
            strategy: a strategy of the experiment, by name or alias.
            seed: of the run.
            network: needed where the experiment has several.
            recipe: needed where the experiment has several.

        Returns:
            A module from images (N, C, H, W), normalised as in training, to logits (N, classes).

        Raises:
            UsageError: no such run, or its weights were not kept (``run.keep_weights``). IntegrityError: they are
            damaged.
        """
        from resnet_shortcuts.experiments.kept_weights import trained_network

        return trained_network(self._experiment, self.config, strategy, seed, network, recipe)

    @property
    def _experiment(self) -> store.Experiment:
        if self._stored is None:
            raise UsageError(f"experiment {self.name!r} is not trained", "Experiment", "call train(), or rs.load(...)")
        return self._stored

    def _record(self, *, history: bool = True) -> ExperimentRecord:
        return read_experiment(self._experiment, images=history, history=history)

    def __repr__(self) -> str:
        if self._stored is None:
            return f"Experiment {self.name!r}, not trained"
        runs = [run.run_id for run in self._stored.plan().runs]
        finished = self._stored.finished_ids().intersection(runs)
        return f"Experiment {self.name!r}: {len(finished)} of {counted(len(runs), 'run')} finished"


def _flat(changes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Keys and values of overrides: a section's keys by their dotted names."""
    for key, value in changes.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", each) for inner, each in value.items())
        else:
            yield key, list(value) if isinstance(value, tuple) else value


def _built(config: Mapping[str, Any], changes: Mapping[str, Any]) -> Config:
    """The config of a mapping, validated as a file is. Raises UsageError."""
    from tempfile import TemporaryDirectory

    import yaml

    with TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump({"name": "experiment", **config}))
        return read_config(path, [f"{key}={json.dumps(value)}" for key, value in _flat(changes)])[0]
