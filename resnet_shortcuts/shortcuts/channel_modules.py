"""The modules of the channel operations, and of the convolutions that take a spatial operation along."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_shortcuts.shortcuts.site import Site
from resnet_shortcuts.shortcuts.spatial_modules import phases, to_whole_windows


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

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.copies = site.out_channels // site.in_channels

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
        self.conv = (
            Pointwise(in_channels, out_channels, stride)
            if kernel == 1
            else nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False)
        )
        self.bn = nn.BatchNorm2d(out_channels) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C_out, ceil(H/s), ceil(W/s))."""
        x = x if self.pool is None else self.pool(x)
        x = self.conv(to_whole_windows(x, self.windows))
        return x if self.bn is None else self.bn(x)


def convolution(site: Site, norm: bool, **options: Any) -> Convolution:
    """A `Convolution` from the site's input channels to its output channels."""
    return Convolution(site.in_channels, site.out_channels, norm=norm, **options)


def strided_convolution(site: Site, norm: bool) -> Convolution:
    """A 1x1 convolution that takes the stride itself."""
    return convolution(site, norm, stride=site.stride)


def window_convolution(site: Site, norm: bool) -> Convolution:
    """An s x s convolution of stride s, which is space-to-depth followed by a 1x1 convolution."""
    return convolution(site, norm, kernel=site.stride, stride=site.stride)


def convolution3(site: Site, norm: bool) -> Convolution:
    """A 3x3 convolution of stride s and padding 1."""
    return convolution(site, norm, kernel=3, stride=site.stride, padding=1)


def depthwise_convolution(site: Site, norm: bool) -> Convolution:
    """A learned 3x3 filter a channel, stride s, padding 1, with a separate BN (GhostNet), then a 1x1 convolution."""
    channels = site.in_channels
    filters = nn.Conv2d(channels, channels, 3, site.stride, padding=1, groups=channels, bias=False)
    return convolution(site, norm, pool=nn.Sequential(filters, nn.BatchNorm2d(channels)) if norm else filters)


class Pointwise(nn.Conv2d):
    """A 1x1 convolution without bias that takes every s-th pixel itself where there are few input channels.

    oneDNN's weight gradient of a strided 1x1 convolution writes out of bounds with 6 or fewer channels, channels last
    (seen with torch 2.13 on an AVX2 processor); a stride-1 convolution of the strided pixels is the same and sound.
    """

    _SOUND = 8

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C_out, ceil(H/s), ceil(W/s))."""
        if self.in_channels >= self._SOUND or self.stride == (1, 1):
            return super().forward(x)
        return F.conv2d(F.avg_pool2d(x, 1, self.stride), self.weight)


class FactorizedReduce(nn.Module):
    """Half of the channels from x, half from x shifted by one pixel down and right, both strided; one BN after the cat.

    The shift (Shake-Shake; DARTS) lets the second half see pixels that the first misses. It fills in zeros, so that odd
    sizes give halves of equal size. An odd number of output channels gives the first half the extra one.
    """

    def __init__(self, site: Site, norm: bool) -> None:
        super().__init__()
        second = site.out_channels // 2
        self.conv1 = Pointwise(site.in_channels, site.out_channels - second, site.stride)
        self.conv2 = Pointwise(site.in_channels, second, site.stride)
        self.bn = nn.BatchNorm2d(site.out_channels) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C_out, ceil(H/s), ceil(W/s))."""
        x = torch.cat([self.conv1(x), self.conv2(F.pad(x, (-1, 1, -1, 1)))], 1)
        return x if self.bn is None else self.bn(x)


Bands = Callable[[list[Tensor], int], list[Tensor]]
"""From the four phases (0,0), (0,1), (1,0), (1,1) and the ratio C_out / C_in to what takes their place, in order."""


def kept_phases(phases: list[Tensor], ratio: int) -> list[Tensor]:
    """The phases (0,0), (1,1), (0,1), (1,0)."""
    a, b, c, d = phases
    return [a, d, b, c]


def means(phases: list[Tensor], ratio: int) -> list[Tensor]:
    """Means of four phases, of pairs of neighbours, or the phases themselves: as many as ``ratio`` (1, 2 or 4)."""
    a, b, c, d = phases
    if ratio == 1:
        return [(a + b + c + d) / 4]
    return [(a + b) / 2, (c + d) / 2] if ratio == 2 else phases


def haar_bands(phases: list[Tensor], ratio: int) -> list[Tensor]:
    """The orthonormal Haar bands: low-pass, horizontal, vertical and diagonal detail."""
    a, b, c, d = phases
    return [(a + b + c + d) / 2, (a - b + c - d) / 2, (a + b - c - d) / 2, (a - b - c + d) / 2]


class Reduction(nn.Module):
    """Space-to-depth at stride 2, reduced from 4 C_in to C_out channels without parameters.

    The ``bands`` follow each other, as many channels as the output has, then zeros if that is more than there are.
    """

    def __init__(self, site: Site, bands: Bands) -> None:
        super().__init__()
        self.bands, self.out_channels = bands, site.out_channels
        self.ratio = site.out_channels // site.in_channels
        self.pad = Pad(min(site.out_channels, 4 * site.in_channels), site.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C_out, ceil(H/2), ceil(W/2))."""
        needed = self.bands(phases(x, 2), self.ratio)[: -(-self.out_channels // x.shape[1])]
        joined = needed[0] if len(needed) == 1 else torch.cat(needed, 1)
        padded: Tensor = self.pad(joined[:, : self.out_channels])
        return padded


def pad(site: Site, both: bool = False) -> Pad:
    """Zero channels for a site."""
    return Pad(site.in_channels, site.out_channels, both)


def reduction(site: Site, bands: str) -> Reduction:
    """A `Reduction` to the bands of this name."""
    return Reduction(site, {"keep": kept_phases, "mean": means, "haar": haar_bands}[bands])
