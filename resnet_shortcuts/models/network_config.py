"""What a network is called and what it is made of. Needs no torch.

A new network is one entry of ``FAMILIES`` here (and, if its blocks are new, one class in ``blocks.py``).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from resnet_shortcuts.errors import SettingError, UsageError
from resnet_shortcuts.suggestions import did_you_mean

Stem = Literal["cifar", "imagenet", "deep"]


@dataclass(frozen=True)
class Architecture:
    """The numbers that define a network: blocks a stage, and the kind of block.

    ``block`` names a class of ``blocks.BLOCKS``; ``width`` is the width of the first stage (each later stage doubles
    it); ``stride_first`` puts a bottleneck's stride into its first 1x1 convolution (v1) and not into the 3x3 (v1.5).
    With ``alpha`` the width grows in every block instead, by alpha in all (PyramidNet).
    """

    blocks: tuple[int, ...]
    block: str
    stem: Stem
    width: int
    stride_first: bool = False
    alpha: float | None = None

    @property
    def total(self) -> int:
        """Number of residual blocks."""
        return sum(self.blocks)

    def block_width(self, stage: int, index: int) -> int:
        """Width of block ``index`` (counted from 0 through the network), which lies in ``stage``."""
        if self.alpha is None:
            return self.width << stage
        return int(self.width + self.alpha * (index + 1) / self.total + 0.5)


@dataclass(frozen=True)
class Family:
    """Networks of one shape: a pattern with the group N, what N must be, examples, and N's architecture."""

    pattern: str
    rule: str
    examples: tuple[int, ...]
    name: Callable[[int], str]
    valid: Callable[[int], bool]
    architecture: Callable[[int], Architecture]


#: Deeper than the deepest net published (1,202 layers): beyond it, a depth is a typing error.
_DEEPEST = 2000


