"""How much of the input a decoder can get back: explained variance of the best linear reconstruction, held out.

Gradient coverage and energy are not information. Option A sees a quarter of the pixels, and on a smooth field the other
three quarters follow from those to nine tenths.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from resnet_shortcuts import random_streams
from resnet_shortcuts.properties.declared import CORRELATION


@lru_cache(maxsize=4)
def smooth_fields(count: int, channels: int, size: int, seed: int) -> Tensor:
    """Gaussian fields (count, channels, size, size), float64, of variance 1 and correlation 0.9^(|dx| + |dy|)."""
    lags = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    root = np.linalg.cholesky(CORRELATION**lags)
    white = random_streams.numpy_stream("ar-field", seed, size).standard_normal((count, channels, size, size))
    return torch.from_numpy(root @ white @ root.T)


_RIDGES = (1e-8, 1e-4, 1e-2, 1e-1, 1.0)


def _ridge(x: Tensor, y: Tensor) -> Callable[[float], Tensor]:
    """The decoder (outputs, inputs) of ridge regression of x on y, by the ridge in units of y's mean variance."""
    values, vectors = torch.linalg.eigh(y.T @ y / len(y))
    cross = vectors.T @ (y.T @ x / len(y))
    energy = float(values.mean().clamp_min(1e-300))
    return lambda ridge: vectors @ (cross / (values.clamp_min(0) + ridge * energy)[:, None])


def ridge_decoder(x: Tensor, y: Tensor, fitted: int) -> Tensor:
    """The linear decoder (outputs, inputs) of x (N, inputs) from y (N, outputs), both centred.

    Its ridge is the one whose decoder, fitted on the first ``fitted`` samples, has the least error on the others.
    """
    trial = _ridge(x[:fitted], y[:fitted])
    errors = {ridge: float((x[fitted:] - y[fitted:] @ trial(ridge)).square().sum()) for ridge in _RIDGES}
    return _ridge(x, y)(min(errors, key=errors.__getitem__))


def explained_variance(inputs: Tensor, outputs: Tensor) -> float:
    """The share of the inputs' variance that a ridge regression from the outputs explains on data it has not seen.

    Inputs (N, ...) and outputs (N, ...) are flattened and centred; the decoder is fitted on the first half of the
    samples (its ridge chosen on the last quarter of that half) and judged on the second. For operators that are not
    linear it is a lower bound of what a decoder could get.
    """
    x, y = (tensor.detach().flatten(1).double() for tensor in (inputs, outputs))
    half = len(x) // 2
    x, y = x - x[:half].mean(0), y - y[:half].mean(0)
    total = float(x[half:].square().sum())
    if not total or not bool(y[:half].any()):
        return 0.0
    decoder = ridge_decoder(x[:half], y[:half], 3 * half // 4)
    return 1 - float((x[half:] - y[half:] @ decoder).square().sum()) / total
