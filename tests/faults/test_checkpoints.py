"""Damaged checkpoints and results: all found, none passes for good, the previous one is used. Faults 33 to 44."""

import json
import pickle
import random
import struct

import pytest

from resnet_shortcuts import durable
from resnet_shortcuts.errors import IntegrityError
from resnet_shortcuts.experiments import checkpoints, sealed_files
from resnet_shortcuts.experiments.run_states import list_runs
from resnet_shortcuts.experiments.store import FAILED, HISTORY, PREDICTIONS, RUN
from tests.disk import Disk
from tests.faults.faulty_os import Recorder
from tests.faults.rig import TORTURE, YAML, make_rig

RUN_ID = "0123456789abcdef"


def state(step):
    """A state with tensors of 1.5 kB; what is in them does not matter here."""
    header = json.dumps({"model.w": {"dtype": "F32", "shape": [384], "data_offsets": [0, 1536]}}).encode()
    tensors = struct.pack("<Q", len(header)) + header + random.Random(step).randbytes(1536)
    progress = {"format": 1, "step": step, "epoch": 0, "history": [{"epoch": 1, "train_loss": 0.1 + step}]}
    return {"state.safetensors": tensors, "progress.json": json.dumps(progress).encode()}


@pytest.fixture
def two(tmp_path):
    """A folder with the checkpoints of steps 10 and 20."""
    for step in (10, 20):
        checkpoints.save(tmp_path, RUN_ID, state(step), {"environment": {"threads": 1}})
    return tmp_path


def step_used(folder):
    """The step that a resume would go on from, and whether it was warned of something."""
    warnings = []
    found = checkpoints.newest(folder, RUN_ID, warnings.append)
    return found.step, bool(warnings)


def newest_files(folder):
    manifest = sorted(folder.glob("*.json"))[-1]
    return manifest, manifest.with_suffix(".safetensors")


def test_the_newest_is_used_and_reads_back_whole(two):
    found = checkpoints.newest(two, RUN_ID, pytest.fail)
    assert found.step == 20
    assert found.state["state.safetensors"] == state(20)["state.safetensors"]
    assert json.loads(found.state["progress.json"]) == json.loads(state(20)["progress.json"])


def test_fault_33_truncated_at_any_byte(two, record_property):
    manifest, tensors = newest_files(two)
    cases = [(manifest, cut) for cut in range(len(manifest.read_bytes()))]
    size = len(tensors.read_bytes())
    cases += [(tensors, cut) for cut in sorted({*range(0, size, 512), 1, size - 1})]
    for path, cut in cases:
        whole = path.read_bytes()
        path.write_bytes(whole[:cut])
        assert step_used(two) == (10, True), (path.name, cut)
        path.write_bytes(whole)
    record_property("truncations", len(cases))


def test_fault_34_a_flipped_bit_anywhere(two, record_property):
    draw = random.Random(34)
    files = newest_files(two)
    for _ in range(500 * TORTURE):
        path = draw.choice(files)
        whole = path.read_bytes()
        place, bit = draw.randrange(len(whole)), draw.randrange(8)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << bit)]) + whole[place + 1 :])
        used, warned = step_used(two)
        harmless = path.suffix == ".json" and used == 20 and _same_record(path.read_bytes(), whole)
        assert harmless or (used == 10 and warned), (path.name, place, bit)
        path.write_bytes(whole)
    record_property("bit flips", 500 * TORTURE)


def _same_record(one, other):
    """A flip among the white space of the JSON (or of the case of an escape) changes nothing that is read."""
    return json.loads(one) == json.loads(other)


def test_fault_35_a_manifest_without_data_and_data_without_a_manifest(two):
    manifest, tensors = newest_files(two)
    data = tensors.read_bytes()
    tensors.unlink()
    assert step_used(two) == (10, True)
    tensors.write_bytes(data)
    manifest.unlink()
    assert step_used(two) == (10, False), "a write that was cut short is no damage"


