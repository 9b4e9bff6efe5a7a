"""Whole sweeps: everything trained, then nothing; failures apart; torch stays out of the parent."""

import json
import re
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import resnet_shortcuts
from resnet_shortcuts.analysis.reading import read_experiment
from resnet_shortcuts.data.dataset import load
from resnet_shortcuts.errors import EnvironmentFault
from resnet_shortcuts.experiments import pools, runner
from resnet_shortcuts.experiments.run_states import list_runs
from resnet_shortcuts.experiments.runner import resolve_jobs, run_plan
from resnet_shortcuts.source_hash import source_sha256
from tests.faults.rig import YAML, make_rig


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    return make_rig(
        tmp_path_factory.mktemp("sweep"), tmp_path_factory.mktemp("cache"), YAML, "seeds=2", "shortcuts=[plain, A, C]"
    )


def sweep(rig, **options):
    events = []
    summary = run_plan(rig.plan, rig.config, rig.dataset, rig.experiment, progress=events.append, **options)
    return summary, events


@pytest.fixture(scope="module")
def first(rig):
    return sweep(rig, jobs=2)


def test_a_sweep_trains_every_run(rig, first):
    summary, events = first
    assert len(summary.done) == 6
    assert summary.exit_code == 0
    assert [state.state for state in list_runs(rig.experiment)] == ["done"] * 6
    assert [event.kind for event in events].count("started") == 6
    assert (events[-1].finished, events[-1].total) == (6, 6)
    assert not list((rig.experiment.folder / "work").iterdir())


def test_the_second_sweep_trains_nothing_and_starts_no_worker(rig, first, monkeypatch):
    monkeypatch.setattr(pools, "launch", pytest.fail)
    summary, events = sweep(rig)
    assert len(summary.skipped) == 6
    assert {event.kind for event in events} == {"skipped"}


def test_the_environment_is_recorded_with_each_run(rig, first):
    environment = rig.experiment.runs()[0].environment
    assert environment["threads"] == 1
    assert environment["jobs"] == 2
    assert environment["packages"]["torch"]
    assert environment["memory_format"] == "channels_last"


def test_each_record_holds_the_code_the_host_and_what_is_odd_about_the_data(tmp_path):
    """Workers write them: of a folder whose test images are its training images."""
    for name in ("cat", "dog"):
        for number in range(8):
            image = np.random.default_rng([number, ord(name[0])]).integers(0, 256, (8, 8, 3), np.uint8)
            (tmp_path / "data" / "train" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(tmp_path / "data" / "train" / name / f"{number}.png")
    shutil.copytree(tmp_path / "data" / "train", tmp_path / "data" / "test")
    data = f"{{source: image-folder, root: {tmp_path / 'data'}, resolution: 8}}"
    text = re.sub(r"data: .*", f"data: {data}", YAML).replace("batch_size: 32", "batch_size: 8")
    rig = make_rig(tmp_path, tmp_path / "cache", text, "train.epochs=1")
    sweep(rig, jobs=1)
    (run,) = rig.experiment.runs()
    assert (run.code.version, run.code.source_sha256) == (resnet_shortcuts.__version__, source_sha256())
    assert run.host.name == socket.gethostname()
    assert run.data_warnings == [warning.text for warning in load(rig.dataset, rig.config.data).warnings]
    assert "16 of 16 test images" in run.data_warnings[0]


def test_runs_do_not_depend_on_what_the_worker_ran_before(rig, first, tmp_path, tmp_path_factory):
    """One worker takes all six in another order; every bit is the same."""
    again = make_rig(tmp_path, rig.dataset.parents[1], YAML, "seeds=[1, 0]", "shortcuts=[C, A, plain]")
    sweep(again, jobs=1)
    for number, planned in enumerate(again.plan.runs):
        there = [run.run_id for run in rig.plan.runs].index(planned.run_id)
        assert again.outcome(number) == rig.outcome(there)


def test_a_run_without_a_good_checkpoint_is_named_and_the_others_are_trained(tmp_path, rig):
    """Fault 33 to 36 in a sweep: exit 4, one run damaged, two done, by the one worker and its successor."""
    fresh = make_rig(tmp_path, rig.dataset.parents[1], YAML, "shortcuts=[plain, A, C]")
    bad = fresh.plan.runs[0].run_id
    work = fresh.experiment.work_folder(bad)
    work.mkdir(parents=True)
    (work / "checkpoint-000000000001-000000.json").write_bytes(b"half a mani")
    summary, events = sweep(fresh, jobs=1)
    assert list(summary.damaged) == [bad]
    assert len(summary.done) == 2
    assert summary.exit_code == 4
    assert [event.run.run_id for event in events if event.kind == "failed"] == [bad]
    stored = read_experiment(fresh.experiment)
    assert {run.status for run in stored.runs} == {"done"}, "a damaged disk is no failure of the strategy"
    assert [(shortcut, seed) for _, shortcut, seed in stored.missing] == [("plain", 0)]


def test_workers_that_do_not_start_are_an_environment_fault(tmp_path, rig, monkeypatch):
    fresh = make_rig(tmp_path, rig.dataset.parents[1], YAML)
    broken = tmp_path / "broken" / "torch"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('planted')")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    with pytest.raises(EnvironmentFault, match=r"worker processes do not start.*planted"):
        sweep(fresh, jobs=1)


def test_training_in_this_process_gives_the_bits_of_worker_processes(tmp_path, rig, first):
    """Digests, history and predictions; and what belongs to this process is left as it was."""
    own = make_rig(tmp_path, rig.dataset.parents[1], YAML, "seeds=2", "shortcuts=[plain, A, C]")
    torch.set_num_threads(2)
    summary, events = sweep(own, jobs=0)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert len(summary.done) == 6
    assert [own.outcome(number) for number in range(6)] == [rig.outcome(number) for number in range(6)]
    kinds = [event.kind for event in events if event.kind != "progress"]
    assert kinds == ["started", "done"] * 6
    stored, theirs = own.experiment.runs()[0], rig.experiment.runs()[0]
    assert (stored.environment["jobs"], stored.environment["threads"]) == (0, 1)
    assert stored.to_json().keys() == theirs.to_json().keys()
    assert stored.code == theirs.code


def test_a_run_that_fails_in_this_process_is_recorded_and_the_others_go_on(tmp_path, rig, monkeypatch):
    from resnet_shortcuts.training import loop

    own = make_rig(tmp_path, rig.dataset.parents[1], YAML, "seeds=2", "train.epochs=1")
    real, calls = loop.train, []

    def failing(*arguments, **options):
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError("planted")
        return real(*arguments, **options)

    monkeypatch.setattr(loop, "train", failing)
    summary, _ = sweep(own, jobs=0)
    assert summary.failed == {own.plan.runs[0].run_id: "ZeroDivisionError: planted"}
    assert [state.state for state in list_runs(own.experiment)] == ["failed", "done"]
    log = own.experiment.work_folder(own.plan.runs[0].run_id) / "log.txt"
    assert "planted" in log.read_text()


def test_jobs_auto_is_one_a_core_on_a_cpu_and_one_on_a_gpu(monkeypatch):
    monkeypatch.setattr(runner.machine, "cores", lambda: 7)
    assert resolve_jobs("auto", "cpu") == 7
    assert resolve_jobs("auto", "cuda") == 1
    assert resolve_jobs(3, "cuda") == 3


def test_the_parent_never_imports_torch():
    code = (
        "import sys, json; import resnet_shortcuts.experiments.runner\n"
        "print(json.dumps([name for name in ('torch', 'torchvision', 'pandas') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
