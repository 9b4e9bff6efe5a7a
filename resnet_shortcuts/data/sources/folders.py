"""Data sets of image files: ImageNet and its relatives, CIFAR as images, and a user's own, in every usual layout."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.source_contract import Labels, Progress, Source, base_folder
from resnet_shortcuts.data.sources import label_tables, listing, parquet
from resnet_shortcuts.data.sources.image_sets import Files, Kind, Opened, check_classes, chosen_classes, source_of
from resnet_shortcuts.data.sources.listing import Classes, Skipped
from resnet_shortcuts.errors import DataError

_TRAIN = ("train", "training", "trn")
_TEST = ("test", "testing", "tst")
_VALIDATION = ("val", "valid", "validation", "validate", "eval", "evaluation", "dev")
_CONTAINERS = re.compile(
    r".*\.(tar|tfrecords?|lmdb|mdb|h5|hdf5|beton|arrow|npz|npy|mat|pkl|pickle)|.*\.tfrecords?-.*", re.S
)
_ARCHIVES = re.compile(r".*\.(zip|tgz|tar\.gz|tar\.xz|tar\.bz2|7z|rar)", re.S)

_IMAGENETTE_URL = "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz"
_TINY_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
KINDS = {
    "image-folder": Kind("", ("images",)),
    "tiny-imagenet": Kind(
        "Tiny ImageNet",
        ("tiny-imagenet-200", "tiny-imagenet"),
        f" (unpack {_TINY_URL}, MD5 90528d7ca1a48142e341f4ef8d21d0de, there)",
        64,
    ),
    "imagenet": Kind(
        "ImageNet",
        ("imagenet", "ILSVRC2012", "ILSVRC/Data/CLS-LOC"),
        " (ImageNet needs an account: https://image-net.org/download-images)",
        224,
        True,
    ),
    "imagenette": Kind(
        "Imagenette",
        ("imagenette2-160", "imagenette2-320", "imagenette2", "imagenette"),
        f" (unpack {_IMAGENETTE_URL}, MD5 e793b78cc4c9e9a4ccc0c1155377a412, there)",
        128,
        True,
    ),
}


def find(spec: DataSpec, data_root: Path | None, cache: Path, progress: Progress | None) -> Source:
    """The data set of ``spec.source``, under ``spec.root`` (relative to the data root) or the data root itself."""
    kind = KINDS[spec.source]
    base = base_folder(spec, data_root)
    if base is None:
        todo = f"set data.root, --data-root or RSC_DATA_ROOT to the folder{kind.get}"
        raise DataError(f"no folder given for {spec.source}", "data.root", todo)
    source = find_below(spec, base, kind)
    if source is None:
        raise _nothing_found(base, kind)
    return source


def find_below(spec: DataSpec, base: Path, kind: Kind) -> Source | None:
    """The first data set of image files in ``base`` or one of the kind's folders in it; None where there is none."""
    try:
        if not base.exists():
            todo = f"set data.root or --data-root to the folder that holds train/{kind.get}"
            raise DataError("no such folder", str(base), todo)
        places = [place.resolve() for place in (base, *(base / name for name in kind.below)) if place.is_dir()]
        if not places:
            raise DataError("not a folder", str(base), f"name the folder that holds train/{kind.get}")
        only = listing.folder_names(places[0], Skipped())
        if len(only) == 1 and (inner := places[0] / only[0]) not in places:
            places.append(inner)  # as many archives unpack: a folder in a folder
        for find_layout in (_split_folders, _parquet_files, _one_folder):
            for place in places:
                source = find_layout(spec, place, kind)
                if source:
                    return source
    except OSError as error:  # a name too long, a folder closed to us
        raise listing.unreadable(base, error) from error
    return None


def _nothing_found(base: Path, kind: Kind) -> DataError:
    tried = "".join(f", {name}/train/" for name in kind.below)
    what = f"no train/ folder (looked for train/{tried}; found {listing.what_is_there(base)})"
    return _packed(base) or DataError(what, str(base), f"put class folders under train/ and test/ (or val/){kind.get}")


def _packed(folder: Path) -> DataError | None:
    """The error for a folder that holds containers or archives instead of image files; None where it does not."""
    names = [path.name for path in sorted(folder.iterdir())]
    containers = [name for name in names if _CONTAINERS.fullmatch(name)]
    archives = [name for name in names if _ARCHIVES.fullmatch(name)]
    if containers:
        what = f"WebDataset tar shards and other containers are not read ({containers[0]})"
        return DataError(what, str(folder), "unpack them into a folder a class, or convert them to parquet")
    if archives:
        what = f"nothing unpacked (found {listing.what_is_there(folder)})"
        return DataError(what, str(folder), f"unpack {archives[0]} there")
    return None


