"""The home that other machines reach: what goes over the wire, and what an old fencing token can still do."""

import json
import os

import pytest

from resnet_shortcuts.errors import EnvironmentFault, IntegrityError
from resnet_shortcuts.experiments import node
from resnet_shortcuts.experiments.fenced_home import FencedHome, HomeFault, RemoteHome
from resnet_shortcuts.experiments.home import Claim, Superseded
from resnet_shortcuts.experiments.run_job import Done, Left
from resnet_shortcuts.experiments.training_session import train_run
from tests.faults.faulty_os import FaultyOs
from tests.faults.rig import make_rig


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def rig(tmp_path, cache):
    return make_rig(tmp_path, cache)


@pytest.fixture
def shared(rig):
    return FencedHome(rig.experiment, rig.dataset)


def by_wire(shared):
    """Calls as they go over the wire: JSON, and bytes by name."""

    def call(method, about, parts):
        assert all(type(part) is bytes for part in parts.values())
        answer, sent = shared.answer(method, json.loads(json.dumps(about)), parts)
        assert all(type(part) is bytes for part in sent.values())
        return json.loads(json.dumps(answer)), sent

    return call


def worker(shared, folder):
    folder.mkdir(exist_ok=True)
    return RemoteHome(by_wire(shared), folder)


def stop_after(steps):
    left = iter(range(steps))
    return lambda: next(left, None) is None


def test_a_run_trained_through_messages_is_that_of_the_folder(rig, shared, tmp_path, cache):
    (tmp_path / "local").mkdir()
    local = make_rig(tmp_path / "local", cache)
    home = worker(FencedHome(local.experiment, local.dataset), tmp_path / "a")
    assert isinstance(train_run(home, local.setup, local.job(), lambda: False), Done)
    first = train_run(worker(shared, tmp_path / "b"), rig.setup, rig.job(), stop_after(5))
    assert first == Left(run_id=rig.job().run_id, event="stopped")
    assert isinstance(train_run(worker(shared, tmp_path / "c"), rig.setup, rig.job(), lambda: False), Done)
    assert rig.outcome() == local.outcome()
    assert [resume.step for resume in rig.experiment.run(rig.job().run_id).resumed] != []
    assert worker(shared, tmp_path / "d").take(rig.job().run_id) == Left(run_id=rig.job().run_id, event="elsewhere")


def test_a_worker_that_was_given_up_cannot_overwrite_the_one_that_went_on(rig, shared, tmp_path):
    run_id = rig.job().run_id
    cut_off, next_one = worker(shared, tmp_path / "a"), worker(shared, tmp_path / "b")
    old = cut_off.take(run_id)
    shared.abandon(run_id)
    new = next_one.take(run_id)
    assert isinstance(old, Claim)
    assert isinstance(new, Claim)
    assert new.token == old.token + 1
    record = rig.job().record("diverged", "planted")
    for call in (lambda: cut_off.keep(old, {}, {}), lambda: cut_off.publish(old, record, {})):
        with pytest.raises(Superseded):
            call()
    with pytest.raises(Superseded):
        cut_off.fail(rig.job(), "it thinks that it failed")
    cut_off.release(run_id)
    assert rig.experiment.failure(run_id) is None
    assert not rig.experiment.finished(run_id)
    assert shared.answer("keep", {"run_id": run_id, "token": 1, "about": {}}, {})[0] == {"superseded": True}
    next_one.publish(new, record, {})
    assert rig.experiment.run(run_id).status == "diverged"


def test_a_worker_that_comes_back_in_the_middle_of_a_run_stops_and_the_result_is_the_others(rig, shared, tmp_path):
    taken = []

    def given_up():
        if not taken:
            taken.append(shared.abandon(rig.job().run_id))
            assert isinstance(worker(shared, tmp_path / "b").take(rig.job().run_id), Claim)
        return False

    event = train_run(worker(shared, tmp_path / "a"), rig.setup, rig.job(), given_up)
    assert event == Left(run_id=rig.job().run_id, event="busy")
    shared.abandon(rig.job().run_id)
    assert isinstance(train_run(worker(shared, tmp_path / "c"), rig.setup, rig.job(), lambda: False), Done)


def test_a_full_disk_at_home_is_not_a_fault_of_the_node(rig, shared, tmp_path, monkeypatch):

    from resnet_shortcuts import durable

    home = worker(shared, tmp_path / "a")
    claim = home.take(rig.job().run_id)
    monkeypatch.setattr(durable, "os", FaultyOs(1, "ENOSPC"))
    with pytest.raises(HomeFault, match="no space left to write"):
        home.publish(claim, rig.job().record("diverged", "planted"), {"history.json": b"[]"})


def test_damaged_checkpoints_are_named_by_the_worker(rig, shared, tmp_path):
    train_run(worker(shared, tmp_path / "a"), rig.setup, rig.job(), stop_after(3))
    for path in rig.experiment.work_folder(rig.job().run_id).glob("checkpoint-*"):
        path.write_bytes(b"")
    with pytest.raises(IntegrityError, match="no checkpoint of this run is good"):
        worker(shared, tmp_path / "b").take(rig.job().run_id)


def test_stop_reaches_a_worker_with_its_next_report(shared, tmp_path):
    home = worker(shared, tmp_path / "a")
    assert not home.look()
    shared.stop()
    assert home.look()


@pytest.fixture
def train_on_node(rig, shared, tmp_path, monkeypatch):
    monkeypatch.setenv("RSC_CACHE", str(tmp_path / "node-cache"))
    monkeypatch.setattr(node, "_folders", {})

    def train(**changes):
        setup = rig.setup.model_copy(update=changes).model_dump_json()
        return json.loads(node.train(setup, rig.job().model_dump_json(), by_wire(shared)))

    return train


def test_a_node_with_other_code_gets_no_result(rig, train_on_node):
    event = train_on_node(code=rig.setup.code.model_copy(update={"source_sha256": "0" * 64}))
    assert event["event"] == "sick"
    assert "another resnet-shortcuts is installed here" in event["reason"]
    assert "install the same version on every machine" in event["reason"]
    assert not rig.experiment.finished(rig.job().run_id)


def test_a_node_without_the_data_gets_them_from_home_and_checks_them(rig, shared, train_on_node, tmp_path, monkeypatch):
    def nothing(*arguments, **named):
        raise EnvironmentFault("no data here")

    from resnet_shortcuts.data import prepare
    from resnet_shortcuts.experiments import fenced_home

    monkeypatch.setattr(prepare, "prepare", nothing)
    monkeypatch.setattr(fenced_home, "CHUNK", 10_000)
    event = train_on_node(dataset=tmp_path / "elsewhere")
    assert event["event"] == "done", event
    (fetched,) = (tmp_path / "node-cache" / "data").glob("fetched-*")
    for path in rig.dataset.glob("*.npy"):
        assert (fetched / path.name).read_bytes() == path.read_bytes()
    assert os.path.exists(fetched / "manifest.json")  # noqa: PTH110


def test_data_that_do_not_arrive_whole_are_not_trained_on(rig, shared, train_on_node, tmp_path, monkeypatch):
    from resnet_shortcuts.data import prepare

    def nothing(*arguments, **named):
        raise EnvironmentFault("no data here")

    monkeypatch.setattr(prepare, "prepare", nothing)
    real = shared._data

    def flipped(parts, name, offset):
        about, sent = real(parts, name, offset)
        if name.endswith("test.images.npy"):
            sent = {"data": sent["data"][:-1] + bytes([sent["data"][-1] ^ 1])}
        return about, sent

    monkeypatch.setattr(shared, "_data", flipped)
    event = train_on_node(dataset=tmp_path / "elsewhere")
    assert event["event"] == "sick"
    assert "did not arrive whole" in event["reason"]
    assert not list((tmp_path / "node-cache" / "data").glob("fetched-*"))
