"""What holds for all tests, however they are started.

They use the CPU unless they are marked ``gpu``, whatever the machine has.
"""

import os
import signal

import pytest

VISIBLE = "CUDA_VISIBLE_DEVICES"
_at_start = os.environ.get(VISIBLE)

if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # nohup: children would inherit that they ignore it
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture of the test, also of its module, starts a process."""
    if item.get_closest_marker("gpu") is None:
        os.environ[VISIBLE] = ""
    elif _at_start is None:
        os.environ.pop(VISIBLE, None)
    else:
        os.environ[VISIBLE] = _at_start
