"""Parquet files of encoded images and labels, as the Hugging Face hub stores data sets; needs the extra ``parquet``.

A row holds the bytes of an image file, in a struct ``{bytes, path}`` or bare, and a label, a number or a text. Numbers
are named by the list of classes that ``datasets`` writes into the file.
"""

import hashlib
import itertools
import json
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from resnet_shortcuts.data.source_contract import Done, Images, Labels, Rows
from resnet_shortcuts.data.sources import image_files
from resnet_shortcuts.errors import DataError, EnvironmentFault

_IMAGE_COLUMNS = ("image", "img", "images", "picture", "jpg", "png")
_LABEL_COLUMNS = ("label", "fine_label", "labels", "target", "class", "category", "cls")
_BATCH = 256


def shards(root: Path) -> dict[str, list[Path]]:
    """The parquet files of a folder and of folders in it, by the first word of file or folder: ``train``, ``test``."""
    by_split: dict[str, list[Path]] = {}
    for path in sorted(itertools.chain.from_iterable(root.glob(f"{depth}*.parquet") for depth in ("", "*/", "*/*/"))):
        relative = path.relative_to(root)
        words = [re.split(r"[-_.\d]", part.casefold())[0] for part in (path.name, *reversed(relative.parts[:-1]))]
        word = next((word for word in words if word), "")
        by_split.setdefault(word, []).append(path)
    return by_split


def state_of(path: Path) -> list[int]:
    """What tells whether a file has changed: bytes, and times in ns."""
    info = path.stat()
    return [info.st_size, info.st_mtime_ns, info.st_ctime_ns]


def _module() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        todo = "pip install 'resnet-shortcuts[parquet]'"
        raise EnvironmentFault("pyarrow is not installed, and parquet files need it", "data.source", todo) from error
    return pyarrow.parquet


@dataclass(frozen=True)
class RowImages:
    """Rows of parquet files: ``files[file_of[n]]`` holds image n, in its row ``row_of[n]``."""

    files: tuple[Path, ...]
    column: str
    file_of: Rows
    row_of: Rows
    labels: Labels

    @cached_property
    def keys(self) -> Sequence[str]:
        """The file, its state, and the row."""
        states = [f"{path.name}|{state_of(path)}" for path in self.files]
        return [f"{states[file]}|{row}" for file, row in zip(self.file_of, self.row_of, strict=True)]

    def take(self, rows: Rows) -> "RowImages":
        """Some of the images."""
        return replace(self, file_of=self.file_of[rows], row_of=self.row_of[rows], labels=self.labels[rows])

    def relabelled(self, labels: Sequence[int]) -> "RowImages":
        """The images of these classes, in their order, numbered from 0."""
        rows = [np.flatnonzero(self.labels == label) for label in labels]
        numbers = np.repeat(np.arange(len(labels), dtype=np.int64), [len(members) for members in rows])
        return replace(self.take(np.concatenate(rows)), labels=numbers)

    def content_hashes(self) -> list[bytes]:
        """A hash of the bytes of each image."""
        hashes = [b""] * len(self.labels)
        for chunk in self._batches(np.arange(len(self.labels))):
            for position, data, _ in chunk:
                hashes[position] = hashlib.sha256(data).digest()
        return hashes

    def side(self) -> int:
        """The side of the first image. Raises DataError where it is not square or cannot be read."""
        _, data, where = next(self._batches(np.arange(1)))[0]
        return int(image_files.decode_bytes(data, where, None).shape[0])

    def decode(self, out: Images, rows: Rows, done: Done, exact: bool) -> list[DataError]:
        """As `Part.decode`; with ``exact`` every image must have the side of ``out``."""
        side = out.shape[1]

        def decoded(image: tuple[int, bytes, str]) -> DataError | int:
            position, data, where = image
            try:
                pixels = image_files.decode_bytes(data, where, None if exact else side)
            except DataError as error:
                return error
            if len(pixels) != side:
                what = f"image is {len(pixels)}x{len(pixels)}, others are {side}x{side}"
                return DataError(what, where, "set data.resolution to resize all")
            out[position] = pixels
            return position

        problems: list[DataError] = []
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as executor, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            for chunk in self._batches(rows):
                results = list(executor.map(decoded, chunk))
                problems += [result for result in results if isinstance(result, DataError)]
                done(np.array([result for result in results if isinstance(result, int)], np.int64))
        return problems

    def _batches(self, rows: Rows) -> Iterator[list[tuple[int, bytes, str]]]:
        """Position, bytes and place (file and row, for a message) of each of these images, in the files' order."""
        for number, path in enumerate(self.files):
            here = rows[self.file_of[rows] == number]
            wanted = dict(zip(self.row_of[here].tolist(), here.tolist(), strict=True))
            start = 0
            for batch in _read(path, self.column, _BATCH) if wanted else ():
                chosen = [at for at in range(len(batch)) if start + at in wanted]
                if chosen:
                    yield [
                        (wanted[start + at], _bytes_of(batch[at].as_py()), f"{path} row {start + at}") for at in chosen
                    ]
                start += len(batch)


