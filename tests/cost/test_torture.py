"""At full size, by `make torture`: a strategy that takes 5 % longer in truth, on this machine's real clock."""

import os
import statistics
import time

import pytest
import torch

from resnet_shortcuts.cost.timed_steps import cpu_turn
from resnet_shortcuts.cost.timing import race

TRIES, ENOUGH = 20, 17

pytestmark = [
    pytest.mark.torture,
    pytest.mark.skipif("RSC_TORTURE" not in os.environ, reason="minutes of a quiet machine: run `make torture`"),
    pytest.mark.timeout(3600),
]


def test_a_planted_five_percent_is_inside_the_interval_in_17_of_20_tries() -> None:
    """The plant repeats a piece of the same work, so drift of the clock frequency and neighbours hit it alike."""
    torch.set_num_threads(1)
    left, right = torch.randn(256, 256), torch.randn(256, 256)

    def work(pieces: int) -> None:
        for _ in range(pieces):
            torch.mm(left, right)

    for _ in range(50):
        work(20)
    began = time.perf_counter()
    work(2000)
    pieces = max(100, round(0.02 / ((time.perf_counter() - began) / 2000) / 100) * 100)  # about 20 ms, in hundreds
    truth = 1.05
    holds, found = 0, []
    for attempt in range(TRIES):
        turns = {
            "A": cpu_turn(lambda: work(pieces), 1),
            "again": cpu_turn(lambda: work(pieces), 1),
            "slow": cpu_turn(lambda: work(round(pieces * truth)), 1),
        }
        timings = race(turns, "A", seconds=30, seed=attempt)
        low, high = timings.ratio_interval("slow") or (0.0, 0.0)
        found.append((round(low, 4), round(timings.ratio("slow"), 4), round(high, 4)))
        holds += low <= truth <= high
    assert holds >= ENOUGH, f"{holds} of {TRIES}, median {statistics.median(one[1] for one in found)}: {found}"
