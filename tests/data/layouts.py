"""Every layout of files that a data source reads: written here in small, tested by test_layouts.py, listed in
docs/data.md.

``python -m tests.data.layouts`` writes the table of docs/data.md.
"""

import dataclasses
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from resnet_shortcuts.data.data_config import SOURCES
from resnet_shortcuts.data.sources import cifar
from resnet_shortcuts.data.sources.download import Archive

from . import cifar_files

DOCUMENT = Path(__file__).parents[2] / "docs" / "data.md"
BEGIN, END = "<!-- layouts: begin -->", "<!-- layouts: end -->"


@dataclass(frozen=True)
class Images:
    """What a layout holds: pixels (N, H, W, 3) uint8 and class names in label order, for training and test."""

    classes: tuple[str, ...]
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]

    def of(self, part: str) -> Iterator[tuple[str, int, np.ndarray]]:
        """Class, number and pixels (H, W, 3) of each image of a part, ``train`` or another word for test."""
        pixels, labels = self.train if "train" in part.casefold() else self.test
        for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            yield self.classes[label], number, image


def _random(classes: Iterable[str], side: int, train: int, test: int, seed: int) -> Images:
    """``train`` and ``test`` images of noise for each class."""
    random, names = np.random.default_rng(seed), tuple(classes)

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.tile(np.arange(len(names)), count)
        return random.integers(0, 256, (len(labels), side, side, 3), dtype=np.uint8), labels

    return Images(names, part(train), part(test))


def _cifar10() -> Images:
    batches = [cifar_files.images_and_labels(name) for name in cifar_files.NAMES]
    pixels = [images.transpose(0, 2, 3, 1) for images, _ in batches]
    labels = [numbers for _, numbers in batches]
    return Images(cifar.CLASSES, (np.concatenate(pixels[:5]), np.concatenate(labels[:5])), (pixels[5], labels[5]))


WNIDS = ("n01440764", "n02102040", "n03000684")
OWN = _random(("bird", "cat", "dog"), 16, 10, 4, 0)
WORDS = _random(WNIDS, 32, 6, 3, 1)
CIFAR10 = _cifar10()
CIFAR100 = _random(cifar.FINE_CLASSES, 32, 2, 1, 2)
HELD = {
    "image-folder": OWN,
    "tiny-imagenet": WORDS,
    "imagenet": WORDS,
    "imagenette": WORDS,
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "tiny-imagenet": {"resolution": 32},
    "imagenet": {"resolution": 28},
    "imagenette": {"resolution": 28},
}
"""Photographs are stored at 8/7 of the resolution: 32, so that no pixel changes."""


@dataclass(frozen=True)
class Layout:
    """One layout: ``files`` describes it in the documentation, ``write(root, images)`` writes it, ``found`` is what the
    user is told; ``test_fraction`` where it has no test images."""

    source: str
    files: str
    write: Callable[[Path, Images], None]
    found: str
    options: dict[str, Any] = field(default_factory=dict)


# -- writing -----------------------------------------------------------------------------------------------------------