def test_crash_states_of_a_checkpoint_are_the_old_or_the_new(two, tmp_path_factory, monkeypatch, record_property):
    """A power cut at any moment of saving step 30: a resume finds step 20 or 30, whole, and nothing to complain of."""
    disk, found = Disk(two), set()

    def look():
        for number, files in enumerate(disk.after_a_cut()):
            folder = tmp_path_factory.mktemp(f"cut{number}")
            for name, data in files.items():
                (folder / name).write_bytes(data)
            found.add(checkpoints.newest(folder, RUN_ID, pytest.fail).step)
            counted.append(number)
            durable.discard(folder)

    class Replaying(Recorder):
        def after(self, name, arguments, result):
            disk.replay(name, arguments, result)
            look()

    counted = []
    with monkeypatch.context() as patch:
        patch.setattr(durable, "os", Replaying())
        checkpoints.save(two, RUN_ID, state(30), {})
    assert found == {20, 30}
    assert {checkpoint.name[:23] for checkpoint in two.iterdir()} == {f"checkpoint-{n:012d}" for n in (20, 30)}
    record_property("crash states", len(counted))


def test_data_without_any_manifest_is_no_checkpoint(two):
    for manifest in two.glob("*.json"):
        manifest.unlink()
    assert checkpoints.newest(two, RUN_ID, pytest.fail) is None


def test_no_good_checkpoint_left_is_an_integrity_error(two):
    for path in two.glob("*.safetensors"):
        path.write_bytes(b"")
    with pytest.raises(IntegrityError, match="no checkpoint of this run is good"):
        checkpoints.newest(two, RUN_ID, pytest.fail)


class Bomb:
    def __reduce__(self):
        return (open, ("exploded", "w"))


