"""ImageNet-like folders: layouts, choice of classes, the margin of photographs, and real Tiny ImageNet images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_shortcuts.data.batches import TrainBatches, test_batches
from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.dataset import load
from resnet_shortcuts.data.prepare import describe, prepare
from resnet_shortcuts.data.sources.image_sets import stored_side
from resnet_shortcuts.errors import DataError, UsageError

from .conftest import noise, write_image

WNIDS = ("n01440764", "n02102040", "n03000684")


@pytest.fixture
def tiny(tmp_path) -> Path:
    """Tiny ImageNet's layout: 3 classes, 4 training and 2 validation images each."""
    root = tmp_path / "data" / "tiny-imagenet-200"
    lines = []
    for label, wnid in enumerate(WNIDS):
        for number in range(4):
            write_image(root / "train" / wnid / "images" / f"{wnid}_{number}.png", noise(10 * label + number, 64, 64))
        for number in range(2):
            name = f"val_{10 * number + label}.png"  # out of order on purpose
            write_image(root / "val" / "images" / name, noise(1000 + 10 * label + number, 64, 64))
            lines.append(f"{name}\t{wnid}\t0\t0\t63\t63\n")
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text("0 0 1 1")
    (root / "val" / "val_annotations.txt").write_text("".join(sorted(lines)))
    (root / "wnids.txt").write_text("\n".join(WNIDS))
    return root


@pytest.fixture
def photographs(tmp_path) -> Path:
    """ImageNet's layout: 3 classes, 4 training and 2 validation images of 90x60."""
    root = tmp_path / "data"
    for label, wnid in enumerate(WNIDS):
        for part, count in (("train", 4), ("val", 2)):
            for number in range(count):
                write_image(root / part / wnid / f"{number}.jpeg", noise(10 * label + number, 60, 90))
    return root


def decode(root: Path, tmp_path: Path, **options) -> Path:
    return prepare(DataSpec(**options), data_root=root, cache=tmp_path / "cache")


@pytest.mark.parametrize("below", [True, False])
def test_tiny_imagenet_reads_its_annotations(tiny, tmp_path, below):
    folder = decode(tiny.parent if below else tiny, tmp_path, source="tiny-imagenet")
    about = describe(folder)
    assert about["classes"] == list(WNIDS)
    assert about["counts"] == {"train": 12, "test": 6}
    assert about["shape"]["train"] == [64, 64, 3]
    images, labels = np.load(folder / "test.images.npy"), np.load(folder / "test.labels.npy")
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    by_name = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 1), (2, 0)]  # label and number: val_12 comes before val_2
    for image, (label, number) in zip(images, by_name, strict=True):
        assert (image == noise(1000 + 10 * label + number, 64, 64)).all()


def test_tiny_imagenet_sorted_into_class_folders_is_read_too(tiny, tmp_path):
    before = describe(decode(tiny, tmp_path, source="tiny-imagenet"))["content"]
    for line in (tiny / "val" / "val_annotations.txt").read_text().splitlines():
        name, wnid = line.split("\t")[:2]
        (tiny / "val" / wnid).mkdir(exist_ok=True)
        (tiny / "val" / "images" / name).rename(tiny / "val" / wnid / name)
    (tiny / "val" / "images").rmdir()
    (tiny / "val" / "val_annotations.txt").unlink()
    assert describe(decode(tiny, tmp_path, source="tiny-imagenet"))["content"] == before


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("val_1.png", "val_99.png"), r"val_99\.png' is missing or named twice: .*:\d"),
        (lambda text: text.replace("val_1.png", "val_0.png"), "named twice"),
        (lambda text: text.replace("n02102040", "n09999999"), "classes differ"),
        (lambda text: text + "nonsense\n", r"no class on this line: .*txt:7"),
        (lambda text: text.splitlines(keepends=True)[0], "image without a class"),
    ],
)
def test_damaged_annotations_are_named(tiny, tmp_path, change, told):
    path = tiny / "val" / "val_annotations.txt"
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=told):
        decode(tiny, tmp_path, source="tiny-imagenet")