def png(image: np.ndarray) -> bytes:
    """The bytes of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def put(path: Path, data: bytes | str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def class_folders(*parts: str, inner: str = "") -> Callable[[Path, Images], None]:
    """A folder a class below each of the parts."""

    def write(root: Path, images: Images) -> None:
        for part in parts:
            for name, number, image in images.of(part.rsplit("/", 1)[-1] or "train"):
                put(root / part / name / inner / f"{number:04}.png", png(image))

    return write


def both(*writers: Callable[[Path, Images], None]) -> Callable[[Path, Images], None]:
    """One after the other."""

    def write(root: Path, images: Images) -> None:
        for writer in writers:
            writer(root, images)

    return write


def flat(part: str, name: Callable[[int], str], labels: Callable[[list[tuple[str, str]]], dict[str, str | bytes]]):
    """A flat folder of images and files of labels, made from (file name, class) in a shuffled order."""

    def write(root: Path, images: Images) -> None:
        rows = []
        for label, number, image in images.of("train" if part.startswith("train") else "test"):
            put(root / part / name(number), png(image))
            rows.append((name(number), label))
        for path, content in labels(rows).items():
            put(root / path, content)

    return write


def _annotations(rows: list[tuple[str, str]]) -> dict[str, str | bytes]:
    return {"val/val_annotations.txt": "".join(f"{name}\t{label}\t0\t0\t31\t31\n" for name, label in reversed(rows))}


def _kaggle_imagenet(path: str) -> Callable[[list[tuple[str, str]]], dict[str, str | bytes]]:
    def labels(rows: list[tuple[str, str]]) -> dict[str, str | bytes]:
        lines = [f"{Path(name).stem},{label} 1 2 30 31 {label} 4 5 6 7" for name, label in reversed(rows)]
        return {path: "\n".join(["ImageId,PredictionString", *lines])}

    return labels


def _devkit(rows: list[tuple[str, str]]) -> dict[str, str | bytes]:
    from scipy.io import savemat

    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    order = (2, 0, 1)  # the devkit's numbers are not in the order of wnids
    leaves = [(1 + place, WNIDS[number], "a word", "a gloss", 0) for place, number in enumerate(order)]
    synsets = np.array([*leaves, (4, "n00001740", "entity", "all of it", 3)], dtype=kinds)
    buffer = io.BytesIO()
    savemat(buffer, {"synsets": synsets.reshape(-1, 1)})
    numbers = {wnid: number for number, wnid, *_ in leaves}
    folder = "ILSVRC2012_devkit_t12/data"
    truth = "".join(f"{numbers[label]}\n" for _, label in rows)
    return {f"{folder}/meta.mat": buffer.getvalue(), f"{folder}/ILSVRC2012_validation_ground_truth.txt": truth}


def _validation_name(number: int) -> str:
    return f"ILSVRC2012_val_{number + 1:08}.JPEG"  # PNG inside: the decoder looks at the contents


def _train_labels(rows: list[tuple[str, str]]) -> dict[str, str | bytes]:
    return {
        "trainLabels.csv": "\n".join(["id,label", *(f"{Path(name).stem},{label}" for name, label in reversed(rows))])
    }


def _metadata(path: str, header: str) -> Callable[[list[tuple[str, str]]], dict[str, str | bytes]]:
    return lambda rows: {path: "\n".join([header, *(f"{name},{label}" for name, label in reversed(rows))])}


def _unlabelled_test(root: Path, images: Images) -> None:
    for number in range(3):
        put(root / "test" / f"{number}.png", png(np.full((32, 32, 3), number, np.uint8)))


def _parquet(names: dict[str, int], *, image: str = "image", label: str = "label", named: bool = True):
    """Parquet files: name with ``%`` for the shard, and how many of them."""

    def write(root: Path, images: Images) -> None:
        import pyarrow
        import pyarrow.parquet

        for name, shards in names.items():
            rows = [
                ({"bytes": png(pixels), "path": None}, images.classes.index(kind))
                for kind, _, pixels in images.of("train" if "train" in name else "test")
            ]
            for shard in range(shards):
                part = rows[shard::shards]
                table = pyarrow.table({image: [cell for cell, _ in part], label: [number for _, number in part]})
                if label == "fine_label":
                    table = table.append_column("coarse_label", [[number // 5 for _, number in part]])
                features = {label: {"names": list(images.classes), "_type": "ClassLabel"}}
                if named:
                    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
                path = root / name.replace("%", f"{shard:05}-of-{shards:05}")
                path.parent.mkdir(parents=True, exist_ok=True)
                pyarrow.parquet.write_table(table, path, row_group_size=4)

    return write


def _batches(images: Images) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The batches of a CIFAR by name: pixels (N, 3, 32, 32) and labels."""
    if len(images.classes) == 10:
        return {name: cifar_files.images_and_labels(name) for name in cifar_files.NAMES}
    return {
        name: (part[0].transpose(0, 3, 1, 2), part[1])
        for name, part in (("train", images.train), ("test", images.test))
    }


