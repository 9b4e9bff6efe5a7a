"""Residual networks whose blocks leave the joining to a shortcut strategy.

``NetworkSpec`` needs no torch; ``build_network`` and ``set_position`` load it when they are first asked for.
"""

from typing import TYPE_CHECKING, Any

from resnet_shortcuts.models.network_config import NetworkSpec, network_names

if TYPE_CHECKING:
    from resnet_shortcuts.models.networks import build_network, check_network, set_position

__all__ = ["NetworkSpec", "build_network", "check_network", "network_names", "set_position"]


def __getattr__(name: str) -> Any:
    if name in {"build_network", "check_network", "set_position"}:
        from resnet_shortcuts.models import networks

        return getattr(networks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
