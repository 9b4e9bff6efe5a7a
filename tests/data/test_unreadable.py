"""All errors of a data set at once, and decoded work kept: a start that fails never makes the next one begin anew."""

import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from resnet_shortcuts.data import partial_decoding
from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.prepare import describe, prepare
from resnet_shortcuts.data.sources import image_files
from resnet_shortcuts.errors import DataError, Exit

from .conftest import noise, write_image

FOLDER = DataSpec(source="image-folder", augment=(), resolution=8)


@pytest.fixture
def many(tmp_path) -> Path:
    """60 training and 4 test images of two classes."""
    root = tmp_path / "many"
    for label, name in enumerate(("a", "b")):
        for number in range(30):
            write_image(root / "train" / name / f"{number:02}.png", noise(100 * label + number, 8, 8))
        for number in range(2):
            write_image(root / "test" / name / f"{number:02}.png", noise(1000 + 100 * label + number, 8, 8))
    return root


def decode(root: Path, tmp_path: Path, **options) -> Path:
    return prepare(FOLDER, data_root=root, cache=tmp_path / "cache", **options)


@pytest.fixture
def decoded_paths(monkeypatch) -> list[str]:
    """The names of the files that were decoded, as it goes."""
    paths: list[str] = []
    true_decode = image_files.decode
    monkeypatch.setattr(image_files, "decode", lambda path, side: paths.append(path.name) or true_decode(path, side))
    return paths


def damage(root: Path, *places: str) -> None:
    for place in places:
        (root / place).write_bytes(b"damaged")


def test_all_unreadable_images_of_both_parts_are_listed_at_once(many, tmp_path):
    places = ("train/a/03.png", "train/b/00.png", "train/b/29.png", "test/a/01.png")
    damage(many, *places)
    with pytest.raises(DataError) as caught:
        decode(many, tmp_path)
    *lines, last = caught.value.lines
    assert [next(place for place in places if place in line) for line in lines] == list(places)
    assert last == (
        "4 of 64 images cannot be read: repair or remove them: the 60 decoded ones are kept for the next start"
    )
    assert caught.value.exit_code == Exit.DATA
    assert pickle.loads(pickle.dumps(caught.value)).lines == caught.value.lines


def test_of_many_unreadable_images_20_are_listed_and_a_file_has_all(many, tmp_path):
    damage(many, *(f"train/{name}/{number:02}.png" for name in "ab" for number in range(15)))
    with pytest.raises(DataError) as caught:
        decode(many, tmp_path)
    *lines, last = caught.value.lines
    assert len(lines) == 20
    (listing,) = (tmp_path / "cache" / "data").glob("*-unreadable.txt")
    assert f"30 of 64 images cannot be read: all are listed in {listing}" in last
    assert len(listing.read_text().splitlines()) == 30
    assert listing.read_text().splitlines()[:20] == lines


def test_decoded_work_is_kept_when_images_are_repaired_or_removed(many, tmp_path, decoded_paths):
    damage(many, "train/a/03.png", "train/b/00.png")
    with pytest.raises(DataError):
        decode(many, tmp_path)
    decoded_paths.clear()
    write_image(many / "train" / "a" / "03.png", noise(3, 8, 8))
    (many / "train" / "b" / "00.png").unlink()
    folder = decode(many, tmp_path)
    assert decoded_paths == ["03.png"]
    images = np.load(folder / "train.images.npy")
    seeds = [*range(30), *range(101, 130)]
    assert len(images) == 59
    assert all((image == noise(seed, 8, 8)).all() for image, seed in zip(images, seeds, strict=True))
    assert describe(folder)["content"] == describe(prepare(FOLDER, data_root=many, cache=tmp_path / "new"))["content"]
    left = [path.name for path in (tmp_path / "cache" / "data").iterdir() if not path.name.endswith(".lock")]
    assert left == [folder.name]
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".npy", ".npy", ".npy", ".npy"]


def test_an_image_that_changed_meanwhile_is_decoded_again(many, tmp_path, decoded_paths):
    damage(many, "train/a/03.png")
    with pytest.raises(DataError):
        decode(many, tmp_path)
    decoded_paths.clear()
    (many / "train" / "a" / "03.png").unlink()
    write_image(many / "train" / "b" / "07.png", noise(7777, 8, 8))
    images = np.load(decode(many, tmp_path) / "train.images.npy")
    assert decoded_paths == ["07.png"]
    assert (images[29 + 7] == noise(7777, 8, 8)).all()


def test_a_damaged_unfinished_folder_is_not_trusted(many, tmp_path):
    damage(many, "train/a/03.png")
    with pytest.raises(DataError):
        decode(many, tmp_path)
    (unfinished,) = (tmp_path / "cache" / "data").glob("*.unfinished")
    for path in unfinished.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    (many / "train" / "a" / "03.png").unlink()
    folder = decode(many, tmp_path)
    assert describe(folder)["content"] == describe(prepare(FOLDER, data_root=many, cache=tmp_path / "new"))["content"]
    assert not unfinished.exists()


