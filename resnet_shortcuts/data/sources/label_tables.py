"""Labels of a flat folder of images, from the file that came with it: Tiny ImageNet, ImageNet's devkit, Kaggle."""

import csv
import functools
import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_shortcuts.data.sources import listing
from resnet_shortcuts.data.sources.image_files import read_regular
from resnet_shortcuts.data.sources.listing import Classes, Listed, Skipped
from resnet_shortcuts.errors import DataError

_LIMIT = 256 * 2**20
_NAMES = frozenset({
    *("id", "image", "imageid", "image_id", "filename", "file_name", "file", "path", "name", "filepath", "file_path"),
    *("image_path", "img_path", "image_name", "img_name", "img"),
})  # fmt: skip
_LABELS = frozenset({
    *("label", "class", "wnid", "category", "target", "predictionstring", "labels", "classid", "class_id", "label_id"),
    *("class_name", "classname", "label_name"),
})  # fmt: skip
_DEVKITS = ("", "ILSVRC2012_devkit_t12/data/", "ILSVRC2012_devkit_t12/", "devkit/data/", "devkit/", "data/")
_BESIDE = ("Labels.csv", "_labels.csv", ".csv")

Labels = dict[str, tuple[str, str]]
"""The class of each image, by file name with or without suffix, and the file and line that say so."""


@dataclass(frozen=True)
class Table:
    """A file of labels."""

    path: Path
    read: Callable[[], Labels]


def find(root: Path, part: str) -> Table | None:
    """The labels of the flat folder ``root/part`` (``part`` is ``train`` or what the test folder is called)."""
    readers: dict[str, Callable[[Path], Labels]] = dict.fromkeys((f"{part}/labels.csv", f"{part}/metadata.csv"), _csv)
    readers |= dict.fromkeys([f"{part}{end}" for end in _BESIDE], _csv)
    if not part.casefold().startswith("train"):
        readers[f"{part}/val_annotations.txt"] = _annotations
        for up in ("", "../", "../../", "../../../"):  # Kaggle's file lies three folders above ILSVRC/Data/CLS-LOC
            for folder in (up, f"{up}{part}/"):
                readers[f"{folder}LOC_val_solution.csv"] = _csv
                readers[f"{folder}imagenet_2012_validation_synset_labels.txt"] = _one_a_line
            for devkit in _DEVKITS:
                readers[f"{up}{devkit}ILSVRC2012_validation_ground_truth.txt"] = _devkit
    for name, read in readers.items():
        path = (root / name).resolve()
        if path.is_file() and (read is not _csv or all(_columns(path))):
            return Table(path, functools.partial(read, path))
    return None


def unknown_columns(root: Path, part: str) -> str | None:
    """What to do about a CSV beside the flat folder ``root/part`` whose columns say nothing to us, if there is one."""
    for name in (f"{part}/labels.csv", f"{part}/metadata.csv", *(f"{part}{end}" for end in _BESIDE)):
        if (root / name).is_file():
            return f"name the columns of {name} 'image' and 'label'"
    return None


def labelled(root: Path, part: str, table: Table, skipped: Skipped) -> Classes:
    """The images of a flat folder (or of ``images/`` in it) by class. Raises DataError naming image or line."""
    inner = f"{part}/images" if (root / part / "images").is_dir() else part
    images = list(listing.images(root, inner, skipped, below=False))
    by_name: dict[str, Listed] = {}
    for image in images:
        name = Path(image.path).name
        by_name[name] = by_name[Path(name).stem] = image
    classes: dict[str, list[Listed]] = {}
    used: Counter[str] = Counter()
    for name, (label, where) in table.read().items():
        key = name if name in by_name else Path(name).name
        if key not in by_name or used[by_name[key].path]:
            raise DataError(f"image {name!r} is missing or named twice", where, "get the data again")
        used[by_name[key].path] += 1
        classes.setdefault(label, []).append(by_name[key])
    left = sorted(image.path for image in images if not used[image.path])
    if left:
        raise DataError(f"image without a class: {Path(left[0]).name}", str(table.path), "get the data again")
    return {label: sorted(members) for label, members in sorted(classes.items())}


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Lines with where each stands."""
    try:
        text = read_regular(path, _LIMIT).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("not text in UTF-8", str(path), "get the data again") from error
    for number, line in enumerate(text.splitlines(), 1):
        yield line, f"{path}:{number}"


def _unique(pairs: Iterator[tuple[str, str, str]]) -> Labels:
    labels: Labels = {}
    for name, label, where in pairs:
        if not name or not label:
            raise DataError("no class on this line", where, "expected: file name and class")
        if name in labels:
            raise DataError(f"image {name!r} is missing or named twice", where, "get the data again")
        labels[name] = (label, where)
    return labels


def _annotations(path: Path) -> Labels:
    """Tiny ImageNet: file name, wnid, box, separated by tabs."""
    rows = ((line.split("\t"), where) for line, where in _lines(path))
    return _unique((cells[0], cells[1].strip() if len(cells) > 1 else "", where) for cells, where in rows)


def _columns(path: Path) -> tuple[str | None, str | None]:
    """The names of the columns of file names and classes in a CSV, where its first line has them."""
    with path.open("rb") as file:
        header = next(csv.reader([file.readline(10_000).decode("utf-8-sig", "replace")]), [])
    by_name = {name.strip().casefold(): name for name in reversed(header)}
    found = [next((by_name[name] for name in by_name if name in known), None) for known in (_NAMES, _LABELS)]
    return found[0], found[1]


def _csv(path: Path) -> Labels:
    """Columns by name: trainLabels.csv has ``id,label``; LOC_val_solution.csv ``ImageId,PredictionString``, which is a
    wnid and boxes."""
    name_column, label_column = _columns(path)
    lines = list(_lines(path))
    rows = csv.DictReader(line for line, _ in lines)
    boxed = str(label_column).casefold() == "predictionstring"
    return _unique(
        (str(row[name_column] or "").strip(), (label.split() or [""])[0] if boxed else label, where)
        for row, (_, where) in zip(rows, lines[1:], strict=False)
        for label in [str(row[label_column] or "").strip()]
    )


def _one_a_line(path: Path) -> Labels:
    """One wnid a line, in the order of the validation images."""
    return _numbered(path, lambda word: word)


def _devkit(path: Path) -> Labels:
    """One number a line, in the order of the validation images; meta.mat beside it gives each number's wnid."""
    from scipy.io import loadmat

    meta = path.with_name("meta.mat")
    try:
        contents: Any = io.BytesIO(read_regular(meta, _LIMIT))  # which scipy's stubs do not take, and scipy does
        synsets = loadmat(contents, squeeze_me=True)["synsets"]
        wnids = {
            str(int(number)): str(wnid) for number, wnid in zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True)
        }
    except (DataError, ValueError, KeyError, TypeError, NotImplementedError, IndexError) as error:
        todo = f"needed to read {path.name}: get the devkit again, or LOC_val_solution.csv"
        raise DataError("cannot read the devkit's meta.mat", str(meta), todo) from error
    return _numbered(path, lambda word: wnids.get(word, ""))


def _numbered(path: Path, class_of: Callable[[str], str]) -> Labels:
    return _unique(
        (f"ILSVRC2012_val_{number:08}", class_of(line.strip()), where)
        for number, (line, where) in enumerate(_lines(path), 1)
    )
