"""A cost describes what trains: the pass times the class of step, with the settings, that the training loop uses."""

import json
from pathlib import Path

import pytest
import torch

from resnet_shortcuts.config.experiment_config import load_config
from resnet_shortcuts.cost import cost_pass, timed_steps
from resnet_shortcuts.cost.cost_request import CostReport, CostRequest
from resnet_shortcuts.data.dataset import load
from resnet_shortcuts.experiments.study import cost_request, open_study
from resnet_shortcuts.models.networks import build_network
from resnet_shortcuts.training import step as step_module
from resnet_shortcuts.training.loop import train
from resnet_shortcuts.training.step import Step

CONFIG = """
name: same-step
data: {source: digits, train_size: 40, test_size: 20}
networks: [cifar-resnet-8]
shortcuts: [A, dropout]
seeds: [0]
train: {epochs: 1, batch_size: 16, label_smoothing: 0.1, momentum: 0.8, nesterov: true, weight_decay: 0.0002}
run: {device: cpu, precision: PRECISION, compile: COMPILE}
"""


@pytest.fixture
def used(monkeypatch):
    """Class, settings and optimizer of every step that was performed."""
    seen = []

    class Noted(Step):
        def perform(self, images, labels):
            super().perform(images, labels)
            groups = [
                {key: value for key, value in group.items() if key not in ("params", "lr")}
                for group in self.optimizer.param_groups
            ]
            seen.append((type(self), self.settings, type(self.optimizer), groups))

    monkeypatch.setitem(step_module.ENGINES, "plain", Noted)
    monkeypatch.setattr(step_module, "BACKEND", "eager")
    return seen


@pytest.mark.parametrize(("precision", "compiled"), [("fp32", "false"), ("bf16", "true")])
def test_the_cost_pass_times_the_step_that_the_loop_trains_with(used, tmp_path, monkeypatch, precision, compiled):
    monkeypatch.setenv("RSC_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.replace("PRECISION", precision).replace("COMPILE", compiled))
    study = open_study(load_config(file), None)
    config, dataset = study.config, load(study.folder, study.config.data)
    model = build_network(config.networks[0], config.shortcuts[0], in_channels=1, num_classes=10, seed=0)
    run = config.run
    train(model, dataset, config.data, config.train, seed=0, precision=study.precision, compile=run.compile)
    trained = list(used)
    used.clear()
    request = cost_request(study, passes=("time",), seconds=0.01, min_rounds=1, max_rounds=1)
    report = cost_pass.measure_costs(request)
    assert [row.error for row in report.rows] == [None, None]
    assert len(used) > len(config.shortcuts)
    assert all(step == trained[0] for step in trained + used)
    assert trained[0][1].compile is (compiled == "true")
    torch.compiler.reset()


def test_a_strategy_that_does_not_fit_into_memory_has_an_error_and_the_others_their_times(monkeypatch):
    real = timed_steps.warmed_up

    def full(request, network, shortcut, *batch):
        if shortcut == "C":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")
        return real(request, network, shortcut, *batch)

    monkeypatch.setattr(timed_steps, "warmed_up", full)
    request = CostRequest(
        networks={"n": "cifar-resnet-8"}, shortcuts={"C": "C", "A": "A", "plain": "plain"}, baseline="C",
        input_shape=(1, 8, 8), batch_size=4, passes=("time",), seconds=0.01, min_rounds=1, max_rounds=1,
    )  # fmt: skip
    report = cost_pass.measure_costs(request)
    full_row, a_row, plain_row = report.rows
    assert full_row.error == "CUDA out of memory. Tried to allocate 2.00 GiB. (batch size 4)"
    assert full_row.step_ms is None
    assert a_row.step_ms
    assert plain_row.step_ms
    assert report.races[0].baseline == "A", "the baseline is the first that can be measured"


STORED = sorted((Path(__file__).parents[1] / "compatibility").glob("results-format-*/*/cost/*.json"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parts[-4]}-{path.parts[-3]}")
def test_reports_of_older_versions_load(path):
    document = json.loads(path.read_text())
    report = CostReport.model_validate({key: value for key, value in document.items() if key != "sha256"})
    assert report.request.step.engine == "plain"
    assert report.request.compile is False
    assert report.key == path.stem
    assert report.environment.device


def test_events_are_recorded_on_the_device_that_is_measured(monkeypatch):
    entered, recorded = [], []

    class Device:
        def __init__(self, device):
            self.device = device

        def __enter__(self):
            entered.append(self.device)

        def __exit__(self, *problem):
            entered.pop()

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            recorded.append(entered[-1])

        def synchronize(self):
            pass

        def elapsed_time(self, other):
            return 8.0

    monkeypatch.setattr(torch.cuda, "device", Device)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    done = []
    assert timed_steps.cuda_turn(lambda: done.append(entered[-1]), 4, "cuda:1")() == pytest.approx(0.002)
    assert recorded == ["cuda:1"] * 2
    assert done == ["cuda:1"] * 4
