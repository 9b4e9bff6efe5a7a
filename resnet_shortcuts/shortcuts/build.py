"""From a strategy and a site to the module that serves there."""

from torch import Tensor, nn

from resnet_shortcuts.shortcuts.catalogue import Strategy
from resnet_shortcuts.shortcuts.channels import Convolution, Duplicate, Pad
from resnet_shortcuts.shortcuts.composition import CONVOLUTIONS, Composition
from resnet_shortcuts.shortcuts.contract import Shortcut, Site
from resnet_shortcuts.shortcuts.spatial import build_spatial


class Add(Shortcut):
    """``scale * channels(spatial(x)) + branch_scale * residual``, either factor left out where it is 1."""

    def __init__(self, operation: nn.Module | None, scale: float = 1.0, branch_scale: float = 1.0) -> None:
        super().__init__()
        self.operation = operation
        self.scale, self.branch_scale = scale, branch_scale

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return the sum, shaped like ``residual``."""
        x = x if self.operation is None else self.operation(x)
        x = x if self.scale == 1 else x * self.scale
        residual = residual if self.branch_scale == 1 else residual * self.branch_scale
        return residual + x.to(residual.dtype)


class Nothing(Shortcut):
    """No shortcut: the branch alone."""

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return ``residual``."""
        return residual


def _channel_operation(strategy: Strategy, site: Site) -> nn.Module | None:
    """What turns C_in channels into C_out without parameters, or None where nothing needs to."""
    name, given, wanted = strategy.composition.channels, site.in_channels, site.out_channels
    if given == wanted:
        return None
    if wanted < given:
        raise site.refuse(strategy.name, "which has fewer channels at its output than at its input")
    if name == "duplicate":
        if wanted % given:
            raise site.refuse(strategy.name, "whose output channels are no whole multiple of its input channels")
        return Duplicate(given, wanted)
    return Pad(given, wanted, both=name == "pad-both")


def _convolution(composition: Composition, site: Site) -> nn.Module:
    """A learned shortcut; a stride, or a learned window, is merged into its convolution."""
    norm = composition.channels == "conv-bn" and not site.preactivation
    channels = (site.in_channels, site.out_channels)
    if site.stride == 1:
        return Convolution(*channels, norm=norm)
    if composition.spatial == "stride":
        return Convolution(*channels, norm=norm, stride=site.stride)
    return Convolution(*channels, norm=norm, pool=build_spatial(composition.spatial, site.stride))


def _operation(strategy: Strategy, site: Site) -> nn.Module | None:
    composition = strategy.composition
    if composition.channels in CONVOLUTIONS:
        return _convolution(composition, site) if site.changes or composition.scope == "all" else None
    steps = [build_spatial(composition.spatial, site.stride)] if site.changes_size else []
    channels = _channel_operation(strategy, site)
    steps += [] if channels is None else [channels]
    if not steps:
        return None
    return steps[0] if len(steps) == 1 else nn.Sequential(*steps)


def build_shortcut(strategy: Strategy, site: Site) -> Shortcut:
    """The shortcut of this strategy for this site, its parameters not yet initialised by a keyed stream.

    Raises UsageError where the strategy cannot serve the site.
    """
    composition = strategy.composition
    if composition.spatial == "none":
        return Nothing() if site.changes or composition.scope == "all" else Add(None)
    everywhere = composition.scope == "all"
    acts = everywhere or site.changes_size
    scale, branch_scale = (composition.scale, composition.branch_scale) if acts else (1.0, 1.0)
    shortcut = Add(_operation(strategy, site), scale, branch_scale)
    if site.preactivation and composition.channels in CONVOLUTIONS and (site.changes or everywhere):
        shortcut.reads = "preactivated"
    return shortcut
