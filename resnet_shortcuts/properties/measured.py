"""Measuring what a strategy's operator does at a transition, without training and without knowing what it is."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_shortcuts import random_streams
from resnet_shortcuts.properties.declared import SIZE
from resnet_shortcuts.shortcuts.building import build_shortcut
from resnet_shortcuts.shortcuts.catalogue import Strategy
from resnet_shortcuts.shortcuts.contract import Shortcut
from resnet_shortcuts.shortcuts.site import Site

CHANNELS = 8  # n = 8 x 8 x 8 = 512: dense Jacobians stay small
_INITIALISATIONS = 24
_SAMPLES = 64


def white(seed: int, name: str, *shape: int) -> Tensor:
    """Standard normal numbers, float64, of the stream (seed, name)."""
    return torch.from_numpy(random_streams.numpy_stream("verify", seed, name).standard_normal(shape))


@torch.no_grad()
def initialised(strategy: Strategy, site: Site, seed: int) -> Shortcut:
    """The shortcut in float64 and training mode, weights by He's rule from keyed streams."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shortcut = build_shortcut(strategy, site).double().train()
    for name, module in shortcut.named_modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            module.weight.copy_(white(seed, f"{name}.weight", *module.weight.shape) * math.sqrt(2 / fan_in))
    return shortcut


