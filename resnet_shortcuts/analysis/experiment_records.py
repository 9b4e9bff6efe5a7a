"""What the statistics work on: plain records of an experiment, free of folders, files and hashes.

``read.read_experiment`` fills them from the run store; tests fill them by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_shortcuts.data.data_config import steps_per_epoch
from resnet_shortcuts.experiments.verdict_seal import VerdictSeal
from resnet_shortcuts.machine import Hardware
from resnet_shortcuts.words import counted

DONE = "done"
DIVERGED = "diverged"
FAILED = "failed"


@dataclass(frozen=True, eq=False)
class RunRecord:
    """One run: a network with a strategy, trained from one seed.

    ``test_accuracy`` and ``train_error`` are percent at the last epoch, ``correct`` says image by image whether the
    prediction was right (bool, (n_test,)), ``history`` is one mapping an epoch; ``data_vouched`` names the published
    hash that the data's files were checked against, empty where there was none. ``predictions`` is the SHA-256 of the
    stored predictions: equal ones mean equal answers. ``built_of`` is what the run's id
    hashes of network and strategy: the same names may stand for something else in another experiment.
    ``data_warnings`` says what is wrong with the data that it was trained and tested on.
    """

    network: str
    shortcut: str
    seed: int
    status: str = DONE
    recipe: str = "default"
    test_accuracy: float | None = None
    train_error: float | None = None
    correct: NDArray[np.bool_] | None = None
    history: Sequence[Mapping[str, Any]] = ()
    reason: str = ""
    run_id: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)
    data_vouched: str = ""
    predictions: str | None = None
    built_of: Any = None
    data_warnings: Sequence[str] = ()

    @property
    def finished(self) -> bool:
        """Whether training came to its last epoch with finite numbers."""
        return self.status == DONE and self.test_accuracy is not None


@dataclass(frozen=True)
class CostRecord:
    """What one network with one strategy costs on one machine. Unmeasured is None, never 0.

    Bytes are bytes, ``step_ms`` the median of a training step in milliseconds, ``step_ratio`` that time over the
    baseline's in the same interleaved rounds with its 95 % interval, ``train_seconds`` computed for one
    run with nothing else on the machine.
    ``hardware`` is what tables call the machine, ``machine`` what tells it from others of that name.
    ``activation_bytes`` is what autograd keeps for backward at the precision that was trained, ``peak_memory_bytes``
    the most that training has in use at any time. ``disturbed``: other programs took processor time while steps were
    timed, so that times are not to be trusted.
    """

    network: str
    shortcut: str
    hardware: str = ""
    precision: str = ""
    batch_size: int | None = None
    parameters: int | None = None
    multiply_adds: int | None = None
    saved_bytes: int | None = None
    peak_memory_bytes: int | None = None
    step_ms: float | None = None
    step_ms_interval: tuple[float, float] | None = None
    step_ratio: float | None = None
    step_ratio_interval: tuple[float, float] | None = None
    ratio_baseline: str = ""
    noise: float | None = None
    train_seconds: float | None = None
    machine: Hardware | None = None
    activation_bytes: int | None = None
    inference_ms: float | None = None
    inference_ms_interval: tuple[float, float] | None = None
    inference_ratio: float | None = None
    inference_ratio_interval: tuple[float, float] | None = None
    on_cpu: bool = True
    disturbed: bool = False


def same_machine(first: CostRecord, second: CostRecord) -> bool:
    """Whether two costs were measured on equal hardware, as far as both records describe it."""
    if first.hardware != second.hardware:
        return False
    return first.machine is None or second.machine is None or first.machine.agrees(second.machine)


@dataclass(frozen=True)
class Regime:
    """Under which conditions numbers arose: everything of the science except network, strategy and seed.

    ``source`` is the config's word for where the data comes from, ``name`` what people call the data set.
    """

    source: str = ""
    train_images: int | None = None
    test_images: int | None = None
    epochs: float | None = None
    iterations: int | None = None
    batch_size: int | None = None
    precision: str = ""
    augment: tuple[str, ...] = ()
    normalize: str = ""
    resolution: int | None = None
    content: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def steps_per_epoch(self) -> int | None:
        """Optimizer steps an epoch; None where images or batch size are not known."""
        if not self.train_images or not self.batch_size:
            return None
        return max(1, steps_per_epoch(self.train_images, self.batch_size))

    def length(self) -> str:
        """How long training went on, in words."""
        if self.epochs is not None:
            return counted(self.epochs, "epoch")
        return "unknown length" if self.iterations is None else counted(self.iterations, "iteration")

    def sentence(self, network: str = "") -> str:
        """The regime in words, such as 'ResNet-20, 5,000 images of CIFAR-10, 3 epochs'."""
        images = "unknown data" if self.train_images is None else counted(self.train_images, "image")
        data = self.name or self.source
        of = f" of {data}" if data else ""
        return ", ".join(part for part in (pretty_network(network), images + of, self.length()) if part)


@dataclass(frozen=True, eq=False)
class ExperimentRecord:
    """One experiment as stored: what was planned, what is there, what is missing, and what it costs.

    ``seals`` are the families of comparisons that were sealed before the first look; none: the older rule.
    """

    name: str
    regime: Regime
    runs: Sequence[RunRecord]
    missing: Sequence[tuple[str, str, int]] = ()
    left_over: Sequence[str] = ()
    damaged: Sequence[str] = ()
    costs: Sequence[CostRecord] = ()
    baseline: str | None = None
    margin: float = 0.2
    fail_above: float | None = None
    command: str = ""
    config_text: str = ""
    cost_sentences: Sequence[str] = ()
    seals: Sequence[VerdictSeal] = ()

    @property
    def data_warnings(self) -> list[str]:
        """What is wrong with the data, as the runs recorded it, each warning once."""
        return in_order(warning for run in self.runs for warning in run.data_warnings)


def pretty_network(name: str) -> str:
    """A network's name as people write it: 'cifar-resnet-20' is 'ResNet-20'; other names stay as they are."""
    words = {"resnet": "ResNet", "preresnet": "PreResNet", "pyramidnet": "PyramidNet"}
    parts = name.split("-")
    if parts[0] in ("cifar", "imagenet") and len(parts) > 2 and parts[1] in words:
        pretty = f"{words[parts[1]]}-{parts[2]}"
        return " ".join([pretty, *parts[3:]]) if parts[0] == "cifar" else " ".join([pretty, *parts[3:], "(ImageNet)"])
    return name


def in_order(names: Iterable[str]) -> list[str]:
    """The different names, in the order of their first appearance."""
    return list(dict.fromkeys(names))
