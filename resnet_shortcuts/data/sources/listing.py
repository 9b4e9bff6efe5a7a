"""Listing folders of images: which folders are classes, which files are images, what is passed over, what is there."""

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from resnet_shortcuts.data.sources import image_files
from resnet_shortcuts.errors import DataError
from resnet_shortcuts.words import counted

# Files that tools leave beside images. Anything else that is no image is reported, never silently skipped.
_NOTES = frozenset({".txt", ".csv", ".md", ".json", ".xml", ".ini", ".db", ".html", ".py"})
# Folders and files of file managers, network storage, recycle bins and notebooks. Names that begin with a dot, too.
_SYSTEM = frozenset({
    *("@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "__macosx", "lost+found", "$recycle.bin"),
    *("system volume information", "recycler", "recycled", "__pycache__", "cvs", "thumbs.db", "ehthumbs.db"),
    *("desktop.ini", "picasa.ini", "icon\r", "found.000", "@tmp", "network trash folder", "temporary items"),
    *("zbthumbnail.info", "albumart.pamp"),
})  # fmt: skip
_THUMBNAILS = frozenset({"thumbs", "thumbnails", "_thumbs", "_thumbnails", "thumb", "_thumb"})
_SHOWN, _LISTED = 5, 20
_FORMATS = f"images end in {', '.join(sorted(image_files.SUFFIXES))}"


class Listed(NamedTuple):
    """One image file: path relative to the root, and what tells whether it changed (bytes, and times in ns)."""

    path: str
    size: int
    modified: int
    changed: int


Classes = dict[str, list[Listed]]
"""Class name to its images, both sorted by name."""


class Skipped(Counter[str]):
    """How often system files and thumbnails were passed over, by name.

    ``unsorted`` are images outside class folders, and ``errors`` are files in class folders that cannot be used.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unsorted: list[str] = []
        self.errors: list[DataError] = []

    def check(self) -> None:
        """Raises UnusableFilesError where there are errors."""
        if self.errors:
            raise UnusableFilesError(self.errors)


class UnusableFilesError(DataError):
    """All files that cannot be used: the first 20 in lines of their own, then how many there are."""

    def __init__(self, errors: Sequence[DataError]) -> None:
        self.errors = list(errors)
        super().__init__(errors[0].what, errors[0].where, errors[0].todo)

    def __reduce__(self) -> tuple[type["UnusableFilesError"], tuple[list[DataError]]]:
        return type(self), (self.errors,)

    @property
    def lines(self) -> list[str]:
        """One line for each of the first 20, and one for their number where there is more than one."""
        if len(self.errors) == 1:
            return [f"{super().lines[0]} ({_FORMATS})"]
        lines = [line for error in self.errors[:_LISTED] for line in error.lines]
        return [*lines, f"{len(self.errors):,} files in class folders cannot be used: remove them ({_FORMATS})"]


def entries(folder: Path, skipped: Skipped, *, within_class: bool = False) -> list[os.DirEntry[str]]:
    """What lies in a folder, sorted by name, without system files. Raises DataError where it cannot be read."""
    try:
        everything = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise unreadable(folder, error) from error
    kept = []
    for entry in everything:
        name = entry.name.casefold()
        if name.startswith(".") or name in _SYSTEM or (within_class and name in _THUMBNAILS and entry.is_dir()):
            skipped[entry.name] += 1
        else:
            kept.append(entry)
    return kept


def folder_names(folder: Path, skipped: Skipped) -> tuple[str, ...]:
    """The names of the folders in a folder, sorted; none where it is not a folder."""
    if not folder.is_dir():
        return ()
    return tuple(entry.name for entry in entries(folder, skipped) if entry.is_dir())


def images(root: Path, relative: str, skipped: Skipped, *, below: bool = True) -> Iterator[Listed]:
    """The images of ``root/relative`` and, with ``below``, of all folders in it, sorted by name.

    A file that is neither an image nor a note, or cannot be read, is added to ``skipped.errors``. Raises DataError for
    a link that leads back to a folder above.
    """
    return _images(root, relative, skipped, below, ())


def _images(
    root: Path, relative: str, skipped: Skipped, below: bool, above: tuple[tuple[int, int], ...]
) -> Iterator[Listed]:
    folder = root / relative
    try:
        info = folder.stat()
    except OSError as error:
        raise unreadable(folder, error) from error
    here = (info.st_dev, info.st_ino)
    if here in above:
        raise DataError("link to a folder that holds it", str(folder), "remove the link")
    for entry in entries(folder, skipped, within_class=True):
        path = f"{relative}/{entry.name}"
        try:
            info = entry.stat()
        except OSError as error:
            skipped.errors.append(unreadable(root / path, error))
            continue
        if stat.S_ISDIR(info.st_mode):
            if below:
                yield from _images(root, path, skipped, below, (*above, here))
            continue
        suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - a million names
        if suffix in _NOTES:
            continue
        if not stat.S_ISREG(info.st_mode):
            skipped.errors.append(DataError("not a regular file", str(root / path), "remove it from the class folder"))
        elif suffix not in image_files.SUFFIXES:
            skipped.errors.append(DataError("not an image file", str(root / path), "remove it from the class folder"))
        else:
            yield Listed(path, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def loose_images(root: Path, *folders: str) -> list[str]:
    """The images that lie directly in these folders below ``root``: relative paths, sorted."""
    return [
        f"{folder}/{entry.name}".lstrip("/")
        for folder in folders
        if (root / folder).is_dir()
        for entry in entries(root / folder, Skipped())
        if Path(entry.name).suffix.lower() in image_files.SUFFIXES and entry.is_file()
    ]


def holds_images(folder: Path) -> bool:
    """Whether a folder, or one below it, holds a file with the suffix of an image."""
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name.casefold() not in _SYSTEM and not name.startswith(".")]
        if any(name[name.rfind(".") :].lower() in image_files.SUFFIXES for name in names):
            return True
    return False


def what_is_there(folder: Path) -> str:
    """A few words on the contents of a folder, for an error: ``folders cat, dog; 12 files (.jpg)``."""
    try:
        inside = entries(folder, Skipped())
    except DataError:
        return "cannot be read"
    folders = [entry.name for entry in inside if entry.is_dir()]
    files = [entry.name for entry in inside if not entry.is_dir()]
    parts = []
    if folders:
        more = f" and {len(folders) - _SHOWN} more" if len(folders) > _SHOWN else ""
        parts.append(f"folder{'s' if len(folders) > 1 else ''} {', '.join(folders[:_SHOWN])}{more}")
    if files:
        suffixes = Counter(Path(name).suffix or name for name in files)
        kinds = ", ".join(suffix for suffix, _ in suffixes.most_common(_SHOWN))
        parts.append(f"{counted(len(files), 'file')} ({kinds})")
    return "; ".join(parts) or "nothing"


def same_classes(root: Path, train: tuple[str, ...], test: tuple[str, ...]) -> None:
    """Raises DataError where training and test classes differ, or where there is only one. Names that look alike (in
    Unicode form, case or spaces) are shown escaped."""
    only = {"train": sorted(set(train) - set(test)), "test": sorted(set(test) - set(train))}
    if any(only.values()):
        alike = {_skeleton(name) for name in only["train"]} & {_skeleton(name) for name in only["test"]}
        show = ascii if alike else repr
        sides = []
        for side, names in only.items():
            if names:
                names.sort(key=lambda name: _skeleton(name) not in alike)
                more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
                sides.append(f"only in {side}: {', '.join(map(show, names[:_SHOWN]))}{more}")
        differ = " (they look alike, and differ in Unicode form, case or spaces)" if alike else ""
        what = f"train and test classes differ: {'; '.join(sides)}{differ}"
        raise DataError(what, str(root), "give both the same class folders")
    if len(train) < 2:
        raise DataError("only one class", str(root), f"give at least two class folders (found {what_is_there(root)})")


def _skeleton(name: str) -> str:
    """What a name looks like: without differences of form, case, spaces and invisible characters."""
    visible = "".join(c for c in name if unicodedata.category(c) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", visible).casefold().split())


def unreadable(path: Path, error: OSError) -> DataError:
    """The error for a file or folder that the system does not let us read."""
    return DataError("cannot read", str(path), error.strerror or "check its permissions")
