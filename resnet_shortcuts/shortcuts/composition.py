"""Compositions: strategies made of a spatial operation, a channel operation and a join. Needs no torch to describe one.

What goes with what is for the operations to say; this module only asks them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.shortcuts.custom_sources import CustomSource
from resnet_shortcuts.shortcuts.joins import ADD
from resnet_shortcuts.shortcuts.operations import (
    ChannelOperation,
    Cost,
    Join,
    Number,
    SpatialOperation,
    operations,
)
from resnet_shortcuts.suggestions import did_you_mean

if TYPE_CHECKING:
    from resnet_shortcuts.shortcuts.contract import Shortcut
    from resnet_shortcuts.shortcuts.site import Site

SCOPES: dict[str, str] = {
    "transitions": "acts where the shape changes; an identity elsewhere",
    "all": "acts in every block",
}


@dataclass(frozen=True)
class Composition:
    """A spatial operation, a channel operation, a scope, two factors and a join.

    ``scale`` multiplies the shortcut where the strategy acts: at changes of size with scope 'transitions', in every
    block with scope 'all'; ``branch_scale`` multiplies the residual branch in the same places. ``options`` are the
    numbers of the join that differ from its defaults.
    """

    spatial: SpatialOperation
    channels: ChannelOperation
    scope: str = "transitions"
    scale: float = 1.0
    branch_scale: float = 1.0
    join: Join = ADD
    options: tuple[tuple[str, float], ...] = ()

    @property
    def everywhere(self) -> bool:
        """Whether the composition acts in every block."""
        return self.scope == "all"

    @property
    def join_options(self) -> dict[str, float]:
        """Every option of the join by name."""
        given = dict(self.options)
        return {name: given.get(name, number.default) for name, number in self.join.options.items()}

    @property
    def sources(self) -> dict[str, CustomSource]:
        """The source files of the operations that a user registered, by the operation's name."""
        parts = (self.spatial, self.channels, self.join)
        return {part.name: part.source for part in parts if part.source is not None}

    def description(self) -> dict[str, Any]:
        """The composition as JSON-able values; what has no effect is left out or written in one way."""
        values: dict[str, Any] = {"spatial": self.spatial.name, "channels": self.channels.name, "scope": self.scope}
        values["scale"] = float(self.scale)
        if self.branch_scale != 1:
            values["branch_scale"] = float(self.branch_scale)
        if self.join is not ADD:
            values["join"] = self.join.name
        return values | {name: float(value) for name, value in self.join_options.items()}

    def identity(self) -> dict[str, Any]:
        """What the composition computes: its description, and the hash of each registered operation's source file."""
        hashes = {name: source.sha256 for name, source in self.sources.items()}
        return {**self.description(), **({"sha256": hashes} if hashes else {})}

    def problem(self) -> str | None:
        """Why this composition makes no sense, or None if it does."""
        spatial, channels = self.spatial, self.channels
        if not channels.goes_with(spatial):
            if spatial.build is None:
                fitting = [name for name, other in operations(ChannelOperation).items() if other.goes_with(spatial)]
                return f"spatial '{spatial.name}' needs channels {_either(fitting)}"
            fitting = [name for name, other in operations(SpatialOperation).items() if channels.goes_with(other)]
            return f"channels '{channels.name}' needs spatial {_either(fitting)}"
        if not spatial.passes and not self.join.adds:
            return f"join '{self.join.name}' needs a shortcut; spatial '{spatial.name}' leaves none at transitions"
        return None

    def build(self, strategy: str, site: Site) -> Shortcut:
        """The shortcut of this composition for a site. Raises UsageError, naming the strategy, for one not served."""
        from resnet_shortcuts.shortcuts.join_modules import Nothing

        acts = self.everywhere or site.changes
        if not self.spatial.passes:
            return Nothing(site) if acts else ADD.build(None, site, 1.0, 1.0)
        if reason := self.channels.problem_at(site):
            raise site.refuse(strategy, reason)
        operation = self.channels.operation(self.spatial, site, self.everywhere)
        scaled = self.everywhere or site.changes_size
        factors = (self.scale, self.branch_scale) if scaled else (1.0, 1.0)
        join, options = (self.join, self.join_options) if acts else (ADD, {})
        shortcut = join.build(operation, site, *factors, **options)
        if site.preactivation and self.channels.convolves and acts:
            shortcut.reads = "preactivated"
        return shortcut

    def cost(self, site: Site) -> Cost:
        """Parameters, and multiply-adds for each output pixel, of the shortcut at a site.

        Additions, pools and products with constants count as zero, convolutions with fixed weights (blurs) in full.
        """
        if not self.spatial.passes:
            return Cost()
        operator = self.channels.cost_with(self.spatial, site, self.everywhere)
        return operator + self.join.cost(site) if site.changes or self.everywhere else operator

    def formula(self) -> str:
        """What a block that changes the size computes, in a line (before the block's last ReLU)."""
        if not self.spatial.passes:
            return "y = branch"
        carried = self.channels.formula(self.spatial)
        carried = carried if self.scale == 1 else f"{self.scale:g} {carried}"
        branch = "branch" if self.branch_scale == 1 else f"{self.branch_scale:g} branch"
        return self.join.formula.format(carried=carried, branch=branch, **self.join_options)


def _either(names: list[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


_FACTORS = {"scale": Number(1.0), "branch_scale": Number(1.0)}


def _option_ranges() -> dict[str, Number]:
    return {name: number for join in operations(Join).values() for name, number in join.options.items()}


def _word(key: str, value: Any, known: Mapping[str, Any]) -> str:
    word = "none" if value is None else value
    if not isinstance(word, str) or word not in known:
        raise UsageError(f"unknown {key} {value!r}", "shortcuts", did_you_mean(str(value), known))
    return word


def _number(key: str, value: Any, allowed: Number) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(
            f"{key} must be a number, not {value!r}", "shortcuts", f"from {allowed.low:g} to {allowed.high:g}"
        )
    if not allowed.low <= value <= allowed.high:
        raise UsageError(f"{key} is {value!r}", "shortcuts", f"it must be from {allowed.low:g} to {allowed.high:g}")
    return float(value)


def compose(parts: Mapping[str, Any], start: Composition | None = None) -> Composition:
    """The composition that a mapping spells out, over ``start`` if given. Raises UsageError for unknown words."""
    words: dict[str, Mapping[str, Any]] = {
        "spatial": operations(SpatialOperation),
        "channels": operations(ChannelOperation),
        "scope": {scope: scope for scope in SCOPES},
        "join": operations(Join),
    }
    ranges = {**_FACTORS, **_option_ranges()}
    known = ["spatial", "channels", "scope", *_FACTORS, "join", *_option_ranges()]
    for key in parts:
        if key not in known:
            raise UsageError(f"unknown key {key!r} in a composition", "shortcuts", did_you_mean(str(key), known))
    missing = [key for key in ("spatial", "channels") if key not in parts]
    if start is None and missing:
        raise UsageError(
            f"a composition without {' and '.join(missing)}", "shortcuts", "spatial and channels are needed"
        )
    values = {} if start is None else {**vars(start), **dict(start.options)}
    for key, value in parts.items():
        values[key] = words[key][_word(key, value, words[key])] if key in words else _number(key, value, ranges[key])
    given = {name: values.pop(name) for name in _option_ranges() if name in values}
    own = values.get("join", ADD).options
    values["options"] = tuple(
        (name, given[name]) for name in own if given.get(name, own[name].default) != own[name].default
    )
    composition = Composition(**values)
    if problem := composition.problem():
        raise UsageError("a composition that cannot be built", "shortcuts", problem)
    return composition
