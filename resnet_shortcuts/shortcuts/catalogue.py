"""Every known shortcut strategy by name. Needs no torch, so that a wrong name is answered at once.

A strategy is one entry of ``CATALOGUE``: a name, aliases, one line, a source, and the point of the grid that it is. The
list, the documentation, ``rsc verify``, the tables and the tests follow from that entry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.names import did_you_mean
from resnet_shortcuts.shortcuts.composition import Composition, compose


@dataclass(frozen=True)
class Strategy:
    """A shortcut strategy: what it is called, where it comes from, and what it computes (its composition)."""

    name: str
    summary: str
    source: str
    composition: Composition
    aliases: tuple[str, ...] = ()
    note: str = ""

    def identity(self) -> dict[str, Any]:
        """What the strategy computes, JSON-able; equal for aliases and for a composition equal to a named point."""
        return self.composition.identity()

    def reference(self) -> str | dict[str, Any]:
        """What a config would say to get this strategy again: its name, or its composition spelled out."""
        named = _by_word().get(self.name.casefold())
        if named is not None and named.identity() == self.identity():
            return self.name
        return {**self.identity(), "name": self.name}


_HE15 = "He et al. 2015, arXiv:1512.03385"
_QUESTION = "'Residual network dimension changing blocks identity function', the Q&A page that started this"

CATALOGUE: tuple[Strategy, ...] = (
    Strategy("plain", "no shortcut anywhere", _HE15, Composition("none", "none", "all"), ("none", "no-shortcut")),
    Strategy(
        "stride-pad", "every second pixel, then zero channels", _HE15, Composition("stride", "pad"),
        ("A", "option-a", "zero-pad"),
    ),
    Strategy(
        "stride-duplicate", "every second pixel, concatenated with itself", "control for avg-duplicate",
        Composition("stride", "duplicate"),
    ),
    Strategy("max-pad", "3x3 max-pool, then zero channels", f"the asker of {_QUESTION}", Composition("max", "pad")),
    Strategy("avg-pad", "2x2 average, then zero channels", "Stochastic Depth 2016", Composition("avg", "pad")),
    Strategy(
        "avg-duplicate", "2x2 average, concatenated with itself", f"the answer to {_QUESTION}",
        Composition("avg", "duplicate"),
    ),
    Strategy(
        "projection", "1x1 convolution of stride 2, BN", f"{_HE15}; torchvision", Composition("stride", "conv-bn"),
        ("B", "option-b"),
    ),
    Strategy(
        "projection-all", "1x1 convolution and BN in every block", _HE15, Composition("stride", "conv-bn", "all"),
        ("C", "option-c"),
    ),
    Strategy(
        "avg-projection", "2x2 average, then 1x1 convolution, BN", "He T. et al., 'Bag of Tricks', CVPR 2019",
        Composition("avg", "conv-bn"), ("D", "resnet-d"),
    ),
)  # fmt: skip


@cache
def _by_word() -> dict[str, Strategy]:
    words: dict[str, Strategy] = {}
    for strategy in CATALOGUE:
        for word in (strategy.name, *strategy.aliases):
            if words.setdefault(word.casefold(), strategy) is not strategy:
                raise ValueError(f"two strategies are called {word!r}")
    return words


def strategies() -> tuple[Strategy, ...]:
    """Every named strategy, in the order of the catalogue."""
    return CATALOGUE


def words() -> tuple[str, ...]:
    """Every name and alias, as written."""
    return tuple(word for strategy in CATALOGUE for word in (strategy.name, *strategy.aliases))


def find(reference: str | Mapping[str, Any], base: Path | None = None) -> Strategy:
    """The strategy that a config or command line means: a name, an alias, or a composition as a mapping.

    A mapping may carry its own ``name``, and ``like`` to start from a named strategy. ``base`` is the folder that
    relative paths count from. Raises UsageError with the nearest names.
    """
    if isinstance(reference, Mapping):
        return _find_composition(reference)
    if not isinstance(reference, str):
        raise UsageError(
            f"a shortcut must be a name or a composition, not {reference!r}", "shortcuts", "see: rsc shortcuts"
        )
    found = _by_word().get(reference.strip().casefold())
    if found is None:
        raise UsageError(f"unknown shortcut {reference!r}", "shortcuts", did_you_mean(reference, words()))
    return found


def _find_composition(reference: Mapping[str, Any]) -> Strategy:
    parts = dict(reference)
    name, like = parts.pop("name", None), parts.pop("like", None)
    start = None if like is None else find(like).composition
    composition = compose(parts, start)
    if name is not None and (not isinstance(name, str) or not name.strip() or len(name) > 80 or not name.isprintable()):
        raise UsageError(f"{name!r} is no name for a shortcut", "shortcuts", "a short printable text")
    for strategy in CATALOGUE:
        if strategy.composition.identity() == composition.identity() and name in {None, strategy.name}:
            return strategy
    if name is not None and name.casefold() in _by_word():
        raise UsageError(f"the name {name!r} is taken", "shortcuts", "a composition of its own needs a name of its own")
    return Strategy(name or _describe(composition), "a composition of one's own", "config", composition)


def _describe(composition: Composition) -> str:
    said = composition.identity()
    parts = [said.pop("spatial"), said.pop("channels")]
    scope, scale = said.pop("scope"), said.pop("scale")
    parts += [scope] if scope != "transitions" else []
    parts += [f"x{scale:g}"] if scale != 1 else []
    parts += [str(value) if key == "join" else f"{key.replace('_', '-')}={value:g}" for key, value in said.items()]
    return "+".join(parts)
