"""The same pass on a GPU; skipped with a reason where there is none."""

import pytest
import torch

from resnet_shortcuts.cost.cost_launch import run_cost_pass
from resnet_shortcuts.cost.cost_request import CostReport, CostRequest
from resnet_shortcuts.cost.timed_steps import cuda_turn

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and torch sees none here"),
]


@pytest.fixture(scope="module")
def report() -> CostReport:
    request = CostRequest(
        networks={"ResNet-20": "cifar-resnet-20"},
        shortcuts={"A": "A", "C": "C"},
        device="cuda",
        engine="graph",
        batch_size=128,
        seconds=20.0,
        min_rounds=6,
        max_rounds=8,
    )
    return run_cost_pass(request)


def test_every_figure_is_there_and_reserved_memory_is_not_below_allocated(report: CostReport) -> None:
    for row in report.rows:
        assert row.error is None
        assert row.step_ms > 0
        assert row.inference_ms > 0
        assert row.peak_reserved_bytes >= row.peak_memory_bytes > 0
    assert report.races[0].steps_per_turn >= 50


def test_saved_bytes_are_the_ones_counted_on_a_cpu(report: CostReport) -> None:
    from resnet_shortcuts.cost.counting import saved_bytes
    from resnet_shortcuts.models.networks import build_network
    from resnet_shortcuts.shortcuts.catalogue import find

    for row in report.rows:
        model = build_network("cifar-resnet-20", find(row.shortcut), in_channels=3, num_classes=10, seed=0)
        assert row.saved_bytes == saved_bytes(model, (3, 32, 32), 128)


def test_saved_bytes_explain_the_peak_less_parameters_within_five_percent(report: CostReport) -> None:
    row = report.row("ResNet-20", "A")
    assert row is not None
    parts = row.memory
    rest = row.peak_memory_bytes - parts.parameters - parts.gradients - parts.optimizer - parts.buffers
    assert row.saved_bytes == pytest.approx(rest, rel=0.05)


def test_a_turn_returns_the_devices_own_time_of_a_step() -> None:
    cycles = 2_000_000
    turn = cuda_turn(lambda: torch.cuda._sleep(cycles), steps=50)
    turn()
    once, twice = turn(), cuda_turn(lambda: torch.cuda._sleep(2 * cycles), steps=50)()
    assert twice / once == pytest.approx(2, rel=0.2)
