"""CIFAR-10 from every kind of copy, and every way in which a copy or a server can be wrong."""

import dataclasses
import hashlib
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.dataset import load
from resnet_shortcuts.data.prepare import describe, prepare
from resnet_shortcuts.data.sources import cifar, download
from resnet_shortcuts.data.sources.download import Archive
from resnet_shortcuts.errors import DataError, EnvironmentFault, UsageError

from . import cifar_files as files

SPEC = DataSpec(source="cifar10", augment=("crop", "flip"))
PYTHON, BINARY = files.python_archive(), files.binary_archive()


def archive(name: str, data: bytes) -> Archive:
    return Archive(name, len(data), f"sha256:{hashlib.sha256(data).hexdigest()}")


@pytest.fixture(autouse=True)
def small_cifar(monkeypatch):
    """The published sizes and hashes replaced by those of a CIFAR-10 of 120 images; no address but a test's own."""
    small = dataclasses.replace(
        cifar.CIFAR10,
        images=dict.fromkeys(files.NAMES, files.IMAGES),
        pickled={name: files.md5(files.pickled(name)) for name in files.NAMES},
        archives=(archive("cifar-10-python.tar.gz", PYTHON), archive("cifar-10-binary.tar.gz", BINARY)),
        addresses=(),
    )
    monkeypatch.setitem(cifar.PUBLISHED, "cifar10", small)
    monkeypatch.delenv("RSC_CIFAR10_URL", raising=False)


def python_archive() -> Archive:
    return cifar.PUBLISHED["cifar10"].archives[0]


def published(monkeypatch, **changes) -> None:
    monkeypatch.setitem(cifar.PUBLISHED, "cifar10", dataclasses.replace(cifar.PUBLISHED["cifar10"], **changes))


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def decode(root: Path | None, tmp_path: Path, **options) -> Path:
    return prepare(SPEC, data_root=root, cache=tmp_path / "cache", **options)


def check(folder: Path) -> None:
    train = np.load(folder / "train.images.npy")
    assert train.shape == (100, 32, 32, 3)
    for number, name in enumerate(files.NAMES[:5]):
        pixels, _ = files.images_and_labels(name)
        assert (train[20 * number : 20 * number + 20] == pixels.transpose(0, 2, 3, 1)).all()
    assert (np.load(folder / "train.labels.npy") == np.tile(np.arange(20) % 10, 5)).all()
    test, labels = files.images_and_labels("test_batch")
    assert (np.load(folder / "test.images.npy") == test.transpose(0, 2, 3, 1)).all()
    assert (np.load(folder / "test.labels.npy") == labels).all()
    assert describe(folder)["classes"][6] == "frog"


def unpack(place: Path, kind: str) -> Path:
    folder = place / f"cifar-10-batches-{kind}"
    folder.mkdir(parents=True)
    for name in files.NAMES:
        path = folder / (f"{name}.bin" if kind == "bin" else name)
        path.write_bytes(files.binary(name) if kind == "bin" else files.pickled(name))
    return folder


def put_archive(place: Path, data: bytes = PYTHON, name: str = "cifar-10-python.tar.gz") -> Path:
    (place / name).write_bytes(data)
    return place / name


def test_our_small_batches_are_true_pickles():
    content = pickle.loads(files.pickled("test_batch"), encoding="latin1")
    pixels, labels = files.images_and_labels("test_batch")
    assert (content["data"].reshape(pixels.shape) == pixels).all()
    assert content["labels"] == labels.tolist()


@pytest.mark.parametrize("kind", ["py", "bin"])
@pytest.mark.parametrize("below", ["", "cifar10"])
def test_unpacked_batches_are_found(root, tmp_path, kind, below):
    unpack(root / below, kind)
    check(decode(root, tmp_path))


def test_what_vouches_for_a_copy_is_told_and_nothing_does_for_unpacked_binary_batches(root, tmp_path):
    told = {}
    for kind in ("py", "bin", "archive"):
        (root / kind).mkdir()
        put_archive(root / kind) if kind == "archive" else unpack(root / kind, kind)
        folder = decode(root / kind, tmp_path)
        told[kind] = load(folder, DataSpec(source="cifar10")).vouched
    assert told == {"py": "MD5 of each pickled batch", "bin": "", "archive": "SHA-256 of cifar-10-python.tar.gz"}