# -- layouts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Split:
    """A folder of images with their classes. ``images`` lists those of some classes."""

    folder: str
    classes: tuple[str, ...]
    images: Callable[[Sequence[str]], Classes]
    how: str


def _split_folders(spec: DataSpec, root: Path, kind: Kind) -> Source | None:
    """train/ and test/ (or val/, ...), each with a folder a class, or flat with a file of labels."""
    skipped = Skipped()
    names = listing.folder_names(root, Skipped())
    words = (*_TEST, *_VALIDATION) if kind.name == "" or kind.classes else (*_VALIDATION, *_TEST)
    train_name, candidates = next(_split_names(names, _TRAIN), None), list(_split_names(names, words))
    if train_name is None:
        return None
    if train_name.casefold() not in _TRAIN and not candidates:
        others = (name for name in names if name != train_name)
        if any(listing.holds_images(root / name) for name in others):  # a class, such as train_station
            return None
    train = _split(root, train_name, kind, skipped)
    if train is None:
        if parquet.shards(root) or _is_class(root, train_name, names):
            return None
        what = f"no class folders (found {listing.what_is_there(root / train_name)})"
        todo = label_tables.unknown_columns(root, train_name) or "put a folder of images a class there"
        raise _packed(root / train_name) or DataError(what, str(root / train_name), todo)
    if 2 * len(set(kind.classes) & set(train.classes)) < len(kind.classes):
        return None  # another data set in the same folder
    splits = (_split(root, name, kind, skipped, train.classes) for name in candidates)
    test = next((split for split in splits if split), None)
    if test is None and spec.test_fraction is None:
        raise _no_test(root, candidates, words[0])
    if test:
        listing.same_classes(root, train.classes, test.classes)
    layout = f"{train.how} in {train.folder}/" + (f" and {test.how} in {test.folder}/" if test else "")
    return _from_files(spec, root, kind, train, test, layout, skipped)


def _split_names(names: Sequence[str], words: Sequence[str]) -> Iterator[str]:
    """The folders that these words name, in their order: exactly first, then as the only one with the word as a part of
    its name (``ILSVRC2012_img_val``, ``train_images``, ``train2017``)."""
    for word in words:
        yield from (name for name in names if name.casefold() == word)
    for word in words:
        partly = [name for name in names if word in _parts(name) and name.casefold() not in words]
        if len(partly) == 1:
            yield partly[0]


def _parts(name: str) -> list[str]:
    return re.split(r"[^a-z]+", name.casefold())


def _is_class(root: Path, name: str, names: Sequence[str]) -> bool:
    """Whether a folder named like a split is a class: it holds images itself, and so do folders beside it that are
    named like no split. CIFAR-100 and COCO have a class ``train``."""

    def holds_itself(folder: str) -> bool:
        return not listing.folder_names(root / folder, Skipped()) and bool(listing.loose_images(root, folder))

    beside = [other for other in names if not {*_TRAIN, *_TEST, *_VALIDATION} & set(_parts(other))]
    return holds_itself(name) and any(holds_itself(other) for other in beside)


def _no_test(root: Path, candidates: list[str], word: str) -> DataError:
    split = "or set data.test_fraction (0.2, say) to take test images from the training images"
    if not candidates:
        what = f"no {word}/ folder (found {listing.what_is_there(root)})"
        return DataError(what, str(root), f"put class folders under test/ or val/, {split}")
    there = listing.what_is_there(root / candidates[0])
    files = "val_annotations.txt, LOC_val_solution.csv"
    named = label_tables.unknown_columns(root, candidates[0])
    todo = named or f"sort them into class folders, put the file of labels beside them ({files}), {split}"
    return DataError(f"no class folders, and the labels are unknown (found {there})", str(root / candidates[0]), todo)


def _split(root: Path, name: str, kind: Kind, skipped: Skipped, known: tuple[str, ...] = ()) -> _Split | None:
    """Class folders with images win over a file of labels, which many sorting scripts leave behind."""
    classes = list(listing.folder_names(root / name, skipped))
    only = classes[0] if len(classes) == 1 and classes[0] not in known else None
    if only and len(inner := listing.folder_names(root / name / only, skipped)) > 1:
        name, classes = f"{name}/{only}", list(inner)  # a folder in a folder
    if "images" not in known and (known or classes == ["images"]):
        classes = [folder for folder in classes if folder != "images"]
    if classes and (not known or any(listing.holds_images(root / name / folder) for folder in classes)):
        if kind.classes and len(classes) < len(kind.classes):
            return _nested(root, name, kind, skipped)
        skipped.unsorted += listing.loose_images(root, name, *(() if "images" in classes else (f"{name}/images",)))
        return _Split(name, tuple(classes), lambda chosen: _class_folders(root, name, chosen, skipped), "class folders")
    table = label_tables.find(root, name)
    if table is None:
        return None
    return _listed(name, label_tables.labelled(root, name, table, skipped), f"labels from {table.path.name}")


