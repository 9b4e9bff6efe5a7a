"""Canonical JSON and SHA-256."""

import hashlib
import json
from typing import Any

_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(document: Any) -> bytes:
    """A JSON document with sorted keys and no spaces, in UTF-8. Raises ValueError on NaN, infinity and lone surrogates.

    Run ids follow from these bytes: a change of them would orphan every stored run.
    """
    return _encoder.encode(document).encode()


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
