"""From a strategy and a site to the module that serves there."""

from resnet_shortcuts.shortcuts.catalogue import Strategy
from resnet_shortcuts.shortcuts.contract import Shortcut
from resnet_shortcuts.shortcuts.custom_check import build_custom
from resnet_shortcuts.shortcuts.site import Site


def build_shortcut(strategy: Strategy, site: Site) -> Shortcut:
    """The shortcut of this strategy for this site, its parameters not yet initialised by a keyed stream.

    Raises UsageError where the strategy cannot serve the site, and for custom code that fails or breaks the contract.
    """
    return build_custom(strategy, site) if strategy.sources else strategy.point.build(strategy.name, site)
