"""Building a network: blocks from its architecture, shortcuts from the strategy, weights from keyed streams."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_shortcuts import streams
from resnet_shortcuts.models.blocks import BLOCKS, convolution
from resnet_shortcuts.models.spec import Architecture, NetworkSpec
from resnet_shortcuts.shortcuts.build import build_shortcut
from resnet_shortcuts.shortcuts.catalogue import Strategy
from resnet_shortcuts.shortcuts.contract import Site


class ResidualNetwork(nn.Module):
    """Stem, stages of residual blocks, global average, linear classifier; parameters are named as torchvision does."""

    def __init__(self, architecture: Architecture, strategy: Strategy, in_channels: int, num_classes: int) -> None:
        super().__init__()
        width = architecture.width
        self.conv1, self.pool = _stem(architecture.stem, in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        block, total = BLOCKS[architecture.block], sum(architecture.blocks)
        self.stages: list[str] = []
        channels, index = width, 0
        for stage, count in enumerate(architecture.blocks):
            blocks = nn.Sequential()
            for position in range(count):
                stage_width = width * 2**stage
                stride = 2 if stage and not position else 1
                site = Site(channels, stage_width * block.expansion, stride, index, total)
                shortcut = build_shortcut(strategy, site)
                blocks.append(block(channels, stage_width, stride, shortcut, stride_first=architecture.stride_first))
                channels, index = site.out_channels, index + 1
            self.stages.append(f"layer{stage + 1}")
            self.add_module(self.stages[-1], blocks)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, classes) for images (N, C, H, W)."""
        x = self.pool(F.relu(self.bn1(self.conv1(x)), inplace=True))
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


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
def initialise(model: nn.Module, seed: int) -> None:
    """He initialisation: weights of convolutions and linear layers from N(0, 2 / fan_in), one stream a parameter.

    A stream is keyed by the seed and the parameter's name, so what two strategies share by name and shape starts equal.
    Biases of linear layers start at 0; everything else keeps the value that its class gave it.
    """
    for path, module in model.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        name, weight = f"{path}.weight".lstrip("."), module.weight
        draws = streams.numpy_stream("init", seed, name).standard_normal(weight.numel(), dtype="float32")
        values = torch.from_numpy(draws).reshape(weight.shape) * math.sqrt(2 / weight[0].numel())
        weight.copy_(values)
        if isinstance(module, nn.Linear) and module.bias is not None:
            module.bias.zero_()


def build_network(
    spec: NetworkSpec | str, strategy: Strategy, *, in_channels: int, num_classes: int, seed: int
) -> ResidualNetwork:
    """The network of ``spec`` with this strategy's shortcuts, initialised for ``seed`` without any global random state.

    Raises UsageError where the strategy cannot serve one of the network's blocks.
    """
    spec = NetworkSpec.model_validate(spec)
    # The classes' own initialisation draws from torch's global stream; nothing here may depend on it or move it.
    with torch.random.fork_rng(devices=[]):
        model = ResidualNetwork(spec.architecture, strategy, in_channels, num_classes)
    initialise(model, seed)
    return model


def set_position(model: nn.Module, seed: int, step: int) -> None:
    """Tell modules that draw at random where in the run they are: a draw depends on (seed, step, site) alone."""
