"""Channel operations: what turns C_in channels into C_out, at the resolution that the spatial operation left."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_shortcuts.shortcuts.spatial import to_whole_windows


class Pad(nn.Module):
    """Zero channels, all at the end or split between both sides (then the odd one goes to the end)."""

    def __init__(self, in_channels: int, out_channels: int, both: bool = False) -> None:
        super().__init__()
        missing = out_channels - in_channels
        self.before = missing // 2 if both else 0
        self.after = missing - self.before

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C_out, H, W)."""
        if not self.before and not self.after:
            return x
        return F.pad(x, (0, 0, 0, 0, self.before, self.after))


class Duplicate(nn.Module):
    """The input concatenated with itself until there are C_out channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.copies = out_channels // in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, copies * C_in, H, W)."""
        return x if self.copies == 1 else torch.cat([x] * self.copies, 1)


class Convolution(nn.Module):
    """``pool`` if given, a convolution without bias and, if asked for, batch normalisation after it.

    Without padding and with a kernel as wide as the stride it is space-to-depth followed by a 1x1 convolution, in one
    pass; windows that overhang the border are filled with zeros.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm: bool,
        kernel: int = 1,
        stride: int = 1,
        padding: int = 0,
        pool: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.pool = pool
        self.windows = stride if kernel == stride and not padding else 1
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C_out, ceil(H/s), ceil(W/s))."""
        x = x if self.pool is None else self.pool(x)
        x = self.conv(to_whole_windows(x, self.windows))
        return x if self.bn is None else self.bn(x)
