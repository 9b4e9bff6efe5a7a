"""The only place of these tests that names the package's insides: after a renaming, this file alone needs fixing."""

import contextlib
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from resnet_shortcuts import cli, machine
from resnet_shortcuts.config.experiment_config import Config, load_config
from resnet_shortcuts.data.batches import TrainBatches, test_batches
from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.dataset import Dataset, load
from resnet_shortcuts.data.prepare import prepare
from resnet_shortcuts.experiments.study import open_study
from resnet_shortcuts.models.networks import build_network, set_position
from resnet_shortcuts.shortcuts.catalogue import find
from resnet_shortcuts.training.loop import train
from resnet_shortcuts.training.recipe import TrainSpec, learning_rate

__all__ = ["TrainBatches", "TrainSpec", "learning_rate", "set_position", "test_batches"]

HERE = Path(__file__).parent


def rsc(folder: Path, *words: str) -> tuple[int, str, str]:
    """The user's command, run in this process and in this folder: its exit code and what it printed on both streams."""
    out, err = io.StringIO(), io.StringIO()
    arguments, sys.argv = sys.argv, ["rsc", *words]
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue(), err.getvalue()
    finally:
        sys.argv = arguments
    return 0, out.getvalue(), err.getvalue()


def config_of(path: Path, overrides: Sequence[str] = ()) -> Config:
    """A config as the commands load it."""
    return load_config(path, overrides)


def planned(path: Path, overrides: Sequence[str] = ()) -> list[tuple[str, str, int, str]]:
    """Network, shortcut, seed and run id of every run that a config file plans, in the plan's order."""
    plan = open_study(load_config(path, overrides), None).plan
    return [(run.network, run.shortcut, run.seed, run.run_id) for run in plan.runs]


@dataclass
class Case:
    """One short training: what it is of, ready to be carried out by whichever loop."""

    network: Any
    shortcut: Any
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    seed: int = 11

    def dataset(self, cache: Path) -> tuple[Dataset, DataSpec]:
        spec = DataSpec.model_validate(self.data)
        return load(prepare(spec, data_root=None, cache=cache), spec), spec

    def model(self, dataset: Dataset) -> torch.nn.Module:
        strategy = find(self.shortcut, base=HERE)
        classes = len(dataset.classes)
        return build_network(self.network, strategy, in_channels=dataset.channels, num_classes=classes, seed=self.seed)

    def train(self, cache: Path, precision: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
        """Digests of weights and momentum, and the history, as the product's own loop leaves them."""
        dataset, spec = self.dataset(cache)
        model, recipe = self.model(dataset), TrainSpec.model_validate(self.recipe)
        done = train(model, dataset, spec, recipe, seed=self.seed, precision=precision)
        assert done.status == "done", done.reason
        return done.digests, [epoch.as_json() for epoch in done.history]


def bf16_here() -> bool:
    """Whether this processor multiplies bf16 in hardware."""
    return machine.bf16_supported("cpu")


def hardware() -> str:
    """A name for machines whose bits are expected to be equal: what the kernels of the CPU are chosen by."""
    about = Path("/proc/cpuinfo")
    first = about.read_text().split("\n\n")[0] if about.exists() else ""
    info = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    kinds = ("avx2", "fma", "avx_vnni", "avx512", "amx", "asimd", "bf16", "sve", "i8mm", "f16c")
    flags = sorted(flag for flag in machine.cpu_flags() if flag.startswith(kinds))
    names = ("vendor_id", "cpu family", "model", "CPU implementer", "CPU part", "cache size")
    facts = [f"{name} {info[name]}" for name in names if name in info]
    return "; ".join([*facts, " ".join(flags), f"torch {torch.__version__}", f"{torch.get_num_threads()} thread"])
