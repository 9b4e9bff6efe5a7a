"""Whole sweeps with real worker processes: interrupted, killed, sharing a folder. Faults 45 to 55."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch

from resnet_shortcuts import durable, gpus, locks, machine
from resnet_shortcuts.errors import EnvironmentFault, is_out_of_memory
from resnet_shortcuts.experiments import checkpoints
from resnet_shortcuts.experiments.run_states import list_runs
from resnet_shortcuts.experiments.runner import run_plan
from resnet_shortcuts.experiments.store import LOCK
from resnet_shortcuts.shortcuts.catalogue import strategies
from tests.faults.rig import ROOT, TORTURE, YAML, make_rig

LONG = ("--set=train.epochs=100000", "--set=run.checkpoint_seconds=0.2")


class Sweep:
    """``tests.faults.sweep`` as a process."""

    def __init__(self, folder, cache, *options):
        command = [sys.executable, "-m", "tests.faults.sweep", str(folder), str(cache), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.events = []

    def until(self, kind, **fields):
        """Read events up to one of this kind."""
        for line in self.process.stdout:
            event = json.loads(line)
            self.events.append(event)
            if event["kind"] == kind and fields.items() <= event.items():
                return event
        raise AssertionError(f"ended with {self.process.wait()} before {kind}: {self.events}")

    def until_anything(self):
        """Read the first event."""
        self.events.append(json.loads(self.process.stdout.readline()))

    def end(self):
        """Read the rest; the exit code."""
        self.events += [json.loads(line) for line in self.process.stdout]
        code = self.process.wait()
        self.process.stdout.close()
        return code

    def workers(self):
        return psutil.Process(self.process.pid).children()


@pytest.fixture
def sweep(tmp_path, cache):
    started = []

    def start(*options, folder=tmp_path):
        started.append(Sweep(folder, cache, *options))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        one.process.stdout.close()


def states(rig):
    return [state.state for state in list_runs(rig.experiment)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_fault_45_46_a_signal_saves_and_exits(sweep, tmp_path, cache, number, code):
    running = sweep(*LONG, "--set=run.checkpoint_seconds=3600", "--set=seeds=3")
    first = running.until("progress")["run"]
    running.until("progress", run="projection/1" if first == "projection/0" else "projection/0")
    workers, before = running.workers(), time.monotonic()
    running.process.send_signal(number)
    assert running.end() == code
    assert time.monotonic() - before < 10
    assert "the same command goes on from there" in running.events[-1]["text"]
    assert not any(worker.is_running() and worker.status() != "zombie" for worker in workers)
    rig = make_rig(tmp_path, cache, YAML, "train.epochs=100000", "seeds=3")
    assert states(rig) == ["interrupted", "interrupted", "planned"]
    assert any(rig.experiment.work_folder(rig.plan.runs[0].run_id).glob("checkpoint-*.json"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_fault_45_46_a_signal_saves_what_this_process_trains(sweep, tmp_path, cache, number, code):
    options = ("--set=train.epochs=20", "--set=run.checkpoint_seconds=3600", "--set=seeds=2")
    running = sweep(*options, "--jobs=0")
    running.until("progress")
    running.process.send_signal(number)
    assert running.end() == code
    assert "the others saved: the same command goes on from there" in running.events[-1]["text"]
    rig = make_rig(tmp_path, cache, YAML, "train.epochs=20", "seeds=2")
    assert states(rig) == ["interrupted", "planned"]
    assert sweep(*options, "--jobs=0").end() == 0
    assert rig.experiment.run(rig.plan.runs[0].run_id).resumed[0].step > 0
    other = tmp_path / "other"
    assert sweep(*options, "--jobs=1", folder=other).end() == 0
    assert rig.outcome() == make_rig(other, cache, YAML, "train.epochs=20", "seeds=2").outcome()


def test_fault_46_a_signal_during_an_evaluation_saves_too(sweep, tmp_path, cache):
    """An evaluation of 797 images by 110 layers, one at a time, outlasts the grace that a signal leaves."""
    slow = ["networks=[cifar-resnet-110]", "data.train_size=10", "data.test_size=797", "train.batch_size=2",
            "train.epochs=1000", "run.checkpoint_seconds=3600", "run.evaluate_every=1"]  # fmt: skip
    running = sweep("--jobs=1", *(f"--set={one}" for one in slow))
    running.until("progress")
    time.sleep(3)  # five steps take less, an evaluation more
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 143
    assert "the others saved" in running.events[-1]["text"]
    rig = make_rig(tmp_path, cache, YAML, *slow)
    assert any(rig.experiment.work_folder(rig.plan.runs[0].run_id).glob("checkpoint-*.json"))


def test_fault_45_a_second_sigint_exits_at_once_with_the_old_checkpoint_whole(sweep, tmp_path, cache):
    running = sweep(*LONG, "--jobs=1")
    running.until("progress")
    rig = make_rig(tmp_path, cache, YAML, "train.epochs=100000")
    run_id = rig.plan.runs[0].run_id
    while not any(rig.experiment.work_folder(run_id).glob("checkpoint-*.json")):
        time.sleep(0.01)
    (worker,) = running.workers()
    worker.suspend()  # so that it cannot save and the first signal alone would have to wait for it
    running.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    before = time.monotonic()
    running.process.send_signal(signal.SIGINT)
    assert running.end() != 0
    assert time.monotonic() - before < 5
    assert not worker.is_running()
    assert checkpoints.newest(rig.experiment.work_folder(run_id), run_id, pytest.fail).step > 0


@pytest.mark.parametrize("kills", [1, 5])
def test_fault_48_a_lost_run_goes_on_from_its_checkpoint_and_has_failed_after_five_losses(tmp_path, cache, kills):
    rig = make_rig(tmp_path, cache, YAML, "seeds=3", "train.epochs=400", "run.checkpoint_seconds=0.05")
    work = rig.experiment.work_folder(rig.plan.runs[0].run_id)
    warnings, failures, killed = [], [], set()

    def watch(event):
        if (
            event.kind == "progress"
            and event.run.seed == 0
            and len(killed) < kills
            and any(work.glob("checkpoint-*.json"))
        ):
            (victim,) = [child for child in psutil.Process().children() if trains(child, work)]
            killed.add(victim.pid)
            victim.kill()
        if event.kind == "warning":
            warnings.append((event.run.seed, event.text))
        if event.kind == "failed":
            failures.append((event.run.seed, event.text))

    summary = run_plan(rig.plan, rig.config, rig.dataset, rig.experiment, jobs=2, progress=watch)
    what = "worker process killed (SIGKILL: out of memory, or by hand)"
    ends = [f"{what}: resumed from its checkpoint (loss {n} of at most 5)" for n in range(1, min(kills, 4) + 1)]
    assert warnings == [(0, text) for text in ends]
    if kills < 5:
        assert (failures, len(summary.done), summary.exit_code) == ([], 3, 0)
        assert states(rig) == ["done", "done", "done"]
        run = rig.experiment.run(rig.plan.runs[0].run_id)
        assert len(run.resumed) == run.losses == kills
        assert run.resumed[0].step > 0
    else:
        assert failures == [(0, f"{what}, 5 times")]
        assert summary.failed == {rig.plan.runs[0].run_id: f"{what}, 5 times"}
        assert (len(summary.done), summary.exit_code) == (2, 1)
        assert states(rig) == ["failed", "done", "done"]


def trains(process, work):
    """Whether the process has the lock of this run open."""
    return str(work / LOCK) in {file.path for file in process.open_files()}


def test_fault_47_workers_die_with_a_killed_parent(sweep):
    running = sweep(*LONG, "--jobs=1")
    running.until("progress")
    workers = running.workers()
    running.process.kill()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def test_fault_49_out_of_memory_names_the_batch_size(server, rig):
    event = server.finish(rig, exhaust=3)[-1]
    assert (event["event"], event["reason"]) == ("failed", "out of memory at batch size 32")
    assert states(rig) == ["failed"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:126] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        RuntimeError("std::bad_alloc"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
    ids=str,
)
def test_fault_49_out_of_memory_in_all_its_spellings(error):
    assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


def test_fault_50_a_loss_that_is_not_finite_is_an_outcome(server, rig):
    event = server.finish(rig, poison=6)[-1]
    assert (event["event"], event["status"]) == ("done", "diverged")
    assert event["reason"] == "the loss is nan at step 7"
    (run,) = rig.experiment.runs()
    assert (run.status, run.test_accuracy) == ("diverged", None)
    assert [entry["epoch"] for entry in run.history()] == [1]
    kept = checkpoints.newest(rig.experiment.work_folder(run.run_id), run.run_id, pytest.fail)
    assert kept.step == 5, "the newest checkpoint is of a finite state"
    assert server.finish(rig)[-1]["event"] == "elsewhere", "and it is not tried again"


@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "SHORT"])
@pytest.mark.parametrize("call", [1, 9, 30])
def test_fault_51_52_a_full_disk_while_a_run_is_saved(server, rig, uninterrupted, error, call):
    event = server.finish(rig, fail_at=[call, error])[-1]
    assert event["event"] == "fault"
    assert not rig.experiment.runs(), "never 'saved' without a file"
    server.finish(rig)
    assert rig.outcome() == uninterrupted


def test_fault_51_a_full_disk_ends_the_sweep_with_5(tmp_path, cache):
    mount = ["mount", "-t", "tmpfs", "-o", "size=66m", "none", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    try:
        rig = make_rig(tmp_path, cache)
        (tmp_path / "filler").write_bytes(bytes(4 * 2**20))
        with pytest.raises(Exception, match="MiB free") as raised:
            run_plan(rig.plan, rig.config, rig.dataset, rig.experiment, jobs=1)
        assert raised.value.exit_code == 5
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_fault_53_no_gpu_where_one_was_asked_for():
    if gpus.driver_present():
        pytest.skip("this machine has a GPU")
    with pytest.raises(EnvironmentFault, match="'cuda' is not available") as raised:
        machine.resolve_device("cuda")
    assert raised.value.exit_code == 5


def test_fault_54_another_process_has_the_run(sweep, tmp_path, cache):
    rig = make_rig(tmp_path, cache)
    work = rig.experiment.work_folder(rig.plan.runs[0].run_id)
    lock = locks.try_lock(work / LOCK)
    assert states(rig) == ["running"]
    running = sweep("--no-wait")
    assert running.end() == 75
    assert "being trained by another process" in running.events[-1]["text"]
    waiting = sweep()
    waiting.until("waiting")
    time.sleep(0.3)
    assert waiting.process.poll() is None
    lock.release()
    assert waiting.end() == 0, "and takes it up when it is dropped"
    assert states(rig) == ["done"]


def test_fault_55_a_claim_of_a_dead_process_is_taken_over(server, rig, uninterrupted):
    child = server.start(rig, slow=0.05)
    child.wait_for("ready")
    while states(rig) != ["running"]:
        time.sleep(0.005)
    assert server.finish(rig)[-1]["event"] == "busy", "a live claim is not"
    child.kill()
    child.wait()
    assert states(rig) == ["interrupted"]
    server.finish(rig)
    assert rig.outcome() == uninterrupted


@pytest.fixture(scope="module")
def serial(server, cache, tmp_path_factory):
    """The outcomes of a sweep of six runs, one after the other in one process."""
    rig = make_rig(tmp_path_factory.mktemp("serial"), cache, YAML, "seeds=6")
    for number in range(6):
        server.finish(rig, number)
    return [rig.outcome(number) for number in range(6)]


@pytest.mark.parametrize(("round_", "count"), list(enumerate([2, 4, 8, 2, 4] * TORTURE)))
def test_fault_54_processes_share_a_folder_and_one_is_killed(sweep, tmp_path, cache, serial, round_, count):
    draw = random.Random(round_)
    sweeps = [sweep("--set=seeds=6", "--jobs=1") for _ in range(count)]
    victim = draw.choice(sweeps)
    victim.until_anything()
    time.sleep(draw.random())
    os.kill(victim.process.pid, signal.SIGKILL)
    codes = [one.end() for one in sweeps if one is not victim]
    assert codes == [0] * (count - 1), [one.events[-1:] for one in sweeps]
    rig = make_rig(tmp_path, cache, YAML, "seeds=6")
    assert states(rig) == ["done"] * 6
    assert [rig.outcome(number) for number in range(6)] == serial
    trained = [event["run"] for one in sweeps for event in one.events if event["kind"] == "done"]
    assert len(trained) == len(set(trained)), "each run trained once"


def test_the_same_seed_twice_in_fresh_processes_gives_equal_bits_with_every_strategy(sweep, tmp_path, cache):
    """Once by one worker after another run, once by two side by side: neither the process nor the order counts."""
    every = f"shortcuts=[{', '.join(strategy.name for strategy in strategies())}]"
    outcomes = []
    for jobs in (1, 2):
        folder = tmp_path / str(jobs)
        assert sweep(f"--set={every}", "--set=train.epochs=1", f"--jobs={jobs}", folder=folder).end() == 0
        rig = make_rig(folder, cache, YAML, every, "train.epochs=1")
        outcomes.append([rig.outcome(number) for number in range(len(rig.plan.runs))])
    assert len(outcomes[0]) == len(strategies()) > 30
    assert outcomes[0] == outcomes[1]


def test_a_run_that_is_damaged_is_trained_again_by_the_next_sweep(sweep, tmp_path, cache):
    assert sweep().end() == 0
    rig = make_rig(tmp_path, cache)
    durable.remove(rig.experiment.run_folder(rig.plan.runs[0].run_id) / "history.json")
    assert states(rig) == ["damaged"]
    again = sweep()
    assert again.end() == 0
    assert "trained again" in again.events[0]["text"]
    assert states(rig) == ["done"]
