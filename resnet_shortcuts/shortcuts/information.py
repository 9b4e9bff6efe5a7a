"""How much of the input a decoder can get back: explained variance of the best linear reconstruction, held out.

Gradient coverage and energy are not information. Option A sees a quarter of the pixels, and on a smooth field the other
three quarters follow from those to nine tenths.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from resnet_shortcuts import streams
from resnet_shortcuts.shortcuts.declared import CORRELATION


@lru_cache(maxsize=4)
def smooth_fields(count: int, channels: int, size: int, seed: int) -> Tensor:
    """Gaussian fields (count, channels, size, size), float64, of variance 1 and correlation 0.9^(|dx| + |dy|)."""
    lags = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    root = np.linalg.cholesky(CORRELATION**lags)
    white = streams.numpy_stream("ar-field", seed, size).standard_normal((count, channels, size, size))
    return torch.from_numpy(np.einsum("ij,ncjk,lk->ncil", root, white, root))


def explained_variance(inputs: Tensor, outputs: Tensor, ridge: float = 1e-6) -> float:
    """The share of the inputs' variance that a ridge regression from the outputs explains on data it has not seen.

    Fitted on the first half of the samples, judged on the second: inputs (N, ...) and outputs (N, ...) are flattened
    and centred. ``ridge`` is relative to the outputs' mean variance. For operators that are not linear it is a lower
    bound of what a decoder could get.
    """
    x, y = (tensor.flatten(1).double() for tensor in (inputs, outputs))
    half = len(x) // 2
    centre_x, centre_y = x[:half].mean(0), y[:half].mean(0)
    x, y = x - centre_x, y - centre_y
    gram = y[:half].T @ y[:half] / half
    energy = float(gram.diagonal().mean())
    total = float(x[half:].square().sum())
    if not energy or not total:
        return 0.0
    gram.diagonal().add_(ridge * energy)
    decoder = torch.linalg.solve(gram, y[:half].T @ x[:half] / half)
    return 1 - float((x[half:] - y[half:] @ decoder).square().sum()) / total