def test_the_folder_of_batches_itself_may_be_named(root, tmp_path):
    unpack(root, "py")
    spec = DataSpec(source="cifar10", root="cifar-10-batches-py")
    check(prepare(spec, data_root=root, cache=tmp_path / "cache"))


@pytest.mark.parametrize("kind", ["python", "binary"])
def test_archives_are_read_without_unpacking(root, tmp_path, kind):
    path = put_archive(root, PYTHON if kind == "python" else BINARY, f"cifar-10-{kind}.tar.gz")
    check(decode(root, tmp_path))
    assert list(root.iterdir()) == [path]


def test_every_kind_of_copy_has_the_same_content_hash(root, tmp_path):
    hashes = set()
    for number, make in enumerate((lambda p: unpack(p, "py"), lambda p: unpack(p, "bin"), put_archive)):
        place = root / str(number)
        place.mkdir()
        make(place)
        hashes.add(describe(decode(place, tmp_path))["content"])
    assert len(hashes) == 1


def test_fault_19_offline_says_which_file_with_which_hash_to_put_where(root, tmp_path):
    with pytest.raises(DataError) as caught:
        decode(root, tmp_path)
    (line,) = caught.value.lines
    assert caught.value.exit_code == 3
    for part in (str(root), "cifar-10-python.tar.gz", python_archive().digest, "RSC_CIFAR10_URL"):
        assert part in line


def test_fault_19_an_address_where_nobody_listens(root, tmp_path, monkeypatch):
    monkeypatch.setenv("RSC_CIFAR10_URL", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    with pytest.raises(DataError, match=r"127\.0\.0\.1: cannot connect"):
        decode(root, tmp_path)
    for wrong in ("no address", "ftp://host/a.tar.gz", "http://[::1", "http://"):
        monkeypatch.setenv("RSC_CIFAR10_URL", wrong)
        with pytest.raises(UsageError, match="not an address: RSC_CIFAR10_URL="):
            decode(root, tmp_path)


def test_fault_20_a_truncated_archive_is_named_with_its_sizes_and_left_alone(root, tmp_path):
    path = put_archive(root, PYTHON[:-1000])
    with pytest.raises(DataError, match=rf"truncated: {len(PYTHON) - 1000:,} of {len(PYTHON):,} bytes: {path}"):
        decode(root, tmp_path)
    assert path.read_bytes() == PYTHON[:-1000]


def test_fault_21_one_flipped_bit_is_a_hash_mismatch(root, tmp_path):
    data = bytearray(PYTHON)
    data[5000] ^= 16
    put_archive(root, bytes(data))
    with pytest.raises(DataError, match=f"SHA-256 .* instead of {python_archive().digest}"):
        decode(root, tmp_path)


@pytest.mark.parametrize("kind", ["py", "bin"])
def test_fault_22_a_good_archive_mends_a_damaged_unpacked_file(root, tmp_path, kind):
    folder = unpack(root, kind)
    path = min(folder.iterdir())
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DataError, match=r"data_batch_1"):
        decode(root, tmp_path)
    put_archive(root)
    check(decode(root, tmp_path))


def test_fault_22_a_damaged_archive_beside_good_batches_is_passed_over(root, tmp_path):
    put_archive(root, PYTHON[:-1])
    unpack(root, "bin")
    check(decode(root, tmp_path))


def test_fault_22_a_damaged_download_is_kept_aside_and_fetched_again(root, tmp_path, monkeypatch):
    downloads = tmp_path / "cache" / "downloads"
    downloads.mkdir(parents=True)
    put_archive(downloads, PYTHON[:-1] + b"x")
    with files.serving(PYTHON) as server:
        monkeypatch.setenv("RSC_CIFAR10_URL", server.address("good"))
        check(decode(root, tmp_path))
    assert (downloads / "cifar-10-python.tar.gz").read_bytes() == PYTHON
    assert (downloads / "cifar-10-python.tar.gz.damaged").read_bytes()[-1:] == b"x"


