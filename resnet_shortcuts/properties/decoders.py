"""What a decoder that is not linear gets back of an operator's input: a bound from below, raised by its width.

Of an operator that is not linear, such as a maximum over sparse activations, the best linear decoder gets much less
than there is. Here a small convolutional network learns what ridge regression leaves. It starts at zero, and is used
only where it helps on images that it was not fitted on. Where doubling its width still gains, there is more to be had:
the figure is a bound from below, not a value.
"""

import copy
import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_shortcuts import random_streams
from resnet_shortcuts.properties.information import ridge_decoder, smooth_fields
from resnet_shortcuts.properties.measured import Operator
from resnet_shortcuts.properties.operator_checks import row
from resnet_shortcuts.properties.property_row import DECODED, WIDTHS, PropertyRow
from resnet_shortcuts.shortcuts.catalogue import Strategy

SPARSE = 0.7
"""What is subtracted of a smooth field before its ReLU: three quarters of the values are zero then."""
_STEPS, _BATCH, _RATE, _CHECK = 160, 128, 8e-3, 20
_FITTED = 0.875  # of the half that decoders are fitted on; the rest chooses between them


def decoded_variance(inputs: Tensor, outputs: Tensor, widths: Sequence[int] = WIDTHS, seed: int = 0) -> list[float]:
    """The share of the inputs' variance that ridge regression plus a convolutional network explains, for each width.

    Inputs (N, C, H, W), outputs (N, C', H', W') with H' and W' dividing H and W. Fitted on the first half of the
    samples, judged on the second. The network has two 3x3 convolutions of so many channels and a 1x1 convolution that
    starts at zero; of its states, the one with the least error on the last eighth of the first half counts.
    """
    half = len(inputs) // 2
    x, y = inputs.detach().double(), outputs.detach().double()
    x, y = x - x[:half].mean(0), y - y[:half].mean(0)
    total = float(x[half:].square().sum())
    if not total or not bool(y[:half].any()):
        return [0.0 for _ in widths]
    fitted = int(_FITTED * half)
    rest = x - (y.flatten(1) @ ridge_decoder(x[:half].flatten(1), y[:half].flatten(1), fitted)).view_as(x)
    scale = float(rest[:fitted].std().clamp_min(1e-300))
    live = y[:half].abs().amax((0, 2, 3)) > 0
    features, targets = (y[:, live] / y[:fitted, live].std()).float(), (rest / scale).float()
    networks = [_fit(features[:half], targets[:half], fitted, width, seed) for width in widths]
    with torch.no_grad():
        errors = [float(F.mse_loss(net(features[half:]), targets[half:], reduction="sum")) for net in networks]
    return [1 - scale**2 * error / total for error in errors]


def _fit(x: Tensor, y: Tensor, fitted: int, width: int, seed: int) -> nn.Module:
    """The network that predicts y of x, fitted on the first samples and chosen by the others."""
    factor = y.shape[-1] // x.shape[-1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_streams.key64("decoder", seed))
        network = nn.Sequential(
            nn.Conv2d(x.shape[1], width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, y.shape[1] * factor**2, 1), nn.PixelShuffle(factor),
        )  # fmt: skip
    for parameter in network[4].parameters():
        nn.init.zeros_(parameter)
    optimizer = torch.optim.Adam(network.parameters(), lr=_RATE, fused=True)
    stream = random_streams.numpy_stream("decoder", seed)
    best, least = copy.deepcopy(network), float(y[fitted:].square().mean())
    for step in range(1, _STEPS + 1):
        chosen = torch.from_numpy(stream.integers(fitted, size=_BATCH))
        optimizer.param_groups[0]["lr"] = _RATE * (1 + math.cos(math.pi * step / _STEPS)) / 2
        optimizer.zero_grad()
        F.mse_loss(network(x[chosen]), y[chosen]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % _CHECK == 0:
            with torch.no_grad():
                loss = float(F.mse_loss(network(x[fitted:]), y[fitted:]))
            if loss < least:
                best, least = copy.deepcopy(network), loss
    return best


def verify_decoders(strategy: Strategy, windows: Mapping[str, Tensor], *, seed: int = 0) -> list[PropertyRow]:
    """`decoded_variance` at each width, of smooth fields, sparse ones, and ``windows`` of real images and activations.

    Sparse fields are what a ReLU leaves of smooth ones less 0.7, as what a shortcut reads behind a ReLU is sparse.
    """
    fields = smooth_fields(4000, 1, 8, seed)
    rows = []
    for on, x in {"smooth field": fields, "sparse field": (fields - SPARSE).relu(), **windows}.items():
        y = Operator(strategy, channels=x.shape[1], seed=seed)(x.double())
        for width, decoded in zip(WIDTHS, decoded_variance(x, y, seed=seed), strict=True):
            rows.append(row(strategy.name, DECODED.format(width), on, decoded))
    return rows