def published_files(images: Images, kind: str) -> dict[str, bytes]:
    """The files of a CIFAR's python or binary version, as its archive holds them."""
    fine = len(images.classes) == 100
    folder = (cifar.CIFAR100 if fine else cifar.CIFAR10).folders[kind == "binary"]
    if kind == "binary":
        return {
            f"{folder}/{name}.bin": cifar_files.binary_of(*part, coarse=fine) for name, part in _batches(images).items()
        }
    keys = (b"coarse_labels", b"fine_labels") if fine else (b"labels",)
    return {f"{folder}/{name}": cifar_files.pickle_of(*part, keys) for name, part in _batches(images).items()}


def _published(kind: str, *, archive: bool, below: str = "") -> Callable[[Path, Images], None]:
    def write(root: Path, images: Images) -> None:
        files = published_files(images, kind)
        if archive:
            name = f"cifar-{len(images.classes)}-{kind}.tar.gz"
            files = {name: cifar_files.tar_gz(files)}
        for name, content in files.items():
            put(root / below / name, content)

    return write


def small(published: cifar.Cifar) -> cifar.Cifar:
    """A CIFAR whose published sizes and hashes are those of the small files here; no address to download from."""
    images = CIFAR100 if published is cifar.CIFAR100 else CIFAR10
    packed = {kind: cifar_files.tar_gz(published_files(images, kind)) for kind in ("python", "binary")}
    archives = [
        Archive(archive.name, len(data), f"md5:{hashlib.md5(data, usedforsecurity=False).hexdigest()}")
        for archive, data in zip(published.archives, packed.values(), strict=True)
    ]
    python = {Path(name).name: data for name, data in published_files(images, "python").items()}
    return dataclasses.replace(
        published,
        archives=(archives[0], archives[1]),
        addresses=(),
        pickled={name: cifar_files.md5(data) for name, data in python.items()},
        images={name: len(labels) for name, (_, labels) in _batches(images).items()},
    )


def _superclasses(root: Path, images: Images) -> None:
    for part in ("train", "test"):
        for name, number, image in images.of(part):
            put(root / part / f"super_{images.classes.index(name) // 5:02}" / name / f"{number}.png", png(image))


# -- the list ----------------------------------------------------------------------------------------------------------

_FOLDERS = "class folders in train/ and class folders in {}/"
_SHARDS = {"data/train-%.parquet": 3, "data/test-%.parquet": 1}

