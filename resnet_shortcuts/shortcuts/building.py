"""From a strategy and a site to the module that serves there."""

from torch import nn

from resnet_shortcuts.shortcuts.catalogue import Strategy
from resnet_shortcuts.shortcuts.channels import Convolution, Duplicate, FactorizedReduce, Pad, Reduction, depthwise
from resnet_shortcuts.shortcuts.composition import CONVOLUTIONS, REDUCTIONS, Composition
from resnet_shortcuts.shortcuts.contract import Shortcut, Site
from resnet_shortcuts.shortcuts.custom_check import build_plugin
from resnet_shortcuts.shortcuts.joins import Add, Dropout, Gate, Nothing, ReZero
from resnet_shortcuts.shortcuts.spatial import build_spatial


def _fixed_channels(name: str, composition: Composition, site: Site) -> nn.Module | None:
    """What turns C_in channels into C_out without parameters, or None where nothing needs to."""
    given, wanted = site.in_channels, site.out_channels
    if given == wanted:
        return None
    if wanted < given:
        raise site.refuse(name, "which has fewer channels at its output than at its input")
    if composition.channels == "duplicate":
        if wanted % given:
            raise site.refuse(name, "whose output channels are no whole multiple of its input channels")
        return Duplicate(given, wanted)
    return Pad(given, wanted, both=composition.channels == "pad-both")


def _reduction(name: str, composition: Composition, site: Site) -> nn.Module:
    """Space-to-depth with a reduction, where the size changes."""
    if site.stride != 2:
        raise site.refuse(name, f"since channels '{composition.channels}' are defined for stride 2 alone")
    if site.out_channels < site.in_channels:
        raise site.refuse(name, "which has fewer channels at its output than at its input")
    if composition.channels == "mean" and site.out_channels not in {site.in_channels * k for k in (1, 2, 4)}:
        raise site.refuse(name, "whose output channels are not 1, 2 or 4 times its input channels")
    return Reduction(composition.channels, site.in_channels, site.out_channels)


def _convolution(composition: Composition, site: Site) -> nn.Module:
    """A learned shortcut; a stride, or a learned window, is merged into its convolution."""
    norm = composition.channels == "conv-bn" and not site.preactivation
    inputs, outputs, stride, spatial = site.in_channels, site.out_channels, site.stride, composition.spatial
    if stride == 1:
        return Convolution(inputs, outputs, norm=norm)
    if spatial == "stride":
        return Convolution(inputs, outputs, norm=norm, stride=stride)
    if spatial in {"s2d", "conv2"}:  # the same thing under two names
        return Convolution(inputs, outputs, norm=norm, kernel=stride, stride=stride)
    if spatial == "conv3":
        return Convolution(inputs, outputs, norm=norm, kernel=3, stride=stride, padding=1)
    if spatial == "factorized":
        return FactorizedReduce(inputs, outputs, stride, norm=norm)
    pool = depthwise(inputs, stride, norm=norm) if spatial == "depthwise" else build_spatial(spatial, stride)
    return Convolution(inputs, outputs, norm=norm, pool=pool)


def _operation(name: str, composition: Composition, site: Site) -> nn.Module | None:
    if composition.channels in CONVOLUTIONS:
        return _convolution(composition, site) if site.changes or composition.scope == "all" else None
    if composition.channels in REDUCTIONS and site.changes_size:
        return _reduction(name, composition, site)
    steps = [build_spatial(composition.spatial, site.stride)] if site.changes_size else []
    channels = _fixed_channels(name, composition, site)
    steps += [] if channels is None else [channels]
    if not steps:
        return None
    return steps[0] if len(steps) == 1 else nn.Sequential(*steps)


def _composed(name: str, composition: Composition, site: Site) -> Shortcut:
    everywhere = composition.scope == "all"
    if composition.spatial == "none":
        return Nothing() if site.changes or everywhere else Add(None)
    operation = _operation(name, composition, site)
    acts = everywhere or site.changes_size
    scale, branch_scale = (composition.scale, composition.branch_scale) if acts else (1.0, 1.0)
    if composition.join.endswith("gate") and (everywhere or site.changes):
        exclusive = composition.join == "exclusive-gate"
        return Gate(operation, site, exclusive=exclusive, bias=composition.bias, scale=scale, branch_scale=branch_scale)
    if composition.join == "dropout" and (everywhere or site.changes):
        return Dropout(operation, site, composition.rate, scale, branch_scale)
    if composition.join == "rezero" and (everywhere or site.changes):
        return ReZero(operation, scale, branch_scale)
    return Add(operation, scale, branch_scale)


def build_shortcut(strategy: Strategy, site: Site) -> Shortcut:
    """The shortcut of this strategy for this site, its parameters not yet initialised by a keyed stream.

    Raises UsageError where the strategy cannot serve the site, and for a plugin that fails or breaks the contract.
    """
    if strategy.plugin is not None:
        return build_plugin(strategy.plugin, site)
    composition = strategy.point
    shortcut = _composed(strategy.name, composition, site)
    learned = composition.channels in CONVOLUTIONS
    if site.preactivation and learned and (site.changes or composition.scope == "all"):
        shortcut.reads = "preactivated"
    return shortcut
