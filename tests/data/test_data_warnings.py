"""Wrong data does not pass without a word: leakage, conflicting labels, system files, classes that are too small."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.data_warnings import DataWarning
from resnet_shortcuts.data.dataset import Dataset, load, remarks
from resnet_shortcuts.data.prepare import describe, prepare

from .conftest import noise, seed_of, write_image

FOLDER = DataSpec(source="image-folder", augment=())


def opened(root: Path, tmp_path: Path, **options) -> Dataset:
    spec = FOLDER.model_copy(update=options)
    return load(prepare(spec, data_root=root, cache=tmp_path / "cache"), spec)


def warnings(root: Path, tmp_path: Path, **options) -> dict[str, DataWarning]:
    return {warning.kind: warning for warning in opened(root, tmp_path, **options).warnings}


def test_sound_data_is_not_warned_of(image_folder, tmp_path):
    (image_folder / "train" / "cat" / "notes.txt").write_text("fed at noon")
    assert warnings(image_folder, tmp_path) == {}
    assert warnings(image_folder, tmp_path, train_size=9, test_size=6) == {}


def _linked_folder(root: Path) -> int:
    shutil.rmtree(root / "test")
    (root / "test").symlink_to("train")
    return 18


def _hard_link(root: Path) -> int:
    os.link(root / "train" / "cat" / "0.png", root / "test" / "cat" / "z.png")
    return 1


def _copies_of_other_names(root: Path) -> int:
    for number in range(2):
        shutil.copy(root / "train" / "dog" / f"{number}.png", root / "test" / "dog" / f"holiday-{number}.png")
    return 2


def _another_format(root: Path) -> int:
    with Image.open(root / "train" / "bird" / "3.png") as image:
        image.save(root / "test" / "bird" / "x.bmp")
    return 1


def _another_class(root: Path) -> int:
    shutil.copy(root / "train" / "dog" / "1.png", root / "test" / "cat" / "x.png")
    return 1


@pytest.mark.parametrize("leak", [_linked_folder, _hard_link, _copies_of_other_names, _another_format, _another_class])
def test_leakage_test_images_that_are_training_images_are_counted(image_folder, tmp_path, leak):
    count = leak(image_folder)
    (warning,) = opened(image_folder, tmp_path).warnings
    total = len(list((image_folder / "test").glob("*/*")))
    assert (warning.kind, warning.count) == ("test-in-train", count)
    assert warning.text.startswith(f"{count} of {total} test images ")


def test_leakage_is_shown_to_the_user_with_what_was_found(image_folder, tmp_path):
    _hard_link(image_folder)
    folder = prepare(FOLDER, data_root=image_folder, cache=tmp_path / "cache")
    found, warning = remarks(folder, FOLDER)
    assert found == "found pictures, class folders in train/ and class folders in test/, 18 + 10 images of 3 classes"
    assert warning.startswith("warning: 1 of 10 test images is a training image")


@pytest.mark.parametrize("part", ["train", "test"])
def test_conflicting_labels_of_the_same_image_are_counted(image_folder, tmp_path, part):
    shutil.copy(image_folder / part / "dog" / "1.png", image_folder / part / "cat" / "x.png")
    shutil.copy(image_folder / part / "dog" / "1.png", image_folder / part / "dog" / "again.png")
    (warning,) = opened(image_folder, tmp_path).warnings
    assert (warning.kind, warning.count) == ("conflicting-labels", 3)
    shown = {"train": "training", "test": "test"}[part]
    assert f"{shown} images are copies of each other with different labels" in warning.text


def test_copies_within_a_class_are_nobodys_business(image_folder, tmp_path):
    shutil.copy(image_folder / "train" / "dog" / "1.png", image_folder / "train" / "dog" / "again.png")
    assert warnings(image_folder, tmp_path) == {}


@pytest.mark.parametrize(
    "path",
    [
        "train/cat/@eaDir/0.png/SYNOPHOTO_THUMB_XL.jpg",
        "train/@eaDir/cat/x.jpg",
        "train/cat/.thumbnails/normal/x.png",
        "train/cat/.@__thumb/x.jpg",
        "train/cat/Thumbnails/x.jpg",
        "train/cat/thumbs/x.jpg",
        "test/__MACOSX/cat/._0.png",
        "train/cat/__MACOSX/x.png",
        "train/.ipynb_checkpoints/x.png",
        "train/cat/.ipynb_checkpoints/0-checkpoint.png",
        "train/lost+found/x.png",
        "train/cat/#recycle/x.png",
        "train/$RECYCLE.BIN/x.png",
        "train/System Volume Information/x.png",
        "train/.Trash-1000/files/x.png",
        "train/.AppleDouble/x.png",
        "train/__pycache__/x.png",
        "test/cat/.DS_Store",
        "train/cat/Thumbs.db",
        "train/cat/ehthumbs.db",
        "train/cat/desktop.ini",
        "train/cat/._0.png",
        "train/cat/.nfs0000001",
        "train/Picasa.ini",
        "train/cat/@tmp/x.png",
        "train/cat/ZbThumbnail.info",
        "test/Network Trash Folder/x.png",
        "train/cat/Temporary Items/x.png",
    ],
)
def test_system_files_and_thumbnails_are_passed_over_and_counted(image_folder, tmp_path, path):
    before = describe(prepare(FOLDER, data_root=image_folder, cache=tmp_path / "cache"))["content"]
    write_image((image_folder / path).with_suffix(".png"), noise(99)).rename(image_folder / path)
    os.utime(image_folder / "train" / "cat" / "0.png")  # so that it is listed anew
    data = opened(image_folder, tmp_path)
    assert data.identity["content"] == before
    (warning,) = data.warnings
    assert (warning.kind, warning.count) == ("system-files", 1)
    name = next(part for part in Path(path).parts[1:] if part not in ("cat",))
    assert repr(name) in warning.text


def test_a_folder_of_classes_without_a_split_passes_over_system_folders(tmp_path):
    for label, name in enumerate(("a", "b", "@eaDir", "__MACOSX")):
        for number in range(4):
            write_image(tmp_path / "data" / name / f"{number}.png", noise(seed_of("train", label, number)))
    data = opened(tmp_path / "data", tmp_path, test_fraction=0.5)
    assert data.classes == ("a", "b")
    assert [warning.count for warning in data.warnings] == [2]


def test_small_classes_are_named_where_a_balanced_subset_was_asked_for(tmp_path):
    for label, (name, count) in enumerate({"bird": 12, "cat": 2, "dog": 12}.items()):
        for part in ("train", "test"):
            for number in range(count):
                write_image(tmp_path / "data" / part / name / f"{number}.png", noise(seed_of(part, label, number)))
    assert warnings(tmp_path / "data", tmp_path) == {}, "unbalanced data is the user's choice"
    warning = warnings(tmp_path / "data", tmp_path, train_size=18)["small-classes"]
    assert warning.count == 1
    assert "1 class with less than half of their share of the 18 training images asked for (6 a class): 'cat' 2" in (
        warning.text
    )
    assert "test images asked for" in warnings(tmp_path / "data", tmp_path, test_size=20)["small-classes"].text


def test_warnings_and_names_are_stored_and_hashed_into_no_id(image_folder, tmp_path):
    clean = opened(image_folder, tmp_path)
    (image_folder / "train" / "cat" / ".DS_Store").write_text("")
    os.utime(image_folder / "train" / "cat" / "0.png")
    warned = opened(image_folder, tmp_path, name="Three animals")
    assert warned.warnings != clean.warnings
    assert warned.identity == clean.identity
    assert (clean.name, warned.name) == ("pictures", "Three animals")
    folder = prepare(FOLDER, data_root=image_folder, cache=tmp_path / "cache")
    assert [DataWarning(**stored) for stored in describe(folder)["warnings"]] == list(warned.warnings)


def test_the_embedded_digits_say_their_proper_name(tmp_path):
    folder = prepare(DataSpec(), data_root=None, cache=tmp_path)
    assert remarks(folder, DataSpec())[0] == "found scikit-learn digits, embedded, 1,000 + 797 images of 10 classes"
    images = [np.load(folder / f"{part}.images.npy") for part in ("train", "test")]
    train, test = ({image.tobytes() for image in part} for part in images)
    shared = sum(image.tobytes() in train for image in images[1])
    assert [w.count for w in load(folder, DataSpec()).warnings] == ([shared] if shared else [])
    assert train
    assert test


@pytest.mark.parametrize("left", ["test/images/left.png", "test/left.png", "train/left.png"])
def test_images_outside_class_folders_are_counted_as_after_sorting_that_was_cut_short(image_folder, tmp_path, left):
    moved = sorted((image_folder / left.split("/")[0] / "cat").iterdir())[0]
    (image_folder / left).parent.mkdir(exist_ok=True)
    moved.rename(image_folder / left)
    (warning,) = warnings(image_folder, tmp_path).values()
    assert (warning.kind, warning.count) == ("unsorted-images", 1)
    assert left in warning.text
    (image_folder / left).rename(moved)
    assert not warnings(image_folder, tmp_path)
