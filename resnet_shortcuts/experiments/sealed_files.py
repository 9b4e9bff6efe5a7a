"""JSON records that carry their own hash and those of the files beside them, so that damage and edits are found.

A record ends with the hash of all its bytes before that. Records of format 1 carry the hash of their canonical spelling
instead: they are still read, which takes longer, since each is spelled out again to be checked.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from resnet_shortcuts.errors import EnvironmentFault, IntegrityError

FORMAT, CANONICAL = 2, 1
"""The format that is written, and the older one that is still read."""
SEAL = "sha256"
"""The key of a record's own hash."""
_LARGEST_RECORD = 64 * 2**20
_LAST_KEY = b',\n "sha256": "'
_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(document: Any) -> bytes:
    """The one spelling of a JSON document that is hashed. Raises ValueError on NaN and infinity."""
    return _encoder.encode(document).encode()


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def render(document: Mapping[str, Any]) -> bytes:
    """A record as JSON for people to read, with the hash of all that is before it as last key."""
    text = json.dumps({"format": FORMAT, **document}, indent=1, ensure_ascii=False, allow_nan=False)
    return _sealed(text.encode().removesuffix(b"\n}"))


def _sealed(data: bytes) -> bytes:
    return b'%s%s%s"\n}\n' % (data, _LAST_KEY, sha256(data).encode())


def seal_holds(data: bytes) -> bool:
    """Whether these are, byte for byte, a record that `render` wrote."""
    return data == _sealed(data.rpartition(_LAST_KEY)[0])


def parse(data: bytes, where: Path | str) -> dict[str, Any]:
    """The record without its hash. Raises IntegrityError if it is damaged, edited or of a newer format."""
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise IntegrityError("damaged record (not JSON)", str(where), "it is left out") from error
    if not isinstance(record, dict) or SEAL not in record:
        raise IntegrityError("damaged record (no hash in it)", str(where), "it is left out")
    seal = record.pop(SEAL)
    if isinstance(record.get("format"), int) and record["format"] > FORMAT:
        todo = "upgrade resnet-shortcuts to the version that wrote it, or a newer one"
        raise IntegrityError(f"record of format {record['format']} (this version reads {FORMAT})", str(where), todo)
    if not (seal_holds(data) or (record.get("format") == CANONICAL and _fits(seal, record))):
        raise IntegrityError("damaged or edited record (its hash does not fit)", str(where), "it is left out")
    return record


def _fits(seal: Any, record: dict[str, Any]) -> bool:
    """Whether this is the hash of a record of format 1."""
    try:
        return bool(seal == sha256(canonical(record)))
    except ValueError:  # `render` would have refused it: NaN, infinity, half a character
        return False


def read(path: Path | str) -> bytes:
    """The bytes of a file. Raises IntegrityError if it is missing or absurdly large, EnvironmentFault if unreadable."""

    def check(size: int) -> None:
        if size > _LARGEST_RECORD and str(path).endswith(".json"):
            raise IntegrityError("damaged record (absurdly large)", str(path), "it is left out")

    try:
        return _contents(path, check)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise IntegrityError("a file is missing", str(path), "it is left out") from error


def _contents(path: Path | str, check: Callable[[int], None]) -> bytes:
    """The bytes of a file, its size checked before anything is read. Raises EnvironmentFault if it cannot be read.

    Through the system calls themselves: a comparison reads tens of thousands of small files, and pathlib's and io's
    objects around each would take twice the time of the rest.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a named pipe is no reason to wait
        try:
            size = os.fstat(descriptor).st_size
            check(size)
            data = os.read(descriptor, size + 1)  # one more than there is: fewer come only at the end of a file
            while len(data) != size and (more := os.read(descriptor, 2**20)):  # it stopped early, or the file grew
                data += more
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise
    except OSError as error:
        todo = "check the disk and the permissions"
        raise EnvironmentFault(f"cannot read ({error.strerror})", str(path), todo) from error
    return data


def listing(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """Length and hash of each file, for the record beside them."""
    return {name: {"bytes": len(data), "sha256": sha256(data)} for name, data in files.items()}


def read_listed(path: Path | str, listed: Mapping[str, Any]) -> bytes:
    """A file's bytes if they are those that the record lists; the length is compared before anything is read."""

    def refuse(found: str) -> IntegrityError:
        what = f"damaged file ({found} instead of {listed['bytes']} bytes)"
        return IntegrityError(what, str(path), "it is left out")

    def check(size: int) -> None:
        if size != listed["bytes"]:
            raise refuse(f"{size} bytes")

    try:
        data = _contents(path, check)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise refuse("missing") from error
    if sha256(data) != listed["sha256"]:
        raise IntegrityError("damaged or edited file (its hash does not fit)", str(path), "it is left out")
    return data
