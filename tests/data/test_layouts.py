"""Every layout of the list is read: each image with its class, and the user is told what was found."""

import collections
from pathlib import Path

import numpy as np
import pytest

from resnet_shortcuts.data.data_config import SOURCES, DataSpec
from resnet_shortcuts.data.prepare import describe, found_line, prepare
from resnet_shortcuts.data.sources import cifar

from . import layouts

PROPER = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "tiny-imagenet": "Tiny ImageNet", "imagenet": "ImageNet"}


@pytest.fixture(autouse=True)
def small_cifar(monkeypatch):
    for name, published in ({"cifar10": cifar.CIFAR10, "cifar100": cifar.CIFAR100}).items():
        monkeypatch.setitem(cifar.PUBLISHED, name, layouts.small(published))
        monkeypatch.delenv(f"RSC_{name.upper()}_URL", raising=False)


def held(images: layouts.Images, *parts: str) -> collections.Counter[tuple[str, bytes]]:
    return collections.Counter((name, pixels.tobytes()) for part in parts for name, _, pixels in images.of(part))


def decoded(folder: Path, part: str) -> collections.Counter[tuple[str, bytes]]:
    classes = describe(folder)["classes"]
    images, labels = np.load(folder / f"{part}.images.npy"), np.load(folder / f"{part}.labels.npy")
    return collections.Counter((classes[label], image.tobytes()) for image, label in zip(images, labels, strict=True))


@pytest.mark.parametrize("layout", layouts.LAYOUTS, ids=lambda layout: f"{layout.source}: {layout.files}")
def test_a_layout_is_read(layout, tmp_path):
    root, images = tmp_path / "flowers", layouts.HELD[layout.source]
    root.mkdir()
    layout.write(root, images)
    spec = DataSpec(source=layout.source, augment=(), **layouts.OPTIONS.get(layout.source, {}), **layout.options)
    folder = prepare(spec, data_root=root, cache=tmp_path / "cache")
    manifest, train, test = describe(folder), decoded(folder, "train"), decoded(folder, "test")
    assert sorted(manifest["classes"]) == sorted(images.classes)
    if "test_fraction" in layout.options:
        assert train + test == held(images, "train"), "every image on one side, none lost"
        share = collections.Counter(name for name, _ in test)
        whole = collections.Counter(name for name, _ in train + test)
        assert all(share[name] == max(1, round(0.2 * whole[name])) for name in images.classes)
    else:
        assert (train, test) == (held(images, "train"), held(images, "test"))
    counts = f"{train.total():,} + {test.total():,} images of {len(images.classes)} classes"
    name = PROPER.get(layout.source) or ("Imagenette" if layout.source == "imagenette" else manifest["name"])
    assert found_line(manifest) == f"found {name}, {layout.found}, {counts}"
    assert manifest["warnings"] == []


def test_every_source_of_files_has_a_layout():
    assert {layout.source for layout in layouts.LAYOUTS} == set(SOURCES) - {"digits"}


def test_the_documentation_lists_the_layouts():
    text = layouts.DOCUMENT.read_text()
    assert text == layouts.documented(text), "run: python -m tests.data.layouts"
