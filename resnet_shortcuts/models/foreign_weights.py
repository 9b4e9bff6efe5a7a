"""State dicts of torchvision's and timm's ResNets, renamed one to one to this package's parameters and back.

Everything has torchvision's names already, except for the shortcut: what torchvision calls ``downsample.0``
(convolution) and ``downsample.1`` (BN) is ``shortcut.operation.conv`` and ``shortcut.operation.bn`` here. timm's
``downsample_avg`` (resnet50d: shortcut ``avg-projection``, stem ``deep``) counts its pool as ``downsample.0``, so
there they are 1 and 2.
"""

from collections.abc import Mapping

from torch import Tensor

_CONV, _BN = ".shortcut.operation.conv.", ".shortcut.operation.bn."


def from_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A torchvision ResNet's state dict (or that of a timm ResNet with the same layout) under this package's names."""
    return {
        name.replace(".downsample.0.", _CONV).replace(".downsample.1.", _BN): value for name, value in state.items()
    }


def to_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of `from_torchvision`, for a network with the shortcut ``projection``."""
    return {
        name.replace(_CONV, ".downsample.0.").replace(_BN, ".downsample.1."): value for name, value in state.items()
    }


def from_timm_d(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a timm ResNet-D under this package's names."""
    return {
        name.replace(".downsample.1.", _CONV).replace(".downsample.2.", _BN): value for name, value in state.items()
    }
