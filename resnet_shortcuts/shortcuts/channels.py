"""The channel operations: how C_in channels become C_out. Needs no torch until one is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt
from typing import TYPE_CHECKING, ClassVar

from resnet_shortcuts.shortcuts.operations import ChannelOperation, Cost, Properties, SpatialOperation, define, lazy
from resnet_shortcuts.shortcuts.spatial import S2D

if TYPE_CHECKING:
    from torch import nn

    from resnet_shortcuts.shortcuts.site import Site


_PAD = lazy("channel_modules.pad")
_REDUCTION = lazy("channel_modules.reduction")


def _duplicated(padded: Properties) -> Properties:
    """The same values twice: singular values times sqrt(2), twice the gain."""
    values = tuple(value * sqrt(2) for value in padded.singular_values or ())
    return replace(padded, singular_values=values, gradient_gain=2 * padded.gradient_gain)


def _projected(padded: Properties) -> Properties:
    """Behind a 1x1 convolution of He's initialisation, variance 2 / C and 2C x C weights: four times the gain."""
    loose = (*padded.loose, "gradient_gain", "same_gain")
    gain = 4 * padded.gradient_gain
    return replace(padded, singular_values=None, gradient_gain=gain, same_gain=2.0, loose=loose, tolerance=0.1)


@dataclass(frozen=True, eq=False, kw_only=True)
class ConvolvingOperation(ChannelOperation):
    """A 1x1 convolution, with batch normalisation if ``norm``; it merges with what the spatial operation can merge."""

    convolves: ClassVar[bool] = True

    def goes_with(self, spatial: SpatialOperation) -> bool:
        """Whether the two can be composed."""
        return spatial.passes

    def problem_at(self, site: Site) -> str | None:
        """None: a convolution serves every site."""
        return None

    def operation(self, spatial: SpatialOperation, site: Site, everywhere: bool) -> nn.Module | None:
        """The convolution, which holds or has merged the spatial operation."""
        if not (site.changes or everywhere):
            return None
        norm = bool(self.norm) and not site.preactivation
        if site.changes_size and spatial.convolution is not None:
            return spatial.convolution(site, norm)
        pool = spatial.build(site) if site.changes_size and spatial.build is not None else None
        merged: nn.Module = lazy("channel_modules.convolution")(site, norm, pool=pool)
        return merged

    def cost_with(self, spatial: SpatialOperation, site: Site, everywhere: bool) -> Cost:
        """The cost of both operations at a site."""
        if not (site.changes or everywhere):
            return Cost()
        norm = bool(self.norm) and not site.preactivation
        weights = (spatial.weights(site.stride) if site.changes_size else 1) * site.in_channels * site.out_channels
        convolution = Cost(weights + 2 * norm * site.out_channels, weights)
        return convolution + spatial.cost(site, norm) if site.changes_size else convolution

    def formula(self, spatial: SpatialOperation) -> str:
        """What both compute from ``x`` where the size changes."""
        convolved = f"{spatial.convolution_formula}({spatial.formula or f'{spatial.name}(x)'})"
        return f"BN({convolved})" if self.norm else convolved


@dataclass(frozen=True, eq=False, kw_only=True)
class ReducingOperation(ChannelOperation):
    """Space-to-depth, reduced to C_out channels by ``reduce(site)``, where the size changes; elsewhere ``build``."""

    reduce: Callable[[Site], nn.Module]

    def goes_with(self, spatial: SpatialOperation) -> bool:
        """Whether the two can be composed."""
        return spatial is S2D

    def problem_at(self, site: Site) -> str | None:
        """Why this site cannot be served, or None."""
        if not site.changes_size:
            return super().problem_at(site)
        if site.stride != 2:
            return f"since channels '{self.name}' are defined for stride 2 only"
        if site.out_channels < site.in_channels:
            return "which has fewer channels at its output than at its input"
        return self.refuses(site)

    def operation(self, spatial: SpatialOperation, site: Site, everywhere: bool) -> nn.Module | None:
        """The module of both operations at a site, or None where nothing is to be done."""
        return self.reduce(site) if site.changes_size else super().operation(spatial, site, everywhere)


@dataclass(frozen=True, eq=False, kw_only=True)
class NoChannels(ChannelOperation):
    """Nothing passes: goes with the spatial operation that lets nothing pass."""

    def goes_with(self, spatial: SpatialOperation) -> bool:
        """Whether the two can be composed."""
        return not spatial.passes


def _not_a_multiple(site: Site) -> str | None:
    whole = site.out_channels % site.in_channels == 0
    return None if whole else "whose output channels are not a whole multiple of its input channels"


def _not_1_2_or_4_times(site: Site) -> str | None:
    served = not site.changes_size or site.out_channels in {site.in_channels * k for k in (1, 2, 4)}
    return None if served else "whose output channels are not 1, 2 or 4 times its input channels"


PAD = define(
    ChannelOperation(
        "pad", "zero channels at the end", build=_PAD, declare=lambda padded: padded, zeros="end", invertible=True
    )
)
PAD_BOTH = define(
    ChannelOperation(
        "pad-both",
        "zero channels on both sides",
        build=partial(_PAD, both=True),
        declare=lambda padded: padded,
        zeros="both sides",
        invertible=True,
    )
)
DUPLICATE = define(
    ChannelOperation(
        "duplicate",
        "concatenated with itself",
        build=lazy("channel_modules.Duplicate"),
        refuses=_not_a_multiple,
        limit="C_out must be a whole multiple of C_in",
        declare=_duplicated,
        invertible=True,
    )
)
CONV = define(ConvolvingOperation("conv", "1x1 convolution", declare=_projected, invertible=True, norm=False))
CONV_BN = define(
    ConvolvingOperation(
        "conv-bn",
        "1x1 convolution, then BN (no BN in a pre-activation net)",
        declare=_projected,
        invertible=True,
        norm=True,
    )
)
KEEP = define(
    ReducingOperation(
        "keep",
        "of space-to-depth's phases (0,0), (1,1), (0,1), (1,0), as many channels as the output has",
        build=_PAD,
        reduce=partial(_REDUCTION, bands="keep"),
        limit="where the size changes: stride 2",
        declare=lambda padded: Properties(True, 1 / 2, 1 / 2, 1 / 2, (1.0,), 1, "no"),
    )
)
MEAN = define(
    ReducingOperation(
        "mean",
        "of space-to-depth's channels, means of neighbouring phases",
        build=_PAD,
        reduce=partial(_REDUCTION, bands="mean"),
        refuses=_not_1_2_or_4_times,
        limit="where the size changes: stride 2, and C_out must be 1, 2 or 4 x C_in",
        declare=lambda padded: Properties(True, 1 / 2, 1, 1, (1 / sqrt(2),), 1 / 2, "no"),
    )
)
HAAR = define(
    ReducingOperation(
        "haar",
        "orthonormal Haar bands of space-to-depth: low-pass first, then details",
        build=_PAD,
        reduce=partial(_REDUCTION, bands="haar"),
        limit="where the size changes: stride 2",
        declare=lambda padded: Properties(True, 1 / 2, 1, 1, (1.0,), 1, "low-pass half"),
    )
)
NONE = define(NoChannels("none", "nothing passes where the channels change", declare=lambda padded: padded))
