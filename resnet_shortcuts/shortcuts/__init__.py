"""Shortcut strategies: what joins a block's input to its residual branch.

The catalogue needs no torch; ``build_shortcut``, ``Shortcut`` and ``Site`` load it when they are first asked for.
"""

from typing import TYPE_CHECKING, Any

from resnet_shortcuts.shortcuts.catalogue import Strategy, find, strategies

if TYPE_CHECKING:
    from resnet_shortcuts.shortcuts.building import build_shortcut
    from resnet_shortcuts.shortcuts.contract import Shortcut, Site

__all__ = ["Shortcut", "Site", "Strategy", "build_shortcut", "find", "strategies"]


def __getattr__(name: str) -> Any:
    if name == "build_shortcut":
        from resnet_shortcuts.shortcuts import building

        return building.build_shortcut
    if name in {"Shortcut", "Site"}:
        from resnet_shortcuts.shortcuts import contract

        return getattr(contract, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
