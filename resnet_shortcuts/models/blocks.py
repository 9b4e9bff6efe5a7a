"""Residual blocks: each computes its branch and lets a shortcut join it to the block's input; it never adds itself."""

import torch.nn.functional as F
from torch import Tensor, nn

from resnet_shortcuts.shortcuts.contract import Shortcut


def convolution(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias, padded so that only the stride changes the size."""
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)


class BasicBlock(nn.Module):
    """relu(shortcut(x, branch(x))) with branch = 3x3, BN, ReLU, 3x3, BN (He et al. 2015)."""

    expansion = 1

    def __init__(
        self, in_channels: int, width: int, stride: int, shortcut: Shortcut, *, stride_first: bool = False
    ) -> None:
        super().__init__()
        self.conv1 = convolution(in_channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = shortcut

    def branch(self, x: Tensor) -> Tensor:
        """Return the residual branch, (N, width, ceil(H/s), ceil(W/s))."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.bn2(self.conv2(x))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, (N, width, ceil(H/s), ceil(W/s))."""
        return F.relu(self.shortcut(x, self.branch(x)))


class BottleneckBlock(nn.Module):
    """relu(shortcut(x, branch(x))) with branch = 1x1, BN, ReLU, 3x3, BN, ReLU, 1x1 to 4 x width, BN (He 2015)."""

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, shortcut: Shortcut, *, stride_first: bool = False
    ) -> None:
        super().__init__()
        self.conv1 = convolution(in_channels, width, 1, stride if stride_first else 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3, 1 if stride_first else stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = convolution(width, self.expansion * width, 1)
        self.bn3 = nn.BatchNorm2d(self.expansion * width)
        self.shortcut = shortcut

    def branch(self, x: Tensor) -> Tensor:
        """Return the residual branch, (N, 4 * width, ceil(H/s), ceil(W/s))."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        return self.bn3(self.conv3(x))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, (N, 4 * width, ceil(H/s), ceil(W/s))."""
        return F.relu(self.shortcut(x, self.branch(x)))


BLOCKS: dict[str, type[BasicBlock] | type[BottleneckBlock]] = {"basic": BasicBlock, "bottleneck": BottleneckBlock}
