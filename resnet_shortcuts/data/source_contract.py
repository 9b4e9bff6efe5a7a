"""What every source of images gives: a stamp that is cheap to take, and contents that are decoded when asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.errors import DataError, EnvironmentFault
from resnet_shortcuts.hashing import canonical, sha256
from resnet_shortcuts.paths import expand

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Progress = Callable[[str, int, int], None]
"""``progress(what, done, total)``, called from the thread that called ``prepare``."""


Rows = NDArray[np.int64]
Done = Callable[[Rows], None]
"""``done(rows)``: these rows are decoded."""


@dataclass(frozen=True)
class Part:
    """The training or the test images of a source.

    ``labels`` (N,) int64; ``shape`` (H, W, C). ``decode(out, rows, done)`` fills those rows of ``out`` (N, H, W, C)
    uint8, calls ``done`` with what is decoded, and returns a DataError for each image that cannot be read. ``keys``
    (N,) names the file of each image and its state, so that decoded work can be reused; None where decoding is instant.
    """

    labels: Labels
    shape: tuple[int, int, int]
    decode: Callable[[Images, Rows, Done], list[DataError]]
    keys: Sequence[str] | None = None


@dataclass(frozen=True)
class Contents:
    """A source, opened: class names in label order, its two parts, and the pixels that a network sees.

    ``name``: the data set's proper name; ``layout``: how the files were laid out, for a message. ``resolution`` is None
    where that is all that is stored; a source of photographs stores a margin to cut from. ``vouched`` names the
    published hash that the files were checked against, so that they are the original bit for bit; empty where there is
    none. ``skipped`` counts system files and thumbnails by name; ``unsorted`` are images outside class folders.
    """

    name: str
    layout: str
    classes: tuple[str, ...]
    train: Part
    test: Part
    resolution: int | None = None
    vouched: str = ""
    skipped: Mapping[str, int] = field(default_factory=dict)
    unsorted: Sequence[str] = ()


@dataclass(frozen=True)
class Source:
    """A source, found: ``stamp`` changes when its files change; ``open`` reads what decoding needs; ``where`` is for
    messages."""

    stamp: str
    where: str
    open: Callable[[], Contents]


def base_folder(spec: DataSpec, data_root: Path | None) -> Path | None:
    """Where to look: ``spec.root``, if relative then below the data root or the working directory; else the data
    root. Raises DataError where ``~`` or a variable in it is not known."""
    if spec.root is None:
        return data_root
    try:
        return (data_root or Path()) / expand(spec.root)
    except EnvironmentFault as error:
        raise DataError(f"data.root cannot be expanded: {error.what}", error.where, error.todo) from error


def digest(value: Any) -> str:
    """SHA-256 of a JSON-able value in canonical form."""
    return sha256(canonical(value, ensure_ascii=True))


def from_array(images: Images, labels: Labels) -> Part:
    """A part that is already decoded: images (N, H, W, C) uint8, labels (N,)."""

    def decode(out: Images, rows: Rows, done: Done) -> list[DataError]:
        out[rows] = images[rows]
        done(rows)
        return []

    height, width, channels = images.shape[1:]
    return Part(np.asarray(labels, np.int64), (height, width, channels), decode)
