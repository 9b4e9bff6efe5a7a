"""Layouts that cannot be read: what was found there is named, and the advice leads somewhere."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.dataset import load
from resnet_shortcuts.data.prepare import describe, prepare
from resnet_shortcuts.data.subsets import split_by_content
from resnet_shortcuts.errors import DataError, EnvironmentFault, RscError, SettingError

from . import layouts
from .conftest import noise, write_image

FOLDER = DataSpec(source="image-folder", augment=())


def refusal(root: Path, tmp_path: Path, **options) -> str:
    with pytest.raises(RscError) as caught:
        prepare(
            DataSpec(**{"source": "image-folder", "augment": (), **options}), data_root=root, cache=tmp_path / "cache"
        )
    assert caught.value.exit_code == 3
    (line,) = caught.value.lines
    return line


def test_an_unsorted_validation_folder_is_named_with_what_lies_in_it(image_folder, tmp_path):
    shutil.rmtree(image_folder / "test")
    for number in range(12):
        write_image(image_folder / "val" / f"ILSVRC2012_val_{number + 1:08}.png", noise(number))
    line = refusal(image_folder, tmp_path, source="imagenet")
    assert "no class folders, and the labels are unknown (found 12 files (.png))" in line
    for advice in ("LOC_val_solution.csv", "data.test_fraction", "sort them into class folders"):
        assert advice in line


def test_a_missing_test_folder_is_named_with_what_is_there(image_folder, tmp_path):
    (image_folder / "test").rename(image_folder / "holdout")
    assert "no test/ folder (found folders holdout, train)" in refusal(image_folder, tmp_path)


def test_class_folders_without_a_split_lead_to_test_fraction(image_folder, tmp_path):
    line = refusal(image_folder / "train", tmp_path)
    assert "no train/ folder: 3 class folders without a split" in line
    assert "set data.test_fraction" in line


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["pets-000000.tar", "pets-000001.tar"],
            "WebDataset tar shards and other containers are not read (pets-000000.tar)",
        ),
        (["x.tfrecord-00000-of-00001"], "other containers are not read (x.tfrecord-00000-of-00001)"),
        (["train/data-00000-of-00001.arrow"], "other containers are not read (data-00000-of-00001.arrow)"),
        (["train/0.tar", "val/0.tar"], "WebDataset tar shards and other containers are not read (0.tar)"),
        (["data.zip"], "unpack data.zip there"),
        (["train/cats.tar.gz"], "unpack cats.tar.gz there"),
        (["train/0.png", "train.csv"], "name the columns of train.csv 'image' and 'label'"),
        (["train/a/0.png", "train/b/0.png", "val/0.png", "val/metadata.csv"], "name the columns of val/metadata.csv"),
        (["cat.jpg", "dog.jpg"], "found 2 files (.jpg)"),
        ([], "found nothing"),
    ],
)
def test_other_contents_are_named(tmp_path, names, message):
    root = tmp_path / "data"
    root.mkdir()
    for name in names:
        layouts.put(root / name, b"")
    assert message in refusal(root, tmp_path)


@pytest.mark.parametrize("part", ["train", "test", "val", "train_station"])
def test_a_class_named_like_a_split_is_a_class_where_it_lies_among_classes(tmp_path, part):
    """As in CIFAR-100 and COCO, which have a class ``train``."""
    for label, name in enumerate(("bus", "car", part)):
        for number in range(5):
            write_image(tmp_path / "data" / name / f"{number}.png", noise(10 * label + number))
    spec = FOLDER.model_copy(update={"test_fraction": 0.2})
    assert describe(prepare(spec, data_root=tmp_path / "data", cache=tmp_path))["classes"] == ["bus", "car", part]


@pytest.mark.parametrize(
    "parts",
    [("train_a", "train_b", "val"), ("set_1", "validation"), ("fold", "test_1", "test_2"), ("bus", "train_station")],
)
def test_parts_of_a_data_set_are_never_taken_for_its_classes(tmp_path, parts):
    for place, part in enumerate(parts):
        for name in ("cat", "dog"):
            write_image(tmp_path / "data" / part / name / "0.png", noise(place))
    assert "no train/ folder" in refusal(tmp_path / "data", tmp_path, test_fraction=0.2)


def test_an_archive_itself_may_be_the_root(tmp_path, monkeypatch):
    from resnet_shortcuts.data.sources import cifar

    monkeypatch.setitem(cifar.PUBLISHED, "cifar10", layouts.small(cifar.CIFAR10))
    layout = next(layout for layout in layouts.LAYOUTS if layout.files.startswith("`cifar-10-binary.tar.gz`"))
    layout.write(tmp_path / "data", layouts.CIFAR10)
    spec = DataSpec(source="cifar10", root=str(tmp_path / "data" / "cifar-10-binary.tar.gz"))
    manifest = describe(prepare(spec, data_root=None, cache=tmp_path / "cache"))
    assert manifest["vouched"] == "MD5 of cifar-10-binary.tar.gz"


def test_unknown_labels_of_a_test_set_lead_to_a_split(tmp_path):
    layout = next(layout for layout in layouts.LAYOUTS if "Kaggle" in layout.files and layout.source == "cifar10")
    (tmp_path / "data").mkdir()
    layout.write(tmp_path / "data", layouts.CIFAR10)
    line = refusal(tmp_path / "data", tmp_path, source="cifar10")
    assert "the labels are unknown (found 3 files (.png))" in line
    assert "data.test_fraction" in line


def test_a_folder_that_is_not_the_data_set_is_not_taken_for_it(image_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("RSC_CIFAR10_URL", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    monkeypatch.setattr("resnet_shortcuts.data.sources.download.CONNECT_SECONDS", 0.5)
    from resnet_shortcuts.data.sources import cifar

    monkeypatch.setitem(cifar.PUBLISHED, "cifar10", layouts.small(cifar.CIFAR10))
    assert "CIFAR-10 not found, cannot download" in refusal(image_folder, tmp_path, source="cifar10")
    for name in cifar.CLASSES[:9]:
        for part in ("train", "test"):
            write_image(image_folder / part / name / "0.png", noise(0))
    assert "not the 10 classes of CIFAR-10: 'truck' is missing or too many" in refusal(
        image_folder, tmp_path, source="cifar10"
    )


def test_a_split_of_its_own_and_test_fraction_exclude_each_other(image_folder, tmp_path):
    with pytest.raises(SettingError, match=r"data.test_fraction where there are test images: .*leave it out"):
        prepare(FOLDER.model_copy(update={"test_fraction": 0.5}), data_root=image_folder, cache=tmp_path)


def test_a_class_of_one_image_cannot_be_split(tmp_path):
    for name, count in (("a", 3), ("b", 1)):
        for number in range(count):
            write_image(tmp_path / "data" / name / f"{number}.png", noise(number))
    assert "class with 1 image, which cannot be split: 'b'" in refusal(tmp_path / "data", tmp_path, test_fraction=0.2)


# -- splits by content -------------------------------------------------------------------------------------------------


def test_a_split_depends_on_neither_names_nor_order_nor_place(tmp_path):
    sides = []
    for trial, name_of in enumerate(
        (lambda n: f"{n:02}", lambda n: f"{(7 * n) % 20:02}-x", lambda n: f"sub{n % 3}/{99 - n}")
    ):
        root = tmp_path / f"data{trial}"
        for label, name in enumerate(("cat", "dog")):
            for number in range(20):
                write_image(root / name / f"{name_of(number)}.png", noise(100 * label + number))
        spec = FOLDER.model_copy(update={"test_fraction": 0.25})
        data = load(prepare(spec, data_root=root, cache=tmp_path / "cache"), spec)
        assert np.bincount(data.test.labels).tolist() == [5, 5]
        sides.append({image.tobytes() for image in data.test.images})
    assert sides[0] == sides[1] == sides[2]


def test_copies_of_an_image_stay_on_one_side():
    random = np.random.default_rng(0)
    for _ in range(50):
        labels = np.sort(random.integers(0, 3, 60))
        hashes = [bytes([label, random.integers(0, 8)]) for label in labels]
        chosen = split_by_content(labels, hashes, 0.3)
        assert not {hashes[n] for n in np.flatnonzero(chosen)} & {hashes[n] for n in np.flatnonzero(~chosen)}
        for label in range(3):
            assert 0 < chosen[labels == label].sum() < (labels == label).sum()


def test_a_larger_fraction_keeps_the_test_images_of_a_smaller_one():
    labels, hashes = np.arange(300) % 3, [os.urandom(8) for _ in range(300)]
    small, large = (split_by_content(labels, hashes, fraction) for fraction in (0.1, 0.4))
    assert (small.sum(), large.sum()) == (30, 120)
    assert not (small & ~large).any()


# -- parquet -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path):
    """Writes parquet files below a folder: ``table("train.parquet", image=[...], label=[...])``."""
    import pyarrow
    import pyarrow.parquet

    def write(name: str, **columns) -> Path:
        (tmp_path / "data").mkdir(exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "data" / name)
        return tmp_path / "data"

    return write


def cells(count: int, seed: int = 0, side: int = 12) -> list[dict[str, object]]:
    return [{"bytes": layouts.png(noise(seed + n, side, side)), "path": f"{n}.png"} for n in range(count)]


def test_parquet_labels_may_be_texts_and_images_bare_bytes(table, tmp_path):
    table("train.parquet", image=[cell["bytes"] for cell in cells(4)], label=["dog", "cat", "dog", "cat"])
    root = table("test.parquet", image=[cell["bytes"] for cell in cells(2, 9)], label=["cat", "dog"])
    spec = FOLDER.model_copy(update={"classes": ("dog", "cat"), "images_per_class": 1})
    data = load(prepare(spec, data_root=root, cache=tmp_path / "cache"), spec)
    assert (data.classes, len(data.train), data.test.labels.tolist()) == (("cat", "dog"), 2, [0, 1])
    assert (data.test.images[0] == noise(9)).all()


def test_parquet_without_pyarrow_says_what_to_install(table, tmp_path, monkeypatch):
    table("train.parquet", image=cells(2), label=[0, 1])
    root = table("test.parquet", image=cells(2, 9), label=[0, 1])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(EnvironmentFault, match=r"pip install 'resnet-shortcuts\[parquet\]'"):
        prepare(FOLDER, data_root=root, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("test_columns", "message"),
    [
        ({"image": cells(2, 9), "label": [0, -1]}, "label -1 out of range 0..1 (the labels are unknown)"),
        ({"image": cells(2, 9), "label": [0, 7]}, "label 7 out of range 0..1"),
        ({"picture_of": cells(2, 9), "label": [0, 1]}, "no columns of images and labels (found picture_of, label)"),
        ({"img": cells(2, 9), "label": [0, 1]}, "parquet files of different columns"),
        (
            {"image": [{"bytes": b"bad", "path": "x"}, *cells(1)], "label": [0, 1]},
            "test.parquet row 0: repair or remove it",
        ),
        ({"image": cells(2, 9, 13), "label": [0, 1]}, "image is 13x13, others are 12x12"),
    ],
)
def test_parquet_files_that_do_not_fit_are_named(table, tmp_path, test_columns, message):
    table("train.parquet", image=cells(2), label=[0, 1])
    root = table("test.parquet", **test_columns)
    with pytest.raises(DataError) as caught:
        prepare(FOLDER, data_root=root, cache=tmp_path / "cache")
    assert message in caught.value.lines[0]


def test_a_damaged_parquet_file_is_named(table, tmp_path):
    table("train.parquet", image=cells(2), label=[0, 1])
    root = table("test.parquet", image=cells(2, 9), label=[0, 1])
    data = (root / "train.parquet").read_bytes()
    for damaged in (b"", data[:100], data[:-9], b"PAR1" + bytes(300) + b"PAR1"):
        (root / "train.parquet").write_bytes(damaged)
        assert "train.parquet" in refusal(root, tmp_path)


def test_decoded_work_of_parquet_files_is_kept_too(table, tmp_path, monkeypatch):
    from resnet_shortcuts.data.sources import image_files

    table("train.parquet", image=cells(6), label=[0, 1] * 3)
    root = table("test.parquet", image=[{"bytes": b"bad", "path": "x"}, *cells(1, 9)], label=[0, 1])
    with pytest.raises(DataError, match="row 0"):
        prepare(FOLDER, data_root=root, cache=tmp_path / "cache")
    decoded: list[str] = []
    true_decode = image_files.decode_bytes
    monkeypatch.setattr(
        image_files, "decode_bytes", lambda data, where, side: decoded.append(where) or true_decode(data, where, side)
    )
    table("test.parquet", image=cells(2, 9), label=[0, 1])
    assert describe(prepare(FOLDER, data_root=root, cache=tmp_path / "cache"))["counts"] == {"train": 6, "test": 2}
    assert len([where for where in decoded if "train.parquet" in where]) == 1, "the first, for its size"
