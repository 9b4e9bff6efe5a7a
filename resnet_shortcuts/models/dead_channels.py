"""Dead channels: those that a network with zero-initialised branches can never train.

Part of building, not of the property checks: a network refuses ``zero_init`` where it leaves channels dead.
"""

import copy
import re

import torch
from torch import Tensor, nn

from resnet_shortcuts import random_streams

_BATCHES = 2


def _images(in_channels: int, size: int, batch: int) -> Tensor:
    draws = random_streams.numpy_stream("dead-channels", batch).standard_normal(
        (8, in_channels, size, size), dtype="float32"
    )
    return torch.from_numpy(draws)


def dead_channels(model: nn.Module, in_channels: int, size: int = 32) -> dict[str, tuple[int, int]]:
    """Channels a stage that get no gradient, as {stage: (dead, all)}; the model itself stays as it is.

    A channel is dead when, on random images in training mode, gamma and beta of the last BN have zero gradient in
    that channel in every block of the stage. Where a ReLU follows the join and the shortcut brings zeros, relu(0 + 0)
    = 0 has gradient 0: nothing, weight decay included, ever moves such a channel. In ResNet-20 with option A and last
    gammas of 0 these are the 16 zero channels of the second stage and, with the 32 new ones, 48 of 64 in the third.
    """
    model = copy.deepcopy(model).train()
    for module in model.modules():
        if hasattr(module, "set_position"):
            module.eval()  # what a random draw zeroes in one step is not dead
    for batch in range(_BATCHES):
        logits = model(_images(in_channels, size, batch))
        (-logits.log_softmax(1)[:, 0].sum()).backward()
    alive: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        norm = getattr(module, "last_norm", None)
        stage = re.match(r"layer\d+", name)
        if not isinstance(norm, nn.BatchNorm2d) or stage is None or norm.weight.grad is None or norm.bias.grad is None:
            continue
        moved = (norm.weight.grad != 0) | (norm.bias.grad != 0)
        before = alive.get(stage[0])
        if before is None:
            alive[stage[0]] = moved
        elif before.shape == moved.shape:
            alive[stage[0]] = before | moved
    return {name: (int((~moved).sum()), moved.numel()) for name, moved in alive.items()}
