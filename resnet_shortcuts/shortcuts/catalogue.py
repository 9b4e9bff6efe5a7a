"""Every known shortcut strategy by name. Needs no torch, so that a wrong name is answered at once.

A strategy is one entry of ``CATALOGUE``: a name, aliases, one line, a source, and the point of the grid that it is. The
list, the documentation, ``rsc verify``, the tables and the tests follow from that entry.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.shortcuts.composition import Composition, compose
from resnet_shortcuts.shortcuts.custom_sources import (
    Plugin,
    announce_installed,
    from_file,
    installed,
    is_file_reference,
)
from resnet_shortcuts.suggestions import did_you_mean, nearest


@dataclass(frozen=True)
class Strategy:
    """A shortcut strategy: what it is called, where it comes from, and what it computes.

    That is either its ``composition``, a point of the grid, or a ``plugin``, a user's own class. ``same_as`` names the
    strategy whose networks are the same functions with the same gradients: of a difference between the two, tables say
    that it is noise. (Starting both from the same function would not make their runs equal: with channels in another
    order sums round otherwise, and after 20 steps of SGD on digits two such ResNet-20s no longer agree.)
    """

    name: str
    summary: str
    source: str
    composition: Composition | None
    aliases: tuple[str, ...] = ()
    note: str = ""
    plugin: Plugin | None = None
    same_as: str = ""

    @property
    def point(self) -> Composition:
        """The composition; asking a plugin for it is a mistake of the caller."""
        if self.composition is None:
            raise TypeError(f"shortcut {self.name!r} is a class of its own, no composition")
        return self.composition

    def identity(self) -> dict[str, Any]:
        """What the strategy computes, JSON-able; equal for aliases and for a composition equal to a named point.

        A plugin is known by its class and the hash of its source file, wherever the file lies.
        """
        if self.plugin is not None:
            return {"class": self.plugin.class_name, "sha256": self.plugin.sha256}
        return self.point.identity()

    def reference(self) -> str | dict[str, Any]:
        """What a config would say to get this strategy again: a name, a composition spelled out, or FILE:Class."""
        if self.plugin is not None:
            return self.name if self.plugin.module else f"{self.plugin.path}:{self.plugin.class_name}"
        named = _by_word().get(self.name.casefold())
        if named is not None and named.identity() == self.identity():
            return self.name
        return {**self.identity(), "name": self.name}


_HE15 = "He et al. 2015, arXiv:1512.03385"
_HE16 = "He et al. 2016, arXiv:1603.05027, Table 1"
_ASKED = "'Residual network dimension changing blocks identity function' (Q&A)"
_ZHANG = "Zhang, ICML 2019"
_BAG = "He T. et al., 'Bag of Tricks', CVPR 2019; timm downsample_avg"
_RESHAPE = "related: Santhanam & Davis, TNNLS 2020"

CATALOGUE: tuple[Strategy, ...] = (
    Strategy(
        "plain", "no shortcut anywhere", f"{_HE15}, plain nets; {_HE16}, scaling 0", Composition("none", "none", "all"),
        ("no-shortcut",),
    ),
    Strategy(
        "stride-pad", "every second pixel, then zero channels", f"{_HE15}, option A", Composition("stride", "pad"),
        ("A", "option-a", "zero-pad"),
        "A 1x1 max-pool or average of stride 2 is the same operator. fb.resnet.torch pads at the end.",
    ),
    Strategy(
        "stride-pad-both", "every second pixel, zero channels on both sides", "akamaster/pytorch_resnet_cifar10",
        Composition("stride", "pad-both"), (),
        "The same network as stride-pad, its channels in another order; a seed places its weights differently, so runs "
        "of the two differ by noise alone.", same_as="stride-pad",
    ),
    Strategy(
        "stride-duplicate", "every second pixel, concatenated with itself", "control: duplicating without averaging",
        Composition("stride", "duplicate"),
    ),
    Strategy(
        "avg-pad", "2x2 average, then zero channels", "Stochastic Depth 2016, tensorpack, tensorflow/models",
        Composition("avg", "pad"), (), "Often published as 'option A', which it is not.",
    ),
    Strategy(
        "avg-duplicate", "2x2 average, concatenated with itself", f"the answer to {_ASKED}; ReActNet 2020",
        Composition("avg", "duplicate"),
    ),
    Strategy(
        "avg3-pad", "3x3 average (padding not counted), then zero channels", "completes the grid",
        Composition("avg3", "pad"),
    ),
    Strategy(
        "max-pad", "3x3 max-pool, then zero channels", f"the asker of {_ASKED}", Composition("max", "pad"),
    ),
    Strategy(
        "max-duplicate", "3x3 max-pool, concatenated with itself", "completes stride/avg/max x pad/duplicate",
        Composition("max", "duplicate"),
    ),
    Strategy(
        "max2-pad", "2x2 max-pool, then zero channels", "control: no overlap", Composition("max2", "pad"),
    ),
    Strategy("blur3-pad", "blur [1,2,1], stride, zero channels", _ZHANG, Composition("blur3", "pad")),
    Strategy("blur4-pad", "blur [1,3,3,1], stride, zero channels", _ZHANG, Composition("blur4", "pad")),
    Strategy(
        "haar-pad", "2 x 2x2 average (Haar low-pass), then zero channels", "control: averaging that keeps the norm",
        Composition("avg", "pad", scale=2.0),
    ),
    Strategy(
        "s2d-keep", "space-to-depth, half of its channels kept", _RESHAPE, Composition("s2d", "keep"), (),
        "Keeps the phases (0,0) and (1,1) where the channels double.",
    ),
    Strategy("s2d-mean", "space-to-depth, means of pairs", _RESHAPE, Composition("s2d", "mean")),
    Strategy(
        "s2d-haar", "space-to-depth, Haar low-pass and a detail band", _RESHAPE, Composition("s2d", "haar"), (),
        "The most that a shortcut can keep: half of the dimensions, with norm.",
    ),
    Strategy(
        "polyphase-pad", "the polyphase component of largest norm, then zero channels",
        "Chaman & Dokmanic, CVPR 2021", Composition("polyphase", "pad"), ("adaptive-polyphase",),
    ),
    Strategy(
        "pyramid-pad", "2x2 average where size changes, zero channels wherever channels grow",
        "Han et al., PyramidNet, CVPR 2017", Composition("avg", "pad", "all"), (),
        "For nets whose channels grow in every block (cifar-pyramidnet-N). On an ordinary ResNet it equals avg-pad.",
    ),
    Strategy(
        "skip-transitions", "no shortcut where the shape changes", "MobileNetV2 and relatives",
        Composition("none", "none"),
    ),
    Strategy(
        "projection", "1x1 convolution with stride, BN", f"{_HE15}, option B; torchvision",
        Composition("stride", "conv-bn"), ("B", "option-b"),
    ),
    Strategy(
        "projection-nobn", "1x1 convolution with stride, no BN", "DownsampleC of widely copied code",
        Composition("stride", "conv"),
    ),
    Strategy(
        "projection-all", "1x1 convolution and BN in every block", f"{_HE15}, option C",
        Composition("stride", "conv-bn", "all"), ("C", "option-c"),
    ),
    Strategy(
        "projection-all-nobn", "1x1 convolution without BN in every block", f"{_HE16}, 1x1 conv shortcut",
        Composition("stride", "conv", "all"),
    ),
    Strategy("projection-3x3", "3x3 convolution with stride, BN", "SENet-154", Composition("conv3", "conv-bn")),
    Strategy(
        "projection-2x2", "2x2 convolution with stride, BN", "many CIFAR codes (DownsampleD)",
        Composition("conv2", "conv-bn"), (), "The same network as s2d-projection.", same_as="s2d-projection",
    ),
    Strategy(
        "avg-projection", "2x2 average, then 1x1 convolution, BN", _BAG, Composition("avg", "conv-bn"),
        ("D", "resnet-d"), "ResNet-A/B/C/D of Bag of Tricks are not options A/B/C.",
    ),
    Strategy("blur-projection", "blur [1,2,1], then 1x1 convolution, BN", _ZHANG, Composition("blur3", "conv-bn")),
    Strategy(
        "max-projection", "3x3 max-pool, then 1x1 convolution, BN", "Duta et al. 2020, arXiv:2004.04989",
        Composition("max", "conv-bn"), ("iresnet",),
    ),
    Strategy(
        "s2d-projection", "space-to-depth, then 1x1 convolution, BN", "SPD-Conv 2022 (there in the main path)",
        Composition("s2d", "conv-bn"), (), "The same network as projection-2x2, and built as that.",
        same_as="projection-2x2",
    ),
    Strategy(
        "factorized-reduce", "two 1x1 convolutions, one of x shifted by a pixel; concatenated, BN",
        "Shake-Shake; DARTS", Composition("factorized", "conv-bn"), (), "A common bug drops the shift.",
    ),
    Strategy(
        "depthwise-projection", "3x3 depthwise convolution, BN, 1x1 convolution, BN", "GhostNet",
        Composition("depthwise", "conv-bn"),
    ),
    Strategy(
        "scale-half", "option A; shortcut x 0.5 in every block", f"{_HE16}, constant scaling",
        Composition("stride", "pad", "all", scale=0.5),
    ),
    Strategy(
        "scale-both-half", "option A; shortcut x 0.5 and branch x 0.5 in every block", f"{_HE16}, constant scaling",
        Composition("stride", "pad", "all", scale=0.5, branch_scale=0.5),
    ),
    Strategy(
        "exclusive-gate", "option A; shortcut x (1 - g), branch x g in every block", f"{_HE16}, exclusive gating",
        Composition("stride", "pad", "all", join="exclusive-gate"), (),
        "g = sigmoid(1x1 convolution of x), bias from -6; at a change of size it has the stride.",
    ),
    Strategy(
        "shortcut-gate", "option A; shortcut x (1 - g) in every block", f"{_HE16}, shortcut-only gating",
        Composition("stride", "pad", "all", join="shortcut-gate"), (),
        "g = sigmoid(1x1 convolution of x), bias from -6; at a change of size it has the stride.",
    ),
    Strategy(
        "dropout", "option A; dropout 0.5 on the shortcut of every block", f"{_HE16}, dropout shortcut",
        Composition("stride", "pad", "all", join="dropout"),
    ),
    Strategy(
        "rezero", "option A; branch x alpha in every block, alpha learned from 0",
        "Bachlechner et al. 2020; De & Smith 2020 (SkipInit)", Composition("stride", "pad", "all", join="rezero"),
        ("skipinit",),
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
    """Every registered strategy: the catalogue in its order, then those of installed packages."""
    taken = _by_word()
    return CATALOGUE + tuple(
        _from_plugin(name, plugin) for name, plugin in installed().items() if name.casefold() not in taken
    )


def words() -> tuple[str, ...]:
    """Every name and alias, as written."""
    return tuple(word for strategy in strategies() for word in (strategy.name, *strategy.aliases))


def _from_plugin(name: str, plugin: Plugin) -> Strategy:
    source = plugin.module or Path(plugin.path).name
    return Strategy(name, "a class of one's own", source, None, plugin=plugin)


def find(reference: str | Mapping[str, Any], base: Path | None = None) -> Strategy:
    """The strategy that a config or command line means.

    ``reference`` is a name or alias, a composition as a mapping, or ``./FILE.py:Class`` with a path relative to
    ``base`` (default: the working folder). A mapping may carry its own ``name``, and ``like`` to start from a named
    strategy. No plugin's code is run here. Raises UsageError with the nearest names.
    """
    if isinstance(reference, Mapping):
        return _find_composition(reference)
    if not isinstance(reference, str):
        raise UsageError(f"a shortcut must be a name or a composition, not {reference!r}", "shortcuts", "rsc shortcuts")
    word = reference.strip()
    found = _by_word().get(word.casefold())
    if found is not None:
        return found
    if is_file_reference(word):
        plugin = from_file(word, base)
        return _from_plugin(plugin.class_name, plugin)
    if word in installed():
        announce_installed(word, installed()[word])
        return _from_plugin(word, installed()[word])
    near = nearest(reference, words())
    todo = did_you_mean(reference, near) if near else "see: rsc shortcuts"
    raise UsageError(f"unknown shortcut {reference!r}", "shortcuts", todo)


def label_meant(word: str, labels: Iterable[str]) -> str | None:
    """The one of these strategy labels that ``word``, a name or alias in any case, stands for; None if none does."""
    folded = {label.casefold(): label for label in labels}
    strategy = _by_word().get(word.casefold())
    return folded.get(word.casefold()) or (folded.get(strategy.name.casefold()) if strategy else None)


def _find_composition(reference: Mapping[str, Any]) -> Strategy:
    parts = dict(reference)
    name, like = parts.pop("name", None), parts.pop("like", None)
    start = None if like is None else find(like).composition
    if like is not None and start is None:
        raise UsageError(f"shortcut {like!r} is no composition", "shortcuts", "like takes a strategy of the catalogue")
    composition = compose(parts, start)
    if name is not None and (not isinstance(name, str) or not name.strip() or len(name) > 80 or not name.isprintable()):
        raise UsageError(f"{name!r} is no name for a shortcut", "shortcuts", "a short printable text")
    same = [strategy for strategy in CATALOGUE if strategy.identity() == composition.identity()]
    if same and name in {None, same[0].name, *same[0].aliases}:
        return same[0]
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
