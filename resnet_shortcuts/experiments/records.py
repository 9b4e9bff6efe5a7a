"""JSON records that carry their own hash and those of the files beside them, so that damage and edits are found."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnet_shortcuts.errors import EnvironmentFault, IntegrityError

FORMAT = 1
_SEAL = "sha256"
_LARGEST_RECORD = 64 * 2**20


def canonical(document: Any) -> bytes:
    """The one spelling of a JSON document that is hashed. Raises ValueError on NaN and infinity."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def render(document: Mapping[str, Any]) -> bytes:
    """A record as JSON for people to read, with the hash of its content as last key."""
    record = {"format": FORMAT, **document}
    sealed = {**record, _SEAL: sha256(canonical(record))}
    return (json.dumps(sealed, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def parse(data: bytes, where: Path) -> dict[str, Any]:
    """The record without its hash. Raises IntegrityError if it is damaged, edited or of a newer format."""
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise IntegrityError("damaged record (not JSON)", str(where), "it is left out") from error
    if not isinstance(record, dict) or _SEAL not in record:
        raise IntegrityError("damaged record (no hash in it)", str(where), "it is left out")
    seal = record.pop(_SEAL)
    if isinstance(record.get("format"), int) and record["format"] > FORMAT:
        todo = "upgrade resnet-shortcuts to the version that wrote it, or a newer one"
        raise IntegrityError(f"record of format {record['format']} (this version reads {FORMAT})", str(where), todo)
    if seal != sha256(canonical(record)):
        raise IntegrityError("damaged or edited record (its hash does not fit)", str(where), "it is left out")
    return record


def read(path: Path) -> bytes:
    """The bytes of a file. Raises IntegrityError if it is missing or absurdly large, EnvironmentFault if unreadable."""
    try:
        if path.stat().st_size > _LARGEST_RECORD and path.suffix == ".json":
            raise IntegrityError("damaged record (absurdly large)", str(path), "it is left out")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise IntegrityError("a file is missing", str(path), "it is left out") from error
    except OSError as error:
        todo = "check the disk and the permissions"
        raise EnvironmentFault(f"cannot read ({error.strerror})", str(path), todo) from error


def listing(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """Length and hash of each file, for the record beside them."""
    return {name: {"bytes": len(data), "sha256": sha256(data)} for name, data in files.items()}


def read_listed(path: Path, listed: Mapping[str, Any]) -> bytes:
    """A file's bytes if they are those that the record lists; the length is compared before anything is read."""
    try:
        size = path.stat().st_size
    except OSError:
        size = -1
    if size != listed["bytes"]:
        found = "missing" if size < 0 else f"{size} bytes"
        raise IntegrityError(f"damaged file ({found} instead of {listed['bytes']} bytes)", str(path), "it is left out")
    data = read(path)
    if sha256(data) != listed["sha256"]:
        raise IntegrityError("damaged or edited file (its hash does not fit)", str(path), "it is left out")
    return data