class Evil:
    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self):
        return os.mkdir, (str(self.sentinel),)


def test_fault_25_a_malicious_pickle_is_never_run(root, tmp_path, monkeypatch):
    sentinel = tmp_path / "sentinel"
    evil = pickle.dumps({"data": Evil(sentinel), "labels": [1]}, protocol=2)
    (unpack(root, "py") / "data_batch_3").write_bytes(evil)
    with pytest.raises(DataError, match=r"pickled batch not read: MD5 .*data_batch_3"):
        decode(root, tmp_path)
    published(
        monkeypatch, pickled={**cifar.PUBLISHED["cifar10"].pickled, "data_batch_3": files.md5(evil)}
    )  # even if its hash were known
    with pytest.raises(DataError, match="not a batch of CIFAR-10"):
        decode(root, tmp_path)
    assert not sentinel.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_fault_25_odd_pickles_are_refused_in_words(protocol):
    from resnet_shortcuts.data.sources import batch_file

    for content in ({"data": 1}, [1], {"data": np.zeros(4), "labels": [1]}, {"labels": {}}, None):
        with pytest.raises(batch_file.NotABatchError):
            batch_file.read(pickle.dumps(content, protocol=protocol))
    good, random = files.pickled("test_batch"), np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(good[: random.integers(len(good))])
        for place in random.integers(0, min(len(damaged), 400) + 1, 3):
            damaged[place - 1 : place] = bytes([random.integers(256)])
        with pytest.raises(batch_file.NotABatchError):
            batch_file.read(bytes(damaged))


def test_fault_26_labels_out_of_range_and_wrong_counts_are_named(root, tmp_path):
    path = unpack(root, "bin") / "data_batch_2.bin"
    good = path.read_bytes()
    path.write_bytes(good[:3073] + b"\x0a" + good[3074:])
    with pytest.raises(DataError, match=r"label 10 out of range 0\.\.9: .*data_batch_2\.bin"):
        decode(root, tmp_path)
    path.write_bytes(good[:3073] + b"\x09" + good[3074:])
    with pytest.raises(DataError, match="training labels are not the same number of each class"):
        decode(root, tmp_path)
    path.write_bytes(good[3073:])
    with pytest.raises(DataError, match=r"58,387 bytes instead of 61,460"):
        decode(root, tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"cannot read: .*data_batch_2\.bin: No such file"):
        decode(root, tmp_path)


def test_fault_29_a_copy_that_changed_is_decoded_again(root, tmp_path):
    path = unpack(root, "bin") / "data_batch_2.bin"
    before = decode(root, tmp_path)
    data = bytearray(path.read_bytes())
    data[100] ^= 255
    path.write_bytes(data)
    after = decode(root, tmp_path)
    assert describe(before)["content"] != describe(after)["content"]


@pytest.mark.parametrize("how", ["good", "no_resume"])
@pytest.mark.parametrize(("name", "data"), [("cifar-10-python.tar.gz", PYTHON), ("cifar-10-binary.tar.gz", BINARY)])
def test_downloads_once_and_shows_progress(root, tmp_path, monkeypatch, how, name, data):
    ticks = []
    with files.serving(data) as server:
        monkeypatch.setenv("RSC_CIFAR10_URL", server.address(how, name))
        check(decode(root, tmp_path, progress=lambda *tick: ticks.append(tick)))
        decode(root, tmp_path)
        assert len(server.asked) == 1
    assert ("downloading from 127.0.0.1", len(data), len(data)) in ticks
    assert [path.name for path in (tmp_path / "cache" / "downloads").iterdir() if path.suffix == ".gz"] == [name]


