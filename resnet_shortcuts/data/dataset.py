"""A prepared data set, mapped from the cache: one copy in memory for all processes, however large."""

import functools
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_shortcuts.data import channel_statistics
from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.data_warnings import DataWarning, small_classes, stored_warnings
from resnet_shortcuts.data.prepare import check_sizes, describe, found_line
from resnet_shortcuts.data.source_contract import Images, Labels
from resnet_shortcuts.data.subsets import choose


@dataclass(frozen=True, eq=False)
class Split:
    """Some of a part's images.

    ``images`` (M, H, W, C) uint8: ALL images of the part, mapped from disk, read-only; ``indices`` (N,) int64,
    sorted: which of them belong to the split; ``labels`` (N,) int64: theirs, in that order.
    """

    images: Images
    labels: Labels
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def is_whole(self) -> bool:
        """Whether the split holds every image of its part."""
        return len(self.indices) == len(self.images)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, held-out and test images, class names in label order, and ``identity``: what a run's id hashes of
    the data.

    ``resolution``: height and width of a batch, at most that of the stored images. ``validation`` is None unless
    held out. ``vouched``: the published hash that the files were checked against; empty where there is none. ``name``:
    what titles call the data set. ``warnings``: what is odd about it, hashed into no id.
    """

    train: Split
    validation: Split | None
    test: Split
    classes: tuple[str, ...]
    identity: dict[str, Any]
    resolution: int
    stored_statistics: dict[str, list[float]] | None = None
    vouched: str = ""
    name: str = ""
    warnings: tuple[DataWarning, ...] = ()

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for RGB."""
        return int(self.train.images.shape[3])

    @cached_property
    def channel_statistics(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation (C,) of the training images in use, in 0..255."""
        if self.stored_statistics is not None and self.train.is_whole:
            return np.array(self.stored_statistics["mean"]), np.array(self.stored_statistics["std"])
        return channel_statistics.of_images(self.train.images, self.train.indices)

    @cached_property
    def pixel_mean(self) -> NDArray[np.float64]:
        """Mean (H, W, C) of the training images in use, in 0..255."""
        return channel_statistics.pixel_mean(self.train.images, self.train.indices)


@functools.lru_cache(maxsize=2)
def load(folder: Path, spec: DataSpec) -> Dataset:
    """Map a folder that ``prepare`` returned, and choose the subsets that ``spec`` asks for.

    Subsets are balanced over the classes and the same in every run; training and validation images are disjoint. Raises
    DataError where the folder is not a prepared data set, SettingError where the data has too few images.
    """
    manifest = describe(folder)
    check_sizes(spec, manifest["counts"])
    train_images, train_labels = _part(folder, "train")
    test_images, test_labels = _part(folder, "test")
    held = choose(train_labels, spec.validation, "validation") if spec.validation else np.empty(0, np.int64)
    rest = np.setdiff1d(np.arange(len(train_labels)), held)
    train = rest[choose(train_labels[rest], spec.train_size or len(rest), "train")]
    test = choose(test_labels, spec.test_size or len(test_labels), "test")
    return Dataset(
        train=Split(train_images, train_labels[train], train),
        validation=Split(train_images, train_labels[held], held) if spec.validation else None,
        test=Split(test_images, test_labels[test], test),
        classes=tuple(manifest["classes"]),
        identity={
            "content": manifest["content"],
            "train_size": len(train),
            "test_size": len(test),
            "validation": spec.validation,
            "resolution": manifest["resolution"],
        },
        resolution=manifest["resolution"],
        stored_statistics=manifest["statistics"],
        vouched=manifest["vouched"],
        name=spec.name or manifest["name"],
        warnings=(
            *stored_warnings(manifest),
            *(small_classes("training", train_labels[train], manifest["classes"]) if spec.train_size else ()),
            *(small_classes("test", test_labels[test], manifest["classes"]) if spec.test_size else ()),
        ),
    )


def remarks(folder: Path, spec: DataSpec) -> list[str]:
    """What to tell the user of a prepared folder, one line each: what was found, then a warning a line."""
    return [found_line(describe(folder)), *(f"warning: {warning.text}" for warning in load(folder, spec).warnings)]


def _part(folder: Path, name: str) -> tuple[Images, Labels]:
    images = np.load(folder / f"{name}.images.npy", mmap_mode="r")
    return images, np.load(folder / f"{name}.labels.npy")