def test_a_class_that_is_not_there_is_named_with_the_nearest(tiny, tmp_path):
    with pytest.raises(UsageError, match=r"no class 'n03000683' in .*did you mean 'n03000684'"):
        decode(tiny, tmp_path, source="tiny-imagenet", classes=["n01440764", "n03000683"])
    folder = decode(tiny, tmp_path, source="tiny-imagenet", classes=["n03000684", "n01440764"], images_per_class=3)
    assert describe(folder)["classes"] == ["n01440764", "n03000684"]
    assert describe(folder)["counts"] == {"train": 6, "test": 4}


@pytest.mark.parametrize("source", ["imagenet", "imagenette"])
def test_photographs_keep_a_margin_and_tests_cut_the_centre(photographs, tmp_path, source):
    spec = DataSpec(source=source, resolution=28, augment=("random-resized-crop", "flip"), normalize="none")
    folder = prepare(spec, data_root=photographs, cache=tmp_path / "cache")
    about, data = describe(folder), load(folder, spec)
    assert about["shape"]["test"] == [32, 32, 3]
    assert data.resolution == about["resolution"] == data.identity["resolution"] == 28
    x, _ = next(TrainBatches(data, spec, seed=0, batch_size=6, device="cpu").epoch(0))
    assert x.shape == (6, 3, 28, 28)
    x, _ = next(test_batches(data.test, data, spec, 6, "cpu"))
    with Image.open(photographs / "val" / WNIDS[0] / "0.jpeg") as image:
        square = image.crop((15, 0, 75, 60)).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.rint(x[0].permute(1, 2, 0).numpy() * 255) == pytest.approx(np.asarray(square)[2:30, 2:30])


def test_the_usual_sizes():
    assert (stored_side(224), stored_side(128)) == (256, 146)


def test_a_subset_of_imagenet_lists_only_the_classes_chosen(photographs, tmp_path):
    (photographs / "train" / WNIDS[2] / "broken.jpeg").write_bytes(b"")
    folder = decode(photographs, tmp_path, source="imagenet", resolution=28, classes=2, images_per_class=3)
    assert describe(folder)["counts"] == {"train": 6, "test": 4}


def test_imagenette_is_found_as_torchvision_leaves_it(photographs, tmp_path):
    (photographs / "imagenette2-160").mkdir()
    for part in ("train", "val"):
        (photographs / part).rename(photographs / "imagenette2-160" / part)
    assert describe(decode(photographs, tmp_path, source="imagenette"))["resolution"] == 128


def test_missing_folders_say_where_to_get_them(tmp_path):
    for source, address in (("tiny-imagenet", "cs231n"), ("imagenette", "fast-ai"), ("imagenet", "image-net.org")):
        with pytest.raises(DataError, match=address):
            decode(tmp_path, tmp_path, source=source)


def test_a_validation_split_of_photographs(photographs, tmp_path):
    spec = DataSpec(source="imagenet", resolution=28, validation=3)
    data = load(prepare(spec, data_root=photographs, cache=tmp_path / "cache"), spec)
    assert (len(data.train), len(data.validation), len(data.test)) == (9, 3, 6)
    assert sorted(data.validation.labels) == [0, 1, 2]


def test_real_tiny_imagenet(real_tiny_imagenet, tmp_path):
    folder = decode(real_tiny_imagenet.parent, tmp_path, source="tiny-imagenet")
    about = describe(folder)
    assert len(about["classes"]) == 20
    assert about["counts"] == {"train": 400, "test": 1000}
    assert (np.bincount(np.load(folder / "test.labels.npy")) == 50).all()
    images = np.load(folder / "train.images.npy")
    grey = (images == images[..., :1]).all((1, 2, 3))
    assert 0 < grey.sum() < 40  # some are grey-scale, as in the original
