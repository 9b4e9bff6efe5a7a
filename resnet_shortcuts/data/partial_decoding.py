"""Decoded work that outlives a start that failed: images are decoded into a folder that the next start takes from.

Beside each array lie the keys of its images (file and state) and which of them are decoded, written after the pixels.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resnet_shortcuts.data import decoded_cache as store
from resnet_shortcuts.data.source_contract import Images, Part, Rows
from resnet_shortcuts.errors import DataError

_SAVE_SECONDS = 20.0
_SHOWN = 20
_Bits = NDArray[np.bool_]


class UnreadableImagesError(DataError):
    """All images of a data set that cannot be read: the first 20 in lines of their own, then how many there are."""

    def __init__(self, errors: Sequence[DataError], total: int, listing: Path) -> None:
        self.errors, self._arguments = list(errors), (errors, total, listing)
        super().__init__(errors[0].what, errors[0].where, errors[0].todo)
        self._total = f"{len(errors):,} of {total:,} images cannot be read"
        self._kept = f"the {total - len(errors):,} decoded ones are kept for the next start"
        self._listing = f"all are listed in {listing}" if len(errors) > _SHOWN else "repair or remove them"

    def __reduce__(self) -> tuple[type["UnreadableImagesError"], tuple[Sequence[DataError], int, Path]]:
        return type(self), self._arguments

    @property
    def lines(self) -> list[str]:
        """One line for each of the first 20, and one for their number where there is more than one."""
        if len(self.errors) == 1:
            return super().lines
        lines = [line for error in self.errors[:_SHOWN] for line in error.lines]
        return [*lines, f"{self._total}: {self._listing}: {self._kept}"]


def report(errors: Sequence[DataError], total: int, listing: Path) -> UnreadableImagesError:
    """The error for these images; where there are more than 20, all are written to the file ``listing``."""
    if len(errors) > _SHOWN:
        with store.writing(listing):
            listing.write_text("".join(f"{line}\n" for error in errors for line in error.lines))
    return UnreadableImagesError(errors, total, listing)


def decode_part(
    part: Part, folder: Path, name: str, previous: Iterable[Path], progress: Callable[[int], None]
) -> tuple[Images, list[DataError]]:
    """The array ``folder/NAME.images.npy`` of a part, and an error for each image that cannot be read.

    Images that one of the folders ``previous`` holds are copied from there. ``progress`` gets the number of images
    done.
    """
    images = store.new_array(folder / f"{name}.images.npy", (len(part.labels), *part.shape))
    is_done: _Bits = np.zeros(len(part.labels), bool)
    keys = None if part.keys is None else np.array([key.encode(errors="surrogateescape") for key in part.keys])
    if keys is not None:
        for old in previous:
            _reuse(old, name, keys, images, is_done)
        np.save(folder / f"{name}.keys.npy", keys)
    saved = time.monotonic()

    def save() -> None:
        nonlocal saved
        images.flush()
        np.save(folder / f"{name}.new.npy", is_done)
        (folder / f"{name}.new.npy").replace(folder / f"{name}.done.npy")  # a kill leaves the old or the new
        saved = time.monotonic()

    def done(rows: Rows) -> None:
        is_done[rows] = True
        progress(int(is_done.sum()))
        if time.monotonic() - saved > _SAVE_SECONDS:
            save()

    try:
        errors = part.decode(images, np.flatnonzero(~is_done), done)
    finally:
        save()
    return images, errors


def _reuse(old: Path, name: str, keys: NDArray[np.bytes_], images: Images, is_done: _Bits) -> None:
    """Copy what ``old`` holds of these images; a folder that is not whole holds nothing."""
    try:
        pixels = np.load(old / f"{name}.images.npy", mmap_mode="r")
        old_keys, old_done = np.load(old / f"{name}.keys.npy"), np.load(old / f"{name}.done.npy")
        if pixels.shape[1:] != images.shape[1:] or not len(pixels) == len(old_keys) == len(old_done):
            return
    except (OSError, ValueError, EOFError):
        return
    row_of = {key: row for row, key in enumerate(old_keys) if old_done[row]}
    for row, key in enumerate(keys):
        if not is_done[row] and key in row_of:
            images[row] = pixels[row_of[key]]
            is_done[row] = True


def holds_work(folder: Path) -> bool:
    """Whether any image of an unfinished folder is decoded and could be reused."""
    for path in folder.glob("*.done.npy"):
        try:
            if np.load(path).any() and (folder / path.name.replace(".done.", ".keys.")).exists():
                return True
        except (OSError, ValueError, EOFError):
            continue
    return False


def clear(folder: Path) -> None:
    """Remove what only an unfinished folder needs."""
    for path in [*folder.glob("*.keys.npy"), *folder.glob("*.done.npy")]:
        path.unlink()