def test_an_address_of_any_name_may_serve_either_archive(root, tmp_path, monkeypatch):
    with files.serving(BINARY) as server:
        monkeypatch.setenv("RSC_CIFAR10_URL", server.address("good", "copy.tgz"))
        check(decode(root, tmp_path))


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("truncated", "the connection broke off"),
        ("short", rf"truncated: {len(PYTHON) // 2:,} of {len(PYTHON):,} bytes"),
        ("flipped", "damaged: SHA-256"),
        ("long", "sends more than"),
        ("page", "sends no gzip archive"),
        ("absent", "HTTP 404"),
    ],
)
def test_a_wrong_server_is_named_and_a_mirror_takes_over(root, tmp_path, monkeypatch, how, told):
    with files.serving(PYTHON) as server:
        monkeypatch.setenv("RSC_CIFAR10_URL", server.address(how))
        with pytest.raises(DataError, match=told):
            decode(root, tmp_path)
        downloads = tmp_path / "cache" / "downloads"
        assert not (downloads / "cifar-10-python.tar.gz").exists()
        if how == "short":
            assert (downloads / "cifar-10-python.tar.gz.part").stat().st_size == len(PYTHON) // 2  # kept aside
        published(monkeypatch, addresses=(server.address("good"),))
        check(decode(root, tmp_path))


def test_a_silent_and_a_slow_server_are_given_up(root, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "SILENCE_SECONDS", 0.2)
    with files.serving(PYTHON) as server:
        monkeypatch.setenv("RSC_CIFAR10_URL", server.address("silent"))
        with pytest.raises(DataError, match="no answer in time"):
            decode(root, tmp_path)
        monkeypatch.setattr(download, "SILENCE_SECONDS", 30)
        monkeypatch.setattr(download, "PATIENCE_SECONDS", 0.2)
        monkeypatch.setattr(download, "_CHUNK", 100)
        monkeypatch.setenv("RSC_CIFAR10_URL", server.address("slow"))
        with pytest.raises(DataError, match="too slow"):
            decode(root, tmp_path)


def test_a_broken_download_is_taken_up_where_it_stopped(root, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_CHUNK", 1000)
    with files.serving(PYTHON) as server:
        monkeypatch.setenv("RSC_CIFAR10_URL", server.address("truncated"))
        published(monkeypatch, addresses=(server.address("good"),))
        check(decode(root, tmp_path))
        assert server.asked[0][1] is None
        start = int(server.asked[1][1][6:-1])
        assert 0 < start <= len(PYTHON) // 2
    assert not list((tmp_path / "cache" / "downloads").glob("*.part"))


def test_fault_28_of_two_downloads_at_once_one_waits_for_the_other(tmp_path):
    with files.serving(PYTHON) as server, ThreadPoolExecutor(4) as threads:
        address = server.address("good")
        jobs = [
            threads.submit(download.fetch, (python_archive(),), [address], tmp_path / "downloads", None)
            for _ in range(4)
        ]
        assert {job.result().read_bytes() for job in jobs} == {PYTHON}
        assert len(server.asked) == 1


def test_leftovers_of_another_file_do_not_spoil_a_download(root, tmp_path, monkeypatch):
    downloads = tmp_path / "cache" / "downloads"
    downloads.mkdir(parents=True)
    for left in (BINARY[:5000], PYTHON + b"x"):
        (downloads / "cifar-10-python.tar.gz.part").write_bytes(left)
        with files.serving(PYTHON) as server:
            assert download.fetch((python_archive(),), [server.address("good")], downloads, None).is_file()
        (downloads / "cifar-10-python.tar.gz").unlink()


def test_a_full_disk_is_told_before_downloading(root, tmp_path, monkeypatch):
    import shutil

    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(EnvironmentFault, match="disk full"):
        decode(root, tmp_path)


def test_the_published_hashes_are_torchvisions():
    import importlib.util

    folder = importlib.util.find_spec("torchvision").submodule_search_locations[0]
    source = (Path(folder) / "datasets" / "cifar.py").read_text()
    known = {**cifar.CIFAR10.pickled, **cifar.CIFAR100.pickled}
    assert len(known) == 8
    for name, digest in known.items():
        assert f'["{name}", "{digest}"]' in source
    assert f'tgz_md5 = "{cifar.CIFAR100.archives[0].digest}"' in source
