"""Every known shortcut strategy by name. Needs no torch, so that a wrong name is answered at once.

A strategy is one entry of ``CATALOGUE``: a name, one line, a source, a composition of operations, and aliases. The
list, the documentation, ``rsc verify``, the tables and the tests follow from that entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.shortcuts import channels as c
from resnet_shortcuts.shortcuts import joins as j
from resnet_shortcuts.shortcuts import spatial as s
from resnet_shortcuts.shortcuts.composition import Composition, compose
from resnet_shortcuts.shortcuts.custom_sources import (
    CustomShortcut,
    CustomSource,
    announce,
    from_file,
    installed,
    is_file_reference,
)
from resnet_shortcuts.shortcuts.site import Site
from resnet_shortcuts.suggestions import did_you_mean, nearest


@dataclass(frozen=True)
class Strategy:
    """A shortcut strategy: its name, its source, and what it computes.

    That is either its ``composition`` of operations or a ``custom`` class. ``same_as`` names the strategy whose
    networks are the same functions with the same gradients: tables say of a difference between the two that it is
    noise. (Starting both from the same function would not make their runs equal: with channels in another order sums
    round otherwise, and after 20 steps of SGD on digits two such ResNet-20s no longer agree.) ``references`` are
    keys of ``analysis/references.bib``, for the source as BibTeX; a control of ours has none.
    """

    name: str
    summary: str
    source: str
    composition: Composition | None
    aliases: tuple[str, ...] = ()
    note: str = ""
    custom: CustomShortcut | None = None
    same_as: str = ""
    references: tuple[str, ...] = ()

    @property
    def point(self) -> Composition:
        """The composition. Raises TypeError for a custom class, which has none."""
        if self.composition is None:
            raise TypeError(f"shortcut {self.name!r} is a custom class, not a composition")
        return self.composition

    @property
    def sources(self) -> tuple[CustomSource, ...]:
        """The source files of its custom code; empty for what comes with the package."""
        return (self.custom.source,) if self.custom is not None else tuple(self.point.sources.values())

    @property
    def sources_to_send(self) -> tuple[CustomSource, ...]:
        """The source files that another process cannot import by itself."""
        return () if self.custom is not None and self.custom.module else self.sources

    def identity(self) -> dict[str, Any]:
        """What the strategy computes, JSON-able; equal for aliases and for a composition equal to a named one.

        A custom class is known by its name and the hash of its source file, wherever the file lies.
        """
        if self.custom is not None:
            return {"class": self.custom.class_name, "sha256": self.custom.source.sha256}
        return self.point.identity()

    def reference(self, *, stored: bool = False) -> str | dict[str, Any]:
        """What a config would say to get this strategy again: a name, a composition spelled out, or FILE:Class.

        ``stored``: a config that lies in an experiment's folder, beside the sources stored there.
        """
        if self.custom is not None:
            if self.custom.module or self.custom.registered:
                return self.name
            source = self.custom.source
            return f"{source.stored_path if stored else source.file}:{self.custom.class_name}"
        named = _by_word().get(self.name.casefold())
        if named is not None and named.identity() == self.identity():
            return self.name
        return {**self.point.description(), "name": self.name}

    def cost(self, site: Site, size: int) -> dict[str, int] | None:
        """``parameters`` and ``multiply_adds`` at a site with size x size pixels at its input; None for a custom class.

        Counted by hand from the formulas of its operations, for one image.
        """
        if self.composition is None:
            return None
        cost = self.composition.cost(site)
        pixels = (-(-size // site.stride)) ** 2
        return {"parameters": cost.parameters, "multiply_adds": cost.multiply_adds * pixels}


_HE15 = "He et al. 2015, arXiv:1512.03385"
_HE16 = "He et al. 2016, arXiv:1603.05027, Table 1"
_ASKED = "'Residual network dimension changing blocks identity function' (Q&A)"
_ZHANG = "Zhang, ICML 2019"
_BAG = "He T. et al., 'Bag of Tricks', CVPR 2019; timm downsample_avg"
_RESHAPE = "related: Santhanam & Davis, TNNLS 2020"

CATALOGUE: tuple[Strategy, ...] = (
    Strategy(
        "plain", "no shortcut anywhere", f"{_HE15}, plain nets; {_HE16}, scaling 0", Composition(s.NONE, c.NONE, "all"),
        ("no-shortcut",), references=("he2016deep", "he2016identity"),
    ),
    Strategy(
        "stride-pad", "every second pixel, then zero channels", f"{_HE15}, option A", Composition(s.STRIDE, c.PAD),
        ("A", "option-a", "zero-pad"),
        "A 1x1 max-pool or average of stride 2 is the same operator. fb.resnet.torch pads at the end.",
        references=("he2016deep",),
    ),
    Strategy(
        "stride-pad-both", "every second pixel, zero channels on both sides", "akamaster/pytorch_resnet_cifar10",
        Composition(s.STRIDE, c.PAD_BOTH), (),
        "The same network as stride-pad, its channels in another order; a seed places its weights differently, so runs "
        "of the two differ by noise alone.", same_as="stride-pad", references=("idelbayev2018",),
    ),
    Strategy(
        "stride-duplicate", "every second pixel, concatenated with itself", "control: duplicating without averaging",
        Composition(s.STRIDE, c.DUPLICATE),
    ),
    Strategy(
        "avg-pad", "2x2 average, then zero channels", "Stochastic Depth 2016, tensorpack, tensorflow/models",
        Composition(s.AVG, c.PAD), (), "Often published as 'option A', which it is not.",
        references=("huang2016stochastic",),
    ),
    Strategy(
        "avg-duplicate", "2x2 average, concatenated with itself", f"the answer to {_ASKED}; ReActNet 2020",
        Composition(s.AVG, c.DUPLICATE), references=("dimensionqa", "liu2020reactnet"),
    ),
    Strategy(
        "avg3-pad", "3x3 average (padding not counted), then zero channels", "completes the grid",
        Composition(s.AVG3, c.PAD),
    ),
    Strategy(
        "max-pad", "3x3 max-pool, then zero channels", f"the asker of {_ASKED}", Composition(s.MAX, c.PAD),
        references=("dimensionqa",),
    ),
    Strategy(
        "max-duplicate", "3x3 max-pool, concatenated with itself", "completes stride/avg/max x pad/duplicate",
        Composition(s.MAX, c.DUPLICATE),
    ),
    Strategy(
        "max2-pad", "2x2 max-pool, then zero channels", "control: no overlap", Composition(s.MAX2, c.PAD),
    ),
    Strategy(
        "blur3-pad", "blur [1,2,1], stride, zero channels", _ZHANG, Composition(s.BLUR3, c.PAD),
        references=("zhang2019shift",),
    ),
    Strategy(
        "blur4-pad", "blur [1,3,3,1], stride, zero channels", _ZHANG, Composition(s.BLUR4, c.PAD),
        references=("zhang2019shift",),
    ),
    Strategy(
        "haar-pad", "2 x 2x2 average (Haar low-pass), then zero channels", "control: averaging that keeps the norm",
        Composition(s.AVG, c.PAD, scale=2.0),
    ),
    Strategy(
        "s2d-keep", "space-to-depth, half of its channels kept", _RESHAPE, Composition(s.S2D, c.KEEP), (),
        "Keeps the phases (0,0) and (1,1) where the channels double.", references=("santhanam2020",),
    ),
    Strategy(
        "s2d-mean", "space-to-depth, means of pairs", _RESHAPE, Composition(s.S2D, c.MEAN),
        references=("santhanam2020",),
    ),
    Strategy(
        "s2d-haar", "space-to-depth, Haar low-pass and a detail band", _RESHAPE, Composition(s.S2D, c.HAAR), (),
        "The most that a shortcut can keep: half of the dimensions, with norm.", references=("santhanam2020",),
    ),
    Strategy(
        "polyphase-pad", "the polyphase component of largest norm, then zero channels",
        "Chaman & Dokmanic, CVPR 2021", Composition(s.POLYPHASE, c.PAD), ("adaptive-polyphase",),
        references=("chaman2021",),
    ),
    Strategy(
        "pyramid-pad", "2x2 average where size changes, zero channels wherever channels grow",
        "Han et al., PyramidNet, CVPR 2017", Composition(s.AVG, c.PAD, "all"), (),
        "For nets whose channels grow in every block (cifar-pyramidnet-N). On an ordinary ResNet it equals avg-pad.",
        references=("han2017pyramidal",),
    ),
    Strategy(
        "skip-transitions", "no shortcut where the shape changes", "MobileNetV2 and relatives",
        Composition(s.NONE, c.NONE), references=("sandler2018",),
    ),
    Strategy(
        "projection", "1x1 convolution with stride, BN", f"{_HE15}, option B; torchvision",
        Composition(s.STRIDE, c.CONV_BN), ("B", "option-b"), references=("he2016deep",),
    ),
    Strategy(
        "projection-nobn", "1x1 convolution with stride, no BN", "DownsampleC of widely copied code",
        Composition(s.STRIDE, c.CONV),
    ),
    Strategy(
        "projection-all", "1x1 convolution and BN in every block", f"{_HE15}, option C",
        Composition(s.STRIDE, c.CONV_BN, "all"), ("C", "option-c"), references=("he2016deep",),
    ),
    Strategy(
        "projection-all-nobn", "1x1 convolution without BN in every block", f"{_HE16}, 1x1 conv shortcut",
        Composition(s.STRIDE, c.CONV, "all"), references=("he2016identity",),
    ),
    Strategy(
        "projection-3x3", "3x3 convolution with stride, BN", "SENet-154", Composition(s.CONV3, c.CONV_BN),
        references=("hu2018",),
    ),
    Strategy(
        "projection-2x2", "2x2 convolution with stride, BN", "many CIFAR codes (DownsampleD)",
        Composition(s.CONV2, c.CONV_BN), (), "The same network as s2d-projection.", same_as="s2d-projection",
    ),
    Strategy(
        "avg-projection", "2x2 average, then 1x1 convolution, BN", _BAG, Composition(s.AVG, c.CONV_BN),
        ("D", "resnet-d"), "ResNet-A/B/C/D of Bag of Tricks are not options A/B/C.", references=("he2019bag",),
    ),
    Strategy(
        "blur-projection", "blur [1,2,1], then 1x1 convolution, BN", _ZHANG, Composition(s.BLUR3, c.CONV_BN),
        references=("zhang2019shift",),
    ),
    Strategy(
        "max-projection", "3x3 max-pool, then 1x1 convolution, BN", "Duta et al. 2020, arXiv:2004.04989",
        Composition(s.MAX, c.CONV_BN), ("iresnet",), references=("duta2020",),
    ),
    Strategy(
        "s2d-projection", "space-to-depth, then 1x1 convolution, BN", "SPD-Conv 2022 (there in the main path)",
        Composition(s.S2D, c.CONV_BN), (), "The same network as projection-2x2, and built as that.",
        same_as="projection-2x2", references=("sunkara2022",),
    ),
    Strategy(
        "factorized-reduce", "two 1x1 convolutions, one of x shifted by a pixel; concatenated, BN",
        "Shake-Shake; DARTS", Composition(s.FACTORIZED, c.CONV_BN), (), "A common bug drops the shift.",
        references=("gastaldi2017", "liu2019darts"),
    ),
    Strategy(
        "depthwise-projection", "3x3 depthwise convolution, BN, 1x1 convolution, BN", "GhostNet",
        Composition(s.DEPTHWISE, c.CONV_BN), references=("han2020ghostnet",),
    ),
    Strategy(
        "scale-half", "option A; shortcut x 0.5 in every block", f"{_HE16}, constant scaling",
        Composition(s.STRIDE, c.PAD, "all", scale=0.5), references=("he2016identity",),
    ),
    Strategy(
        "scale-both-half", "option A; shortcut x 0.5 and branch x 0.5 in every block", f"{_HE16}, constant scaling",
        Composition(s.STRIDE, c.PAD, "all", scale=0.5, branch_scale=0.5), references=("he2016identity",),
    ),
    Strategy(
        "exclusive-gate", "option A; shortcut x (1 - g), branch x g in every block", f"{_HE16}, exclusive gating",
        Composition(s.STRIDE, c.PAD, "all", join=j.EXCLUSIVE_GATE), (),
        "g = sigmoid(1x1 convolution of x), bias from -6; at a change of size it has the stride.",
        references=("he2016identity",),
    ),
    Strategy(
        "shortcut-gate", "option A; shortcut x (1 - g) in every block", f"{_HE16}, shortcut-only gating",
        Composition(s.STRIDE, c.PAD, "all", join=j.SHORTCUT_GATE), (),
        "g = sigmoid(1x1 convolution of x), bias from -6; at a change of size it has the stride.",
        references=("he2016identity",),
    ),
    Strategy(
        "dropout", "option A; dropout 0.5 on the shortcut of every block", f"{_HE16}, dropout shortcut",
        Composition(s.STRIDE, c.PAD, "all", join=j.DROPOUT), references=("he2016identity",),
    ),
    Strategy(
        "rezero", "option A; branch x alpha in every block, alpha learned from 0",
        "Bachlechner et al. 2020; De & Smith 2020 (SkipInit)", Composition(s.STRIDE, c.PAD, "all", join=j.REZERO),
        ("skipinit",), references=("bachlechner2021", "de2020"),
    ),
)  # fmt: skip


_registered: dict[str, Strategy] = {}
"""Strategies that were registered in this process, by name."""


def _words_of(catalogue: Iterable[Strategy]) -> dict[str, Strategy]:
    return {word.casefold(): strategy for strategy in catalogue for word in (strategy.name, *strategy.aliases)}


@cache
def _built_in() -> dict[str, Strategy]:
    return _words_of(CATALOGUE)


def _by_word() -> dict[str, Strategy]:
    return {**_built_in(), **_words_of(_registered.values())}


def add(strategy: Strategy) -> None:
    """Add a custom strategy to the catalogue of this process. Raises UsageError where one of its names is taken.

    A strategy of the same file and name is replaced.
    """
    taken = _by_word()
    for word in (strategy.name, *strategy.aliases):
        other = taken.get(word.casefold())
        replaced = other is not None and other.name == strategy.name and _files(other) == _files(strategy)
        if other is not None and not replaced:
            raise UsageError(f"the name {word!r} is taken", f"shortcut '{other.name}'", "choose another name")
    _registered[strategy.name] = strategy


def _files(strategy: Strategy) -> list[str]:
    return [source.file for source in strategy.sources]


def strategies() -> tuple[Strategy, ...]:
    """Every strategy: the catalogue in its order, then those registered here, then those of installed packages."""
    taken = _by_word()
    others = (_custom(name, custom) for name, custom in installed().items() if name.casefold() not in taken)
    return (*CATALOGUE, *_registered.values(), *others)


def words() -> tuple[str, ...]:
    """Every name and alias, as written."""
    return tuple(word for strategy in strategies() for word in (strategy.name, *strategy.aliases))


def _custom(name: str, custom: CustomShortcut) -> Strategy:
    return Strategy(name, "custom strategy", custom.module or Path(custom.source.file).name, None, custom=custom)


def find(reference: str | Mapping[str, Any], base: Path | None = None) -> Strategy:
    """The strategy that a config or command line names.

    ``reference`` is a name or alias, a composition as a mapping, or ``./FILE.py:Class`` with a path relative to
    ``base`` (default: the working folder). A mapping may carry its own ``name``, and ``like`` to start from a named
    strategy. No custom code is run here. Raises UsageError with the nearest names.
    """
    if isinstance(reference, Mapping):
        return _find_composition(reference)
    if not isinstance(reference, str):
        raise UsageError(f"a shortcut must be a name or a composition, not {reference!r}", "shortcuts", "rsc shortcuts")
    word = reference.strip()
    named = _by_word().get(word.casefold())
    if named is not None:
        return named
    if is_file_reference(word):
        custom = from_file(word, base)
        return _custom(custom.class_name, custom)
    if word in installed():
        announce(installed()[word].source.file, word)
        return _custom(word, installed()[word])
    near = nearest(reference, words())
    todo = did_you_mean(reference, near) if near else "see: rsc shortcuts"
    raise UsageError(f"unknown shortcut {reference!r}", "shortcuts", todo)


def label_meant(word: str, labels: Iterable[str]) -> str | None:
    """The one of these strategy labels that ``word``, a name or alias in any case, stands for; None if none does."""
    folded = {label.casefold(): label for label in labels}
    strategy = _by_word().get(word.casefold())
    return folded.get(word.casefold()) or (folded.get(strategy.name.casefold()) if strategy else None)


def check_name(name: Any) -> str:
    """The name of a strategy or operation. Raises UsageError where it is no short printable text."""
    if not isinstance(name, str) or not name.strip() or len(name) > 80 or not name.isprintable():
        raise UsageError(f"{name!r} is not a valid name for a shortcut", "shortcuts", "a short printable text")
    return name


def _find_composition(reference: Mapping[str, Any]) -> Strategy:
    parts = dict(reference)
    name, like = parts.pop("name", None), parts.pop("like", None)
    start = None if like is None else find(like).composition
    if like is not None and start is None:
        raise UsageError(f"shortcut {like!r} is not a composition", "shortcuts", "like takes a composed strategy")
    composition = compose(parts, start)
    same = [strategy for strategy in CATALOGUE if strategy.identity() == composition.identity()]
    if same and name in {None, same[0].name, *same[0].aliases}:
        return same[0]
    if name is not None and check_name(name).casefold() in _by_word():
        raise UsageError(f"the name {name!r} is taken", "shortcuts", "a custom composition needs another name")
    return Strategy(name or _label(composition), "custom composition", "config", composition)


def _label(composition: Composition) -> str:
    values = composition.description()
    parts = [values.pop("spatial"), values.pop("channels")]
    scope, scale = values.pop("scope"), values.pop("scale")
    parts += [scope] if scope != "transitions" else []
    parts += [f"x{scale:g}"] if scale != 1 else []
    parts += [
        value if isinstance(value, str) else f"{key.replace('_', '-')}={value:g}" for key, value in values.items()
    ]
    return "+".join(parts)
