"""Canonical JSON and SHA-256."""

import hashlib
import json
from typing import Any


def canonical(document: Any, ensure_ascii: bool = False) -> bytes:
    """A JSON document with sorted keys and no spaces, in UTF-8 or in ASCII, where half a character may stand escaped.

    Raises ValueError on NaN, infinity and, in UTF-8, on half a character (a lone surrogate). Run ids follow from these
    bytes: a change of them would orphan every stored run.
    """
    separators = (",", ":")
    text = json.dumps(document, sort_keys=True, separators=separators, ensure_ascii=ensure_ascii, allow_nan=False)
    return text.encode()


def sha256(*parts: bytes) -> str:
    """SHA-256 of the parts together, in hexadecimal."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
