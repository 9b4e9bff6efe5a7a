"""What a network is called and what it is made of. Needs no torch.

A new network is one entry of ``FAMILIES`` here (and, if its blocks are new, one class in ``blocks.py``).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from resnet_shortcuts.names import did_you_mean

Stem = Literal["cifar", "imagenet", "deep"]


@dataclass(frozen=True)
class Architecture:
    """The numbers that define a network: blocks a stage, and the kind of block.

    ``block`` names a class of ``blocks.BLOCKS``; ``width`` is the width of the first stage (each later stage doubles
    it); ``stride_first`` puts a bottleneck's stride into its first 1x1 convolution (v1) and not into the 3x3 (v1.5).
    """

    blocks: tuple[int, ...]
    block: str
    stem: Stem
    width: int
    stride_first: bool = False


@dataclass(frozen=True)
class Family:
    """Networks of one shape: a pattern with the group N, what N must be, examples, and N's architecture."""

    pattern: str
    rule: str
    examples: tuple[int, ...]
    name: Callable[[int], str]
    valid: Callable[[int], bool]
    architecture: Callable[[int, str], Architecture]


def _cifar(block: str, suffix: str, layers: int, kind: str) -> Family:
    """Three stages of n blocks, ``layers`` = 3 stages x convolutions a block, plus stem and final layer."""

    def architecture(depth: int, _: str) -> Architecture:
        return Architecture(((depth - 2) // layers,) * 3, block, "cifar", 16)

    return Family(
        rf"cifar-{kind}-(?P<N>\d+){suffix}",
        f"{layers}n+2",
        tuple(layers * n + 2 for n in ((3, 9, 18) if layers == 6 else (3, 12, 18))),
        lambda depth: f"cifar-{kind}-{depth}{suffix}",
        lambda depth: depth >= layers + 2 and (depth - 2) % layers == 0,
        architecture,
    )


FAMILIES: tuple[Family, ...] = (
    _cifar("basic", "", 6, "resnet"),
    _cifar("bottleneck", "-bottleneck", 9, "resnet"),
)


def network_names() -> tuple[str, ...]:
    """Examples of valid network names, a few of each family."""
    return tuple(family.name(depth) for family in FAMILIES for depth in family.examples)


def parse_name(name: str) -> Architecture:
    """The architecture of this name. Raises ValueError that names the valid ones, nearest first."""
    for family in FAMILIES:
        found = re.fullmatch(family.pattern, name)
        if not found:
            continue
        depth = int(found["N"][:9])
        if family.valid(depth):
            return family.architecture(depth, name)
        near = sorted((d for d in range(5000) if family.valid(d)), key=lambda d: (abs(d - depth), d))[:2]
        raise ValueError(
            f"no network {name!r}: the depth must be {family.rule}: "
            f"did you mean {' or '.join(repr(family.name(d)) for d in near)}?"
        )
    raise ValueError(f"unknown network {name!r}: {did_you_mean(name, network_names())}")


class NetworkSpec(BaseModel):
    """A network as a config names it: a plain string, or a mapping with its options.

    ``width`` is the number of channels of the first stage and ``stem`` what comes before it; left out, both are the
    network's own. An unknown name or depth is a ValueError with the nearest valid ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    width: int | None = Field(default=None, ge=1, le=4096, strict=True)
    stem: Stem | None = None

    @model_validator(mode="before")
    @classmethod
    def _accept_a_plain_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _name_is_known(self) -> "NetworkSpec":
        parse_name(self.name)
        return self

    @property
    def architecture(self) -> Architecture:
        """The numbers behind the name, with this spec's options applied."""
        own = parse_name(self.name)
        return Architecture(own.blocks, own.block, self.stem or own.stem, self.width or own.width, own.stride_first)

    @property
    def label(self) -> str:
        """How tables call this network: its name, and its options where they are not the network's own."""
        own = parse_name(self.name)
        options = [f"width={self.width}"] if self.width not in {None, own.width} else []
        options += [f"stem={self.stem}"] if self.stem not in {None, own.stem} else []
        return f"{self.name}({', '.join(options)})" if options else self.name

    def identity(self) -> dict[str, Any]:
        """What is built, JSON-able; an option said aloud and the same option by default are equal."""
        built = self.architecture
        return {"name": self.name, "width": built.width, "stem": built.stem}
