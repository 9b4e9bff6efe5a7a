"""The training loop. It knows a model, batches and a recipe; it has never heard of strategies.

Accuracies are in percent. On a CUDA device nothing in a step waits for the device: sums stay there and are looked at
every ``CHECK_EVERY`` steps, when a state is captured, and at the end of an epoch.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from resnet_shortcuts.data.batches import TrainBatches, test_batches
from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.dataset import Dataset, Split
from resnet_shortcuts.models.networks import set_position
from resnet_shortcuts.training.recipe import TrainSpec, learning_rate, total_steps
from resnet_shortcuts.training.step import ENGINES, Engine, StaticStep, engine_for
from resnet_shortcuts.training.training_state import Progress, digest, momentum_of, render, restore

CHECK_EVERY = 50
Capture = Callable[[], dict[str, bytes] | None]
AfterStep = Callable[[Progress, Capture], None]


@dataclass
class Outcome:
    """What a run ended with.

    ``history`` has a dict an epoch: epoch (from 1), step, learning_rate (of its last step), train_loss,
    train_accuracy, test_accuracy (None where not evaluated) and, with a validation split, validation_accuracy.
    ``predictions`` are class numbers, int64 (n_test,), after the last epoch; None if diverged. ``digests`` are SHA-256
    of weights and momentum.
    """

    status: str
    step: int
    history: list[dict[str, Any]]
    reason: str = ""
    test_accuracy: float | None = None
    predictions: NDArray[np.int64] | None = None
    digests: dict[str, str] = field(default_factory=dict)


class Diverged(Exception):  # noqa: N818 (an outcome, not a fault)
    """The loss, or what the network answers, stopped being finite."""


def train(
    model: nn.Module,
    dataset: Dataset,
    data_spec: DataSpec,
    spec: TrainSpec,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
    compile: bool = False,
    engine: Engine | None = None,
    evaluate_every: int = 1,
    start: dict[str, bytes] | None = None,
    after_step: AfterStep | None = None,
    while_evaluating: AfterStep | None = None,
) -> Outcome:
    """Train ``model`` in place and evaluate it after the last epoch.

    ``start`` is a state to go on from (``training.state``). ``after_step(progress, capture)`` is called after each
    step and each epoch; ``capture()`` renders the state at that moment (None if it is not finite and so not worth
    keeping); what it raises ends the training. ``while_evaluating`` is called the same way after each batch of an
    evaluation, which may take longer than the time that a signal leaves.
    ``evaluate_every`` is in epochs (0: at the end only). ``engine`` is how a step is carried out; without one the
    device decides (``training.step``). Raises IntegrityError if ``start`` is of another network.
    """
    device = torch.device(device)
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = _Run(model, dataset, data_spec, spec, seed, device, precision, compile, engine)
    run.while_evaluating = while_evaluating
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
    """A model on its way: the parts that a step, an epoch and the end share."""

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset,
        data_spec: DataSpec,
        spec: TrainSpec,
        seed: int,
        device: torch.device,
        precision: str,
        compile: bool,
        engine: Engine | None,
    ) -> None:
        self.model, self.dataset, self.data_spec, self.spec = model, dataset, data_spec, spec
        self.seed, self.device, self.precision = seed, device, precision
        self.forward: Callable[[torch.Tensor], torch.Tensor] = torch.compile(model) if compile else model
        self.batches = TrainBatches(dataset, data_spec, seed=seed, batch_size=spec.batch_size, device=device)
        self.total = total_steps(spec, self.batches.steps_per_epoch)
        self.optimizer = torch.optim.SGD(
            model.parameters(),
            lr=spec.lr,
            momentum=spec.momentum,
            nesterov=spec.nesterov,
            weight_decay=spec.weight_decay,
            fused=device.type == "cuda",
        )
        self.while_evaluating: AfterStep | None = None
        self.check_every = 1 if device.type == "cpu" else CHECK_EVERY
        self.progress = Progress()
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.hits = torch.zeros((), dtype=torch.int64, device=device)
        self.static_step = self._make_static_step(engine or engine_for(device, compile))

    def _make_static_step(self, engine: Engine) -> StaticStep | None:
        if engine == "plain":
            return None
        return ENGINES[engine](
            self.model,
            self.forward,
            self.optimizer,
            batch_size=self.spec.batch_size,
            precision=self.precision,
            label_smoothing=self.spec.label_smoothing,
            loss_sum=self.loss_sum,
            hits=self.hits,
        )

    def steps_of_epoch(self) -> Iterator[None]:
        """Train to the end of the epoch, or of the run; yields after each step."""
        progress, spec, step = self.progress, self.spec, self.static_step or self._plain_step
        self.model.train()
        left = min(self.batches.steps_per_epoch - progress.epoch_step, self.total - progress.step)
        for images, labels in islice(self.batches.epoch(progress.epoch, first_step=progress.epoch_step), left):
            set_position(self.model, self.seed, progress.step)
            step(images, labels, learning_rate(spec, progress.step, self.total))
            progress.seen += len(labels)
            progress.step += 1
            progress.epoch_step += 1
            if progress.step % self.check_every == 0:
                self._look_at_sums()
            yield

    def _plain_step(self, images: torch.Tensor, labels: torch.Tensor, rate: float) -> None:
        self.optimizer.param_groups[0]["lr"] = rate
        loss, logits = self._forward_and_loss(images, labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.loss_sum += loss.detach() * len(labels)
        self.hits += (logits.detach().argmax(1) == labels).sum()

    def _forward_and_loss(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self.forward(images)
        logits = logits.float()
        return F.cross_entropy(logits, labels, label_smoothing=self.spec.label_smoothing), logits

    def close_epoch(self, evaluate_every: int) -> None:
        """Write the epoch's line of history, evaluating where it is due."""
        self._look_at_sums()
        progress = self.progress
        last = progress.step >= self.total
        held_out = self.dataset.validation is not None
        due = bool(evaluate_every) and (progress.epoch + 1) % evaluate_every == 0
        entry: dict[str, Any] = {
            "epoch": progress.epoch + 1,
            "step": progress.step,
            "learning_rate": learning_rate(self.spec, progress.step - 1, self.total),
            "train_loss": progress.loss_sum / progress.seen,
            "train_accuracy": 100.0 * progress.hits / progress.seen,
            "test_accuracy": None,
        }
        if held_out and self.dataset.validation is not None:
            entry["validation_accuracy"] = self._accuracy(self.dataset.validation) if due or last else None
        elif due and not last:  # after the last epoch the test set is evaluated by `finish`
            entry["test_accuracy"] = self._accuracy(self.dataset.test)
        progress.history.append(entry)
        self.progress = Progress(step=progress.step, epoch=progress.epoch + 1, history=progress.history)
        self._fetch_sums_from_progress()

    def finish(self) -> Outcome:
        """The final evaluation on the test set: the number that counts, and the only look at it if one is held out."""
        predictions = self.predict(self.dataset.test)
        accuracy = _percent_equal(predictions, self.dataset.test.labels)
        history = [dict(entry) for entry in self.progress.history]
        history[-1]["test_accuracy"] = accuracy
        digests = {
            "weights": digest(self.model.state_dict().items()),
            "momentum": digest(momentum_of(self.model, self.optimizer)),
        }
        return Outcome("done", self.progress.step, history, "", accuracy, predictions, digests)

    def predict(self, split: Split) -> NDArray[np.int64]:
        """The class of each image, int64 (n,): in fp32 and evaluation mode. Raises Diverged on logits not finite."""
        self.model.eval()
        answers, finite = [], torch.ones((), dtype=torch.bool, device=self.device)
        with torch.inference_mode():
            for images, _ in test_batches(split, self.dataset, self.data_spec, self.spec.batch_size, self.device):
                logits = self.model(images)
                answers.append(logits.argmax(1))
                finite &= logits.isfinite().all()
                if self.while_evaluating:
                    self.while_evaluating(self.progress, self.capture)
        if not finite.item():
            raise Diverged(f"the network's answers are not finite after step {self.progress.step}")
        classes: NDArray[np.int64] = torch.cat(answers).cpu().numpy()
        return classes

    def _accuracy(self, split: Split) -> float:
        return _percent_equal(self.predict(split), split.labels)

    def capture(self) -> dict[str, bytes] | None:
        """The state as bytes; None where a weight is not finite (the next loss will tell). Raises Diverged."""
        self._look_at_sums()
        floats = [tensor for tensor in self.model.state_dict().values() if tensor.is_floating_point()]
        if not torch.stack([tensor.isfinite().all() for tensor in floats]).all().item():
            return None
        return render(self.model, self.optimizer, self.progress)

    def resume(self, start: dict[str, bytes]) -> None:
        """Go on from a captured state."""
        self.progress = restore(start, self.model, self.optimizer)
        self._fetch_sums_from_progress()

    def _look_at_sums(self) -> None:
        """Bring the sums from the device: the only place in training that waits for it."""
        self.progress.loss_sum, self.progress.hits = self.loss_sum.item(), int(self.hits.item())
        if not math.isfinite(self.progress.loss_sum):
            raise Diverged(f"the loss is {self.progress.loss_sum} at step {self.progress.step}")

    def _fetch_sums_from_progress(self) -> None:
        self.loss_sum.fill_(self.progress.loss_sum)
        self.hits.fill_(self.progress.hits)


def _percent_equal(answers: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    return 100.0 * int((answers == labels).sum()) / len(labels)
