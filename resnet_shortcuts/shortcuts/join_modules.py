"""The modules of the joins.

Every join takes ``operation``, what the shortcut does to ``x`` (None: nothing), the site, and constant factors of both
parts.
"""

import torch
from torch import Tensor, nn

from resnet_shortcuts import random_streams
from resnet_shortcuts.shortcuts.contract import Shortcut
from resnet_shortcuts.shortcuts.site import Site
from resnet_shortcuts.shortcuts.slot_modules import Zeros, in_slot


class Add(Shortcut):
    """``scale * operation(x) + branch_scale * residual``; a factor of 1 costs nothing."""

    def __init__(self, operation: nn.Module | None, site: Site, scale: float = 1.0, branch_scale: float = 1.0) -> None:
        super().__init__()
        self.operation = operation
        self.scale, self.branch_scale = scale, branch_scale

    def as_module(self) -> nn.Module:
        """The shortcut by itself, as `Shortcut.as_module` describes it."""
        if type(self) is not Add or self.branch_scale != 1:
            return super().as_module()
        return in_slot(self.operation, self.scale)

    def carry(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return ``scale * operation(x)``, shaped like ``residual`` and of its dtype."""
        x = x if self.operation is None else self.operation(x)
        x = x if self.scale == 1 else x * self.scale
        return x.to(residual.dtype)

    def weigh(self, residual: Tensor) -> Tensor:
        """Return ``branch_scale * residual``."""
        return residual if self.branch_scale == 1 else residual * self.branch_scale

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return the sum, shaped like ``residual``."""
        return self.weigh(residual) + self.carry(x, residual)


class Nothing(Shortcut):
    """No shortcut: the branch alone."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site

    def as_module(self) -> nn.Module:
        """Zeros of the branch's shape."""
        return Zeros(self.site)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return ``residual``."""
        return residual


class Gate(Add):
    """``(1 - g) * shortcut + g * residual`` (exclusive) or ``(1 - g) * shortcut + residual`` (shortcut only).

    g = sigmoid(1x1 convolution of x, with a bias that starts at ``bias``), one gate a channel and pixel (He et al.
    2016). The paper does not say how a gate acts where the size changes. Here its convolution takes the block's
    stride and gives C_out channels, so it gates the shortcut after its spatial and channel operations, reading the
    pixels of option A.
    """

    def __init__(
        self,
        operation: nn.Module | None,
        site: Site,
        scale: float,
        branch_scale: float,
        *,
        exclusive: bool,
        bias: float,
    ) -> None:
        super().__init__(operation, site, scale, branch_scale)
        self.exclusive = exclusive
        self.gate = nn.Conv2d(site.in_channels, site.out_channels, 1, site.stride)
        if self.gate.bias is not None:
            nn.init.constant_(self.gate.bias, bias)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return the gated sum, shaped like ``residual``."""
        g = torch.sigmoid(self.gate(x)).to(residual.dtype)
        carried, branch = (1 - g) * self.carry(x, residual), self.weigh(residual)
        return carried + (g * branch if self.exclusive else branch)


class ReZero(Add):
    """``shortcut + alpha * residual``, alpha a learned scalar that starts at 0 (ReZero, Bachlechner 2020; SkipInit)."""

    def __init__(self, operation: nn.Module | None, site: Site, scale: float = 1.0, branch_scale: float = 1.0) -> None:
        super().__init__(operation, site, scale, branch_scale)
        self.alpha = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return the sum, shaped like ``residual``."""
        return self.carry(x, residual) + self.alpha.to(residual.dtype) * self.weigh(residual)


_LOW = 0xFFFFFFFF


def _mix(bits: Tensor) -> Tensor:
    """The finaliser of MurmurHash3 on 32-bit numbers held in int64; integer arithmetic, so equal on every device."""
    bits = ((bits ^ (bits >> 16)) * 0x85EBCA6B) & _LOW
    bits = ((bits ^ (bits >> 13)) * 0xC2B2AE35) & _LOW
    return bits ^ (bits >> 16)


def uniform(position: Tensor, site: int, shape: torch.Size) -> Tensor:
    """Uniform numbers in [0, 1) of ``shape``, float32: a hash of (seed, step, site, element), and of nothing else.

    ``position`` is an int64 tensor (seed key, step). No generator is read or moved, so the numbers are the same on
    every device, in any memory format, compiled or captured in a graph, and they follow ``position`` from step to
    step.
    """
    start = _mix(_mix(position[0] & _LOW) ^ (position[1] & _LOW))
    start = _mix(start ^ ((position[0] >> 32) & _LOW)) ^ ((site * 0x9E3779B9) & _LOW)
    elements = torch.arange(shape.numel(), device=position.device).view(shape)
    bits = _mix(_mix(elements ^ _mix(start)) ^ start)
    return (bits >> 8).to(torch.float32) * 2.0**-24


class Dropout(Add):
    """``dropout(shortcut) + residual``: training drops a share ``rate`` of it and scales up the rest.

    What is dropped follows from (seed, step, site, element) alone; ``set_position`` says which seed and step it is.
    """

    position: Tensor

    def __init__(self, operation: nn.Module | None, site: Site, scale: float, branch_scale: float, rate: float) -> None:
        super().__init__(operation, site, scale, branch_scale)
        self.rate, self.site = rate, site.index
        self.register_buffer("position", torch.zeros(2, dtype=torch.int64), persistent=False)

    def set_position(self, seed: int, step: int) -> None:
        """Say where in a run the next forward pass is; in place, and without waiting for a GPU."""
        self.position[0].fill_(random_streams.key64("dropout", seed))
        self.position[1].fill_(step)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return the sum, shaped like ``residual``."""
        carried = self.carry(x, residual)
        if self.training and self.rate:
            kept = uniform(self.position, self.site, carried.shape) >= self.rate
            carried = carried * kept.to(carried.dtype) * (1 / (1 - self.rate))
        return self.weigh(residual) + carried
