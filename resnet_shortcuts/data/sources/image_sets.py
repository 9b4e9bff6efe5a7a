"""Encoded images with their labels, and how they become the parts of a data set: split, choice of images, resolution.

ImageNet and Imagenette are photographs of many sizes. Of each, the central square is stored at 8/7 of the resolution
(256 for 224, as usual), so that ``crop`` and ``random-resized-crop`` have a margin to cut from and tests cut the
centre.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.source_contract import Contents, Done, Images, Labels, Part, Rows, Source, digest
from resnet_shortcuts.data.sources import image_files
from resnet_shortcuts.data.sources.listing import Listed, Skipped
from resnet_shortcuts.data.subsets import split_by_content
from resnet_shortcuts.errors import DataError, SettingError
from resnet_shortcuts.random_streams import numpy_stream
from resnet_shortcuts.suggestions import did_you_mean


@dataclass(frozen=True)
class Kind:
    """A data set that comes as image files. ``name``: its proper name, empty for a user's own; ``below``: folders where
    it may lie; ``get``: where to get it; ``classes``: in label order, where that is fixed."""

    name: str
    below: tuple[str, ...] = ()
    get: str = ""
    resolution: int | None = None
    is_photographs: bool = False
    classes: tuple[str, ...] = ()


def stored_side(resolution: int) -> int:
    """Pixels kept of a photograph for a resolution: 8/7 of it, 256 for 224."""
    return round(resolution * 8 / 7)


class ImageSet(Protocol):
    """Encoded images and their labels."""

    @property
    def labels(self) -> Labels:
        """Class numbers (N,)."""
        ...

    @property
    def keys(self) -> Sequence[str]:
        """The file of each image, and its state."""
        ...

    def take(self, rows: Rows) -> "ImageSet":
        """Some of the images."""
        ...

    def content_hashes(self) -> list[bytes]:
        """A hash of the file of each image, which does not depend on its name."""
        ...

    def side(self) -> int:
        """The side of the first image. Raises DataError where it is not square or cannot be read."""
        ...

    def decode(self, out: Images, rows: Rows, done: Done, exact: bool) -> list[DataError]:
        """As `Part.decode`; with ``exact`` every image must have the side of ``out``."""
        ...


Opened = tuple[tuple[str, ...], ImageSet, ImageSet | None]
"""Class names in label order, training images, and test images where there are any."""


@dataclass(frozen=True)
class Files:
    """Image files below ``root``."""

    root: Path
    files: list[Listed]
    labels: Labels

    @property
    def keys(self) -> Sequence[str]:
        """Path, bytes and times of each file."""
        return [repr(tuple(file)) for file in self.files]

    def take(self, rows: Rows) -> "Files":
        """Some of the images."""
        return Files(self.root, [self.files[row] for row in rows], self.labels[rows])

    def content_hashes(self) -> list[bytes]:
        """The SHA-256 of each file."""
        return [hashlib.sha256(image_files.read_regular(path)).digest() for path in self._paths]

    def side(self) -> int:
        """The side of the first image."""
        with image_files.quiet():
            return int(image_files.decode(self._paths[0], None).shape[0])

    def decode(self, out: Images, rows: Rows, done: Done, exact: bool) -> list[DataError]:
        """As `Part.decode`; with ``exact`` every image must have the side of ``out``."""
        if exact:
            with image_files.quiet():
                image_files.check_same_size(self._paths, out.shape[1])
        return image_files.decode_all(self._paths, out, rows, done)

    @property
    def _paths(self) -> list[Path]:
        return [self.root / file.path for file in self.files]


def source_of(
    spec: DataSpec,
    kind: Kind,
    root: Path,
    stamp: Sequence[object],
    open_sets: Callable[[], Opened],
    layout: str,
    skipped: Skipped,
) -> Source:
    """A source of encoded images: splits off test images where there are none, takes ``images_per_class`` of each class
    to train on. Raises SettingError where ``test_fraction`` is set and test images are there."""
    resolution = spec.resolution or kind.resolution
    side = stored_side(resolution) if kind.is_photographs and resolution else resolution

    def open_() -> Contents:
        names, train, test = open_sets()
        shown = layout
        if test is None and spec.test_fraction:
            train, test = _split_off(train, names, spec.test_fraction)
            shown += f", {spec.test_fraction:.0%} of each class for testing"
        elif test is None or spec.test_fraction:
            raise SettingError("data.test_fraction where there are test images", "data.test_fraction", "leave it out")
        train = train.take(_chosen_rows(spec, names, train.labels))
        native = side or train.side()
        train_part, test_part = (_part(images, native, exact=side is None) for images in (train, test))
        own = root.parent if root.name in kind.below else root
        name = kind.name or own.name or str(root)
        parts = (train_part, test_part, resolution)
        return Contents(name, shown, names, *parts, skipped=dict(skipped), unsorted=tuple(skipped.unsorted))

    key = digest([list(stamp), side, spec.images_per_class, spec.test_fraction])
    return Source(stamp=key, where=str(root), open=open_)


def _part(images: ImageSet, side: int, exact: bool) -> Part:
    def decode(out: Images, rows: Rows, done: Done) -> list[DataError]:
        return images.decode(out, rows, done, exact)

    return Part(images.labels, (side, side, 3), decode, images.keys)


def _split_off(images: ImageSet, names: tuple[str, ...], fraction: float) -> tuple[ImageSet, ImageSet]:
    counts = np.bincount(images.labels, minlength=len(names))
    if counts.min() < 2:
        what = f"class with {counts.min()} image, which cannot be split: {names[int(counts.argmin())]!r}"
        raise DataError(what, "data.test_fraction", "add images, or remove the class")
    is_test = split_by_content(images.labels, images.content_hashes(), fraction)
    return images.take(np.flatnonzero(~is_test)), images.take(np.flatnonzero(is_test))


def _chosen_rows(spec: DataSpec, names: tuple[str, ...], labels: Labels) -> Rows:
    wanted = spec.images_per_class
    if wanted is None:
        return np.arange(len(labels))
    rows = []
    for label, name in enumerate(names):
        members = np.flatnonzero(labels == label)
        if wanted > len(members):
            what = f"data.images_per_class {wanted} is more than class {name} has to train on"
            raise SettingError(what, "data.images_per_class", f"at most {len(members)}")
        order = numpy_stream("images_per_class", name).permutation(len(members))[:wanted]
        rows.append(members[np.sort(order)])
    return np.concatenate(rows)


def check_classes(kind: Kind, classes: tuple[str, ...], root: Path) -> None:
    """Raises DataError where a data set of fixed classes has others."""
    if kind.classes and set(classes) != set(kind.classes):
        other = sorted(set(classes) ^ set(kind.classes))[0]
        what = f"not the {len(kind.classes)} classes of {kind.name}: {other!r} is missing or too many"
        raise DataError(what, str(root), "use data.source: image-folder for other classes")


def chosen_classes(spec: DataSpec, known: tuple[str, ...], root: Path) -> tuple[str, ...]:
    """The classes that ``spec`` asks for: the first so many, or those named. Raises SettingError with the
    nearest name."""
    if spec.classes is None:
        return known
    if isinstance(spec.classes, int):
        if spec.classes > len(known):
            what = f"data.classes {spec.classes} is more than {root} has"
            raise SettingError(what, "data.classes", f"at most {len(known)}")
        return known[: spec.classes]
    for index, name in enumerate(spec.classes):
        if name not in known:
            raise SettingError(f"no class {name!r} in {root}", f"data.classes.{index}", did_you_mean(name, known))
    return tuple(sorted(spec.classes))