_SLOW = """
import sys, time
from pathlib import Path
from resnet_shortcuts.data import partial_decoding
from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.prepare import prepare
from resnet_shortcuts.data.sources import image_files
partial_decoding._SAVE_SECONDS, image_files._CHUNK = 0.0, 5
true_decode = image_files.decode
def decode(path, side):
    if path.name == "20.png":
        print("half", flush=True)
        time.sleep(60)
    return true_decode(path, side)
image_files.decode = decode
prepare(DataSpec(source="image-folder", augment=(), resolution=8), data_root=Path(sys.argv[1]), cache=Path(sys.argv[2]))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_work_of_a_process_that_was_killed_is_kept(many, tmp_path, decoded_paths, how):
    command = [sys.executable, "-c", _SLOW, str(many), str(tmp_path / "cache")]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=root) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("half")  # threads print it, perhaps two at once
        for _ in range(100):  # until some of it is recorded
            if any(partial_decoding.holds_work(path) for path in (tmp_path / "cache" / "data").glob(".*.staging-*")):
                break
            time.sleep(0.05)
        process.send_signal(how)
        if how == signal.SIGINT:
            time.sleep(0.2)
            process.kill()
    folder = decode(many, tmp_path)
    assert 0 < len(decoded_paths) < 64
    assert describe(folder)["content"] == describe(prepare(FOLDER, data_root=many, cache=tmp_path / "new"))["content"]
    assert not list((tmp_path / "cache" / "data").glob("*.staging-*"))


def test_names_that_look_alike_are_shown_escaped_with_both_sides(many, tmp_path):
    pairs = {
        "caf\u00e9": ("cafe\u0301", r"only in train: 'caf\xe9'; only in test: 'cafe\u0301'"),
        "Bird": ("bird", "only in train: 'Bird'; only in test: 'bird'"),
        "cat": ("cat ", "only in train: 'cat'; only in test: 'cat '"),
        "dog": ("dog\u200b", r"only in train: 'dog'; only in test: 'dog\u200b'"),
        "\uff21": ("A", r"only in train: '\uff21'; only in test: 'A'"),
    }
    for train, (test, message) in pairs.items():
        root = shutil.copytree(many, tmp_path / f"copy of {train!a}")
        (root / "train" / "a").rename(root / "train" / train)
        (root / "test" / "a").rename(root / "test" / test)
        with pytest.raises(DataError) as caught:
            decode(root, tmp_path)
        assert message in caught.value.lines[0]
        assert "they look alike, and differ in Unicode form, case or spaces" in caught.value.lines[0]


def test_names_that_do_not_look_alike_are_shown_as_they_are(many, tmp_path):
    (many / "train" / "a").rename(many / "train" / "猫")
    with pytest.raises(DataError, match="only in train: '猫'; only in test: 'a': "):
        decode(many, tmp_path)


def test_control_characters_in_names_are_spelled(many, tmp_path):
    name = "x\x1b[2J\x07\udcff.png"
    (many / "train" / "a" / "00.png").rename(many / "train" / "a" / name)
    damage(many, f"train/a/{name}")
    (many / "train" / "a" / "y\x1b.gif").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        decode(many, tmp_path)
    assert all(line.isprintable() for line in caught.value.lines)
    assert r"x\x1b[2J\x07\udcff.png" in caught.value.lines[0]


@pytest.mark.parametrize("target", [".", "..", "../..", "../../train/a"])
def test_a_link_that_leads_back_is_reported_in_one_short_line(many, tmp_path, target):
    (many / "train" / "a" / "loop").symlink_to(target)
    with pytest.raises(DataError) as caught:
        decode(many, tmp_path)
    (line,) = caught.value.lines
    assert "link to a folder that holds it" in line
    assert line.count("loop") <= 2
    assert len(line) < 200 + len(str(many))


def test_two_links_that_lead_to_each_other_are_reported(many, tmp_path):
    (many / "train" / "b" / "deep").mkdir()
    (many / "train" / "a" / "b").symlink_to("../b")
    (many / "train" / "b" / "deep" / "a").symlink_to("../../a")
    with pytest.raises(DataError, match="link to a folder that holds it"):
        decode(many, tmp_path)


def test_all_files_that_are_no_images_are_listed_at_once(many, tmp_path):
    for number in range(25):
        (many / "train" / "a" / f"{number}.mp4").write_bytes(b"x")
    (many / "test" / "a" / "gone.png").symlink_to("nowhere")
    with pytest.raises(DataError) as caught:
        decode(many, tmp_path)
    lines = caught.value.lines
    assert len(lines) == 21
    assert all("not an image file" in line and ".mp4" in line for line in lines[:20])
    assert lines[-1].startswith("26 files in class folders cannot be used: remove them (images end in ")
    assert pickle.loads(pickle.dumps(caught.value)).lines == lines
