"""JSON records that carry their own hash and those of the files beside them, so that damage and edits are found.

A record ends with the hash of all its bytes before that. Records of format 1 carry the hash of their canonical JSON
instead. Keys that this version does not know are kept; a file of an unknown format number is not touched.
"""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from resnet_shortcuts.errors import EnvironmentFault, IntegrityError, UsageError
from resnet_shortcuts.hashing import canonical, sha256

FORMAT, CANONICAL = 3, 1
"""The format that is written, and the oldest one that is read."""
SEAL = "sha256"
"""The key of a record's own hash."""
LARGEST_RECORD = 64 * 2**20
"""Bytes of the largest JSON file that is written, and that is read."""
LEFT_OUT = "it is left out"
_LAST_KEY = b',\n "sha256": "'
_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)

Model = TypeVar("Model", bound=BaseModel)


class NewerFormatError(IntegrityError):
    """A file of a newer version of this package: not damaged, so it is never moved, replaced or trained again."""


def check_format(written: Any, kind: str, where: Path | str, read: int = FORMAT) -> None:
    """Raises NewerFormatError for a format number above ``read``."""
    if isinstance(written, int) and written > read:
        todo = "upgrade resnet-shortcuts to the version that wrote it, or a newer one"
        raise NewerFormatError(f"{kind} of format {written} (this version reads {read})", str(where), todo)


def render(document: Mapping[str, Any]) -> bytes:
    """A record as JSON for people to read, with the hash of all that is before it as last key.

    Raises UsageError for more than `LARGEST_RECORD` bytes, which `read` would refuse.
    """
    text = json.dumps({"format": FORMAT, **document}, indent=1, ensure_ascii=False, allow_nan=False)
    data = _sealed(text.encode().removesuffix(b"\n}"))
    if len(data) > LARGEST_RECORD:
        what = f"a record of {len(data):,} bytes, and {LARGEST_RECORD:,} are the most that can be stored"
        raise UsageError(what, str(document.get("name", "")), "use fewer or shorter names, or fewer runs")
    return data


def _sealed(data: bytes) -> bytes:
    return b'%s%s%s"\n}\n' % (data, _LAST_KEY, sha256(data).encode())


def seal_holds(data: bytes) -> bool:
    """Whether these are, byte for byte, a record that `render` wrote."""
    return data == _sealed(data.rpartition(_LAST_KEY)[0])


def parse(data: bytes, where: Path | str) -> dict[str, Any]:
    """The record without its hash. Raises IntegrityError if damaged or edited, NewerFormatError if it is newer."""
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise IntegrityError("damaged record (not JSON)", str(where), LEFT_OUT) from error
    if not isinstance(record, dict) or SEAL not in record:
        raise IntegrityError("damaged record (no hash in it)", str(where), LEFT_OUT)
    seal = record.pop(SEAL)
    check_format(record.get("format"), "record", where)
    if not (seal_holds(data) or (record.get("format") == CANONICAL and _fits(seal, record))):
        raise IntegrityError("damaged or edited record (its hash does not fit)", str(where), LEFT_OUT)
    return record


def _fits(seal: Any, record: dict[str, Any]) -> bool:
    """Whether this is the hash of a record of format 1."""
    try:
        return bool(seal == sha256(canonical(record)))
    except ValueError:  # `render` would have refused it: NaN, infinity, half a character
        return False


def load(path: Path | str, model: type[Model]) -> Model:
    """The record in a file as this model. Raises IntegrityError, which names the key, where it has another shape."""
    return shaped(parse(read(path), path), model, path)


def shaped(document: Any, model: type[Model], where: Path | str) -> Model:
    """A document as this model. Raises IntegrityError with the first key whose value is not what it should be."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "the record"
        what = f"ill-formed record ({ascii(key[:60])[1:-1]}: {first['msg'][:100]})"
        raise IntegrityError(what, str(where), LEFT_OUT) from error


def read(path: Path | str, largest: int = LARGEST_RECORD) -> bytes:
    """The bytes of a file. Raises IntegrityError if it is missing, larger, or not a regular file (a link is not);
    EnvironmentFault if it cannot be read.
    """
    try:
        size, data = _contents(path, largest)
    except _ABSENT as error:
        raise IntegrityError("a file is missing", str(path), LEFT_OUT) from error
    if size > largest or len(data) > largest:
        raise IntegrityError("damaged record (absurdly large)", str(path), LEFT_OUT)
    return data


def _contents(path: Path | str, wanted: int) -> tuple[int, bytes]:
    """The size of a file and its bytes, one more than ``wanted`` at most, none where its size is larger.

    Through the system calls themselves: a comparison reads tens of thousands of small files, and pathlib's and io's
    objects around each would take twice the time of the rest.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # opening a named pipe must not wait
    try:
        descriptor = os.open(path, flags)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                if stat.S_ISDIR(status.st_mode):
                    raise IsADirectoryError
                raise IntegrityError("not a regular file", str(path), LEFT_OUT)
            if status.st_size > wanted:
                return status.st_size, b""
            data = os.read(descriptor, status.st_size + 1)  # one more: fewer come only at the end of a file
            while len(data) <= wanted and len(data) != status.st_size and (more := os.read(descriptor, 2**20)):
                data += more
        finally:
            os.close(descriptor)
    except _ABSENT:
        raise
    except OSError as error:
        if os.path.islink(path):  # noqa: PTH114
            raise IntegrityError("a link instead of a file", str(path), LEFT_OUT) from error
        todo = "check the disk and the permissions"
        raise EnvironmentFault(f"cannot read ({error.strerror})", str(path), todo) from error
    return status.st_size, data


def listing(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """Length and hash of each file, for the record beside them."""
    return {name: {"bytes": len(data), "sha256": sha256(data)} for name, data in files.items()}


def read_listed(path: Path | str, length: int, digest: str) -> bytes:
    """A file's bytes if they have this length, which is compared before anything is read, and this SHA-256."""
    try:
        size, data = _contents(path, length)
    except _ABSENT as error:
        raise IntegrityError(f"damaged file (missing instead of {length} bytes)", str(path), LEFT_OUT) from error
    if size != length:
        raise IntegrityError(f"damaged file ({size} bytes instead of {length} bytes)", str(path), LEFT_OUT)
    if sha256(data) != digest:
        raise IntegrityError("damaged or edited file (its hash does not fit)", str(path), LEFT_OUT)
    return data
