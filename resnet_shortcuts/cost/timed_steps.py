"""The work that is measured: the training step of `training.step`, and inference, on one batch that stays in memory.

The settings are those of the training workers: channels-last memory format, the step and optimizer of the request
(inference always in fp32), and the request's number of threads, which on a CPU is one, because a sweep gives each
worker one. The learning rate is 0: the arithmetic is the same and the weights stay where they are, so that the
thousandth step costs what the first did (no overflow, no denormals).
"""

import itertools
import time
from collections.abc import Callable
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from resnet_shortcuts.cost.cost_request import CostRequest
from resnet_shortcuts.cost.timing import Clock, Turn
from resnet_shortcuts.errors import RscError, UsageError
from resnet_shortcuts.models.library_networks import build_model
from resnet_shortcuts.models.network_config import NetworkSpec
from resnet_shortcuts.models.networks import set_position
from resnet_shortcuts.shortcuts.catalogue import find
from resnet_shortcuts.training.step import WARM_UP, make_optimizer, make_step, random_batch

FAILURES = (RscError, MemoryError, RuntimeError, ValueError)
"""What a strategy that cannot be measured raises; torch reports an allocation that failed as a RuntimeError."""


def failure(request: CostRequest, problem: Exception) -> str:
    """The `error` of a row whose strategy raised one of `FAILURES`: the first line of what it says."""
    if isinstance(problem, RscError):
        return str(problem)
    why = (str(problem) or type(problem).__name__).splitlines()[0]
    return f"{why} (batch size {request.batch_size})"


def build(request: CostRequest, network: str, shortcut: str) -> nn.Module:
    """The network of these labels with the strategy of that label, on the request's device, channels last."""
    model = build_model(
        network_spec(request.networks[network]),
        find(request.shortcuts[shortcut]),
        in_channels=request.input_shape[0],
        num_classes=request.num_classes,
        seed=request.seed,
    )
    return model.to(device=request.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def network_spec(described: str | dict[str, Any]) -> NetworkSpec:
    """The network that a label of the request stands for. Raises UsageError."""
    try:
        return NetworkSpec.model_validate(described)
    except ValidationError as problem:
        why = str(problem.errors()[0]["msg"]).removeprefix("Value error, ")
        raise UsageError(why, "networks") from problem


def check(request: CostRequest) -> None:
    """Raises UsageError if a network or a strategy of the request does not exist."""
    for described in request.networks.values():
        network_spec(described)
    for reference in request.shortcuts.values():
        find(reference)


def batch(request: CostRequest, size: int) -> tuple[Tensor, Tensor]:
    """A `random_batch` of the request's images and labels, on its device."""
    return random_batch(size, request.input_shape, request.num_classes, seed=request.seed, device=request.device)


def training_step(
    request: CostRequest, model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor
) -> Callable[[], None]:
    """A function that does one training step on this batch, at learning rate 0."""
    step, positions = make_step(model.train(), optimizer, request.step), itertools.count()

    def train() -> None:
        set_position(model, request.seed, next(positions))
        step(images, labels, 0.0)

    return train


def warmed_up(
    request: CostRequest, network: str, shortcut: str, images: Tensor, labels: Tensor
) -> tuple[nn.Module, Callable[[], None]]:
    """A model and its training step, run until it is compiled and captured. Raises what may be among `FAILURES`."""
    model = build(request, network, shortcut)
    step = training_step(request, model, make_optimizer(model, request), images, labels)
    for _ in range(WARM_UP + 1 if request.engine == "graph" else 1):
        step()
    return model, step


def inference_step(model: nn.Module, images: Tensor) -> Callable[[], None]:
    """A function that evaluates this batch as training does, in fp32 and inference mode; sets the model to eval."""
    model.eval()

    def step() -> None:
        with torch.inference_mode():
            model(images)

    return step


def cpu_turn(step: Callable[[], None], steps: int, clock: Clock = time.perf_counter) -> Turn:
    """A turn of `steps` steps by the clock; returns seconds per step."""

    def turn() -> float:
        began = clock()
        for _ in range(steps):
            step()
        return (clock() - began) / steps

    return turn


def cuda_turn(step: Callable[[], None], steps: int, device: str = "cuda") -> Turn:
    """A turn of `steps` steps between two CUDA events of `device`, synchronized once at the end; seconds per step."""

    def turn() -> float:
        with torch.cuda.device(device):  # events are recorded on the current device's stream
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            first.record()
            for _ in range(steps):
                step()
            last.record()
            last.synchronize()
            return float(first.elapsed_time(last)) / 1000 / steps

    return turn
