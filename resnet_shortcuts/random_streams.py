"""Random streams keyed by what they are for, so that every draw depends only on its position.

A stream is named by a tuple such as ``(seed, "order", epoch)``; its bits come from SHA-256 of that name, so two streams
never share a state, and no draw depends on which draws came before it, in this process or another.
"""

import hashlib

import numpy as np


def key64(*name: int | str) -> int:
    """A 63-bit number that stands for the stream of this name."""
    digest = hashlib.sha256(repr(name).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def numpy_stream(*name: int | str) -> np.random.Generator:
    """A NumPy generator (Philox, counter based) for the stream of this name."""
    return np.random.Generator(np.random.Philox(key=key64(*name)))
