"""The training loop. It knows a model, batches and a recipe; it does not know that strategies exist.

Accuracies are in percent. On a CUDA device no step waits for the device: sums stay there and are read every
``CHECK_EVERY`` steps, when a state is captured, and at the end of an epoch.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from resnet_shortcuts.data.batches import TestBatches, TrainBatches
from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.dataset import Dataset, Split
from resnet_shortcuts.models.networks import set_position
from resnet_shortcuts.training.epoch_record import EpochRecord
from resnet_shortcuts.training.recipe import TrainSpec, learning_rate, total_steps
from resnet_shortcuts.training.step import make_optimizer, make_step, reset_compiler
from resnet_shortcuts.training.step_settings import Engine, StepSettings, engine_for, evaluation_batch_size
from resnet_shortcuts.training.training_state import Progress, digest, momentum_of, render, restore

CHECK_EVERY = 50
Capture = Callable[[], dict[str, bytes] | None]
AfterStep = Callable[[Progress, Capture], None]


@dataclass(frozen=True)
class Outcome:
    """How a run ended, after ``step`` optimizer steps; ``reason`` says why it diverged.

    ``predictions`` are class numbers, int64 (n_test,), after the last epoch; None if diverged. ``digests`` are the
    SHA-256 of weights and momentum.
    """

    status: Literal["done", "diverged"]
    step: int
    history: list[EpochRecord]
    reason: str = ""
    test_accuracy: float | None = None
    predictions: NDArray[np.int64] | None = None
    digests: dict[str, str] = field(default_factory=dict)


class Diverged(Exception):  # noqa: N818 (an outcome, not a fault)
    """The loss or the network's logits are not finite any more."""


def train(
    model: nn.Module,
    dataset: Dataset,
    data_spec: DataSpec,
    spec: TrainSpec,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    precision: Literal["fp32", "bf16"] = "fp32",
    compile: bool = False,
    tf32: bool = False,
    engine: Engine | None = None,
    evaluate_every: int = 1,
    start: dict[str, bytes] | None = None,
    after_step: AfterStep | None = None,
    while_evaluating: AfterStep | None = None,
) -> Outcome:
    """Train ``model`` in place and evaluate it after the last epoch.

    ``start`` is a captured state to resume from (``training.training_state``). ``after_step(progress, capture)`` is
    called after each step and each epoch; ``capture()`` renders the state at that moment (None if it is not finite and
    so not worth keeping); what it raises ends the training. ``while_evaluating`` is called the same way after each
    batch of an evaluation, which may take longer than a signal allows. ``evaluate_every`` is in epochs (0: at the end
    only). ``engine`` carries out the step; by default the device decides (`engine_for`). Raises IntegrityError if
    ``start`` belongs to another network, and RscError if ``compile`` is set and the step cannot be compiled.
    """
    device = torch.device(device)
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    settings = StepSettings(
        batch_size=spec.batch_size,
        precision=precision,
        label_smoothing=spec.label_smoothing,
        engine=engine or engine_for(str(device)),
        compile=compile,
        tf32=tf32,
    )
    run = _Run(model, dataset, data_spec, spec, seed, device, settings, while_evaluating)
    if start is not None:
        run.resume(start)
    try:
        while run.progress.step < run.total or run.progress.epoch_step:
            for _ in run.steps_of_epoch():
                if after_step:
                    after_step(run.progress, run.capture)
            run.close_epoch(evaluate_every)
            if after_step:
                after_step(run.progress, run.capture)
        return run.finish()
    except Diverged as reason:
        return Outcome("diverged", run.progress.step, run.progress.history, str(reason))


