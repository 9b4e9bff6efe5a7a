"""Networks of torchvision and timm in an experiment: named ``LIBRARY:NAME``, built, converted, initialised by our rule.

`build_model` and `check_model` serve every network that a config can name.
"""

import importlib
from functools import cache
from typing import Any

import torch
from torch import nn

from resnet_shortcuts import random_streams
from resnet_shortcuts.errors import EnvironmentFault, UsageError
from resnet_shortcuts.hashing import canonical, sha256
from resnet_shortcuts.models.convert import convert
from resnet_shortcuts.models.network_config import NetworkSpec
from resnet_shortcuts.models.networks import build_network, check_network, initialise
from resnet_shortcuts.shortcuts.catalogue import Strategy
from resnet_shortcuts.suggestions import did_you_mean
from resnet_shortcuts.torchvision_import import import_torchvision


def build_model(
    spec: NetworkSpec | str, strategy: Strategy, *, in_channels: int, num_classes: int, seed: int
) -> nn.Module:
    """The network of ``spec``, ours or another library's, with this strategy, initialised for ``seed``.

    All weights of convolutions and linear layers are drawn by `networks.initialise`, whatever the library's own rule.
    Raises what `build_network` and `convert` raise; UsageError for a name that the library does not have,
    EnvironmentFault where it is not installed.
    """
    spec = NetworkSpec.model_validate(spec)
    if spec.library is None:
        return build_network(spec, strategy, in_channels=in_channels, num_classes=num_classes, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_streams.key64("init", seed))
        model = convert(_library_model(*spec.library, in_channels, num_classes), strategy, seed=seed)
    initialise(model, seed)
    return model


def check_model(spec: NetworkSpec | str, strategy: Strategy, *, in_channels: int, num_classes: int) -> nn.Module:
    """The network on the meta device, as `check_network` gives it. Raises what `build_model` would raise."""
    spec = NetworkSpec.model_validate(spec)
    if spec.library is None:
        return check_network(spec, strategy, in_channels=in_channels, num_classes=num_classes)
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return convert(_library_model(*spec.library, in_channels, num_classes), strategy)


@cache
def shapes_sha256(library: str, name: str) -> str:
    """SHA-256 of the names and shapes of the library's state dict, for RGB images and 1,000 classes."""
    with torch.device("meta"):
        state = _library_model(library, name, 3, 1000).state_dict()
    return sha256(canonical([[key, list(value.shape)] for key, value in state.items()]))


def _library_model(library: str, name: str, in_channels: int, num_classes: int) -> nn.Module:
    """The library's own network without trained weights; no branch starts at zero."""
    try:
        torchvision = import_torchvision()
        timm: Any = importlib.import_module("timm") if library == "timm" else None
    except ImportError as error:
        raise EnvironmentFault(
            f"{library} cannot be imported", f"{library}:{name}", f"pip install {library}"
        ) from error
    if library == "timm":
        if not timm.is_model(name):
            known = timm.list_models("resnet*")
            raise UsageError(f"timm has no network {name!r}", "networks", did_you_mean(name, known))
        made: nn.Module = timm.create_model(
            name, pretrained=False, num_classes=num_classes, in_chans=in_channels, zero_init_last=False
        )
        return made
    model: Any = getattr(torchvision.models, name)(weights=None, num_classes=num_classes)
    if in_channels != 3:
        first = model.conv1
        model.conv1 = nn.Conv2d(
            in_channels, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False
        )
    built: nn.Module = model
    return built
