"""Small image folders, made here; real ones from RSC_TEST_DATA."""

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def write_image(path: Path, array: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def noise(seed: int, height: int = 12, width: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Three classes, 6 training and 3 test PNGs each, 12x12; noise by a known seed."""
    root = tmp_path / "pictures"
    for label, name in enumerate(["bird", "cat", "dog"]):
        for part, count in (("train", 6), ("test", 3)):
            for number in range(count):
                write_image(root / part / name / f"{number}.png", noise(seed_of(part, label, number)))
    return root


def seed_of(part: str, label: int, number: int) -> int:
    return {"train": 0, "test": 1000}[part] + 100 * label + number


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images that `.ci/run` names."""
    named = os.environ.get("RSC_TEST_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("RSC_TEST_DATA does not name a folder of real images")
    return Path(named)


@pytest.fixture(scope="session")
def real_cifar(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 training and 200 test images of the CIFAR-10 JPEGs."""
    root = tmp_path_factory.mktemp("cifar10")
    with tarfile.open(real_data / "cifar10-jpeg.tar.xz") as archive:
        for member in archive:
            _, _, number = member.name.rpartition("/")
            limit = "0100.jpg" if "train" in member.name else "0020.jpg"
            if member.isfile() and number < limit:
                archive.extract(member, root, filter="data")
    return root


@pytest.fixture(scope="session")
def real_tiny_imagenet(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny ImageNet's own layout: 20 classes, at most 20 training images each."""
    root = tmp_path_factory.mktemp("tiny")
    with tarfile.open(real_data / "tiny-imagenet-20.tar.xz") as archive:
        for member in archive:
            name = Path(member.name)
            if "train" in name.parts and name.suffix == ".JPEG" and int(name.stem.split("_")[1]) >= 20:
                continue
            archive.extract(member, root, filter="data")
    return root / "tiny-imagenet-200"
