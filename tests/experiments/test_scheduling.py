"""Sweeps of many runs on many slots, some of them lost: every run ends once. Nothing is trained."""

import pytest

from resnet_shortcuts.config.experiment_config import load_config
from resnet_shortcuts.experiments.plan import make_plan
from resnet_shortcuts.experiments.runner import MAX_LOSSES, run_plan
from resnet_shortcuts.experiments.store import Experiment
from tests.experiments.fake_pool import FakePool

YAML = """
name: many
data: {source: digits}
networks: [cifar-resnet-8]
shortcuts: [A, max-pad]
seeds: 1000
train: {epochs: 1}
run: {device: cpu}
"""


def sweep(folder, pool):
    (folder / "config.yaml").write_text(YAML)
    config = load_config(folder / "config.yaml")
    plan = make_plan(config, {"content": "0"}, "fp32")
    experiment = Experiment.create(folder / "results", config, plan)
    kinds = []
    summary = run_plan(
        plan, config, folder, experiment, make_pool=lambda setup: pool, progress=lambda event: kinds.append(event.kind)
    )
    return plan, summary, kinds


@pytest.mark.parametrize("losses", [0.0, 0.01, 0.3])
def test_every_run_ends_once_whatever_is_lost(tmp_path, losses):
    pool = FakePool(100, losses)
    plan, summary, kinds = sweep(tmp_path, pool)
    ids = [run.run_id for run in plan.runs]
    assert sorted([*summary.done, *summary.failed]) == sorted(ids)
    lost = sum(pool.started.values()) - len(ids)
    assert kinds.count("started") == len(ids) + lost
    assert (lost > 0) == (losses > 0)
    assert all(1 <= pool.started[run_id] <= MAX_LOSSES for run_id in ids)
    assert all(pool.started[run_id] == MAX_LOSSES for run_id in summary.failed)


def test_what_is_always_lost_has_failed_with_the_reason(tmp_path):
    pool = FakePool(100, 1.0)
    plan, summary, _ = sweep(tmp_path, pool)
    assert set(summary.failed.values()) == {f"its node was lost, {MAX_LOSSES} times"}
    assert len(summary.failed) == len(plan.runs)
    assert set(pool.started.values()) == {MAX_LOSSES}
