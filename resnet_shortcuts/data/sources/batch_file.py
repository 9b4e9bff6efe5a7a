"""CIFAR's pickled batches, read without running anything that they name.

Unpickling calls what a file names. Here every name gives an inert stand-in, which takes any arguments and does nothing,
so that only plain data comes out: dicts, lists, numbers and text. Callers check the file's hash first all the same.
"""

import io
import pickle  # noqa: TID251 (no name in a pickle is looked up)
from typing import Any

import numpy as np

from resnet_shortcuts.data.source_contract import Images, Labels

_LIMIT = 256 * 2**20


class NotABatchError(ValueError):
    """The bytes are not a batch of CIFAR."""


class _StandIn:
    """Takes the place of whatever a pickle names or calls; keeps the state that it is given."""

    def __init__(self, *arguments: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> type[_StandIn]:
        return _StandIn


def read(data: bytes, label_key: str = "labels") -> tuple[Images, Labels]:
    """Images (N, 32, 32, 3) uint8 and the labels (N,) int64 that stand under ``label_key``. Raises NotABatchError."""
    if len(data) > _LIMIT:
        raise NotABatchError("too large")
    try:
        content = _Unpickler(io.BytesIO(data), encoding="latin1").load()
        # The state of an array is (version, shape, dtype, whether in column order, bytes).
        _, _, _, in_column_order, raw = content["data"].state
        labels = np.array(content[label_key], np.int64)
        pixels = np.frombuffer(raw if isinstance(raw, bytes) else raw.encode("latin1"), np.uint8)
        planes = pixels.reshape(len(labels), 3, 32, 32)
    except Exception as error:  # a damaged pickle may fail in any way
        raise NotABatchError(str(error)) from error
    if in_column_order:
        raise NotABatchError("array in column order")
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels
