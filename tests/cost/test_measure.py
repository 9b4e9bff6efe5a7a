"""The whole pass, small, in its own process; no figure of time or memory is asserted beyond its sign."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from resnet_shortcuts.cost import cost_pass
from resnet_shortcuts.cost.cost_launch import key_of, run_cost_pass
from resnet_shortcuts.cost.cost_request import (
    CostEnvironment,
    CostReport,
    CostRequest,
    CostRow,
    CostSpec,
    Hardware,
    Race,
    report_key,
    train_seconds,
)
from resnet_shortcuts.cost.memory import measure_all
from resnet_shortcuts.errors import EnvironmentFault, UsageError
from resnet_shortcuts.experiments.study import _knows_more

SMALL = CostRequest(
    networks={"tiny": "cifar-resnet-8", "narrow": {"name": "cifar-resnet-8", "width": 8}},
    shortcuts={"plain": "plain", "A": "A", "C": "projection-all"},
    input_shape=(1, 8, 8),
    batch_size=4,
    seconds=1.0,
    min_rounds=6,
    max_rounds=7,
    target=1e-9,
)


@pytest.fixture(scope="module")
def report() -> CostReport:
    told: list[tuple[str, int, int]] = []
    found = run_cost_pass(SMALL.model_copy(update={"seconds": 300.0}), lambda *what: told.append(what))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1][1] == told[-1][2] == 2 * 3 + 2
    return found


def test_every_network_and_strategy_has_every_figure(report: CostReport) -> None:
    assert [(row.network, row.shortcut) for row in report.rows] == [
        (network, shortcut) for network in ("tiny", "narrow") for shortcut in ("plain", "A", "C")
    ]
    for row in report.rows:
        assert row.error is None
        for name in ("parameters", "multiply_adds", "saved_bytes", "peak_memory_bytes", "step_ms", "inference_ms"):
            assert getattr(row, name) > 0, name
        assert row.images_per_second == pytest.approx(4 / row.step_ms * 1000)
        assert row.peak_reserved_bytes is None  # there is no such figure on a CPU
        low, high = row.step_ms_interval or (9.0, 0.0)
        assert low <= row.step_ms <= high
    baseline, rival = report.row("tiny", "A"), report.row("tiny", "C")
    assert baseline is not None and rival is not None  # noqa: PT018
    assert (baseline.ratio, baseline.ratio_interval) == (1.0, None)
    assert rival.ratio_interval is not None
    assert rival.parameters > baseline.parameters


def test_the_memory_of_the_parts(report: CostReport) -> None:
    for row in report.rows:
        assert row.memory is not None
        assert row.memory.parameters == row.memory.gradients == row.memory.optimizer == 4 * row.parameters
        assert row.memory.activations == row.saved_bytes  # the request's precision is fp32
        assert sum(row.saved_bytes_by_part.values()) == row.saved_bytes
        assert sum(row.memory.model_dump().values()) <= row.peak_memory_bytes


def test_each_race_has_a_control_and_says_why_it_stopped(report: CostReport) -> None:
    assert [held.network for held in report.races] == ["tiny", "narrow"]
    for held in report.races:
        assert (held.stopped, held.rounds, held.baseline) == ("rounds", 7, "A")
        low, high = held.control_interval
        assert held.noise == max(abs(low - 1), abs(high - 1))
        assert low <= held.control_ratio <= high


def test_the_report_survives_json_and_its_key_is_known_beforehand(report: CostReport) -> None:
    assert CostReport.model_validate_json(report.model_dump_json()) == report
    assert json.loads(report.model_dump_json())["format"] == 1
    assert report.key == key_of(SMALL)
    assert report.environment.threads == 1
    assert report.environment.device


def test_the_key_names_what_is_measured_and_on_what_not_how_long() -> None:
    here = Hardware(device="x")
    key = report_key(SMALL, here)
    assert len(key) == 16
    assert report_key(SMALL.model_copy(update={"seconds": 9.0}), here) == key
    for change in (
        {"batch_size": 8},
        {"precision": "bf16"},
        {"compile": True},
        {"engine": "static"},
        {"shortcuts": {"A": "A"}},
        {"identities": {"A": {"x": 1}}},
    ):
        assert report_key(SMALL.model_copy(update=change), here) != key
    assert report_key(SMALL, Hardware(device="y")) != key


def test_what_was_not_asked_for_is_null() -> None:
    report = run_cost_pass(SMALL.model_copy(update={"passes": ("counts",), "networks": {"tiny": "cifar-resnet-8"}}))
    row = report.row("tiny", "A")
    assert row is not None
    assert row.saved_bytes is not None
    assert (row.step_ms, row.peak_memory_bytes, row.memory, row.inference_ms) == (None, None, None, None)
    assert report.races == ()


def test_a_strategy_that_cannot_serve_has_a_row_with_the_reason_and_the_others_their_figures() -> None:
    request = SMALL.model_copy(update={"shortcuts": {"A": "A", "nonsense": "optoin-b"}, "passes": ("counts",)})
    figures = dict(measure_all(request, [("tiny", "nonsense"), ("tiny", "A")]))
    assert "option-b" in figures["tiny", "nonsense"]["error"]
    assert "parameters" not in figures["tiny", "nonsense"]
    assert figures["tiny", "A"]["parameters"] > 0


def test_a_process_that_dies_is_named_with_its_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resnet_shortcuts.cost.memory.STEPS", 10**9)
    monkeypatch.setattr("resnet_shortcuts.cost.memory.training_step", lambda *_: _kill_yourself)
    ((_, figures),) = measure_all(SMALL, [("tiny", "A")])
    assert "SIGKILL" in figures["error"]
    assert "batch size 4" in figures["error"]


def _kill_yourself() -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def test_cuda_without_a_gpu_is_an_environment_fault() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(EnvironmentFault, match="no CUDA device"):
        run_cost_pass(SMALL.model_copy(update={"device": "cuda"}))


def test_a_process_that_ends_without_an_answer_is_said_to(tmp_path: Path) -> None:
    request = SMALL.model_construct(**{**SMALL.model_dump(), "networks": {}})
    with pytest.raises(EnvironmentFault, match="without a result"):
        run_cost_pass(request, log=tmp_path / "log.txt")
    assert "networks" in (tmp_path / "log.txt").read_text()


def test_a_parent_needs_no_torch() -> None:
    code = (
        "import sys, resnet_shortcuts.cost.cost_launch, resnet_shortcuts.cost.cost_request;"
        "import resnet_shortcuts.cost.cost_sentences;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "values", [{"seconds": True}, {"seconds": 0}, {"seconds": float("nan")}, {"measure": 1}, {"x": 1}]
)
def test_the_config_section_refuses_what_makes_no_sense(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CostSpec.model_validate(values)


def test_train_seconds_is_steps_and_evaluation_or_nothing() -> None:
    row = CostRow(network="n", shortcut="s", step_ms=10.0, inference_ms=4.0)
    assert train_seconds(row, steps=100, evaluation_images=9, evaluation_batch_size=4) == pytest.approx(1.012)
    unmeasured = CostRow(network="n", shortcut="s", step_ms=10.0)
    assert train_seconds(unmeasured, steps=100, evaluation_images=9, evaluation_batch_size=4) is None


def test_warnings_name_the_cause_and_the_remedy() -> None:
    assert list(cost_pass._disturbed(0.1)) == list(cost_pass._disturbed(None)) == []
    (text,) = cost_pass._disturbed(1.3)
    assert "1.3 cores" in text
    assert "rsc cost --config FILE" in text
    race = Race(
        network="n", baseline="A", rounds=40, steps_per_turn=1, stopped="budget",
        control_ratio=1.0, control_interval=(0.95, 1.02), noise=0.05,
    )  # fmt: skip
    request = CostRequest(networks={"n": "cifar-resnet-8"}, shortcuts={"A": "A"})
    (text,) = cost_pass._weak(request, race)
    assert "5.0 %" in text
    assert text.endswith("--measure --seconds 240")  # 6.25 times the noise's square, of 30 s, in whole minutes
    (text,) = cost_pass._weak(request, race.model_copy(update={"rounds": 3, "noise": None}))
    assert "3 of at least 30 rounds" in text
    assert text.endswith("--measure --seconds 300")
    assert list(cost_pass._weak(request, race.model_copy(update={"noise": 0.01}))) == []


def test_a_batch_that_batch_norm_cannot_take_is_an_error_of_its_row_in_words() -> None:
    request = CostRequest(
        networks={"n": "cifar-resnet-8"}, shortcuts={"A": "A"}, input_shape=(3, 4, 4), batch_size=1,
        passes=("counts", "memory"),
    )  # fmt: skip
    (row,) = cost_pass.measure_costs(request).rows
    assert "more than 1 value per channel" in (row.error or "")


def test_a_report_that_knows_less_does_not_replace_one_that_knows_more() -> None:
    def of(rounds: int, noise: float | None) -> CostReport:
        race = Race(
            network="n", baseline="A", rounds=rounds, steps_per_turn=1, stopped="budget", control_ratio=1.0,
            control_interval=None, noise=noise,
        )  # fmt: skip
        request = CostRequest(networks={"n": "cifar-resnet-8"}, shortcuts={"A": "A"})
        return CostReport(key="k", request=request, environment=CostEnvironment(), rows=(), races=(race,))

    assert _knows_more(of(89, 0.06), of(1, None))
    assert _knows_more(of(89, 0.06), of(40, 0.07))
    assert not _knows_more(of(89, 0.06), of(40, 0.02)), "a quieter machine needs fewer rounds"
    assert not _knows_more(of(40, 0.06), of(89, 0.08))


def test_the_baseline_is_the_named_one_or_the_first() -> None:
    assert SMALL.baseline_label == "A"
    assert SMALL.model_copy(update={"baseline": "gone"}).baseline_label == "plain"


def test_an_unknown_network_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="depth"):
        run_cost_pass(SMALL.model_copy(update={"networks": {"x": "cifar-resnet-21"}}))


def test_an_unknown_strategy_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="option-b"):
        run_cost_pass(SMALL.model_copy(update={"shortcuts": {"x": "optoin-b"}}))
