"""Several machines on one shared folder: what NFS, Lustre and GPFS do differently from a local disk, emulated."""

import errno
import fcntl
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_shortcuts import durable, locks, machine
from resnet_shortcuts.errors import EnvironmentFault, UsageError
from resnet_shortcuts.experiments.home import Claim, FolderHome, Superseded
from resnet_shortcuts.experiments.plan import Plan
from resnet_shortcuts.experiments.run_job import Done, Left
from resnet_shortcuts.experiments.runner import run_plan
from resnet_shortcuts.experiments.shares import Share
from resnet_shortcuts.experiments.store import LOCK, Experiment
from resnet_shortcuts.experiments.study import open_study
from resnet_shortcuts.experiments.training_session import train_run
from tests.faults.rig import ROOT, YAML, make_rig


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def rig(tmp_path, cache):
    return make_rig(tmp_path, cache)


def home_of(rig):
    events = []
    return FolderHome(rig.experiment, events.append), events


@pytest.fixture
def locks_of_one_machine(monkeypatch):
    """As on NFS with nolock or Lustre with localflock: each machine grants the lock."""
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, how: None)


def test_a_stale_not_there_trains_again_and_keeps_the_first_result(rig, monkeypatch):
    home, _ = home_of(rig)
    assert isinstance(train_run(home, rig.setup, rig.job(), lambda: False), Done)
    before = rig.outcome()
    monkeypatch.setattr(Experiment, "finished", lambda self, run_id: False)
    event = train_run(home, rig.setup, rig.job(), lambda: False)
    assert isinstance(event, Done), "published by another machine is done, not failed"
    assert rig.outcome() == before


def test_of_two_holders_of_one_lock_the_earlier_gives_the_run_up(rig, locks_of_one_machine):
    (first, events), (second, _) = home_of(rig), home_of(rig)
    run_id = rig.job().run_id
    ours, theirs = first.take(run_id), second.take(run_id)
    assert isinstance(ours, Claim)
    assert isinstance(theirs, Claim)
    with pytest.raises(Superseded):
        first.keep(ours, {}, {})
    (remark,) = events
    assert remark.once
    assert "locks do not work between the machines" in remark.text
    assert "mount it with locks" in remark.text
    first.release(run_id)
    assert isinstance(train_run(second, rig.setup, rig.job(), lambda: False), Done)


def test_a_run_that_another_machine_takes_over_ends_here_and_is_finished_once(rig, locks_of_one_machine):
    (first, _), (second, _) = home_of(rig), home_of(rig)
    run_id, taken = rig.job().run_id, []

    def stopping():
        if not taken:  # while the first machine trains, the second takes the run
            taken.append(second.take(run_id))
        return False

    assert train_run(first, rig.setup, rig.job(), stopping) == Left(run_id=run_id, event="busy")
    second.release(run_id)
    assert isinstance(train_run(second, rig.setup, rig.job(), lambda: False), Done)
    assert rig.experiment.intact(run_id)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_ends_the_sweep_with_one_line_and_the_remedy(rig, monkeypatch, number):
    def without(descriptor, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", without)
    with pytest.raises(EnvironmentFault, match=r"this file system has no locks .* mount this one with locks"):
        run_plan(rig.plan, rig.config, rig.dataset, rig.experiment, jobs=0)


def test_a_stale_handle_of_a_lock_file_is_opened_again(tmp_path, monkeypatch):
    real, calls = os.open, []
    locks.try_lock(tmp_path / LOCK).release()

    def stale_once(path, *arguments, **named):
        if str(path).endswith(LOCK) and not calls:
            calls.append(path)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "open", stale_once)
    assert not locks.is_held(tmp_path / LOCK)
    calls.clear()
    lock = locks.try_lock(tmp_path / LOCK)
    assert lock is not None
    assert calls
    lock.release()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"host": 1}', b"\xff" * 2000])
def test_a_lock_without_a_readable_owner_is_respected(tmp_path, content):
    path = tmp_path / LOCK
    lock = locks.try_lock(path)
    assert re.fullmatch(rf"process {os.getpid()} on {re.escape(socket.gethostname())}, since .*", locks.holder(path))
    path.write_bytes(content)
    assert locks.is_held(path)
    assert locks.try_lock(path) is None
    assert locks.holder(path) == "another process"
    lock.release()


def test_equal_pids_on_two_hosts_never_share_or_delete_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 2**22 + 7)  # alive nowhere
    target, names = tmp_path / "run.json", {}
    for host in ("a", "b"):
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        names[host] = durable.temporary_beside(target)
        names[host].write_bytes(b"half")
    assert names["a"].name != names["b"].name
    durable.sweep(tmp_path)
    assert names["a"].exists(), "of another host, whose processes are not known here"
    assert not names["b"].exists(), "of a process of this host that has ended"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_stored_plan_fixes_what_precision_auto_means(tmp_path, rig, monkeypatch, precision):
    config = rig.config.model_copy(update={"run": rig.config.run.model_copy(update={"precision": "auto"})})
    monkeypatch.setattr(machine, "bf16_supported", lambda device: precision == "bf16")
    first = open_study(config, None)
    assert first.precision == precision
    stored = Experiment.create(tmp_path / "other", config, first.plan)
    monkeypatch.setattr(machine, "bf16_supported", lambda device: precision != "bf16")
    second = open_study(config, None, stored=stored)
    assert second.plan.rows == first.plan.rows, "an unlike machine plans the same runs"
    assert (second.warning is not None) == (precision == "bf16"), "and says where its hardware is not made for them"


def test_shares_are_disjoint_and_together_the_plan(tmp_path, cache):
    plan = make_rig(tmp_path, cache, YAML, "seeds=7").plan
    shares = [Share(number, 3).of(plan) for number in (1, 2, 3)]
    assert [len(share.runs) for share in shares] == [3, 2, 2]
    assert sorted(row for share in shares for row in share.rows) == sorted(plan.rows)
    assert all(isinstance(share, Plan) and share.shared == plan.shared for share in shares)
    assert Share(9, 9).of(plan).rows == []


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "1/0", "-1/4", "a/b", "1/4/2", "1.0/2"])
def test_what_is_not_a_share_is_refused(text):
    with pytest.raises(UsageError, match="I from 1 to N"):
        Share.parse(text)


def test_processes_that_share_a_folder_measure_costs_once_on_like_hardware(tmp_path, cache):
    """And a share measures none, and writes no table."""
    config = tmp_path / "config.yaml"
    config.write_text(YAML.replace("seeds: 1", "seeds: 2") + "cost: {seconds: 1}\n")
    environment = {**os.environ, "RSC_CACHE": str(cache), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def start(*arguments):
        command = [sys.executable, "-m", "resnet_shortcuts.cli", "train", "--config", str(config), "--jobs", "1"]
        return subprocess.Popen(
            [*command, *arguments], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
        )

    share = start("--only", "1/2", "--no-cost")
    _, said = share.communicate(timeout=200)
    assert share.returncode == 0, said
    assert "share 1 of 2: 1 run finished; when every share is: rsc compare tiny" in said
    folder = tmp_path / "results" / "tiny"
    assert len(list((folder / "runs").iterdir())) == 1
    assert not list(folder.glob("table.*"))
    assert not list(folder.glob("cost/*.json"))
    both = [start(), start()]
    said = [process.communicate(timeout=200)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert "".join(said).count("measuring costs with nothing else running") == 1
    assert len(list(Path(folder / "cost").glob("*.json"))) == 1