def test_fault_36_a_pickle_where_a_checkpoint_belongs(two, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in newest_files(two):
        whole = path.read_bytes()
        path.write_bytes(pickle.dumps(Bomb()))
        assert step_used(two) == (10, True)
        path.write_bytes(whole)
    assert not (tmp_path / "exploded").exists()


def test_fault_36_a_pickle_with_a_fitting_manifest_is_refused_by_the_session(server, rig, tmp_path):
    run_id = rig.plan.runs[0].run_id
    work = rig.experiment.work_folder(run_id)
    work.mkdir(parents=True)
    bad = {**state(10), "state.safetensors": pickle.dumps(Bomb())}
    bad["progress.json"] = json.dumps({"format": 1, "step": 2, "epoch": 0}).encode()
    checkpoints.save(work, run_id, bad, {})
    event = server.finish(rig)[-1]
    assert (event["event"], event["damaged"]) == ("failed", True)
    assert "not a checkpoint: state.safetensors" in event["reason"]


def test_fault_37_another_networks_checkpoint_names_the_first_tensor(server, tmp_path, cache):
    wide = make_rig(tmp_path / "wide", cache, YAML.replace("width: 8", "width: 16"))
    narrow = make_rig(tmp_path / "narrow", cache)
    server.start(wide, crash=3).wait()
    there = wide.experiment.work_folder(wide.plan.runs[0].run_id)
    found = checkpoints.newest(there, wide.plan.runs[0].run_id, pytest.fail)
    run_id = narrow.plan.runs[0].run_id
    here = narrow.experiment.work_folder(run_id)
    durable.make_folder(here)
    checkpoints.save(here, run_id, found.state, {})
    event = server.finish(narrow)[-1]
    assert (event["event"], event["damaged"]) == ("failed", True)
    assert "first tensor that differs: model.conv1.weight ((16, 1, 3, 3)" in event["reason"]


def test_fault_37_another_runs_checkpoint(two):
    with pytest.raises(IntegrityError, match="checkpoint of another run"):
        checkpoints.newest(two, "f" * 16, pytest.fail)


def test_fault_38_a_shape_larger_than_the_file(server, rig):
    run_id = rig.plan.runs[0].run_id
    work = rig.experiment.work_folder(run_id)
    durable.make_folder(work)
    huge = {"model.w": {"dtype": "F32", "shape": [2**50], "data_offsets": [0, 2**52]}}
    header = json.dumps(huge).encode()
    bad = {**state(10), "state.safetensors": struct.pack("<Q", len(header)) + header + bytes(64)}
    bad["progress.json"] = json.dumps({"format": 1, "step": 2, "epoch": 0}).encode()
    checkpoints.save(work, run_id, bad, {})
    event = server.finish(rig)[-1]
    assert (event["event"], event["damaged"]) == ("failed", True)


def test_fault_39_a_newer_format_says_what_reads_it(two):
    for manifest in two.glob("*.json"):
        record = sealed_files.parse(manifest.read_bytes(), manifest)
        manifest.write_bytes(sealed_files.render({**record, "format": 99}))
    with pytest.raises(IntegrityError, match=r"format 99 \(this version reads 3\)"):
        checkpoints.newest(two, RUN_ID, pytest.fail)


def test_fault_40_a_resume_with_another_version_is_warned_of_and_recorded(server, rig):
    server.start(rig, crash=3).wait()
    other = {**rig.setup.environment, "threads": 2, "cpu": "another"}
    events = server.finish(rig, setup={"environment": other})
    (warning,) = [event["text"] for event in events if event["event"] == "warning"]
    assert "another threads (1 before, 2 now)" in warning
    (resumed,) = rig.experiment.run(rig.plan.runs[0].run_id).resumed
    assert resumed.changed["threads"] == [1, 2]


@pytest.fixture
def finished(server, rig):
    server.finish(rig)
    return rig


def states(rig):
    return [state.state for state in list_runs(rig.experiment)]


def test_fault_41_a_half_written_result_is_damaged_and_left_out(finished):
    run_id = finished.plan.runs[0].run_id
    for name in (RUN, HISTORY, PREDICTIONS):
        path = finished.experiment.run_folder(run_id) / name
        whole = path.read_bytes()
        for damaged in (None, b"", whole[: len(whole) // 2]):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            else:
                assert not path.exists()
            assert states(finished) == ["damaged"]
            assert finished.experiment.runs() == []
            (error,) = finished.experiment.damaged()
            assert run_id in error.where
            path.write_bytes(whole)
    assert states(finished) == ["done"]


def test_fault_42_an_edited_result_is_named_and_left_out(finished):
    run_id = finished.plan.runs[0].run_id
    path = finished.experiment.run_folder(run_id) / RUN
    whole = path.read_text()
    accuracy = json.loads(whole)["test_accuracy"]
    path.write_text(whole.replace(f'"test_accuracy": {accuracy}', '"test_accuracy": 99.9'))
    assert path.read_text() != whole
    assert finished.experiment.runs() == []
    (error,) = finished.experiment.damaged()
    assert error.exit_code == 4
    assert str(path) in error.lines[0]


def test_fault_42_another_runs_result_under_this_name(finished, server, tmp_path, cache):
    other = make_rig(tmp_path / "other", cache, YAML, "seeds=[7]")
    server.finish(other)
    ours = finished.experiment.run_folder(finished.plan.runs[0].run_id)
    durable.remove(ours)
    other.experiment.run_folder(other.plan.runs[0].run_id).rename(ours)
    assert states(finished) == ["damaged"]


def test_fault_43_a_crashed_run_never_counts_as_done(server, rig, uninterrupted):
    child = server.start(rig, crash=5)
    assert child.wait() == 1
    assert child.events()[-1]["reason"] == "ZeroDivisionError: planted"
    (state,) = list_runs(rig.experiment)
    assert (state.state, state.reason) == ("failed", "ZeroDivisionError: planted")
    (run,) = rig.experiment.runs()
    assert (run.status, run.test_accuracy, run.history()) == ("failed", None, [])
    server.finish(rig)
    assert rig.outcome() == uninterrupted
    assert states(rig) == ["done"]
    assert not (rig.experiment.work_folder(rig.plan.runs[0].run_id) / FAILED).exists()


def test_fault_44_a_clock_that_jumps_backwards(server, rig, uninterrupted):
    server.finish(rig, clock=True)
    assert rig.experiment.run(rig.plan.runs[0].run_id).elapsed_seconds >= 0
    assert rig.outcome() == uninterrupted
