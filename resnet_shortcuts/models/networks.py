"""Building a network: blocks from its architecture, shortcuts from the strategy, weights from keyed streams."""

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_shortcuts import random_streams
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.models.blocks import BLOCKS, Block, convolution
from resnet_shortcuts.models.dead_channels import dead_channels
from resnet_shortcuts.models.network_config import Architecture, NetworkSpec
from resnet_shortcuts.shortcuts.building import build_shortcut
from resnet_shortcuts.shortcuts.catalogue import Strategy
from resnet_shortcuts.shortcuts.site import Site


class ResidualNetwork(nn.Module):
    """Stem, stages of residual blocks, global average, linear classifier; parameters are named as torchvision does.

    Post-activation nets have BN and ReLU after the stem's convolution; pre-activation nets too (the paper counts them
    as the first block's) and again before the average; PyramidNets have BN alone after the stem.
    """

    def __init__(self, architecture: Architecture, strategy: Strategy, in_channels: int, num_classes: int) -> None:
        super().__init__()
        width = architecture.width
        self.conv1, self.pool = _stem(architecture.stem, in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        kind = BLOCKS[architecture.block]
        self.relu_in_stem = architecture.alpha is None
        channels, index = width, 0
        self.stages: list[str] = []
        for stage, count in enumerate(architecture.blocks):
            blocks = nn.Sequential()
            for position in range(count):
                block_width = architecture.block_width(stage, index)
                stride = 2 if stage and not position else 1
                site = Site(
                    channels, block_width * kind.expansion, stride, index, architecture.total, kind.preactivation
                )
                make = cast("Callable[..., Block]", kind)
                blocks.append(
                    make(
                        channels,
                        block_width,
                        stride,
                        build_shortcut(strategy, site),
                        first=index == 0,
                        stride_first=architecture.stride_first,
                    )
                )
                channels, index = site.out_channels, index + 1
            self.stages.append(f"layer{stage + 1}")
            self.add_module(self.stages[-1], blocks)
        self.norm = nn.BatchNorm2d(channels) if kind.preactivation else None
        self.fc = nn.Linear(channels, num_classes)
        #: Modules that draw at random, see ``set_position``.
        self.random_modules = [module for module in self.modules() if hasattr(module, "set_position")]

    def blocks(self) -> list[tuple[str, Block]]:
        """Every residual block with its name, in order."""
        return [(name, module) for name, module in self.named_modules() if isinstance(module, Block)]

    def features(self, x: Tensor) -> Tensor:
        """Return what the last stage gives, (N, C, h, w)."""
        x = self.bn1(self.conv1(x))
        x = self.pool(F.relu(x, inplace=True) if self.relu_in_stem else x)
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        return x if self.norm is None else F.relu(self.norm(x), inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, classes) for images (N, C, H, W)."""
        return self.fc(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))  # type: ignore[no-any-return]


def _stem(kind: str, in_channels: int, width: int) -> tuple[nn.Module, nn.Module]:
    """The first convolution(s), before BN and ReLU, and the pool after them."""
    if kind == "cifar":
        return convolution(in_channels, width, 3), nn.Identity()
    pool = nn.MaxPool2d(3, 2, padding=1)
    if kind == "imagenet":
        return convolution(in_channels, width, 7, 2), pool
    half = max(width // 2, 1)
    deep: Sequence[nn.Module] = (
        convolution(in_channels, half, 3, 2), nn.BatchNorm2d(half), nn.ReLU(inplace=True),
        convolution(half, half, 3), nn.BatchNorm2d(half), nn.ReLU(inplace=True),
        convolution(half, width, 3),
    )  # fmt: skip
    return nn.Sequential(*deep), pool


@torch.no_grad()
def initialise(model: nn.Module, seed: int, prefix: str = "") -> None:
    """He initialisation: weights of convolutions and linear layers from N(0, 2 / fan_in), one stream a parameter.

    A stream is keyed by the seed and the parameter's name, so what two strategies share by name and shape starts equal.
    ``prefix`` is the model's own place in a larger one. Biases of linear layers start at 0; everything else keeps the
    value that its class gave it.
    """
    for path, module in model.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        name, weight = ".".join(filter(None, (prefix, path, "weight"))), module.weight
        draws = random_streams.numpy_stream("init", seed, name).standard_normal(weight.numel(), dtype="float32")
        weight.copy_(torch.from_numpy(draws).reshape(weight.shape) * math.sqrt(2 / weight[0].numel()))
        if isinstance(module, nn.Linear) and module.bias is not None:
            module.bias.zero_()


def _start_last_norms_at_zero(model: ResidualNetwork, spec: NetworkSpec, strategy: Strategy, in_channels: int) -> None:
    """gamma = 0 in the last BN of every branch. Raises UsageError where that kills channels and nobody forces it."""
    for _, block in model.blocks():
        if block.last_norm is not None:
            nn.init.zeros_(block.last_norm.weight)
    if spec.zero_init == "force":
        return
    dead = {stage: counts for stage, counts in dead_channels(model, in_channels).items() if counts[0]}
    if dead:
        counts = ", ".join(f"{count} of {total} in {stage}" for stage, (count, total) in dead.items())
        raise UsageError(
            f"zero_init with shortcut '{strategy.name}' leaves channels that can never learn",
            f"{spec.name}: {counts}",
            "take a shortcut without zero channels, or zero_init: force",
        )


def build_network(
    spec: NetworkSpec | str, strategy: Strategy, *, in_channels: int, num_classes: int, seed: int
) -> ResidualNetwork:
    """The network of ``spec`` with this strategy's shortcuts, initialised for ``seed`` without any global random state.

    Raises UsageError where the strategy cannot serve one of the network's blocks, and where ``zero_init`` would leave
    channels dead for ever.
    """
    spec = NetworkSpec.model_validate(spec)
    # The classes' own initialisation draws from torch's global stream: it must not move, nor may anything depend on it.
    # The fixed seed is for custom strategies whose parameters no keyed stream knows.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_streams.key64("init", seed))
        model = ResidualNetwork(spec.architecture, strategy, in_channels, num_classes)
    initialise(model, seed)
    if spec.zero_init:
        _start_last_norms_at_zero(model, spec, strategy, in_channels)
    return model


def check_network(
    spec: NetworkSpec | str, strategy: Strategy, *, in_channels: int, num_classes: int
) -> ResidualNetwork:
    """The network on the meta device, which has shapes but no values, in milliseconds.

    Raises what `build_network` would raise. Runs a custom strategy's code, and checks its contract.
    """
    spec = NetworkSpec.model_validate(spec)
    if spec.zero_init is True:
        build_network(spec, strategy, in_channels=in_channels, num_classes=num_classes, seed=0)
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return ResidualNetwork(spec.architecture, strategy, in_channels, num_classes)


def set_position(model: nn.Module, seed: int, step: int) -> None:
    """Tell modules that draw at random where in the run they are: a draw depends on (seed, step, site) alone."""
    for module in cast("list[Any]", getattr(model, "random_modules", ())):
        module.set_position(seed, step)
