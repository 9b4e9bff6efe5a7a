"""Decode a data set once into the cache; the next start maps it in."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from resnet_shortcuts.data import decoded_cache as store
from resnet_shortcuts.data.channel_statistics import of_images
from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.source_contract import Contents, Part, Progress, Source, digest
from resnet_shortcuts.data.sources import cifar10, digits, folders, imagenet
from resnet_shortcuts.errors import DataError, SettingError

Find = Callable[[DataSpec, Path | None, Path, Progress | None], Source]
_FIND: dict[str, Find] = {
    "digits": digits.find,
    "image-folder": folders.find,
    "cifar10": cifar10.find,
    "tiny-imagenet": imagenet.find_tiny,
    "imagenet": imagenet.find,
    "imagenette": imagenet.find_imagenette,
}


def prepare(
    spec: DataSpec,
    *,
    data_root: Path | None,
    cache: Path,
    progress: Progress | None = None,
    check: Callable[[int], None] = lambda train_images: None,
) -> Path:
    """Find the data, decode it into ``cache`` unless it is there, and return its folder there, for ``load`` and
    ``describe``.

    A stamp of names, sizes and times tells whether a decoded copy is fresh; a damaged copy is made again. One
    process decodes, others wait. ``progress(what, done, total)`` is called while decoding or downloading. ``check``
    gets the number of training images (after ``train_size`` and ``validation``) once they are counted, so that
    settings that do not fit them are refused before the wait. Raises DataError (missing, damaged), SettingError (sizes
    or classes that the data does not have), EnvironmentFault (disk full, permission).
    """
    source = _FIND[spec.source](spec, data_root, cache, progress)
    key = digest([store.FORMAT, spec.source, spec.resolution, source.stamp])[:16]
    target = cache / "data" / f"{spec.source}-{key}"
    if not store.is_sound(target):
        with store.locked(target.parent / f".{target.name}.lock", progress), store.writing(target):
            if not store.is_sound(target):  # another process may have made it meanwhile
                _decode(source, spec, target, progress, check)
    counts = describe(target)["counts"]
    check_sizes(spec, counts)
    check(training_images(spec, counts))
    return target


def describe(folder: Path) -> dict[str, Any]:
    """The manifest of a prepared folder.

    Keys: ``content`` (SHA-256 over decoded images, labels and class names, before any subset), ``source``,
    ``where``, ``classes``, ``resolution`` (pixels that a network sees), ``channels``, ``counts`` {"train": n,
    "test": n}, ``shape`` {"train": [H, W, C], ...}.
    """
    manifest = store.read_manifest(folder)
    if manifest is None:
        raise DataError("not a prepared data set", str(folder), "prepare it again")
    return manifest


def training_images(spec: DataSpec, counts: Mapping[str, int]) -> int:
    """How many images are trained on, of the ``counts`` {"train": n, "test": n} that there are."""
    return spec.train_size or counts["train"] - spec.validation


def check_sizes(spec: DataSpec, counts: Mapping[str, int]) -> None:
    """Raises SettingError where ``train_size`` (with ``validation``) or ``test_size`` exceeds what the data has."""
    train, test = counts["train"], counts["test"]
    there = f"the {train:,} training images of {spec.source}"
    if spec.train_size is None and spec.validation >= train:
        what = f"data.validation {spec.validation} leaves none of {there}"
        raise SettingError(what, "data.validation", f"at most {train - 1:,}")
    if (spec.train_size or 0) + spec.validation > train:
        held = f" + data.validation {spec.validation}" if spec.validation else ""
        what = f"data.train_size {spec.train_size}{held} is more than {there}"
        raise SettingError(what, "data.train_size", f"at most {train:,}" + (" together" if held else ""))
    if spec.test_size and spec.test_size > test:
        what = f"data.test_size {spec.test_size} is more than the {test:,} test images of {spec.source}"
        raise SettingError(what, "data.test_size", f"at most {test:,}")


def _decode(
    source: Source, spec: DataSpec, target: Path, progress: Progress | None, check: Callable[[int], None]
) -> None:
    contents = source.open()
    _check(contents, source)
    counts = {"train": len(contents.train.labels), "test": len(contents.test.labels)}
    check_sizes(spec, counts)
    check(training_images(spec, counts))
    for left in target.parent.glob(f".{target.name}.staging-*"):  # of a process that died: we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    needed = sum(len(part.labels) * (int(np.prod(part.shape)) + 8) for part in (contents.train, contents.test))
    store.require_space(target.parent, needed + 2**20)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.staging-", dir=target.parent))
    try:
        staging.chmod(0o755)
        manifest = _write(contents, staging, progress)
        manifest |= {"source": spec.source, "where": source.where, "resolution": _resolution(spec, contents)}
        manifest["vouched"] = contents.vouched
        if target.exists():
            shutil.rmtree(target)  # damaged, as is_sound found
        store.publish(staging, target, manifest)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _resolution(spec: DataSpec, contents: Contents) -> int:
    return contents.resolution or contents.test.shape[0]


def _check(contents: Contents, source: Source) -> None:
    for name, part in (("train", contents.train), ("test", contents.test)):
        if len(part.labels) == 0 or part.labels.min() < 0 or part.labels.max() >= len(contents.classes):
            raise DataError(f"{name} labels out of range 0..{len(contents.classes) - 1}", source.where, "get it again")


def _write(contents: Contents, staging: Path, progress: Progress | None) -> dict[str, Any]:
    hashes = {}
    parts = {"train": contents.train, "test": contents.test}
    total, before = sum(len(part.labels) for part in parts.values()), 0
    statistics: dict[str, Any] = {}
    for name, part in parts.items():
        images = _fill(part, staging / f"{name}.images.npy", progress, before, total)
        before += len(part.labels)
        np.save(staging / f"{name}.labels.npy", part.labels)
        hashes[f"{name}.images"] = store.array_hash(images)
        hashes[f"{name}.labels"] = store.array_hash(part.labels)
        if name == "train":
            mean, std = of_images(images)
            statistics = {"mean": mean.tolist(), "std": std.tolist()}
    shapes = {name: list(part.shape) for name, part in parts.items()}
    return {
        "format": store.FORMAT,
        "content": digest([list(contents.classes), shapes, hashes]),
        "sha256": hashes,
        "classes": list(contents.classes),
        "channels": contents.train.shape[2],
        "counts": {name: len(part.labels) for name, part in parts.items()},
        "shape": shapes,
        "statistics": statistics,
    }


def _fill(
    part: Part, path: Path, progress: Progress | None, before: int, total: int
) -> np.memmap[Any, np.dtype[np.uint8]]:
    images = store.new_array(path, (len(part.labels), *part.shape))

    def tick(done: int) -> None:
        if progress:
            progress("decoding images", before + done, total)

    part.decode(images, tick)
    images.flush()
    return images
