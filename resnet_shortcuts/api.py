"""The public Python API, re-exported by the package: strategies as modules and tables, other people's networks and
results, and experiments (`Experiment`, `load`) with their `Result`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor, nn

from resnet_shortcuts.experiment import Experiment
from resnet_shortcuts.models.convert import convert
from resnet_shortcuts.models.library_networks import build_model
from resnet_shortcuts.models.network_config import NetworkSpec, usual_data
from resnet_shortcuts.models.networks import initialise
from resnet_shortcuts.result import Result, compare
from resnet_shortcuts.shortcuts.building import build_shortcut
from resnet_shortcuts.shortcuts.catalogue import find, strategies
from resnet_shortcuts.shortcuts.registration import register
from resnet_shortcuts.shortcuts.site import Site

if TYPE_CHECKING:
    from resnet_shortcuts.shortcuts.contract import Shortcut

__all__ = [
    "Experiment",
    "Result",
    "compare",
    "convert",
    "cost",
    "load",
    "network",
    "properties",
    "register",
    "shortcut",
    "shortcuts",
]

Reference = str | Mapping[str, Any]
"""A strategy as a config names it: a name, an alias, ``FILE.py:Class``, or a composition of operations."""


def shortcuts() -> pd.DataFrame:
    """Every known strategy, one row each.

    Returns:
        A DataFrame with the columns ``name`` (str), ``aliases`` (tuple of str), ``summary`` (str) and ``source`` (str:
        the paper or code that it comes from). Strategies that were registered or installed come last.

    Example:
        >>> import resnet_shortcuts as rs
        >>> rs.shortcuts().set_index("name").loc["stride-pad", "aliases"]
        ('A', 'option-a', 'zero-pad')
    """
    return pd.DataFrame(
        [(each.name, each.aliases, each.summary, each.source) for each in strategies()],
        columns=["name", "aliases", "summary", "source"],
    )


def shortcut(
    strategy: Reference, in_channels: int, out_channels: int, stride: int = 1, *, preactivation: bool = False,
    seed: int = 0,
) -> Shortcut:  # fmt: skip
    """The shortcut of one residual block: a module called as ``y = join(x, branch)``.

    Args:
        strategy: a name or alias, ``"FILE.py:Class"``, or a composition such as
            ``{"spatial": "max", "channels": "duplicate"}``.
        in_channels: channels of the block's input.
        out_channels: channels of its output.
        stride: the factor by which height and width shrink.
        preactivation: whether the block normalises before it convolves; its shortcut then has no BN.
        seed: of the weights, drawn by He's rule; no global random state is used.

    Returns:
        A module of x (N, C_in, H, W) and branch (N, C_out, ceil(H/s), ceil(W/s)), whose output has the shape and dtype
        of branch. ``as_module()`` gives the part that needs x alone, for a ``downsample`` slot.

    Raises:
        UsageError: an unknown name (with the nearest ones), or a site that the strategy cannot serve.

    Example:
        >>> import resnet_shortcuts as rs, torch
        >>> join = rs.shortcut("max-pad", 256, 512, stride=2)
        >>> join(torch.zeros(1, 256, 9, 9), torch.ones(1, 512, 5, 5)).shape
        torch.Size([1, 512, 5, 5])
        >>> rs.shortcut("avg-projection", 256, 512, stride=2).as_module()(torch.zeros(1, 256, 9, 9)).shape
        torch.Size([1, 512, 5, 5])
    """
    site = Site(in_channels, out_channels, stride, preactivation=preactivation)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build_shortcut(find(strategy), site)
    initialise(module, seed)
    return module


def network(
    name: str, strategy: Reference, *, classes: int | None = None, in_channels: int = 3, seed: int = 0, **options: Any
) -> nn.Module:
    """A residual network with this strategy's shortcuts, initialised for ``seed`` as a run of an experiment is.

    Args:
        name: such as ``cifar-resnet-20``, ``cifar-preresnet-110``, ``cifar-pyramidnet-110``, ``imagenet-resnet-50``,
            ``torchvision:resnet18`` or ``timm:resnet26``.
        strategy: as in `shortcut`.
        classes: outputs of the last layer; default: 10 for CIFAR networks, 1000 for ImageNet's.
        in_channels: channels of an image.
        seed: of the weights; no global random state is used or moved.
        options: ``width``, ``stem``, ``alpha``, ``zero_init``, as a config has them.

    Returns:
        A module from images (N, C, H, W) to logits (N, classes).

    Raises:
        UsageError: an unknown name or depth, or a strategy that cannot serve one of the blocks.

    Example:
        >>> import resnet_shortcuts as rs, torch
        >>> net = rs.network("cifar-resnet-20", "avg-duplicate", classes=10, seed=0)
        >>> net(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """
    spec = NetworkSpec(name=name, **options)
    outputs = usual_data(name)[1] if classes is None else classes
    return build_model(spec, find(strategy), in_channels=in_channels, num_classes=outputs, seed=seed)


def cost(module: nn.Module, *inputs: Tensor | Sequence[int]) -> pd.Series:
    """What one module costs, counted exactly: nothing is timed.

    Args:
        module: any module; it stays as it is (batch-norm statistics included).
        inputs: what it is called with: tensors, or shapes with the batch first, such as ``(1, 3, 32, 32)``; a shortcut
            takes two.

    Returns:
        A Series with ``parameters``, ``multiply_adds`` (of one forward pass of this batch; pooling, padding and adds
        count as zero) and ``saved_bytes`` (activation memory: what autograd keeps of this forward pass in training
        mode for backward, the parameters left out), all int.

    Example:
        >>> import resnet_shortcuts as rs
        >>> rs.cost(rs.network("cifar-resnet-20", "A"), (1, 3, 32, 32))["parameters"].item()
        269722
    """
    from resnet_shortcuts.cost.counting import module_counts

    tensors = [each if isinstance(each, Tensor) else torch.zeros(*each) for each in inputs]
    return pd.Series(module_counts(module, tensors), dtype="int64")


def properties(strategy: Reference, *, seed: int = 0) -> pd.DataFrame:
    """Measure what a strategy does to white noise where 8 channels become 16 at stride 2, and what it declares.

    Args:
        strategy: as in `shortcut`.
        seed: of weights and inputs.

    Returns:
        A DataFrame with a row a property (linearity, rank, coverage, influence, singular values, gains, shift):
        ``strategy``, ``property``, ``on`` (which input), ``measured``, ``declared``, ``tolerance``, ``ok`` (None where
        nothing is declared) and ``note``. ``rsc verify`` measures whole networks too.

    Raises:
        UsageError: an unknown name, or a strategy that cannot serve the transition.

    Example:
        >>> import resnet_shortcuts as rs
        >>> rs.properties("A").set_index("property").loc["rank / n", "measured"]
        0.25
    """
    from resnet_shortcuts.properties.operator_checks import verify_operator

    return pd.DataFrame(verify_operator(find(strategy), seed=seed))


def load(path: str | Path) -> Experiment:
    """A stored experiment: ``results/NAME``, wherever it was trained.

    Raises:
        UsageError: no experiment is stored there (with the nearest name).

    Example:
        >>> import resnet_shortcuts as rs
        >>> rs.load("results/benchmrk")
        Traceback (most recent call last):
        resnet_shortcuts.errors.UsageError: ...
    """
    return Experiment.load(path)