def _bytes_of(value: Any) -> bytes:
    """The bytes of an image; empty, which no decoder takes, where the row has none."""
    data = value.get("bytes") if isinstance(value, dict) else value
    return data if isinstance(data, bytes) else b""


def _read(path: Path, column: str, size: int) -> Iterator[Any]:
    """The values of a column, in batches. Raises DataError where the file is damaged."""
    import pyarrow

    try:
        with _module().ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=size, columns=[column]):
                yield batch.column(0)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError("cannot read parquet file", str(path), f"get it again ({error})") from error


def _values(path: Path, column: str) -> list[Any]:
    return [value.as_py() for batch in _read(path, column, 2**16) for value in batch]


def open_parts(parts: Sequence[Sequence[Path]], classes: tuple[str, ...]) -> tuple[tuple[str, ...], list[RowImages]]:
    """Class names in label order, and the images of each part, given as its files.

    ``classes``: names of the labels, where they are fixed. Raises EnvironmentFault without pyarrow, DataError.
    """
    columns = [_columns(path) for files in parts for path in files]
    image, label, names = columns[0]
    if any((other[0], other[1]) != (image, label) for other in columns):
        raise DataError(
            "parquet files of different columns", str(parts[0][0].parent), "keep those of one data set there"
        )
    values = [
        [[value.as_py() for batch in _read(path, label, 2**16) for value in batch] for path in files] for files in parts
    ]
    numbered = all(isinstance(value, int) for part in values for file in part for value in file)
    known = classes or names
    if not numbered:
        known = tuple(sorted({str(value) for file in values[0] for value in file}))
    elif not known:
        known = tuple(str(number) for number in range(1 + max(value for file in values[0] for value in file)))
    number_of: dict[Any, int] = {name: number for number, name in enumerate(known)}
    sets = []
    for files, part in zip(parts, values, strict=True):
        labels = [value if numbered else number_of.get(str(value), -1) for file in part for value in file]
        wrong = next((value for value in labels if not 0 <= value < len(known)), None)
        if wrong is not None:
            what = f"label {wrong} out of range 0..{len(known) - 1}" + (
                " (the labels are unknown)" if wrong == -1 else ""
            )
            raise DataError(what, str(files[0]), "use a split with labels, or set data.test_fraction")
        counts = [len(file) for file in part]
        rows = np.concatenate([np.arange(count) for count in counts])
        sets.append(RowImages(tuple(files), image, np.repeat(np.arange(len(files)), counts), rows, np.array(labels)))
    return known, sets


def _columns(path: Path) -> tuple[str, str, tuple[str, ...]]:
    """The columns of images and labels of a file, and the names of the classes that its metadata give."""
    parquet = _module()
    import pyarrow

    try:
        schema = parquet.read_schema(path)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError("cannot read parquet file", str(path), f"get it again ({error})") from error
    image = next((name for name in _IMAGE_COLUMNS if name in schema.names), None)
    label = next((name for name in _LABEL_COLUMNS if name in schema.names), None)
    if image is None or label is None:
        what = f"no columns of images and labels (found {', '.join(schema.names)})"
        raise DataError(what, str(path), f"name them {_IMAGE_COLUMNS[0]} and {_LABEL_COLUMNS[0]}")
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = tuple(map(str, features[label]["names"]))
    except (KeyError, ValueError, TypeError):
        names = ()
    return image, label, names
