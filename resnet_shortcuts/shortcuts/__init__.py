"""Shortcut strategies: what joins a block's input to its residual branch.

The catalogue needs no torch; ``build_shortcut`` and ``Shortcut`` load it when they are first asked for.
"""

from typing import TYPE_CHECKING, Any

from resnet_shortcuts.callable_room import make_callable
from resnet_shortcuts.shortcuts.catalogue import Strategy, find, strategies
from resnet_shortcuts.shortcuts.custom_sources import (
    CustomSource,
    in_this_process_only,
    load_sources,
    needed_sources,
)
from resnet_shortcuts.shortcuts.operations import ChannelOperation, Cost, Join, Number, Properties, SpatialOperation
from resnet_shortcuts.shortcuts.registration import register
from resnet_shortcuts.shortcuts.site import Site

if TYPE_CHECKING:
    from resnet_shortcuts.shortcuts.building import build_shortcut
    from resnet_shortcuts.shortcuts.contract import Shortcut

__all__ = [
    "ChannelOperation",
    "Cost",
    "CustomSource",
    "Join",
    "Number",
    "Properties",
    "Shortcut",
    "Site",
    "SpatialOperation",
    "Strategy",
    "build_shortcut",
    "find",
    "in_this_process_only",
    "load_sources",
    "needed_sources",
    "register",
    "strategies",
]

make_callable(__name__)


def __getattr__(name: str) -> Any:
    if name in {"build_shortcut", "Shortcut"}:
        from resnet_shortcuts.shortcuts import building

        return getattr(building, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
