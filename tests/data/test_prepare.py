"""Decoding into the cache: what is stored, when it is made again, and what is told where it cannot be made."""

import dataclasses
import json
import multiprocessing
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_shortcuts.data import decoded_cache as store
from resnet_shortcuts.data.data_config import SOURCES, DataSpec
from resnet_shortcuts.data.dataset import load
from resnet_shortcuts.data.prepare import _FIND, describe, prepare
from resnet_shortcuts.data.sources.cifar import PUBLISHED
from resnet_shortcuts.errors import DataError, EnvironmentFault, IntegrityError, UsageError
from resnet_shortcuts.torchvision_import import import_torchvision

from .conftest import noise, seed_of, write_image

FOLDER = DataSpec(source="image-folder", augment=())


def decode(root: Path, tmp_path: Path, spec: DataSpec = FOLDER, **options) -> Path:
    return prepare(spec, data_root=root, cache=tmp_path / "cache", **options)


def test_digits_hold_scikit_learns_images(tmp_path):
    from sklearn.datasets import load_digits

    folder = prepare(DataSpec(), data_root=None, cache=tmp_path)
    train, test = np.load(folder / "train.images.npy"), np.load(folder / "test.images.npy")
    assert train.shape == (1000, 8, 8, 1)
    assert test.shape == (797, 8, 8, 1)
    ours = np.sort(np.concatenate([train, test]).reshape(1797, -1).sum(1))
    theirs = np.sort(np.rint(load_digits().data * 255 / 16).astype(int).sum(1))
    assert (ours == theirs).all()
    assert (np.bincount(np.load(folder / "train.labels.npy")) == 100).all()


def test_image_folder_keeps_every_pixel_of_lossless_images(image_folder, tmp_path):
    ticks = []
    folder = decode(image_folder, tmp_path, progress=lambda *tick: ticks.append(tick))
    about = describe(folder)
    assert about["classes"] == ["bird", "cat", "dog"]
    assert (about["counts"], about["resolution"]) == ({"train": 18, "test": 9}, 12)
    images, labels = np.load(folder / "train.images.npy"), np.load(folder / "train.labels.npy")
    assert labels.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    for position, label in enumerate(labels):
        assert (images[position] == noise(seed_of("train", label, position % 6))).all()
    assert ticks[-1] == ("decoding images", 27, 27)


@pytest.mark.parametrize("changes", [{"train_size": 19}, {"test_size": 10}, {"validation": 18}, {}])
def test_settings_that_do_not_fit_are_told_before_anything_is_decoded(image_folder, tmp_path, changes):
    def check(train_images: int) -> None:
        if not changes:
            raise UsageError(f"{train_images} counted")

    (image_folder / "train" / "cat" / "3.png").write_bytes(b"no image")  # decoding would stop at it
    with pytest.raises(UsageError, match=r"^data|^18 counted"):
        decode(image_folder, tmp_path, FOLDER.model_copy(update=changes), check=check)


def test_a_decoded_copy_is_counted_too(image_folder, tmp_path):
    counted = []
    for changes in ({}, {"train_size": 7}, {"validation": 5}, {"train_size": 7, "validation": 5}):
        decode(image_folder, tmp_path, FOLDER.model_copy(update=changes), check=counted.append)
    assert counted == [18, 18, 7, 13, 7], "the first one before it is decoded and after"


def test_val_serves_where_there_is_no_test(image_folder, tmp_path):
    (image_folder / "test").rename(image_folder / "val")
    assert describe(decode(image_folder, tmp_path))["counts"]["test"] == 9


def test_folders_within_a_class_belong_to_it_as_in_torchvision(image_folder, tmp_path):
    import_torchvision()
    from torchvision.datasets import ImageFolder

    cats = image_folder / "train" / "cat"
    for number, folder in ((0, "2019"), (1, "2019"), (2, "old/er")):
        (cats / folder).mkdir(parents=True, exist_ok=True)
        (cats / f"{number}.png").rename(cats / folder / f"{number}.png")
    theirs = ImageFolder(str(image_folder / "train"))
    labels = np.load(decode(image_folder, tmp_path) / "train.labels.npy")
    assert labels.tolist() == theirs.targets == [0] * 6 + [1] * 6 + [2] * 6


