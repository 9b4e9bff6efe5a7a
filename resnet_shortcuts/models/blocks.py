"""Residual blocks: each computes its branch and lets a shortcut join it to the block's input; it never adds itself.

Parameters are named as in torchvision. ``Block(in_channels, width, stride, shortcut, first=..., stride_first=...)``
is the one way to build them; ``first`` marks the first block of a network.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from resnet_shortcuts.shortcuts.channel_modules import Pointwise
from resnet_shortcuts.shortcuts.contract import Shortcut


def convolution(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias, padded so that only the stride changes the size."""
    if kernel == 1:
        return Pointwise(in_channels, out_channels, stride)
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)


def relu_of(norm: nn.Module, x: Tensor) -> Tensor:
    """relu(norm(x)), in place on what ``norm`` returned (whose backward reads its input, not its output)."""
    return F.relu(norm(x), inplace=True)


class Block(nn.Module):
    """What every block has: its shortcut, and how many channels it gives for a width of 1.

    ``preactivation`` says that the block normalises before it convolves, ``norm_first`` and ``norm_last`` that a
    network of such blocks needs BN and ReLU after its stem and before its classifier.
    """

    expansion = 1
    preactivation = False

    def __init__(self, shortcut: Shortcut) -> None:
        super().__init__()
        self.shortcut = shortcut

    @property
    def last_norm(self) -> nn.BatchNorm2d | None:
        """The BN that ends the branch, if one does."""
        return None


class BasicBlock(Block):
    """relu(shortcut(x, branch(x))) with branch = 3x3, BN, ReLU, 3x3, BN (He et al. 2015)."""

    def __init__(
        self, in_channels: int, width: int, stride: int, shortcut: Shortcut, *, first: bool, stride_first: bool
    ) -> None:
        super().__init__(shortcut)
        self.conv1 = convolution(in_channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The BN that ends the branch."""
        return self.bn2

    def branch(self, x: Tensor) -> Tensor:
        """Return the residual branch, (N, width, ceil(H/s), ceil(W/s))."""
        return self.bn2(self.conv2(relu_of(self.bn1, self.conv1(x))))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, (N, width, ceil(H/s), ceil(W/s))."""
        return F.relu(self.shortcut(x, self.branch(x)))


class BottleneckBlock(Block):
    """relu(shortcut(x, branch(x))) with branch = 1x1, BN, ReLU, 3x3, BN, ReLU, 1x1 to 4 x width, BN (He 2015)."""

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, shortcut: Shortcut, *, first: bool, stride_first: bool
    ) -> None:
        super().__init__(shortcut)
        self.conv1 = convolution(in_channels, width, 1, stride if stride_first else 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3, 1 if stride_first else stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = convolution(width, self.expansion * width, 1)
        self.bn3 = nn.BatchNorm2d(self.expansion * width)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The BN that ends the branch."""
        return self.bn3

    def branch(self, x: Tensor) -> Tensor:
        """Return the residual branch, (N, 4 * width, ceil(H/s), ceil(W/s))."""
        x = relu_of(self.bn2, self.conv2(relu_of(self.bn1, self.conv1(x))))
        return self.bn3(self.conv3(x))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, (N, 4 * width, ceil(H/s), ceil(W/s))."""
        return F.relu(self.shortcut(x, self.branch(x)))


class PreactivationBlock(Block):
    """shortcut(x or a, branch(a)) with a = relu(BN(x)): nothing follows the join (He et al. 2016).

    The shortcut gets ``x`` or ``a``, whichever it reads. The stem of the network already ends in BN and ReLU, which the
    paper counts as the first block's own: there a = x.
    """

    preactivation = True

    def __init__(self, in_channels: int, shortcut: Shortcut, *, first: bool) -> None:
        super().__init__(shortcut)
        self.bn1 = None if first else nn.BatchNorm2d(in_channels)

    def branch(self, a: Tensor) -> Tensor:
        """Return the residual branch of a pre-activated input."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, (N, C_out, ceil(H/s), ceil(W/s))."""
        a = x if self.bn1 is None else relu_of(self.bn1, x)
        return self.shortcut(a if self.shortcut.reads == "preactivated" else x, self.branch(a))  # type: ignore[no-any-return]


class PreactivationBasicBlock(PreactivationBlock):
    """Branch = (BN, ReLU,) 3x3, BN, ReLU, 3x3."""

    def __init__(
        self, in_channels: int, width: int, stride: int, shortcut: Shortcut, *, first: bool, stride_first: bool
    ) -> None:
        super().__init__(in_channels, shortcut, first=first)
        self.conv1 = convolution(in_channels, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3)

    def branch(self, a: Tensor) -> Tensor:
        """Return the residual branch, (N, width, ceil(H/s), ceil(W/s))."""
        return self.conv2(relu_of(self.bn2, self.conv1(a)))  # type: ignore[no-any-return]


class PreactivationBottleneckBlock(PreactivationBlock):
    """Branch = (BN, ReLU,) 1x1, BN, ReLU, 3x3, BN, ReLU, 1x1 to 4 x width."""

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, shortcut: Shortcut, *, first: bool, stride_first: bool
    ) -> None:
        super().__init__(in_channels, shortcut, first=first)
        self.conv1 = convolution(in_channels, width, 1, stride if stride_first else 1)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3, 1 if stride_first else stride)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv3 = convolution(width, self.expansion * width, 1)

    def branch(self, a: Tensor) -> Tensor:
        """Return the residual branch, (N, 4 * width, ceil(H/s), ceil(W/s))."""
        return self.conv3(relu_of(self.bn3, self.conv2(relu_of(self.bn2, self.conv1(a)))))  # type: ignore[no-any-return]


class PyramidBlock(Block):
    """shortcut(x, branch(x)) with branch = BN, 3x3, BN, ReLU, 3x3, BN (Han et al. 2017).

    A learned shortcut, which reads the pre-activated input, gets BN(x) here: no ReLU comes before the first
    convolution.
    """

    preactivation = True

    def __init__(
        self, in_channels: int, width: int, stride: int, shortcut: Shortcut, *, first: bool, stride_first: bool
    ) -> None:
        super().__init__(shortcut)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = convolution(in_channels, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3)
        self.bn3 = nn.BatchNorm2d(width)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The BN that ends the branch."""
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, (N, width, ceil(H/s), ceil(W/s))."""
        a = self.bn1(x)
        branch = self.bn3(self.conv2(relu_of(self.bn2, self.conv1(a))))
        return self.shortcut(a if self.shortcut.reads == "preactivated" else x, branch)  # type: ignore[no-any-return]


BLOCKS: dict[str, type[Block]] = {
    "basic": BasicBlock,
    "bottleneck": BottleneckBlock,
    "preactivation-basic": PreactivationBasicBlock,
    "preactivation-bottleneck": PreactivationBottleneckBlock,
    "pyramid": PyramidBlock,
}
