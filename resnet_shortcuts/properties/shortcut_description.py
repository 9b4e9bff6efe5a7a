"""The full description of one strategy, as ``rsc shortcuts NAME`` and the documents show it. Needs no torch."""

from typing import Any

from resnet_shortcuts.properties.declared import declare, limits, zero_channels
from resnet_shortcuts.shortcuts.catalogue import Strategy
from resnet_shortcuts.shortcuts.site import Site


def describe(strategy: Strategy) -> dict[str, Any]:
    """One strategy in full, JSON-able: names, formula, source, limits, cost of one transition, declared properties.

    ``cost`` is that of the block from (16, 32, 32) to (32, 16, 16), as in ResNet-20's second stage; properties are
    those of `declare`. Both are None for a custom class, and properties where an operation declares none.
    """
    declared = declare(strategy)
    properties = None
    if declared is not None:
        values = declared.singular_values
        properties = {
            "linear": declared.linear,
            "rank / n": declared.rank,
            "coverage": declared.coverage,
            "influence": declared.influence,
            "singular values": None if values is None else [round(value, 4) for value in values],
            "gradient gain": _number(declared.gradient_gain),
            "gradient gain, unchanged block": _number(declared.same_gain),
            "gradient gain, branch": _number(declared.branch_gain),
            "shift": declared.shift,
            "dead channels, zero_init": zero_channels(strategy),
        }
    return {
        "name": strategy.name,
        "aliases": list(strategy.aliases),
        "summary": strategy.summary,
        "formula": strategy.composition.formula() if strategy.composition else "y = (a custom class)",
        "source": strategy.source,
        "note": strategy.note,
        "refuses": limits(strategy),
        "identity": strategy.identity(),
        "cost": strategy.cost(Site(16, 32, 2), 32),
        "properties": properties,
    }


def _number(value: float) -> float | None:
    return None if value != value else round(value, 5)