def test_any_image_size_is_cut_to_the_resolution(image_folder, tmp_path):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200  # the middle square
    write_image(image_folder / "train" / "bird" / "0.png", wide)
    folder = decode(image_folder, tmp_path, DataSpec(source="image-folder", resolution=5))
    assert np.load(folder / "train.images.npy").shape == (18, 5, 5, 3)
    assert (np.load(folder / "train.images.npy")[0] == 200).all()


def test_different_sizes_need_a_resolution(image_folder, tmp_path):
    write_image(image_folder / "test" / "cat" / "1.png", noise(1, 13, 13))
    with pytest.raises(DataError, match=r"13x13, others are 12x12: .*cat/1.png: set data.resolution"):
        decode(image_folder, tmp_path)


def test_the_next_start_reuses_it_and_the_root_may_move(image_folder, tmp_path):
    folder = decode(image_folder, tmp_path)
    made = (folder / "manifest.json").stat().st_mtime_ns
    assert decode(image_folder, tmp_path) == folder
    assert (folder / "manifest.json").stat().st_mtime_ns == made
    other = shutil.copytree(image_folder, tmp_path / "moved")
    assert describe(decode(other, tmp_path))["content"] == describe(folder)["content"]


def test_same_content_from_another_source_has_the_same_hash(image_folder, tmp_path):
    plain = describe(decode(image_folder, tmp_path))["content"]
    asked = describe(decode(image_folder, tmp_path, DataSpec(source="image-folder", resolution=12)))["content"]
    other = describe(decode(image_folder, tmp_path, DataSpec(source="image-folder", resolution=8)))["content"]
    assert plain == asked != other


def test_fault_29_data_changed_between_runs_is_found(image_folder, tmp_path):
    before = describe(decode(image_folder, tmp_path))["content"]
    path = image_folder / "train" / "cat" / "3.png"
    info = path.stat()
    write_image(path, noise(seed_of("train", 1, 3)) ^ np.uint8(1), compress_level=0)
    write_image(path, noise(seed_of("train", 1, 3)) ^ np.uint8(1))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))  # as some copying tools do
    after = describe(decode(image_folder, tmp_path))["content"]
    assert after != before


@pytest.mark.parametrize("damage", ["flip", "truncate", "manifest", "missing", "format"])
def test_fault_22_a_damaged_cache_is_mended_when_opened(image_folder, tmp_path, damage):
    folder = decode(image_folder, tmp_path)
    good = np.load(folder / "train.images.npy")
    path = folder / "train.images.npy"
    if damage == "flip":
        data = bytearray(path.read_bytes())
        data[-5] ^= 4
        path.write_bytes(data)
    elif damage == "truncate":
        os.truncate(path, 500)
    elif damage == "manifest":
        (folder / "manifest.json").write_text('{"format": 1')
    elif damage == "missing":
        (folder / "test.labels.npy").unlink()
    else:
        (folder / "manifest.json").write_text(json.dumps(describe(folder) | {"format": 1}))
    assert decode(image_folder, tmp_path) == folder
    assert (np.load(path) == good).all()
    assert describe(folder)["format"] == store.FORMAT


@pytest.mark.parametrize("content", [b"", b"this is no image", "half"])
def test_fault_30_a_corrupt_image_is_named(image_folder, tmp_path, content):
    path = image_folder / "train" / "dog" / "2.png"
    path.write_bytes(path.read_bytes()[:200] if content == "half" else content)
    with pytest.raises(DataError, match=r"cannot read image: .*train/dog/2\.png: repair or remove") as caught:
        decode(image_folder, tmp_path)
    assert caught.value.exit_code == 3
    assert len(caught.value.lines) == 1
    assert not list((tmp_path / "cache" / "data").glob("[!.]*"))
    assert not list((tmp_path / "cache" / "data").glob(".*staging*"))


def test_fault_31_an_empty_class_folder_is_named(image_folder, tmp_path):
    (image_folder / "train" / "wolf").mkdir()
    write_image(image_folder / "test" / "wolf" / "0.png", noise(0))
    with pytest.raises(DataError, match="class without images: 'wolf'"):
        decode(image_folder, tmp_path)