def carry(shortcut: Shortcut, x: Tensor, channels: int, stride: int) -> Tensor:
    """The shortcut's own part of the join: joined to a residual of zeros."""
    height, width = (-(-side // stride) for side in x.shape[-2:])
    return shortcut(x, x.new_zeros(x.shape[0], channels, height, width))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Operator:
    """A strategy at the transition from C to 2C channels, stride 2, as a function of the input; no BN.

    BN is left out by asking for the site of a pre-activation net, where no shortcut has one.
    """

    strategy: Strategy
    channels: int = CHANNELS
    seed: int = 0

    @property
    def site(self) -> Site:
        """The transition."""
        return Site(self.channels, 2 * self.channels, 2, 1, 3, preactivation=True)

    def __call__(self, x: Tensor) -> Tensor:
        """Return what the shortcut brings, (N, 2C, H/2, W/2), for x (N, C, H, W) in float64."""
        return carry(initialised(self.strategy, self.site, self.seed), x, 2 * self.channels, 2)


@torch.no_grad()
def is_linear(operator: Callable[[Tensor], Tensor], x: Tensor, other: Tensor) -> bool:
    """Whether superposition holds for these inputs, to float64 accuracy: f(2x - 3y) = 2 f(x) - 3 f(y)."""
    left, right = operator(2 * x - 3 * other), 2 * operator(x) - 3 * operator(other)
    return bool(torch.allclose(left, right, rtol=1e-9, atol=1e-9 * max(1.0, float(right.abs().max()))))


@torch.no_grad()
def is_max_pool(operator: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Whether the operator gives a 1x1 max-pool of stride 2 (torch's) followed by zero channels, to the last bit."""
    y, channels = operator(x), x.shape[1]
    return torch.equal(y[:, :channels], F.max_pool2d(x, 1, 2)) and not bool(y[:, channels:].any())


def same_up_to_order(y: Tensor, other: Tensor) -> bool:
    """Whether two outputs (N, C, H, W) hold the same channels, each as often, in whatever order: to the last bit."""
    ours, theirs = (
        torch.unique(each.detach().transpose(0, 1).flatten(1), dim=0, return_counts=True) for each in (y, other)
    )
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def jacobian(operator: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The dense Jacobian (m, n) at one input (1, C, H, W)."""
    x = x.detach().clone().requires_grad_()
    y = operator(x)
    if not y.requires_grad:
        return torch.zeros(y.numel(), x.numel(), dtype=x.dtype)
    rows = []
    for index in range(y.numel()):
        (row,) = torch.autograd.grad(y.view(-1)[index], x, retain_graph=True)
        rows.append(row.flatten())
    return torch.stack(rows)


def coverage(operator: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """The share of input values that get a non-zero gradient for a random gradient at the output, over the batch x."""
    x = x.detach().clone().requires_grad_()
    y = operator(x)
    if not y.requires_grad:
        return 0.0
    (gradient,) = torch.autograd.grad(y, x, white(0, "output-gradient", *y.shape))
    return float((gradient != 0).double().mean())


@torch.no_grad()
def influence(operator: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """The share of input values of one image that can change the output: each is pushed far up and far down in turn."""
    count = x[:1].numel()
    # The unpushed image fills a batch of the same size, so that an operator that draws at random draws the same.
    base = operator(x[:1].expand(count, -1, -1, -1).contiguous())
    far = 1e3 * float(x.abs().max())
    reached = torch.zeros(count, dtype=torch.bool)
    for sign in (-1.0, 1.0):
        pushed = x[:1].flatten().repeat(count, 1)
        pushed.diagonal().fill_(sign * far)
        reached |= (operator(pushed.view(count, *x.shape[1:])) != base).flatten(1).any(1)
    return float(reached.double().mean())


def singular_values(matrix: Tensor) -> tuple[list[float], int]:
    """The distinct non-zero singular values (over six: least and greatest), and how many there are: the rank."""
    values = torch.linalg.svdvals(matrix)
    values = values[values > 1e-9 * max(1.0, float(values[0]))]
    distinct = sorted({round(float(value), 7) for value in values})
    return (distinct if len(distinct) <= 6 else [distinct[0], distinct[-1]]), len(values)


def gradient_gain(strategy: Strategy, site: Site, seed: int, learned: bool) -> tuple[float, float]:
    """E|J'g|^2 / |g|^2 for white g, to the input and to the branch: means over 64 images and, if learned, 24 inits."""
    to_input, to_branch, rounds = 0.0, 0.0, _INITIALISATIONS if learned else 1
    height = SIZE // site.stride
    for index in range(rounds):
        shortcut = initialised(strategy, site, seed + index)
        x = white(seed, f"gain-x-{index}", _SAMPLES, site.in_channels, SIZE, SIZE).requires_grad_()
        residual = white(seed, f"gain-r-{index}", _SAMPLES, site.out_channels, height, height).requires_grad_()
        g = white(seed, f"gain-g-{index}", *residual.shape)
        gradients = torch.autograd.grad(shortcut(x, residual), (x, residual), g, allow_unused=True)
        energies = [0.0 if gradient is None else float(gradient.square().sum()) for gradient in gradients]
        energy = float(g.square().sum())
        to_input, to_branch = to_input + energies[0] / energy / rounds, to_branch + energies[1] / energy / rounds
    return to_input, to_branch


def _shifted(x: Tensor) -> Iterator[Tensor]:
    for shifts, dims in ((1, 2), (1, 3), ((1, 1), (2, 3))):
        yield torch.roll(x, shifts, dims)


@torch.no_grad()
def shift_behaviour(operator: Callable[[Tensor], Tensor], x: Tensor) -> str:
    """Whether each output channel's spatial mean survives circular shifts of one pixel.

    'yes' for every image, 'interior' for those that are zero near the border, 'low-pass half' for the first half of the
    the output channels only, else 'no'.
    """
    inner = torch.zeros_like(x)
    inner[..., 3:-3, 3:-3] = x[..., 3:-3, 3:-3]

    def kept(image: Tensor) -> Tensor:
        before = operator(image).mean((2, 3))
        changes = [(operator(shifted).mean((2, 3)) - before).abs().amax(0) for shifted in _shifted(image)]
        return torch.stack(changes).amax(0) < 1e-9

    whole = kept(x)
    if whole.all():
        return "yes"
    if kept(inner).all():
        return "interior"
    half = len(whole) // 2
    return "low-pass half" if whole[:half].all() and not whole[half:].any() else "no"
