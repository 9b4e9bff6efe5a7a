"""Means and deviations of images, exact: counted in integers, so that they do not depend on the order of summation."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_BLOCK = 2**24


def of_images(images: NDArray[np.uint8], indices: NDArray[np.int64] | None = None) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each channel, (C,) each, of uint8 images (N, H, W, C), or of those at
    ``indices``."""
    channels = images.shape[3]
    histogram = np.zeros((channels, 256), np.int64)
    for block in _blocks(images, indices):
        for channel in range(channels):
            histogram[channel] += np.bincount(block[..., channel].reshape(-1), minlength=256)
    values = np.arange(256, dtype=np.float64)
    count = histogram.sum(axis=1)
    mean = histogram @ values / count
    variance = histogram @ values**2 / count - mean**2
    return mean, np.sqrt(np.maximum(variance, 0))


def pixel_mean(images: NDArray[np.uint8], indices: NDArray[np.int64]) -> Floats:
    """Mean (H, W, C) of the images (N, H, W, C) at ``indices``."""
    total: NDArray[Any] = np.zeros(images.shape[1:], np.int64)
    for block in _blocks(images, indices):
        total += block.sum(axis=0, dtype=np.int64)
    return total / len(indices)


def _blocks(images: NDArray[np.uint8], indices: NDArray[np.int64] | None) -> Iterator[NDArray[np.uint8]]:
    step = max(1, _BLOCK // int(np.prod(images.shape[1:])))
    count = len(images) if indices is None else len(indices)
    for start in range(0, count, step):
        yield images[start : start + step] if indices is None else images[indices[start : start + step]]