def _listed(name: str, classes: Classes, how: str) -> _Split:
    """A split whose images are known."""
    return _Split(name, tuple(classes), lambda chosen: {label: classes[label] for label in chosen}, how)


def _class_folders(root: Path, part: str, names: Sequence[str], skipped: Skipped) -> Classes:
    """The images of these class folders. Raises DataError for an empty class."""
    classes = {name: list(listing.images(root, f"{part}/{name}".lstrip("/"), skipped)) for name in names}
    empty = [name for name, images in classes.items() if not images]
    if empty and not skipped.errors:
        what = f"class without images: {', '.join(map(repr, empty))}"
        raise DataError(what, str(root / part), "add images or remove the folder")
    return classes


def _nested(root: Path, name: str, kind: Kind, skipped: Skipped) -> _Split:
    """Class folders within folders of superclasses, as fast.ai lays out CIFAR-100."""
    classes: Classes = {}
    for image in listing.images(root, name, skipped):
        classes.setdefault(Path(image.path).parent.name, []).append(image)
    classes = {label: sorted(classes[label]) for label in sorted(classes)}
    return _listed(name, classes, "nested class folders")


def _one_folder(spec: DataSpec, root: Path, kind: Kind) -> Source | None:
    """A folder a class, without a split."""
    skipped = Skipped()
    classes = tuple(name for name in listing.folder_names(root, skipped) if listing.holds_images(root / name))
    if kind.classes and set(classes) != set(kind.classes):
        return None
    splits = [name for name in classes if {*_TRAIN, *_TEST, *_VALIDATION} & set(_parts(name))]
    if len(classes) < 2 or not all(_is_class(root, name, classes) for name in splits):
        return None
    if spec.test_fraction is None:
        what = f"no train/ folder: {len(classes)} class folders without a split"
        todo = f"set data.test_fraction (0.2, say) to split them, or put them under train/ and test/{kind.get}"
        raise DataError(what, str(root), todo)
    skipped.unsorted += listing.loose_images(root, "")
    split = _Split("", classes, lambda chosen: _class_folders(root, "", chosen, skipped), "one folder of classes")
    return _from_files(spec, root, kind, split, None, split.how, skipped)


def _from_files(
    spec: DataSpec, root: Path, kind: Kind, train: _Split, test: _Split | None, layout: str, skipped: Skipped
) -> Source:
    check_classes(kind, train.classes, root)
    names = chosen_classes(spec, train.classes, root)
    parts = [split.images(names) for split in (train, test) if split]
    skipped.check()
    sets = [Files(root, [image for images in part.values() for image in images], _labels_of(part)) for part in parts]
    stamp = [kind.name, names, [part.files for part in sets], skipped.unsorted]

    def open_() -> Opened:
        return names, sets[0], sets[1] if test else None

    return source_of(spec, kind, root, stamp, open_, layout, skipped)


def _labels_of(classes: Classes) -> Labels:
    return np.repeat(np.arange(len(classes), dtype=np.int64), [len(images) for images in classes.values()])


def _parquet_files(spec: DataSpec, root: Path, kind: Kind) -> Source | None:
    """Parquet files of images and labels, as the Hugging Face hub stores data sets."""
    shards = parquet.shards(root)
    train = next((shards[word] for word in _TRAIN if word in shards), None)
    if train is None:
        return None
    words = (*_TEST, *_VALIDATION) if kind.name == "" or kind.classes else (*_VALIDATION, *_TEST)
    test_files = next((shards[word] for word in words if word in shards), None)
    if test_files is None and spec.test_fraction is None:
        what = f"no parquet file of test images (found those of {', '.join(sorted(shards))})"
        raise DataError(what, str(root), "add it, or set data.test_fraction (0.2, say)")
    files = [*train, *(test_files or [])]
    stamp = [[str(path.relative_to(root)), *parquet.state_of(path)] for path in files]

    def open_() -> Opened:
        known, (first, *rest) = parquet.open_parts([train, test_files] if test_files else [train], kind.classes)
        check_classes(kind, known, root)
        names = chosen_classes(spec, known, root)
        labels = [known.index(name) for name in names]
        sets = [one.relabelled(labels) for one in (first, *rest)]
        return names, sets[0], sets[1] if rest else None

    counted = f"parquet, {len(files)} file{'s' if len(files) > 1 else ''}"
    return source_of(spec, kind, root, [kind.name, stamp, spec.classes], open_, counted, Skipped())
