"""Downloading a file whose size and hash are known: from the first address that has it, resumed where it broke off."""

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from resnet_shortcuts.data import decoded_cache as store
from resnet_shortcuts.data.source_contract import Progress
from resnet_shortcuts.errors import DataError

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 30.0
PATIENCE_SECONDS = 30.0
MIN_BYTES_A_SECOND = 20_000
_CHUNK = 2**18
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Archive:
    """A file as published: its name, bytes, and hash as ``ALGORITHM:HEX`` (sha256 or md5)."""

    name: str
    size: int
    hash: str

    @property
    def algorithm(self) -> str:
        """``SHA-256`` or ``MD5``."""
        return "MD5" if self.hash.startswith("md5:") else "SHA-256"

    @property
    def digest(self) -> str:
        """The published hash in hexadecimal digits."""
        return self.hash.partition(":")[2]

    def problem(self, path: Path) -> str | None:
        """What is wrong with a copy, or None. Size first, then the hash; nothing in it is interpreted."""
        size = path.stat().st_size
        if size < self.size:
            return f"truncated: {size:,} of {self.size:,} bytes"
        if size > self.size:
            return f"{size:,} bytes instead of {self.size:,}"
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, self.hash.partition(":")[0]).hexdigest()
        return None if actual == self.digest else f"damaged: {self.algorithm} {actual} instead of {self.digest}"

    def __str__(self) -> str:
        return f"{self.name} ({self.size:,} bytes, {self.algorithm} {self.digest})"


class GaveUpError(OSError):
    """This address will not do: too slow, or sending something else."""


def fetch(archives: Sequence[Archive], addresses: Sequence[str], folder: Path, progress: Progress | None) -> Path:
    """Download one of ``archives`` into ``folder`` under its name, and return the path.

    ``addresses`` are tried in order. An unfinished download stays as NAME.part and is taken up again, also from
    another address; a complete one with a wrong hash is kept aside as NAME.damaged. Raises DataError with each
    address and its reason, and where to put which file; EnvironmentFault where the disk is full.
    """
    reasons = []
    with store.locked(folder / f".{archives[0].name}.lock", progress):
        for archive in archives:
            if (folder / archive.name).exists() and archive.problem(folder / archive.name) is None:
                return folder / archive.name  # another process has fetched it meanwhile
        with store.writing(folder):
            store.require_space(folder, max(archive.size for archive in archives))
        for address in addresses:
            try:
                return _fetch_one(archives, address, folder, progress)
            except OSError as error:  # requests' errors are OSErrors; a full disk is an EnvironmentFault
                reasons.append(f"{urlsplit(address).hostname}: {_reason(error)}")
    raise DataError(
        f"cannot download {archives[0].name} ({'; '.join(dict.fromkeys(reasons))})",
        str(folder),
        f"put {' or '.join(map(str, archives))} there or under the data root, or set the address of a copy",
    )


def _fetch_one(archives: Sequence[Archive], address: str, folder: Path, progress: Progress | None) -> Path:
    guess = next((archive for archive in archives if address.endswith(archive.name)), archives[0])
    part = folder / f"{guess.name}.part"
    resumed = part.exists() and part.stat().st_size > 0
    try:
        _transfer(address, part, guess, progress)
    except OSError:
        if not resumed:
            raise
    if resumed and part.exists() and guess.problem(part):  # the part was of another file, or the server cannot resume
        part.unlink()
        _transfer(address, part, guess, progress)
    for archive in archives:
        if archive.problem(part) is None:
            part.replace(folder / archive.name)
            return folder / archive.name
    problem = guess.problem(part)
    if part.stat().st_size >= guess.size:
        part.replace(folder / f"{guess.name}.damaged")
    raise GaveUpError(problem)


def _transfer(address: str, part: Path, archive: Archive, progress: Progress | None) -> None:
    import pooch

    with store.writing(part):
        file = part.open("ab")
    with file:
        start = file.tell()
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        get = pooch.HTTPDownloader(chunk_size=_CHUNK, headers=headers, timeout=(CONNECT_SECONDS, SILENCE_SECONDS))
        get(address, _Sink(file, part, archive, f"downloading from {urlsplit(address).hostname}", progress), None)
        os.fsync(file.fileno())


class _Sink:
    """The file that a download is written to: counts, reports, and gives up on what is too long or too slow."""

    def __init__(self, file: BinaryIO, part: Path, archive: Archive, what: str, progress: Progress | None) -> None:
        self._file, self._part, self._archive, self._what, self._progress = file, part, archive, what, progress
        self._start = self._done = file.tell()
        self._began = time.monotonic()

    def write(self, chunk: bytes) -> None:
        if self._done == 0 and not chunk.startswith(_GZIP):
            raise GaveUpError("sends no gzip archive")  # an error page, say: nothing of it is kept
        if self._done + len(chunk) > self._archive.size:
            raise GaveUpError(f"sends more than the {self._archive.size:,} bytes expected")
        with store.writing(self._part):
            self._file.write(chunk)
        self._done += len(chunk)
        seconds = time.monotonic() - self._began
        if seconds > PATIENCE_SECONDS and (self._done - self._start) / seconds < MIN_BYTES_A_SECOND:
            raise GaveUpError(f"too slow: {(self._done - self._start) / seconds / 1000:.1f} kB/s")
        if self._progress:
            self._progress(self._what, self._done, self._archive.size)

    def flush(self) -> None:
        """Nothing: the file is forced to disk when it is whole."""


def _reason(error: OSError) -> str:
    """A few words for what requests raises (named, not imported: it comes with pooch)."""
    name = type(error).__name__
    if isinstance(error, GaveUpError):
        return str(error)
    if name == "HTTPError":
        return f"HTTP {getattr(getattr(error, 'response', None), 'status_code', 'error')}"
    if "Timeout" in name or "timed out" in str(error):
        return "no answer in time"
    if name == "ChunkedEncodingError":
        return "the connection broke off"
    return "cannot connect" if name == "ConnectionError" else name
