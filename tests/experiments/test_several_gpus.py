"""Sweeps over several GPUs: real worker processes, each shown one of four, that compute on the CPU."""

import os
from collections import Counter

import pytest

from resnet_shortcuts.errors import EnvironmentFault
from resnet_shortcuts.experiments import pools, runner
from resnet_shortcuts.experiments.runner import run_plan
from resnet_shortcuts.experiments.slots import Slots
from tests.faults.rig import YAML, make_rig

FOUR = ("cuda:0", "cuda:1", "cuda:2", "cuda:3")
FAULTY = """
import os

from resnet_shortcuts.shortcuts import Shortcut


class Faulty(Shortcut):
    def __init__(self, site):
        super().__init__()

    def forward(self, x, branch):
        here = os.environ.get("CUDA_VISIBLE_DEVICES")
        if self.training and here in os.environ["RSC_TEST_BROKEN"].split(","):
            raise RuntimeError(os.environ["RSC_TEST_ERROR"])
        return branch + x.mean((1, 2, 3), keepdim=True)
"""


@pytest.fixture
def workers(monkeypatch):
    """The GPU that each worker was shown, in the order of their start."""
    shown = []

    def launch(setup, events, variables):
        assert setup.device == "cuda"
        shown.append(variables["CUDA_VISIBLE_DEVICES"])
        return real(setup.model_copy(update={"device": "cpu"}), events, variables)

    real = pools.launch
    monkeypatch.setattr(pools, "launch", launch)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return shown


@pytest.fixture
def rig(tmp_path):
    (tmp_path / "faulty.py").write_text(FAULTY)
    return make_rig(
        tmp_path,
        tmp_path / "cache",
        YAML,
        "seeds=5",
        "shortcuts=[faulty.py:Faulty]",
        "train.epochs=1",
        "run.checkpoint_seconds=60",
    )


@pytest.fixture
def broken(monkeypatch):
    def set_up(numbers, error):
        monkeypatch.setenv("RSC_TEST_BROKEN", numbers)
        monkeypatch.setenv("RSC_TEST_ERROR", error)

    set_up("none", "")
    return set_up


def sweep(rig, jobs, devices):
    events = []
    summary = run_plan(
        rig.plan, rig.config, rig.dataset, rig.experiment, jobs=jobs, devices=devices, progress=events.append
    )
    return summary, [event.text for event in events if event.kind == "warning"]


def test_runs_are_spread_over_all_gpus_one_a_worker(rig, workers, broken):
    summary, warnings = sweep(rig, 1, FOUR)
    assert len(summary.done) == 5
    assert sorted(workers) == ["0", "1", "2", "3"]
    assert not warnings


def test_jobs_are_workers_a_gpu(rig, workers, broken):
    sweep(rig, 2, ("cuda:1", "cuda:3"))
    assert Counter(workers) == {"1": 2, "3": 2}


def test_a_gpu_that_fails_is_named_and_left_and_its_runs_go_on_elsewhere(rig, workers, broken):
    broken("2", "CUDA error: uncorrectable ECC error encountered")
    summary, warnings = sweep(rig, 1, FOUR)
    assert len(summary.done) == 5
    assert not summary.failed
    assert workers.count("2") == 1
    (warning,) = warnings
    assert warning.startswith("cuda:2 failed and is not used any more: ")
    assert "uncorrectable ECC error" in warning


def test_where_no_gpu_is_left_the_sweep_ends_with_5_and_no_run_has_failed(rig, workers, broken):
    broken("0,1", "CUDA error: no kernel image is available for execution on the device")
    with pytest.raises(EnvironmentFault, match="no other GPU is left") as raised:
        sweep(rig, 1, ("cuda:0", "cuda:1"))
    assert raised.value.exit_code == 5
    assert not list(rig.experiment.folder.rglob("failed.json"))
    broken("none", "")
    assert len(sweep(rig, 1, ("cuda:0",))[0].done) == 5


def test_short_memory_first_means_fewer_workers_then_the_runs_failure(rig, workers, broken):
    broken("0", "CUDA out of memory. Tried to allocate 2.00 GiB.")
    summary, warnings = sweep(rig, 2, ("cuda:0",))
    assert warnings == ["out of memory at batch size 32 on cuda:0: 1 side by side there from now on"]
    assert len(summary.failed) == 5
    assert set(summary.failed.values()) == {"out of memory at batch size 32"}
    broken("none", "")
    assert len(sweep(rig, 1, ("cuda:0",))[0].done) == 5, "failed runs are tried again"


def test_slots_of_devices():
    slots = Slots(("a", "b"), 2)
    assert slots.place([]) == "a"
    assert slots.place(["a"]) == "b"
    assert slots.place(["a", "b", "b"]) == "a"
    assert slots.place(["a", "a", "b", "b"]) is None
    assert slots.shrink("a") == 1
    assert slots.shrink("a") == 0
    assert slots.place(["a", "b", "b"]) is None
    assert slots.retire("a")
    assert slots.place([]) == "b"
    assert not slots.retire("b")
    assert slots.place([]) is None


def test_a_worker_on_the_cpu_keeps_what_it_may_see(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    assert runner.ProcessPool is pools.ProcessPool
    assert pools.processes.environment(1)["CUDA_VISIBLE_DEVICES"] == os.environ["CUDA_VISIBLE_DEVICES"]
