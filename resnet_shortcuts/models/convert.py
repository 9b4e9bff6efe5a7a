"""Other libraries' residual networks with another shortcut: torchvision's ResNets and timm's, block by block.

Their blocks compute ``relu(branch(x) + downsample(x))``. A strategy is put into the ``downsample`` slot, so that the
network's own code goes on to work: ``torch.compile``, ``torch.export`` and state dicts included.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import nn

from resnet_shortcuts import random_streams
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.models.networks import initialise
from resnet_shortcuts.shortcuts.building import build_shortcut
from resnet_shortcuts.shortcuts.catalogue import Strategy, find
from resnet_shortcuts.shortcuts.composition import SCOPES
from resnet_shortcuts.shortcuts.contract import Shortcut
from resnet_shortcuts.shortcuts.site import Site
from resnet_shortcuts.suggestions import did_you_mean

Scope = Literal["transitions", "all"]
_MODULES = ("torchvision.models.resnet", "timm.models.resnet")
"""Where the blocks are defined whose ``downsample`` is added to their branch."""


def convert(
    model: nn.Module, strategy: str | Mapping[str, Any] | Strategy, *, scope: Scope | None = None, seed: int = 0
) -> nn.Module:
    """A copy of ``model`` whose blocks use another shortcut; every weight outside of the shortcuts is kept.

    Args:
        model: a ResNet, ResNeXt or Wide ResNet of torchvision, or a ``resnet*`` of timm. It stays as it is.
        strategy: a name, an alias or a composition, as in `rs.shortcut`.
        scope: which blocks: 'transitions' replaces the shortcut where the shape changes, 'all' that of every block;
            None leaves that to the strategy (C acts in all, the others at transitions).
        seed: of the new weights, drawn by He's rule from streams that are keyed by seed and name.

    Returns:
        The converted copy, in the model's mode, dtype and device. ``untrained_weights`` lists by name the parameters
        and buffers that come from no weight of ``model``. A 1x1 convolution that the model has in a shortcut is used
        again by a strategy with one of the same shape (B to D and back), its batch normalisation too; after B to D its
        running statistics are those of other inputs, so recalibrate or fine-tune.

    Raises:
        UsageError: the model has no block that is known here, or no transition; the strategy's join needs the branch
            (gates, dropout, rezero), so that it does not fit the slot; the strategy cannot serve one of the blocks.

    Example:
        >>> import resnet_shortcuts as rs, torch
        >>> from resnet_shortcuts.torchvision_import import import_torchvision
        >>> model = import_torchvision().models.resnet18()
        >>> converted = rs.convert(model, "A")
        >>> converted.untrained_weights
        ()
        >>> converted(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 1000])
    """
    chosen = _with_scope(strategy if isinstance(strategy, Strategy) else find(strategy), scope)
    blocks = _blocks(model)
    converted = copy.deepcopy(model)
    everywhere = scope == "all" or (chosen.composition is not None and chosen.composition.everywhere)
    untrained = list(getattr(model, "untrained_weights", ()))
    for name, site in _sites(blocks):
        if not (site.changes or everywhere):
            continue
        block: Any = converted.get_submodule(name)
        slot = _slot(chosen, site, f"{name}.downsample", seed)
        reused = _reuse_weights(block.downsample, slot)
        reference = next(block.parameters())
        slot.to(device=reference.device, dtype=reference.dtype).train(block.training)
        block.downsample = None if isinstance(slot, nn.Identity) else slot
        untrained = [each for each in untrained if not each.startswith(f"{name}.downsample.")]
        untrained += [f"{name}.downsample.{key}" for key in slot.state_dict() if key not in reused]
    converted.untrained_weights = tuple(untrained)  # type: ignore[assignment]
    return converted


def _with_scope(strategy: Strategy, scope: Scope | None) -> Strategy:
    if scope is None:
        return strategy
    if scope not in SCOPES:
        raise UsageError(f"unknown scope {scope!r}", "convert", did_you_mean(str(scope), SCOPES))
    if strategy.composition is None:
        what = f"shortcut {strategy.name!r} is a custom class, which decides itself where it acts"
        raise UsageError(what, "convert", "leave scope out")
    return replace(strategy, composition=replace(strategy.composition, scope=scope))


def _blocks(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The residual blocks by name, in order. Raises UsageError where there are none that are known here."""
    blocks = [
        (name, module)
        for name, module in model.named_modules()
        if hasattr(module, "downsample") and any(cls.__module__ in _MODULES for cls in type(module).__mro__)
    ]
    if not any(module.downsample is not None for _, module in blocks):
        what = f"{type(model).__name__} has no residual block of torchvision's or timm's ResNets that changes the shape"
        raise UsageError(what, "convert", "give torchvision's resnet*, resnext* or wide_resnet*, or timm's resnet*")
    return blocks


def _sites(blocks: list[tuple[str, nn.Module]]) -> Iterator[tuple[str, Site]]:
    """Where each block sits."""
    for index, (name, block) in enumerate(blocks):
        last = getattr(block, "conv3", None) or block.conv2
        stride = block.stride if isinstance(block.stride, int) else 1
        yield name, Site(block.conv1.in_channels, last.out_channels, stride, index, len(blocks))  # type: ignore[union-attr, arg-type]


def _slot(strategy: Strategy, site: Site, name: str, seed: int) -> nn.Module:
    """The strategy's module for a ``downsample`` slot, initialised for ``seed``. Raises UsageError."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_streams.key64("init", seed))
        shortcut = build_shortcut(strategy, site)
    slot = slot_of(shortcut, strategy, site.changes_size)
    initialise(slot, seed, name)
    return slot


def slot_of(shortcut: Shortcut, strategy: Strategy, changes_size: bool) -> nn.Module:
    """The module of a shortcut for a ``downsample`` slot, with the shortcut's own parameters.

    Where the size stays, an identity stands for the pool, so that the weights of D have timm's names. Raises
    UsageError where the join needs the branch.
    """
    try:
        slot = shortcut.as_module()
    except UsageError as error:
        what = f"shortcut {strategy.name!r} does not fit the downsample slot of another library's block"
        raise UsageError(what, error.what, "choose a strategy that adds to the branch") from error
    parts = strategy.composition
    pools = parts is not None and parts.channels.convolves and parts.spatial.convolution is None
    if pools and not changes_size and isinstance(slot, nn.Sequential):
        return nn.Sequential(nn.Identity(), *slot)
    return slot


def _reuse_weights(before: nn.Module | None, slot: nn.Module) -> set[str]:
    """Copy the one 1x1 convolution of the shortcut before, and its batch normalisation; names of what was copied."""
    reused: set[str] = set()
    for kind in (nn.Conv2d, nn.BatchNorm2d):
        old = [module for module in (before.modules() if before else ()) if isinstance(module, kind)]
        new = [(name, module) for name, module in slot.named_modules() if isinstance(module, kind)]
        if len(old) != 1 or len(new) != 1:
            return reused
        (source,), ((name, target),) = old, new
        if {key: value.shape for key, value in source.state_dict().items()} != {
            key: value.shape for key, value in target.state_dict().items()
        }:
            return reused
        target.load_state_dict(source.state_dict())
        if isinstance(source, nn.BatchNorm2d):
            target.eps, target.momentum = source.eps, source.momentum
        reused |= {f"{name}.{key}" for key in target.state_dict()}
    return reused
