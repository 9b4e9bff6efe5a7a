"""The step that is measured: forward, loss, backward, update, on one batch that stays in memory.

The settings are those of the training workers: channels-last memory format, the precision of the run (bf16 by
autocast, evaluation always in fp32 and inference mode), SGD with momentum and weight decay, and the request's number of
threads, which on a CPU is one, because a sweep gives each worker one. The learning rate is 0: the arithmetic is alike,
and the weights stay where they are, so that the thousandth step costs what the first did (no overflow, no denormals).
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_shortcuts.cost.cost_request import CostRequest
from resnet_shortcuts.cost.timing import Clock, Turn
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.models.network_config import NetworkSpec
from resnet_shortcuts.models.networks import build_network, set_position
from resnet_shortcuts.shortcuts.catalogue import Strategy, find

CUDA_BLOCK = 50
"""Steps between two CUDA events: long enough that one synchronisation does not count."""


def build(request: CostRequest, network: str, shortcut: str) -> nn.Module:
    """The network of these labels with the strategy of that label, on the request's device, channels last."""
    strategy = strategy_of(request, shortcut)
    spec = network_spec(request.networks[network])
    channels = request.input_shape[0]
    model = build_network(spec, strategy, in_channels=channels, num_classes=request.num_classes, seed=request.seed)
    model.to(device=request.device)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def network_spec(described: str | dict[str, Any]) -> NetworkSpec:
    """The network that a label of the request stands for. Raises UsageError."""
    try:
        return NetworkSpec.model_validate(described)
    except ValidationError as problem:
        why = str(problem.errors()[0]["msg"]).removeprefix("Value error, ")
        raise UsageError(why, "networks") from problem


def strategy_of(request: CostRequest, shortcut: str) -> Strategy:
    """The strategy that a label of the request stands for. Raises UsageError."""
    return find(request.shortcuts[shortcut], None if request.base is None else Path(request.base))


def check(request: CostRequest) -> None:
    """Raises UsageError if a network or a strategy of the request does not exist."""
    for described in request.networks.values():
        network_spec(described)
    for shortcut in request.shortcuts:
        strategy_of(request, shortcut)


def batch(request: CostRequest, size: int) -> tuple[Tensor, Tensor]:
    """Images (size, C, H, W) float32 channels last, drawn from N(0, 1), and labels (size,) int64, on the device."""
    generator = torch.Generator().manual_seed(request.seed)
    images = torch.randn(size, *request.input_shape, generator=generator)
    labels = torch.randint(request.num_classes, (size,), generator=generator)
    return images.to(request.device, memory_format=torch.channels_last), labels.to(request.device)


def loss_of(model: nn.Module, images: Tensor, labels: Tensor, precision: str, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of one batch, a scalar; the network under bf16 autocast where asked for, the loss in fp32."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
        logits = model(images)
    return F.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)


def optimizer_of(request: CostRequest, model: nn.Module) -> torch.optim.Optimizer:
    """SGD as the recipe asks for it, at learning rate 0."""
    momentum, decay = request.momentum, request.weight_decay
    nesterov = request.nesterov and momentum > 0
    fused = request.device_type == "cuda"  # as in training
    return torch.optim.SGD(
        model.parameters(), lr=0.0, momentum=momentum, nesterov=nesterov, weight_decay=decay, fused=fused
    )


def training_step(
    request: CostRequest, model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor
) -> Callable[[], None]:
    """A function that does one training step on this batch."""
    model.train()
    done = 0

    def step() -> None:
        nonlocal done
        set_position(model, request.seed, done)
        done += 1
        optimizer.zero_grad(set_to_none=True)
        loss_of(model, images, labels, request.precision, request.label_smoothing).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


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


def cuda_turn(step: Callable[[], None], steps: int = CUDA_BLOCK) -> Turn:
    """A turn of `steps` steps between two CUDA events, with one synchronisation at the end; seconds per step."""

    def turn() -> float:
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        first.record()
        for _ in range(steps):
            step()
        last.record()
        last.synchronize()
        return float(first.elapsed_time(last)) / 1000 / steps

    return turn
