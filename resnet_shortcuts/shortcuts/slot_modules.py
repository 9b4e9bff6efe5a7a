"""Shortcuts as modules of one input, laid out as torchvision and timm lay out a block's ``downsample``."""

from torch import Tensor, nn

from resnet_shortcuts.shortcuts.channel_modules import Convolution
from resnet_shortcuts.shortcuts.site import Site


class Zeros(nn.Module):
    """Zeros of the shape that the branch has: no shortcut."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.out_channels, self.stride = site.out_channels, site.stride

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros, (N, C_out, ceil(H/s), ceil(W/s))."""
        height, width = (-(-side // self.stride) for side in x.shape[-2:])
        return x.new_zeros(x.shape[0], self.out_channels, height, width)


class Scale(nn.Module):
    """A constant times the input."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Return ``factor * x``."""
        return x * self.factor


def in_slot(operation: nn.Module | None, scale: float = 1.0) -> nn.Module:
    """``scale * operation(x)`` as one module; None stands for the identity.

    A convolution becomes ``Sequential(pool, convolution, normalisation)`` without what is missing, so that the
    parameters of B are named as torchvision's ``downsample`` and those of D as timm's.
    """
    module: nn.Module = nn.Identity() if operation is None else operation
    if isinstance(module, Convolution) and module.windows == 1:
        parts = (module.pool, module.conv, module.bn)
        module = nn.Sequential(*(part for part in parts if part is not None))
    return module if scale == 1 else nn.Sequential(module, Scale(scale))