def _cifar(kind: str, block: str, suffix: str, layers: int, alpha: float | None = None) -> Family:
    """Three stages of n blocks; ``layers`` = 3 stages x convolutions a block, to which stem and final layer come."""
    return Family(
        rf"cifar-{kind}-(?P<N>\d+){suffix}",
        f"{layers}n+2, at most {_DEEPEST}",
        tuple(layers * n + 2 for n in ((3, 9, 18) if layers == 6 else (3, 12, 18))),
        lambda depth: f"cifar-{kind}-{depth}{suffix}",
        lambda depth: layers + 2 <= depth <= _DEEPEST and (depth - 2) % layers == 0,
        lambda depth: Architecture(((depth - 2) // layers,) * 3, block, "cifar", 16, alpha=alpha),
    )


_IMAGENET: dict[int, tuple[tuple[int, ...], str]] = {
    18: ((2, 2, 2, 2), "basic"),
    34: ((3, 4, 6, 3), "basic"),
    50: ((3, 4, 6, 3), "bottleneck"),
    101: ((3, 4, 23, 3), "bottleneck"),
    152: ((3, 8, 36, 3), "bottleneck"),
}


def _imagenet(suffix: str, depths: tuple[int, ...], stride_first: bool) -> Family:
    """Four stages (He et al. 2015, Table 1)."""
    return Family(
        rf"imagenet-resnet-(?P<N>\d+){suffix}",
        "one of " + ", ".join(map(str, depths)),
        depths,
        lambda depth: f"imagenet-resnet-{depth}{suffix}",
        lambda depth: depth in depths,
        lambda depth: Architecture(*_IMAGENET[depth], "imagenet", 64, stride_first),
    )


FAMILIES: tuple[Family, ...] = (
    _cifar("resnet", "basic", "", 6),
    _cifar("resnet", "bottleneck", "-bottleneck", 9),
    _cifar("preresnet", "preactivation-basic", "", 6),
    _cifar("preresnet", "preactivation-bottleneck", "-bottleneck", 9),
    _cifar("pyramidnet", "pyramid", "", 6, alpha=48.0),
    _imagenet("", (18, 34, 50, 101, 152), stride_first=False),
    _imagenet("-v1", (50, 101, 152), stride_first=True),
)


LIBRARIES: dict[str, tuple[str, ...]] = {
    "torchvision": (
        "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d",
        "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2",
    ),
    "timm": ("resnet18", "resnet26", "resnet26d", "resnet50", "resnet50d"),
}  # fmt: skip
"""Networks of other libraries, named LIBRARY:NAME: torchvision's, all of them, and examples of timm's ``resnet*``."""


def library_of(name: str) -> tuple[str, str] | None:
    """Library and name of a network that is called LIBRARY:NAME, or None for one of ours. Raises UsageError."""
    library, colon, own = name.partition(":")
    if not colon:
        return None
    if library not in LIBRARIES:
        raise UsageError(f"unknown library {library[:80]!r} in {name[:80]!r}", todo=did_you_mean(library, LIBRARIES))
    known = own in LIBRARIES[library] if library == "torchvision" else re.fullmatch(r"resnet\w+", own)
    if not known:
        valid = [f"{library}:{each}" for each in LIBRARIES[library]]
        raise UsageError(f"{library} has no ResNet {own[:80]!r} that is served here", todo=did_you_mean(name, valid))
    return library, own


def usual_data(name: str) -> tuple[tuple[int, int, int], int]:
    """(C, H, W) of an image and the number of classes that the networks of this name's family were designed for."""
    return ((3, 224, 224), 1000) if name.startswith("imagenet-") or ":" in name else ((3, 32, 32), 10)


def network_names() -> tuple[str, ...]:
    """Examples of valid network names, a few of each family."""
    return tuple(family.name(depth) for family in FAMILIES for depth in family.examples)


def parse_name(name: str) -> Architecture:
    """The architecture of this name. Raises UsageError that suggests the nearest valid names."""
    for family in FAMILIES:
        match = re.fullmatch(family.pattern, name)
        if not match:
            continue
        depth = int(match["N"][:9])
        if family.valid(depth):
            return family.architecture(depth)
        near = sorted((d for d in range(_DEEPEST + 1) if family.valid(d)), key=lambda d: (abs(d - depth), d))[:2]
        todo = f"did you mean {' or '.join(repr(family.name(d)) for d in near)}?"
        raise UsageError(f"no network {name[:80]!r}", todo=f"the depth must be {family.rule}: {todo}")
    raise UsageError(f"unknown network {name[:80]!r}", todo=did_you_mean(name, network_names()))


class NetworkSpec(BaseModel):
    """A network as a config names it: a plain string, or a mapping with its options.

    ``width`` is the number of channels of the first stage, ``stem`` what comes before it, and ``alpha`` the widening
    of a PyramidNet; left out, they are the network's own. ``zero_init`` starts the last BN of each branch at 0;
    building refuses it where that leaves channels dead for ever, unless it is ``force``. An unknown name or depth is
    refused with the nearest valid ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    width: int | None = Field(default=None, ge=1, le=4096, strict=True)
    stem: Stem | None = None
    alpha: float | None = Field(default=None, gt=0, le=10_000, allow_inf_nan=False)
    zero_init: bool | Literal["force"] = False

    @model_validator(mode="before")
    @classmethod
    def _accept_a_plain_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _name_is_known(self) -> "NetworkSpec":
        if self.library is not None:
            given = [key for key in ("width", "stem", "alpha", "zero_init") if getattr(self, key)]
            if given:
                raise SettingError(f"{self.name!r} is built by its library, without options", given[0], "leave it out")
            return self
        own = parse_name(self.name)
        if self.alpha is not None and own.alpha is None:
            raise SettingError(f"alpha belongs to cifar-pyramidnet-N, {self.name!r} has none", "alpha", "leave it out")
        if self.zero_init and own.block.startswith("preactivation"):
            what = f"zero_init needs a BN at the end of the branch, the blocks of {self.name!r} have none"
            raise SettingError(what, "zero_init", "leave it out")
        return self

    @property
    def library(self) -> tuple[str, str] | None:
        """Library and name of a network of torchvision or timm; None for one of ours."""
        return library_of(self.name)

    @property
    def architecture(self) -> Architecture:
        """The numbers behind the name, with this spec's options applied. Raises UsageError for another library's."""
        own = parse_name(self.name)
        return replace(own, stem=self.stem or own.stem, width=self.width or own.width, alpha=self.alpha or own.alpha)

    @property
    def label(self) -> str:
        """How tables call this network: its name, and its options where they are not the network's own."""
        if self.library is not None:
            return self.name
        own, built = parse_name(self.name), self.architecture
        options = [
            f"{key}={getattr(built, key)}"
            for key in ("width", "stem", "alpha")
            if getattr(own, key) != getattr(built, key)
        ]
        options += [f"zero_init={self.zero_init}".lower()] if self.zero_init else []
        return f"{self.name}({', '.join(options)})" if options else self.name

    def identity(self) -> dict[str, Any]:
        """What is built, JSON-able; an option that is given and the same option by default are equal.

        Of another library's network it is library, name and the shapes of its weights, for which that is imported.
        """
        if self.library is not None:
            from resnet_shortcuts.models.library_networks import shapes_sha256

            library, name = self.library
            return {"library": library, "name": name, "state_dict": shapes_sha256(library, name)}
        built = self.architecture
        identity: dict[str, Any] = {"name": self.name, "width": built.width, "stem": built.stem}
        if built.alpha is not None:
            identity["alpha"] = float(built.alpha)
        if self.zero_init:
            identity["zero_init"] = True
        return identity
