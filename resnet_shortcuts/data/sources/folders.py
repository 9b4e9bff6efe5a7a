"""Class folders of images: train/CLASS/... and test/CLASS/... (or val/)."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.source_contract import Contents, Images, Part, Progress, Source, base_folder, digest
from resnet_shortcuts.data.sources import image_files
from resnet_shortcuts.errors import DataError, SettingError
from resnet_shortcuts.random_streams import numpy_stream
from resnet_shortcuts.suggestions import did_you_mean

# Files that tools leave beside images. Anything else that is no image is named, never silently skipped.
_NO_IMAGES = frozenset({".txt", ".csv", ".md", ".json", ".xml", ".ini", ".db", ".html", ".py"})


class Listed(NamedTuple):
    """One image file: path relative to the root, and what tells whether it changed (bytes, and times in ns)."""

    path: str
    size: int
    modified: int
    changed: int


Classes = dict[str, list[Listed]]
"""Class name to its images, both sorted by name."""


def find(spec: DataSpec, data_root: Path | None, cache: Path, progress: Progress | None) -> Source:
    """Class folders under ``spec.root`` (relative to the data root), or under the data root itself."""
    root = root_folder(spec, data_root)
    return from_folders(spec, root, "test" if (root / "test").is_dir() else "val", resolution=spec.resolution)


def from_folders(spec: DataSpec, root: Path, test: str, *, resolution: int | None, stored: int | None = None) -> Source:
    """The class folders of ``root``/train and ``root``/``test``; those of classes that are not chosen are not
    listed."""
    names = class_names(root, "train")
    same_classes(root, names, class_names(root, test))
    names = chosen_classes(spec, names, root)
    train, tested = class_folders(root, "train", names), class_folders(root, test, names)
    return from_listing(spec, root, train, tested, resolution=resolution, stored=stored)


def root_folder(spec: DataSpec, data_root: Path | None, *candidates: str, get: str = "") -> Path:
    """The folder that holds the data: the first of root, root/candidates... that holds train/.

    Raises DataError; ``get`` tells where the data can be had.
    """
    base = base_folder(spec, data_root)
    if base is None:
        todo = f"set data.root, --data-root or RSC_DATA_ROOT to the folder{get}"
        raise DataError(f"no folder given for {spec.source}", "data.root", todo)
    try:
        for folder in [base, *(base / name for name in candidates)]:
            if (folder / "train").is_dir():
                return folder.resolve()
        exists = base.exists()
    except OSError as error:  # a name too long, a folder closed to us
        raise _unreadable(base, error) from error
    if not exists:
        raise DataError(
            "no such folder", str(base), f"set data.root or --data-root to the folder that holds train/{get}"
        )
    tried = "".join(f", {name}/train/" for name in candidates)
    raise DataError(f"no train/ folder (looked for train/{tried})", str(base), f"put class folders under train/{get}")


def class_names(root: Path, part: str) -> tuple[str, ...]:
    """The names of the class folders of ``root/part``, sorted. Raises DataError where there are none."""
    folder = root / part
    if not folder.is_dir():
        raise DataError(f"no {part}/ folder", str(root), "put class folders of test images under test/ or val/")
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise _unreadable(folder, error) from error
    if not names:
        raise DataError("no class folders", str(folder), f"put one folder of images a class under {part}/")
    return tuple(names)


def class_folders(root: Path, part: str, names: tuple[str, ...]) -> Classes:
    """The images of these class folders of ``root/part``. Raises DataError: an empty class, a file that is no image."""
    classes = {name: list(_images(root, f"{part}/{name}")) for name in names}
    empty = [name for name, images in classes.items() if not images]
    if empty:
        raise DataError(
            f"class without images: {', '.join(empty)}", str(root / part), "add images or remove the folder"
        )
    return classes


def _images(root: Path, relative: str) -> Iterator[Listed]:
    try:
        entries = sorted(os.scandir(root / relative), key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(root / relative, error) from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = f"{relative}/{entry.name}"
        try:
            info = entry.stat()
        except OSError as error:
            raise _unreadable(root / path, error) from error
        if stat.S_ISDIR(info.st_mode):
            yield from _images(root, path)
            continue
        suffix = entry.name[entry.name.rfind(".") :].lower()
        if suffix in _NO_IMAGES:
            continue
        if not stat.S_ISREG(info.st_mode) or suffix not in image_files.SUFFIXES:
            raise DataError("not an image file", str(root / path), "remove it from the class folder")
        yield Listed(path, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError("cannot read", str(path), error.strerror or "check its permissions")


def from_listing(
    spec: DataSpec, root: Path, train: Classes, test: Classes, *, resolution: int | None, stored: int | None = None
) -> Source:
    """A source of listed files, one list a class, after the choice of images a class.

    ``stored``: pixels to keep of each image, where that is more than the resolution; None for both: as they are.
    """
    names = tuple(train)
    chosen = {name: _chosen_images(spec, name, train[name]) for name in names}
    kept = {name: test[name] for name in names}
    side = stored or resolution

    def open_() -> Contents:
        if side is None:
            first = root / chosen[names[0]][0].path
            native = int(image_files.decode(first, None).shape[0])
            return Contents(names, _part(root, chosen, native, True), _part(root, kept, native, True))
        return Contents(names, _part(root, chosen, side, False), _part(root, kept, side, False), resolution)

    listing = [part[name] for part in (chosen, kept) for name in names]
    return Source(stamp=digest([list(names), side, listing]), where=str(root), open=open_)


def _part(root: Path, classes: Classes, side: int, check_sizes: bool) -> Part:
    paths = [root / image.path for images in classes.values() for image in images]
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(images) for images in classes.values()])

    def decode(out: Images, tick: Callable[[int], None]) -> None:
        if check_sizes:
            image_files.check_same_size(paths, side)
        image_files.decode_all(paths, out, tick)

    return Part(labels, (side, side, 3), decode)


def same_classes(root: Path, train: tuple[str, ...], test: tuple[str, ...]) -> None:
    """Raises DataError where training and test classes differ, or where there is only one."""
    for name, part, other in (("train", train, test), ("test", test, train)):
        alone = sorted(set(part) - set(other))
        if alone:
            shown = ", ".join(alone[:5]) + (f" and {len(alone) - 5} more" if len(alone) > 5 else "")
            what = f"train and test classes differ: only in {name}: {shown}"
            raise DataError(what, str(root), "give both the same class folders")
    if len(train) < 2:
        raise DataError("only one class", str(root), "give at least two class folders")


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


def _chosen_images(spec: DataSpec, name: str, images: list[Listed]) -> list[Listed]:
    wanted = spec.images_per_class
    if wanted is None:
        return images
    if wanted > len(images):
        what = f"data.images_per_class {wanted} is more than class {name} has to train on"
        raise SettingError(what, "data.images_per_class", f"at most {len(images)}")
    order = numpy_stream("images_per_class", name).permutation(len(images))[:wanted]
    return [images[position] for position in sorted(order)]
