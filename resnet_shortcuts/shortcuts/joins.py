"""The joins: how the shortcut and the residual branch are combined. Needs no torch until one is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import nan
from typing import TYPE_CHECKING

from resnet_shortcuts.shortcuts.operations import Cost, Join, Number, Properties, define, lazy

if TYPE_CHECKING:
    from resnet_shortcuts.shortcuts.site import Site

_GATE = "g = sigmoid(conv1x1(x) + b), b from {bias:g}"
_BIAS = {"bias": Number(-6.0)}
MEAN_SQUARE_GATE = 0.0004674714415963704
"""E g^2 of a gate at initialisation, bias -6, 8 channels: g = sigmoid(-6 + w.x) for white x and w of He's rule, of
which |w|^2 is (2 / C) chi^2_C. On average g is 0.7 %."""


def _gate_cost(site: Site) -> Cost:
    weights = site.in_channels * site.out_channels
    return Cost(weights + site.out_channels, weights)


def _gated(
    operator: Properties, options: Mapping[str, float], tolerance: float, branch_gain: float = 1.0
) -> Properties:
    """A gate is not linear in x. At bias -6 the gate is almost closed; its slope adds as much, hence the tolerance."""
    if options["bias"] != _BIAS["bias"].default:
        return replace(operator, linear=False, singular_values=None, gradient_gain=nan, same_gain=nan, branch_gain=nan)
    return replace(
        operator,
        linear=False,
        singular_values=None,
        branch_gain=branch_gain * operator.branch_gain,
        loose=(*operator.loose, "gradient_gain", "same_gain", "branch_gain"),
        tolerance=max(tolerance, operator.tolerance),
    )


def _dropped(operator: Properties, options: Mapping[str, float]) -> Properties:
    """Dropout keeps a share and scales it up; for one draw it is linear."""
    kept = 1 - options["rate"]
    return replace(
        operator,
        rank=operator.rank * kept,
        coverage=operator.coverage * kept,
        influence=operator.influence * kept,
        singular_values=tuple(value / kept for value in operator.singular_values or ()) or None,
        gradient_gain=operator.gradient_gain / kept,
        same_gain=operator.same_gain / kept,
        loose=("rank", "coverage", "influence", "gradient_gain", "same_gain"),
        tolerance=0.25,
    )


ADD = define(
    Join(
        "add",
        "scale * shortcut + branch_scale * residual",
        build=lazy("join_modules.Add"),
        formula="y = {carried} + {branch}",
        declare=lambda operator, options: operator,
        adds=True,
        carries_unchanged=True,
    )
)
EXCLUSIVE_GATE = define(
    Join(
        "exclusive-gate",
        "(1 - g) * shortcut + g * residual with g = sigmoid(conv1x1(x) + bias)",
        build=partial(lazy("join_modules.Gate"), exclusive=True),
        formula=f"y = (1 - g) {{carried}} + g {{branch}}, {_GATE}",
        options=_BIAS,
        cost=_gate_cost,
        declare=lambda operator, options: _gated(operator, options, 0.25, MEAN_SQUARE_GATE),
    )
)
SHORTCUT_GATE = define(
    Join(
        "shortcut-gate",
        "(1 - g) * shortcut + residual with g = sigmoid(conv1x1(x) + bias)",
        build=partial(lazy("join_modules.Gate"), exclusive=False),
        formula=f"y = (1 - g) {{carried}} + {{branch}}, {_GATE}",
        options=_BIAS,
        cost=_gate_cost,
        declare=lambda operator, options: _gated(operator, options, 0.1),
    )
)
DROPOUT = define(
    Join(
        "dropout",
        "dropout(shortcut) + residual",
        build=lazy("join_modules.Dropout"),
        formula="y = dropout({carried}, {rate:g}) + {branch}",
        options={"rate": Number(0.5, 0.0, 0.999)},
        declare=_dropped,
    )
)
REZERO = define(
    Join(
        "rezero",
        "shortcut + alpha * residual, alpha learned from 0",
        build=lazy("join_modules.ReZero"),
        formula="y = {carried} + alpha {branch}, alpha from 0",
        cost=lambda site: Cost(1),
        declare=lambda operator, options: replace(operator, branch_gain=0.0),
        carries_unchanged=True,
        closed=True,
    )
)
