"""CIFAR's pickled batches, read without pickle.

A pickle is a program for a small stack machine; unpickling runs it, calls included. Here the program is only listed (by
``pickletools.genops``) and its data is picked out: a call becomes the inert tuple of what would have been called, so
nothing that a file says can happen. Callers check the file's hash first all the same.
"""

import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

from resnet_shortcuts.data.source_contract import Images, Labels

_MARK = object()
_PUSH = frozenset(
    "BINSTRING SHORT_BINSTRING BINUNICODE SHORT_BINUNICODE BINBYTES SHORT_BINBYTES BININT BININT1 BININT2 LONG1".split()  # noqa: SIM905
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_LIMIT = 256 * 2**20


class NotABatchError(ValueError):
    """The bytes are not a batch of CIFAR."""


def read(data: bytes, label_key: str = "labels") -> tuple[Images, Labels]:
    """Images (N, 32, 32, 3) uint8 and the labels (N,) int64 that stand under ``label_key``. Raises NotABatchError."""
    if len(data) > _LIMIT:
        raise NotABatchError("too large")
    try:
        content = _data_of(data)
        labels = np.array(content[label_key], np.int64)
        pixels = np.frombuffer(_array_bytes(content["data"]), np.uint8)
        planes = pixels.reshape(len(labels), 3, 32, 32)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise NotABatchError(str(error)) from error
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels


def _array_bytes(value: Any) -> bytes:
    """The bytes of a pickled array: its state is (version, shape, dtype, fortran order, bytes)."""
    state = value["state"]
    if state[3]:
        raise NotABatchError("array in column order")
    raw = state[4]
    return raw.encode("latin-1") if isinstance(raw, str) else bytes(raw)


def _data_of(data: bytes) -> dict[str, Any]:
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for code, argument, _ in pickletools.genops(data):
        name = code.name
        if name == "STOP":
            break
        if name in _PUSH:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in _TUPLES:
            count = _TUPLES[name]
            stack[len(stack) - count :] = [tuple(stack[len(stack) - count :])]
        elif name in _ACTIONS:
            _ACTIONS[name](stack, argument)
        elif name != "PROTO":
            raise NotABatchError(f"holds {name}")
    if len(stack) != 1 or not isinstance(stack[0], dict):
        raise NotABatchError("not a table of names and values")
    return stack[0]


def _since_mark(stack: list[Any]) -> list[Any]:
    position = len(stack) - 1
    while stack[position] is not _MARK:
        position -= 1
    taken = stack[position + 1 :]
    del stack[position:]
    return taken


def _reduce(stack: list[Any], _: Any) -> None:
    arguments, called = stack.pop(), stack.pop()
    stack.append({"called": called, "arguments": arguments, "state": None})


def _build(stack: list[Any], _: Any) -> None:
    state = stack.pop()
    stack[-1]["state"] = state


def _set_items(stack: list[Any], _: Any) -> None:
    taken = _since_mark(stack)
    stack[-1].update(zip(taken[::2], taken[1::2], strict=True))


def _append(stack: list[Any], _: Any) -> None:
    value = stack.pop()
    stack[-1].append(value)


def _appends(stack: list[Any], _: Any) -> None:
    taken = _since_mark(stack)
    stack[-1].extend(taken)


_ACTIONS: dict[str, Callable[[list[Any], Any], None]] = {
    "MARK": lambda stack, _: stack.append(_MARK),
    "EMPTY_DICT": lambda stack, _: stack.append({}),
    "EMPTY_LIST": lambda stack, _: stack.append([]),
    "TUPLE": lambda stack, _: stack.append(tuple(_since_mark(stack))),
    "GLOBAL": lambda stack, name: stack.append(f"<{name}>"),  # a name, never looked up
    "REDUCE": _reduce,
    "BUILD": _build,
    "SETITEMS": _set_items,
    "APPEND": _append,
    "APPENDS": _appends,
}
