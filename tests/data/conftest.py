"""Small image folders, made here; real ones from RSC_TEST_DATA."""

import os
import subprocess
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
    patterns = ["train/*/00[0-9][0-9].jpg", "test/*/00[01][0-9].jpg"]  # tar itself: ten times as fast as tarfile
    archive = real_data / "cifar10-jpeg.tar.xz"
    subprocess.run(["tar", "xJf", archive, "-C", root, "--wildcards", *patterns], check=True)
    return root


@pytest.fixture(scope="session")
def real_tiny_imagenet(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny ImageNet's own layout: 20 classes, at most 20 training images each."""
    root = tmp_path_factory.mktemp("tiny")
    archive = real_data / "tiny-imagenet-20.tar.xz"
    patterns = ["*/train/*_[0-9].JPEG", "*/train/*_1[0-9].JPEG", "*/val/*", "*/wnids.txt"]
    subprocess.run(["tar", "xJf", archive, "-C", root, "--wildcards", *patterns], check=True)
    return root / "tiny-imagenet-200"