LAYOUTS = [
    *(
        Layout(
            "image-folder", f"`train/CLASS/*` and `{word}/CLASS/*`", class_folders("train", word), _FOLDERS.format(word)
        )
        for word in ("test", "val", "valid", "validation", "validate", "eval", "dev")
    ),
    Layout(
        "image-folder",
        "`Training/CLASS/*` and `Testing/CLASS/*`, in any case",
        class_folders("Training", "Testing"),
        "class folders in Training/ and class folders in Testing/",
    ),
    Layout(
        "image-folder",
        "`train/CLASS/FOLDERS/*`: folders within a class belong to it",
        class_folders("train", "test", inner="2019/may"),
        _FOLDERS.format("test"),
    ),
    Layout(
        "image-folder",
        "any of these in a folder of its own (`NAME/train/...`), as archives unpack",
        class_folders("pets/train", "pets/test"),
        _FOLDERS.format("test"),
    ),
    Layout(
        "image-folder",
        "folders with the word in their name, if one has it: `seg_train/CLASS/*`, `test_images/CLASS/*`",
        class_folders("seg_train", "test_images"),
        "class folders in seg_train/ and class folders in test_images/",
    ),
    Layout(
        "image-folder",
        "`train/train/CLASS/*` and `test/test/CLASS/*`: a folder in a folder, as some archives unpack",
        class_folders("train/train", "test/test"),
        "class folders in train/train/ and class folders in test/test/",
    ),
    Layout(
        "image-folder",
        "flat `train/*` and `test/*` with `train.csv` and `test.csv` (or `trainLabels.csv`, `train_labels.csv`, "
        "`train/labels.csv`, `train/metadata.csv`, ...): a column of file names, a column of classes",
        both(
            flat("train", lambda number: f"{number}.png", _metadata("train/metadata.csv", "file_name,label")),
            flat("test", lambda number: f"{number}.png", _metadata("test.csv", "Path,ClassId")),
        ),
        "labels from metadata.csv in train/ and labels from test.csv in test/",
    ),
    Layout(
        "image-folder",
        "`images/CLASS/*` beside other folders, with `data.test_fraction: 0.2`",
        both(
            lambda root, images: class_folders("")(root / "images", images),
            lambda root, images: put(root / "annotations" / "0.xml", "<x/>"),
        ),
        "one folder of classes, 20% of each class for testing",
        {"test_fraction": 0.2},
    ),
    Layout(
        "image-folder",
        "`CLASS/*` without a split, with `data.test_fraction: 0.2`",
        class_folders(""),
        "one folder of classes, 20% of each class for testing",
        {"test_fraction": 0.2},
    ),
    Layout(
        "image-folder",
        "`train/CLASS/*` alone, with `data.test_fraction: 0.2`",
        class_folders("train"),
        "class folders in train/, 20% of each class for testing",
        {"test_fraction": 0.2},
    ),
    Layout(
        "image-folder",
        "parquet files `train-*.parquet` and `test-*.parquet` (or `validation-*`), there or in folders",
        _parquet(_SHARDS),
        "parquet, 4 files",
    ),
    Layout(
        "image-folder",
        "parquet files by folder, `train/*.parquet` and `test/*.parquet`",
        _parquet({"default/train/%.parquet": 1, "default/test/%.parquet": 1}),
        "parquet, 2 files",
    ),
    Layout(
        "image-folder",
        "parquet files `train-*.parquet` alone, with `data.test_fraction: 0.2`",
        _parquet({"train-%.parquet": 2}),
        "parquet, 2 files, 20% of each class for testing",
        {"test_fraction": 0.2},
    ),
    *(
        Layout(
            source, f"`{name}` (or that file itself as `data.root`)", _published(kind, archive=True), f"{kind} version"
        )
        for source, number in (("cifar10", 10), ("cifar100", 100))
        for kind in ("python", "binary")
        for name in [f"cifar-{number}-{kind}.tar.gz"]
    ),
    *(
        Layout(
            source,
            f"`{folder}/`, there or in `{source}/`",
            _published(kind, archive=False, below=source),
            f"{kind} version",
        )
        for source, one in (("cifar10", cifar.CIFAR10), ("cifar100", cifar.CIFAR100))
        for kind, folder in zip(("python", "binary"), one.folders, strict=True)
    ),
    *(
        Layout(source, "`train/CLASS/*` and `test/CLASS/*`", class_folders("train", "test"), _FOLDERS.format("test"))
        for source in ("cifar10", "cifar100")
    ),
    Layout(
        "cifar100",
        "`train/SUPERCLASS/CLASS/*` and `test/SUPERCLASS/CLASS/*` (fast.ai)",
        _superclasses,
        "nested class folders in train/ and nested class folders in test/",
    ),
    *(
        Layout(
            source,
            "Kaggle's `train/*.png` and `trainLabels.csv` (test labels are unknown), with `data.test_fraction: 0.2`",
            both(flat("train", lambda number: f"{number + 1}.png", _train_labels), _unlabelled_test),
            "labels from trainLabels.csv in train/, 20% of each class for testing",
            {"test_fraction": 0.2},
        )
        for source in ("cifar10", "cifar100")
    ),
    Layout(
        "cifar10",
        "Hugging Face's `plain_text/train-*.parquet` and `plain_text/test-*.parquet`",
        _parquet({"plain_text/train-%.parquet": 1, "plain_text/test-%.parquet": 1}, image="img"),
        "parquet, 2 files",
    ),
    Layout(
        "cifar100",
        "Hugging Face's `cifar100/train-*.parquet` and `cifar100/test-*.parquet` (fine labels)",
        _parquet(
            {"cifar100/train-%.parquet": 1, "cifar100/test-%.parquet": 1}, image="img", label="fine_label", named=False
        ),
        "parquet, 2 files",
    ),
    Layout(
        "tiny-imagenet",
        "`tiny-imagenet-200/` as unpacked: `train/WNID/images/*`, `val/images/*` with `val/val_annotations.txt`",
        both(
            class_folders("tiny-imagenet-200/train", inner="images"),
            lambda root, images: flat("val/images", lambda number: f"val_{number}.JPEG", _annotations)(
                root / "tiny-imagenet-200", images
            ),
            lambda root, images: put(root / "tiny-imagenet-200/test/images/test_0.JPEG", png(images.test[0][0])),
        ),
        "class folders in train/ and labels from val_annotations.txt in val/",
    ),
    Layout(
        "tiny-imagenet",
        "with `val/` sorted into class folders, whether `val_annotations.txt` and an empty `images/` are left or not",
        both(
            class_folders("train", "val", inner="images"),
            lambda root, images: put(root / "val" / "val_annotations.txt", "val_0.JPEG\tn01440764\t0\t0\t1\t1\n"),
            lambda root, images: (root / "val" / "images").mkdir(),
        ),
        _FOLDERS.format("val"),
    ),
    Layout(
        "tiny-imagenet",
        "Hugging Face's `data/train-*.parquet` and `data/valid-*.parquet`",
        _parquet({"data/train-%.parquet": 2, "data/valid-%.parquet": 1}),
        "parquet, 3 files",
    ),
    *(
        Layout(source, "`train/WNID/*` and `val/WNID/*`", class_folders("train", "val"), _FOLDERS.format("val"))
        for source in ("imagenet", "imagenette")
    ),
    Layout(
        "imagenet",
        "`ILSVRC2012_img_train/WNID/*` and `ILSVRC2012_img_val/WNID/*`",
        class_folders("ILSVRC2012_img_train", "ILSVRC2012_img_val"),
        "class folders in ILSVRC2012_img_train/ and class folders in ILSVRC2012_img_val/",
    ),
    Layout(
        "imagenet",
        "`ILSVRC/Data/CLS-LOC/` with a flat `val/` and Kaggle's `LOC_val_solution.csv` beside `ILSVRC/`",
        both(
            class_folders("ILSVRC/Data/CLS-LOC/train"),
            flat("ILSVRC/Data/CLS-LOC/val", _validation_name, _kaggle_imagenet("LOC_val_solution.csv")),
        ),
        "class folders in train/ and labels from LOC_val_solution.csv in val/",
    ),
    Layout(
        "imagenet",
        "a flat `val/` with the devkit's `ILSVRC2012_validation_ground_truth.txt` and `meta.mat` "
        "(`ILSVRC2012_devkit_t12/` beside it)",
        both(class_folders("train"), flat("val", _validation_name, _devkit)),
        "class folders in train/ and labels from ILSVRC2012_validation_ground_truth.txt in val/",
    ),
    Layout(
        "imagenet",
        "a flat `val/` with `imagenet_2012_validation_synset_labels.txt`, a wnid a line",
        both(
            class_folders("train"),
            flat(
                "val",
                _validation_name,
                lambda rows: {"imagenet_2012_validation_synset_labels.txt": "".join(f"{label}\n" for _, label in rows)},
            ),
        ),
        "class folders in train/ and labels from imagenet_2012_validation_synset_labels.txt in val/",
    ),
    Layout(
        "imagenet",
        "parquet files, in any number",
        _parquet({"data/train-%.parquet": 4, "data/validation-%.parquet": 2, "data/test-%.parquet": 1}),
        "parquet, 6 files",
    ),
    Layout(
        "imagenette",
        "`imagenette2-160/`, `imagenette2-320/` or `imagenette2/`, unpacked",
        class_folders("imagenette2-160/train", "imagenette2-160/val"),
        _FOLDERS.format("val"),
    ),
]


def table() -> str:
    """The table of docs/data.md."""
    lines = [
        "| source | what is looked for, under `data.root`, `--data-root` or `RSC_DATA_ROOT` | found: |",
        "| --- | --- | --- |",
    ]
    lines.append("| `digits` | nothing: scikit-learn's digits are embedded | embedded |")
    for source in SOURCES:
        for layout in (layout for layout in LAYOUTS if layout.source == source):
            lines.append(f"| `{source}` | {layout.files} | {layout.found} |")
    return "\n".join(lines)


def documented(text: str) -> str:
    """The text with its table of layouts replaced by the one made here."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    DOCUMENT.write_text(documented(DOCUMENT.read_text()))
