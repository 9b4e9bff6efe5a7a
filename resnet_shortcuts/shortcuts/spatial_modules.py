"""The modules of the spatial operations, each in its fastest correct form."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_shortcuts.shortcuts.site import Site


def average(site: Site) -> nn.Module:
    """Means over s x s windows; a window that overhangs an odd border averages the pixels it has (timm, ResNet-D)."""
    return nn.AvgPool2d(site.stride, site.stride, ceil_mode=True, count_include_pad=False)


def average3(site: Site) -> nn.Module:
    """Means over 3 x 3 windows, padding 1; padding is not counted, so a constant stays what it is at the border too."""
    return nn.AvgPool2d(3, site.stride, padding=1, count_include_pad=False)


def maximum3(site: Site) -> nn.Module:
    """Maxima over 3 x 3 windows, padding 1 (the asker's proposal)."""
    return nn.MaxPool2d(3, site.stride, padding=1)


def maximum2(site: Site) -> nn.Module:
    """Maxima over s x s windows that do not overlap."""
    return nn.MaxPool2d(site.stride, site.stride, ceil_mode=True)


class Stride(nn.Module):
    """x[:, :, ::s, ::s]: keeps one pixel in s*s (the 'identity' of option A, He et al. 2015).

    Computed as an average over 1 x 1 pixels, which is the same to the last bit and the fastest of the equal forms
    (benchmarks/operators.py): indexing's backward fills a tensor of zeros, then copies into it.
    """

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.stride = site.stride

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, ceil(H/s), ceil(W/s))."""
        return F.avg_pool2d(x, 1, self.stride)


class Blur(nn.Module):
    """A binomial filter, then the stride (Zhang, 'Making Convolutional Networks Shift-Invariant Again', ICML 2019).

    The border is reflected as in the paper's code; a side too short to reflect repeats its last pixel.
    """

    def __init__(self, site: Site, taps: tuple[int, ...]) -> None:
        super().__init__()
        self.stride = site.stride
        self.before, self.after = (len(taps) - 1) // 2, len(taps) // 2
        line = torch.tensor(taps, dtype=torch.float32) / sum(taps)
        self.register_buffer("kernel", torch.outer(line, line)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the blurred and strided input, (N, C, ceil(H/s), ceil(W/s))."""
        channels = x.shape[1]
        mode = "reflect" if min(x.shape[-2:]) > self.after else "replicate"
        padded = F.pad(x, (self.before, self.after, self.before, self.after), mode=mode)
        kernel: Tensor = self.kernel  # type: ignore[assignment]  # a buffer
        return F.conv2d(padded, kernel.to(x.dtype).expand(channels, 1, -1, -1), stride=self.stride, groups=channels)


def to_whole_windows(x: Tensor, stride: int) -> Tensor:
    """``x`` with zero rows and columns at the end, until height and width are multiples of ``stride``."""
    height, width = x.shape[-2:]
    rows, columns = -height % stride, -width % stride
    return F.pad(x, (0, columns, 0, rows)) if rows or columns else x


def phases(x: Tensor, stride: int) -> list[Tensor]:
    """The s*s polyphase components x[:, :, i::s, j::s] in reading order, each (N, C, ceil(H/s), ceil(W/s))."""
    x = to_whole_windows(x, stride)
    return [x[:, :, i::stride, j::stride] for i in range(stride) for j in range(stride)]


class Polyphase(nn.Module):
    """Of the s*s polyphase components the one of largest L2 norm, image by image (Chaman & Dokmanic, CVPR 2021)."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.stride = site.stride

    def forward(self, x: Tensor) -> Tensor:
        """Return the chosen component of each image, (N, C, ceil(H/s), ceil(W/s))."""
        components = torch.stack(phases(x, self.stride), 1)
        norms = components.detach().float().square().sum((2, 3, 4))
        chosen = norms.argmax(1)[:, None, None, None, None].expand(-1, 1, *components.shape[2:])
        return components.gather(1, chosen).squeeze(1)
