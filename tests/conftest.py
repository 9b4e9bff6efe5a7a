"""Tests use the CPU unless they are marked ``gpu``, whatever the machine has."""

import os

import pytest

VISIBLE = "CUDA_VISIBLE_DEVICES"
_at_start = os.environ.get(VISIBLE)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture of the test, also of its module, starts a process."""
    if item.get_closest_marker("gpu") is None:
        os.environ[VISIBLE] = ""
    elif _at_start is None:
        os.environ.pop(VISIBLE, None)
    else:
        os.environ[VISIBLE] = _at_start
