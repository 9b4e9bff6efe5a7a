"""Ctrl-C, or the parent's sudden death, leaves no measuring process behind."""

import signal
import subprocess
import sys

import psutil
import pytest

PARENT = """
from resnet_shortcuts.cost.cost_launch import run_cost_pass
from resnet_shortcuts.cost.cost_request import CostRequest
request = CostRequest(networks={"n": "cifar-resnet-8"}, shortcuts={"A": "A", "B": "B"}, batch_size=8, seconds=600,
                      target=1e-9, max_rounds=10**6)
run_cost_pass(request, lambda *what: print(what, flush=True))
"""


@pytest.mark.parametrize(("number", "during"), [(signal.SIGINT, "n A"), (signal.SIGKILL, "timing")])
def test_no_process_outlives_its_parent(number: signal.Signals, during: str) -> None:
    # A shell that runs the tests in the background has them ignore SIGINT; a user's command does not.
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as parent:
        assert parent.stdout is not None
        assert any(during in line for line in parent.stdout)
        started = psutil.Process(parent.pid).children(recursive=True)
        assert started
        parent.send_signal(number)
        assert parent.wait(timeout=20) != 0
        _, alive = psutil.wait_procs(started, timeout=20)
        for process in alive:
            process.kill()
        assert alive == []