@pytest.mark.parametrize("part", ["train", "test"])
def test_fault_31_classes_that_differ_are_named(image_folder, tmp_path, part):
    write_image(image_folder / part / "wolf" / "0.png", noise(0))
    with pytest.raises(DataError, match=f"classes differ: only in {part}: 'wolf'"):
        decode(image_folder, tmp_path)


def test_what_is_no_image_is_named_and_notes_are_left_alone(image_folder, tmp_path):
    (image_folder / "train" / "cat" / "notes.txt").write_text("fed at noon")
    (image_folder / "train" / "cat" / ".hidden").write_text("")
    assert describe(decode(image_folder, tmp_path))["counts"]["train"] == 18
    (image_folder / "train" / "cat" / "clip.mp4").write_text("")
    with pytest.raises(DataError, match=r"not an image file: .*cat/clip\.mp4"):
        decode(image_folder, tmp_path)


@pytest.mark.parametrize("kind", ["dangling", "fifo", "folder"])
def test_fault_27_an_unreadable_file_is_named(image_folder, tmp_path, kind):
    path = image_folder / "train" / "cat" / "z.png"
    if kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
        (path / "x.png").symlink_to(path / "x.png")
    with pytest.raises(DataError, match=r"cat/z\.png"):
        decode(image_folder, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_fault_27_permission_denied_is_named(image_folder, tmp_path):
    (image_folder / "train" / "cat" / "1.png").chmod(0)
    with pytest.raises(DataError, match=r"cat/1\.png.*[Pp]ermission"):
        decode(image_folder, tmp_path)


def test_missing_folders_say_what_to_do(tmp_path):
    with pytest.raises(DataError, match="no folder given for image-folder"):
        prepare(FOLDER, data_root=None, cache=tmp_path)
    with pytest.raises(DataError, match=r"no such folder: .*nowhere"):
        decode(tmp_path / "nowhere", tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"no test/ folder|no class folders"):
        decode(tmp_path, tmp_path)
    assert not (tmp_path / "cache" / "data").exists()


@pytest.mark.parametrize("source", sorted(set(SOURCES) - {"digits"}))
def test_a_root_that_cannot_be_a_path_is_named(tmp_path, source, monkeypatch):
    offline = {name: dataclasses.replace(cifar, addresses=()) for name, cifar in PUBLISHED.items()}
    monkeypatch.setattr("resnet_shortcuts.data.sources.cifar.PUBLISHED", offline)
    for root in ("x" * 300, "~nobody-of-this-name/x", __file__):
        with pytest.raises(DataError):
            prepare(DataSpec(source=source, root=root), data_root=None, cache=tmp_path)


def test_sizes_beyond_the_data_are_usage_errors(image_folder, tmp_path):
    for wrong, told in (
        (
            {"train_size": 19},
            "size 19 is more than the 18 training images of image-folder: data.train_size: at most 18$",
        ),
        ({"train_size": 12, "validation": 7}, r"data.validation 7 is more.*: data.train_size: at most 18 together$"),
        ({"test_size": 10}, "data.test_size 10 is more than the 9 test images .*: data.test_size: at most 9$"),
        ({"validation": 18}, "validation 18 leaves none of the 18 .*: data.validation: at most 17$"),
    ):
        with pytest.raises(UsageError, match=told):
            decode(image_folder, tmp_path, DataSpec(source="image-folder", **wrong))


def test_classes_and_images_a_class_are_chosen_before_decoding(image_folder, tmp_path):
    spec = DataSpec(source="image-folder", classes=["dog", "bird"], images_per_class=2)
    about = describe(decode(image_folder, tmp_path, spec))
    assert (about["classes"], about["counts"]) == (["bird", "dog"], {"train": 4, "test": 6})
    with pytest.raises(UsageError, match=r"no class 'dogs' in .*: data.classes.0: did you mean 'dog'"):
        decode(image_folder, tmp_path, DataSpec(source="image-folder", classes=["dogs", "cat"]))
    with pytest.raises(UsageError, match=r"data\.classes: at most 3"):
        decode(image_folder, tmp_path, DataSpec(source="image-folder", classes=4))
    with pytest.raises(UsageError, match=r"images_per_class 7 is more than class .*: at most 6"):
        decode(image_folder, tmp_path, DataSpec(source="image-folder", images_per_class=7))


def _prepare_in_process(root, cache, queue):
    ticks = []
    folder = prepare(FOLDER, data_root=root, cache=cache, progress=lambda *tick: ticks.append(tick[0]))
    queue.put((str(folder), "decoding images" in ticks))


def test_fault_28_of_two_processes_one_prepares(image_folder, tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [
        context.Process(target=_prepare_in_process, args=(image_folder, tmp_path / "cache", queue)) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    answers = [queue.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert len({folder for folder, _ in answers}) == 1
    assert sum(decoded for _, decoded in answers) == 1


def test_what_a_killed_process_left_is_cleared(image_folder, tmp_path):
    folder = decode(image_folder, tmp_path)
    left = folder.parent / f".{folder.name}.staging-dead"
    left.mkdir()
    (left / "train.images.npy").write_bytes(b"half")
    shutil.rmtree(folder)
    decode(image_folder, tmp_path)
    assert not left.exists()


def test_a_cache_that_cannot_be_written_is_an_environment_fault(image_folder, tmp_path):
    (tmp_path / "cache").write_text("a file is in the way")
    with pytest.raises(EnvironmentFault, match="RSC_CACHE"):
        decode(image_folder, tmp_path)


def test_too_little_space_is_told_before_decoding(image_folder, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(EnvironmentFault, match="disk full"):
        decode(image_folder, tmp_path)


def test_a_file_that_cannot_grow_leaves_nothing_behind(image_folder, tmp_path):
    (tmp_path / "cache" / "data").mkdir(parents=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(EnvironmentFault, match="file too large"):
            decode(image_folder, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [path for path in (tmp_path / "cache" / "data").iterdir() if path.suffix != ".lock"]


def test_large_sets_are_hashed_only_where_a_time_changed(image_folder, tmp_path, monkeypatch):
    folder = decode(image_folder, tmp_path)
    hashed = []
    true_hash = store.array_hash
    monkeypatch.setattr(store, "_HASH_ALWAYS", 0)
    monkeypatch.setattr(store, "array_hash", lambda array: hashed.append(1) or true_hash(array))
    assert store.is_sound(folder)
    assert not hashed
    os.utime(folder / "train.images.npy")
    assert store.is_sound(folder)
    assert len(hashed) == 4


def test_an_edited_manifest_is_made_again(image_folder, tmp_path):
    folder = decode(image_folder, tmp_path)
    path, before = folder / store.MANIFEST, describe(folder)
    path.write_text(path.read_text().replace(before["content"], "0" * 64))
    assert not store.is_sound(folder)
    assert describe(decode(image_folder, tmp_path))["content"] == before["content"]


def test_decoded_data_of_a_newer_version_is_left_alone(image_folder, tmp_path):
    folder = decode(image_folder, tmp_path)
    path = folder / store.MANIFEST
    path.write_text(json.dumps({"format": store.FORMAT + 1, "how": "newer"}))
    before = {file: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(IntegrityError, match="upgrade resnet-shortcuts"):
        decode(image_folder, tmp_path)
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_every_source_that_a_config_may_name_can_be_found():
    assert set(_FIND) == set(SOURCES)


def test_describe_refuses_another_folder(tmp_path):
    with pytest.raises(DataError, match="not a prepared data set"):
        describe(tmp_path)
    with pytest.raises(DataError):
        load(tmp_path, FOLDER)


def test_real_cifar_images_are_what_pillow_decodes(real_cifar, tmp_path):
    folder = decode(real_cifar, tmp_path)
    about = describe(folder)
    assert about["counts"] == {"train": 1000, "test": 200}
    images = np.load(folder / "train.images.npy")
    with Image.open(real_cifar / "train" / "truck" / "0099.jpg") as image:
        assert (images[-1] == np.asarray(image.convert("RGB"))).all()
