"""Augmentation of whole batches: no loop over images. Shapes: x is (B, H, W, C) float32, contiguous, as images are
stored."""

import functools
import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from resnet_shortcuts.random_streams import numpy_stream

DRAWS = 8
"""Uniform numbers a sample and epoch: 0, 1 offsets; 2 flip; 3 area, 4 aspect, 5, 6 place of a resized crop; 7 spare."""

_LOG_ASPECT = math.log(4 / 3)


def _areas_that_fit(knots: int = 1025) -> NDArray[np.float64]:
    """Quantiles (knots,) of the area of a cut: uniform in 8 to 100 %, weighted by the chance that its aspect ratio
    fits."""
    area = np.linspace(0.08, 1, 8193)
    fits = np.minimum(1, -np.log(area) / _LOG_ASPECT)
    cumulated = np.concatenate([[0], np.cumsum((fits[1:] + fits[:-1]) / 2)])
    return np.interp(np.linspace(0, 1, knots), cumulated / cumulated[-1], area)


_AREAS = _areas_that_fit()


@functools.lru_cache(maxsize=4)
def _areas_on(device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """The quantiles on a device, moved there once."""
    return torch.from_numpy(_AREAS).to(device, dtype)


def draws(seed: int, epoch: int, samples: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), (samples, DRAWS): row i belongs to sample i of the part, whatever the subset."""
    return numpy_stream(seed, "augment", epoch).random((samples, DRAWS))


def pad(x: torch.Tensor, margin: int) -> torch.Tensor:
    """Zeros (after normalising: the mean) around each image: (B, H + 2 margin, W + 2 margin, C)."""
    batch, height, width, channels = x.shape
    padded = x.new_zeros((batch, height + 2 * margin, width + 2 * margin, channels))
    padded[:, margin : margin + height, margin : margin + width] = x
    return padded


def crop(
    x: torch.Tensor, size: int, top: torch.Tensor, left: torch.Tensor, mirrored: torch.Tensor | None = None
) -> torch.Tensor:
    """Cut (B, size, size, C) out of x at each image's own ``top`` and ``left`` (B,), reversed left to right where
    ``mirrored`` (B,) bool is true: one gather of whole pixels.
    """
    batch, height, width, channels = x.shape
    steps = torch.arange(size, device=x.device)
    across = steps.expand(batch, size)
    if mirrored is not None:
        across = torch.where(mirrored[:, None], size - 1 - across, across)
    rows = (torch.arange(batch, device=x.device) * height + top)[:, None] + steps
    pixels = (rows * width)[:, :, None] + (left[:, None] + across)[:, None, :]
    return x.reshape(-1, channels).index_select(0, pixels.view(-1)).view(batch, size, size, channels)


def centre_crop(x: torch.Tensor, size: int) -> torch.Tensor:
    """The middle (B, size, size, C) of x."""
    top, left = (x.shape[1] - size) // 2, (x.shape[2] - size) // 2
    return x[:, top : top + size, left : left + size].contiguous()


def flip(x: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
    """x with those images left-right reversed for which ``mirrored`` (B,) bool is true."""
    return torch.where(mirrored[:, None, None, None], x.flip(2), x)


def random_resized_crop(x: torch.Tensor, size: int, u: torch.Tensor) -> torch.Tensor:
    """Cut 8 to 100 % of the area at an aspect ratio of 3/4 to 4/3 and resize (bilinear) to (B, size, size, C).

    ``u`` (B, 4) uniform in [0, 1): area, aspect, vertical and horizontal place. The distribution is that of
    torchvision's RandomResizedCrop (Szegedy et al. 2015), which draws again what does not fit; here the draw is from
    what fits.
    """
    table = _areas_on(u.device, u.dtype)
    position = u[:, 0] * (len(_AREAS) - 1)
    knot = position.long().clamp(max=len(_AREAS) - 2)
    area = torch.lerp(table[knot], table[knot + 1], position - knot)
    widest = (-area.log()).clamp(min=0, max=_LOG_ASPECT)
    aspect = torch.exp((2 * u[:, 1] - 1) * widest)
    width, height = (area * aspect).sqrt(), (area / aspect).sqrt()
    centre_y = (2 * u[:, 2] - 1) * (1 - height)
    centre_x = (2 * u[:, 3] - 1) * (1 - width)
    zero = torch.zeros_like(width)
    theta = torch.stack([width, zero, centre_x, zero, height, centre_y], 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, [len(x), x.shape[3], size, size], align_corners=False)
    cut = F.grid_sample(x.permute(0, 3, 1, 2), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return cut.permute(0, 2, 3, 1).contiguous()
