"""Decode a data set once into the cache; the next start maps it in."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from resnet_shortcuts.data import data_warnings, partial_decoding
from resnet_shortcuts.data import decoded_cache as store
from resnet_shortcuts.data.channel_statistics import of_images
from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.source_contract import Contents, Images, Progress, Source, digest
from resnet_shortcuts.data.sources import cifar, digits, folders
from resnet_shortcuts.errors import DataError, SettingError
from resnet_shortcuts.words import printable

Find = Callable[[DataSpec, Path | None, Path, Progress | None], Source]
_FIND: dict[str, Find] = {
    "digits": digits.find,
    **dict.fromkeys(cifar.PUBLISHED, cifar.find),
    **dict.fromkeys(folders.KINDS, folders.find),
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
    process decodes, others wait. What a start that failed had decoded is kept for the next. ``progress(what, done,
    total)`` is called while decoding or downloading. ``check`` gets the number of training images (after
    ``train_size`` and ``validation``) once they are counted, so that settings that do not fit them are refused before
    the wait. Raises DataError (missing, damaged; all unreadable images at once), SettingError (sizes or classes that
    the data does not have), EnvironmentFault (disk full, permission).
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
    ``where``, ``name`` (the data set's proper name), ``layout`` (how the files were laid out), ``classes``,
    ``resolution`` (pixels that a network sees), ``channels``, ``counts`` {"train": n, "test": n}, ``shape`` {"train":
    [H, W, C], ...}, ``warnings`` (see `data_warnings`).
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


def found_line(manifest: Mapping[str, Any]) -> str:
    """What was found, in one line: ``found CIFAR-10, python version, 50,000 + 10,000 images of 10 classes``."""
    train, test = manifest["counts"]["train"], manifest["counts"]["test"]
    what = f"found {manifest['name']}, {manifest['layout']}, {train:,} + {test:,} images"
    return printable(f"{what} of {len(manifest['classes'])} classes")


def _decode(
    source: Source, spec: DataSpec, target: Path, progress: Progress | None, check: Callable[[int], None]
) -> None:
    contents = source.open()
    _check(contents, source)
    counts = {"train": len(contents.train.labels), "test": len(contents.test.labels)}
    check_sizes(spec, counts)
    check(training_images(spec, counts))
    needed = sum(len(part.labels) * (int(np.prod(part.shape)) + 8) for part in (contents.train, contents.test))
    store.require_space(target.parent, needed + 2**20)
    left = list(target.parent.glob(f".{target.name}.staging-*"))  # of a process that died: we hold the lock
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.staging-", dir=target.parent))
    kept = target.parent / f".{digest([spec.source, source.where, contents.train.shape])[:16]}.unfinished"
    with contextlib.suppress(FileNotFoundError):  # renamed, so that of two processes only one takes it
        left.append(kept.rename(staging / "previous"))
    try:
        staging.chmod(0o755)
        manifest = _write(contents, staging, left, progress, target.parent / f"{target.name}-unreadable.txt")
        manifest |= {"source": spec.source, "where": source.where, "resolution": _resolution(spec, contents)}
        manifest |= {"vouched": contents.vouched, "name": contents.name, "layout": contents.layout}
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        partial_decoding.clear(staging)
        if target.exists():
            shutil.rmtree(target)  # damaged, as is_sound found
        store.publish(staging, target, manifest)
    finally:
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        if staging.exists() and partial_decoding.holds_work(staging):
            shutil.rmtree(kept, ignore_errors=True)
            staging.rename(kept)
        shutil.rmtree(staging, ignore_errors=True)


def _resolution(spec: DataSpec, contents: Contents) -> int:
    return contents.resolution or contents.test.shape[0]


def _check(contents: Contents, source: Source) -> None:
    for name, part in (("train", contents.train), ("test", contents.test)):
        if len(part.labels) == 0 or part.labels.min() < 0 or part.labels.max() >= len(contents.classes):
            raise DataError(f"{name} labels out of range 0..{len(contents.classes) - 1}", source.where, "get it again")


def _write(
    contents: Contents, staging: Path, left: list[Path], progress: Progress | None, unreadable: Path
) -> dict[str, Any]:
    parts = {"train": contents.train, "test": contents.test}
    total, before = sum(len(part.labels) for part in parts.values()), 0
    errors: list[DataError] = []
    images: dict[str, Images] = {}
    for name, part in parts.items():

        def tick(done: int, before: int = before) -> None:
            if progress:
                progress("decoding images", before + done, total)

        images[name], problems = partial_decoding.decode_part(part, staging, name, left, tick)
        errors += problems
        before += len(part.labels)
        np.save(staging / f"{name}.labels.npy", part.labels)
    if errors:
        raise partial_decoding.report(errors, total, unreadable)
    unreadable.unlink(missing_ok=True)
    arrays: dict[str, np.ndarray[Any, Any]] = {f"{name}.images": images[name] for name in parts} | {
        f"{name}.labels": parts[name].labels for name in parts
    }
    hashes = {name: store.array_hash(array) for name, array in arrays.items()}
    mean, std = of_images(images["train"])
    shapes = {name: list(part.shape) for name, part in parts.items()}
    return {
        "format": store.FORMAT,
        "content": digest([list(contents.classes), shapes, hashes]),
        "sha256": hashes,
        "classes": list(contents.classes),
        "channels": contents.train.shape[2],
        "counts": {name: len(part.labels) for name, part in parts.items()},
        "shape": shapes,
        "statistics": {"mean": mean.tolist(), "std": std.tolist()},
        "warnings": [warning.model_dump() for warning in _warnings(contents, images["train"], images["test"])],
    }


def _warnings(contents: Contents, train: Images, test: Images) -> list[data_warnings.DataWarning]:
    hashes = data_warnings.image_hashes(train), data_warnings.image_hashes(test)
    return [
        *data_warnings.leakage(*hashes),
        *data_warnings.conflicts("training", hashes[0], contents.train.labels),
        *data_warnings.conflicts("test", hashes[1], contents.test.labels),
        *data_warnings.skipped_files(contents.skipped),
        *data_warnings.unsorted_images(contents.unsorted),
    ]