class _Run:
    """The state that the steps, the epochs and the end of a run share."""

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset,
        data_spec: DataSpec,
        spec: TrainSpec,
        seed: int,
        device: torch.device,
        settings: StepSettings,
        while_evaluating: AfterStep | None,
    ) -> None:
        self.model, self.dataset, self.data_spec, self.spec = model, dataset, data_spec, spec
        self.seed, self.device, self.while_evaluating = seed, device, while_evaluating
        self.batches = TrainBatches(dataset, data_spec, seed=seed, batch_size=spec.batch_size, device=device)
        shape = (dataset.channels, dataset.resolution, dataset.resolution)
        self.evaluation_batch = evaluation_batch_size(str(device), spec.batch_size, shape)
        self.test_batches: dict[int, TestBatches] = {}
        self.total = total_steps(spec, self.batches.steps_per_epoch)
        self.check_every = 1 if device.type == "cpu" else CHECK_EVERY
        self.progress = Progress()
        if settings.compile:
            reset_compiler()
        self.optimizer = make_optimizer(model, spec)
        self.step = make_step(model, self.optimizer, settings)

    def steps_of_epoch(self) -> Iterator[None]:
        """Train to the end of the epoch, or of the run; yields after each step."""
        progress = self.progress
        self.model.train()
        left = min(self.batches.steps_per_epoch - progress.epoch_step, self.total - progress.step)
        for images, labels in islice(self.batches.epoch(progress.epoch, first_step=progress.epoch_step), left):
            set_position(self.model, self.seed, progress.step)
            self.step(images, labels, learning_rate(self.spec, progress.step, self.total))
            progress.seen += len(labels)
            progress.step += 1
            progress.epoch_step += 1
            if progress.step % self.check_every == 0:
                self._read_sums()
            yield

    def close_epoch(self, evaluate_every: int) -> None:
        """Append the epoch's record to the history, with an evaluation where one is due."""
        self._read_sums()
        progress = self.progress
        last = progress.step >= self.total
        due = bool(evaluate_every) and (progress.epoch + 1) % evaluate_every == 0
        record = EpochRecord(
            epoch=progress.epoch + 1,
            step=progress.step,
            learning_rate=learning_rate(self.spec, progress.step - 1, self.total),
            train_loss=progress.loss_sum / progress.seen,
            train_accuracy=100.0 * progress.hits / progress.seen,
            test_accuracy=None,
        )
        if self.dataset.validation is not None:
            accuracy = self._accuracy(self.dataset.validation) if due or last else None
            record = record.model_copy(update={"validation_accuracy": accuracy})
        elif due and not last:  # after the last epoch `finish` evaluates the test set
            record = record.model_copy(update={"test_accuracy": self._accuracy(self.dataset.test)})
        progress.history.append(record)
        self.progress = Progress(step=progress.step, epoch=progress.epoch + 1, history=progress.history)
        self._write_sums()

    def finish(self) -> Outcome:
        """The final evaluation on the test set; the only one on it if a validation split is held out."""
        predictions = self.predict(self.dataset.test)
        accuracy = _percent_equal(predictions, self.dataset.test.labels)
        *earlier, last = self.progress.history
        history = [*earlier, last.model_copy(update={"test_accuracy": accuracy})]
        digests = {
            "weights": digest(self.model.state_dict().items()),
            "momentum": digest(momentum_of(self.model, self.optimizer)),
        }
        return Outcome("done", self.progress.step, history, "", accuracy, predictions, digests)

    def predict(self, split: Split) -> NDArray[np.int64]:
        """The class of each image, int64 (n,), in fp32 and evaluation mode. Raises Diverged on logits not finite."""
        self.model.eval()
        classes, finite = [], torch.ones((), dtype=torch.bool, device=self.device)
        with torch.inference_mode():
            for images, _ in self._batches_of(split).batches(self.evaluation_batch):
                logits = self.model(images)
                classes.append(logits.argmax(1))
                finite &= logits.isfinite().all()
                if self.while_evaluating:
                    self.while_evaluating(self.progress, self.capture)
        if not finite.item():
            raise Diverged(f"the network's answers are not finite after step {self.progress.step}")
        predictions: NDArray[np.int64] = torch.cat(classes).cpu().numpy()
        return predictions

    def _batches_of(self, split: Split) -> TestBatches:
        """Made once a split: on a GPU its images stay there."""
        if id(split) not in self.test_batches:
            self.test_batches[id(split)] = TestBatches(split, self.dataset, self.data_spec, self.device)
        return self.test_batches[id(split)]

    def _accuracy(self, split: Split) -> float:
        return _percent_equal(self.predict(split), split.labels)

    def capture(self) -> dict[str, bytes] | None:
        """The state as bytes; None where a weight is not finite (the next loss will tell). Raises Diverged."""
        self._read_sums()
        floats = [tensor for tensor in self.model.state_dict().values() if tensor.is_floating_point()]
        if not torch.stack([tensor.isfinite().all() for tensor in floats]).all().item():
            return None
        return render(self.model, self.optimizer, self.progress)

    def resume(self, start: dict[str, bytes]) -> None:
        """Continue from a captured state."""
        self.progress = restore(start, self.model, self.optimizer)
        self._write_sums()

    def _read_sums(self) -> None:
        """Fetch the sums from the device: the only place in training that waits for it. Raises Diverged."""
        self.progress.loss_sum, self.progress.hits = self.step.loss_sum.item(), int(self.step.hits.item())
        if not math.isfinite(self.progress.loss_sum):
            raise Diverged(f"the loss is {self.progress.loss_sum} at step {self.progress.step}")

    def _write_sums(self) -> None:
        self.step.loss_sum.fill_(self.progress.loss_sum)
        self.step.hits.fill_(self.progress.hits)


def _percent_equal(predictions: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    return 100.0 * int((predictions == labels).sum()) / len(labels)
