"""The store without torch: what is published, listed, pruned, and what is not touched."""

import fcntl
import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest

from resnet_shortcuts import hashing, locks
from resnet_shortcuts.config.experiment_config import load_config
from resnet_shortcuts.errors import IntegrityError, UsageError
from resnet_shortcuts.experiments import checkpoints, sealed_files
from resnet_shortcuts.experiments.plan import make_plan
from resnet_shortcuts.experiments.run_record import RunRecord
from resnet_shortcuts.experiments.run_states import list_runs, prunable, prune
from resnet_shortcuts.experiments.store import (
    HISTORY,
    LOCK,
    PREDICTIONS,
    Experiment,
    experiment_names,
    pack_predictions,
)

YAML = """
name: stored
data: {source: digits}
networks: [cifar-resnet-8]
shortcuts: [plain, A, B]
seeds: 2
train: {epochs: 1}
"""


@pytest.fixture
def experiment(tmp_path):
    (tmp_path / "config.yaml").write_text(YAML)
    config = load_config(tmp_path / "config.yaml")
    return Experiment.create(tmp_path / "results", config, make_plan(config, {"content": "0"}, "fp32"))


def store(experiment, number, **changes):
    """Publish a made-up result for one run of the plan."""
    planned = experiment.plan().runs[number]
    record = {
        "run_id": planned.run_id,
        "science": planned.science,
        "labels": {"network": planned.network, "shortcut": planned.shortcut, "seed": planned.seed},
        "status": "done",
        "reason": "",
        "test_accuracy": 50.0,
        "train_error": 10.0,
        "environment": {"threads": 1},
        "elapsed_seconds": 1.0,
    }
    files = {HISTORY: json.dumps([{"epoch": 1}]).encode()}
    files[PREDICTIONS] = pack_predictions(np.array([1, 2, 3, 4]), np.array([1, 2, 0, 0]))
    published = experiment.publish(RunRecord.model_validate({**record, **changes}), files)
    assert published or changes.get("test_accuracy") == 99.0
    return planned.run_id


def note_failure(experiment, run_id, reason):
    labels = {"network": "cifar-resnet-8", "shortcut": "plain", "seed": 0}
    record = {"run_id": run_id, "science": {}, "labels": labels, "status": "failed", "reason": reason}
    experiment.note_failure(RunRecord.model_validate(record))


def test_a_stored_run_reads_back(experiment):
    run = experiment.run(store(experiment, 1))
    assert (run.network, run.shortcut, run.seed) == ("cifar-resnet-8", "stride-pad", 0)
    assert (run.status, run.test_accuracy, run.train_error) == ("done", 50.0, 10.0)
    assert run.history() == [{"epoch": 1}]
    assert run.predictions().tolist() == [1, 2, 3, 4]
    assert run.labels_correct().tolist() == [True, True, False, False]
    assert experiment.runs() == [run]


def test_a_finished_run_is_never_replaced(experiment):
    run_id = store(experiment, 0)
    before = {path: path.read_bytes() for path in experiment.run_folder(run_id).iterdir()}
    assert store(experiment, 0, test_accuracy=99.0) == run_id, "it counts as done"
    assert {path: path.read_bytes() for path in experiment.run_folder(run_id).iterdir()} == before


def test_every_state_is_listed(experiment):
    ids = [run.run_id for run in experiment.plan().runs]
    store(experiment, 0)
    store(experiment, 1, status="diverged", reason="the loss is nan at step 7", test_accuracy=None)
    (experiment.run_folder(ids[2])).mkdir(parents=True)
    lock = locks.try_lock(experiment.work_folder(ids[3]) / LOCK)
    note_failure(experiment, ids[4], "out of memory")
    states = list_runs(experiment)
    assert [state.state for state in states] == ["done", "diverged", "damaged", "running", "failed", "planned"]
    assert states[4].reason == "out of memory"
    lock.release()
    assert list_runs(experiment)[3].state == "interrupted"


@pytest.mark.parametrize("tried", [False, True])
def test_a_run_whose_checkpoints_are_all_damaged_is_damaged_until_it_is_pruned(experiment, tried):
    run_id = experiment.plan().runs[0].run_id
    work = experiment.work_folder(run_id)
    for step in (1, 2):
        progress = json.dumps({"format": 1, "step": step, "epoch": 0}).encode()
        checkpoints.save(work, run_id, {"state.safetensors": b"tensors", "progress.json": progress}, {})
    if tried:
        note_failure(experiment, run_id, "damaged file")
    newest, older = sorted(work.glob("*.safetensors"), reverse=True)
    newest.write_bytes(b"tensorz")
    assert list_runs(experiment)[0].state == ("failed" if tried else "interrupted"), "one is still good"
    older.write_bytes(b"tensorz")
    state = list_runs(experiment)[0]
    assert state.state == "damaged"
    assert str(newest) in state.reason
    assert "'rsc runs --prune' deletes them" in state.reason
    assert prune(experiment) == [work]
    assert list_runs(experiment)[0].state == "planned"


def test_runs_that_the_plan_does_not_name_are_left_over(experiment, tmp_path):
    store(experiment, 5)
    (tmp_path / "config.yaml").write_text(YAML.replace("seeds: 2", "seeds: 1"))
    config = load_config(tmp_path / "config.yaml")
    smaller = Experiment.create(tmp_path / "results", config, make_plan(config, {"content": "0"}, "fp32"))
    assert len(smaller.left_over()) == 1
    assert smaller.runs() == []
    assert list_runs(smaller)[-1].state == "left over"


def test_prune_removes_what_is_neither_finished_nor_running(experiment):
    ids = [run.run_id for run in experiment.plan().runs]
    store(experiment, 0)
    running = locks.try_lock(experiment.work_folder(ids[1]) / LOCK)
    progress = json.dumps({"format": 1, "step": 1, "epoch": 0}).encode()
    experiment.work_folder(ids[2]).mkdir()
    state = {"state.safetensors": b"x", "progress.json": progress}
    checkpoints.save(experiment.work_folder(ids[2]), ids[2], state, {})
    assert prunable(experiment) == [experiment.work_folder(ids[2])]
    assert prune(experiment) == [experiment.work_folder(ids[2])]
    assert [state.state for state in list_runs(experiment)][:3] == ["done", "running", "planned"]
    running.release()


def test_a_name_that_is_not_there_suggests_the_nearest(experiment):
    with pytest.raises(UsageError, match="did you mean 'stored'"):
        Experiment.open(experiment.results, "storred")
    with pytest.raises(UsageError, match="nothing is stored yet"):
        Experiment.newest(experiment.results / "elsewhere")


def test_nested_experiments_are_found_and_the_newest_is_the_last_planned(experiment, tmp_path):
    nested = experiment.results / "reference" / "machine" / "stored"
    nested.mkdir(parents=True)
    (nested / "plan.json").write_bytes((experiment.folder / "plan.json").read_bytes())
    assert experiment_names(experiment.results) == ["reference/machine/stored", "stored"]
    later = time.time_ns() + 10**9
    import os

    os.utime(nested / "plan.json", ns=(later, later))
    assert Experiment.newest(experiment.results).folder == nested


def test_the_same_config_again_writes_nothing(experiment, tmp_path):
    before = (experiment.folder / "plan.json").stat().st_mtime_ns
    config = load_config(tmp_path / "config.yaml")
    Experiment.create(tmp_path / "results", config, make_plan(config, {"content": "0"}, "fp32"))
    assert (experiment.folder / "plan.json").stat().st_mtime_ns == before


def test_a_damaged_plan_is_an_integrity_error(experiment):
    plan = experiment.folder / "plan.json"
    for data, reason in (
        (b'{"format": 1}', "something is missing"),
        (b"\xff", "not text"),
        (plan.read_bytes().replace(b"plain", b"plein", 1), "its hash does not fit its content"),
    ):
        plan.write_bytes(data)
        with pytest.raises(
            IntegrityError, match=re.escape(f"damaged or edited plan ({reason}): {plan}: the same 'rsc train'")
        ):
            experiment.runs()


def test_a_folder_in_place_of_the_plan_is_a_damaged_plan(experiment):
    (experiment.folder / "plan.json").unlink()
    (experiment.folder / "plan.json").mkdir()
    for opened in (Experiment.open(experiment.results, "stored"), Experiment.newest(experiment.results)):
        with pytest.raises(
            IntegrityError, match=r"damaged plan \(a folder has its name\): .*plan.json: remove the folder"
        ):
            opened.plan()


def test_a_plan_of_before_there_were_seals_is_sealed_by_the_next_train(experiment, tmp_path):
    path = experiment.folder / "plan.json"
    plan, sealed = experiment.plan(), path.read_bytes()
    runs = [
        {"run_id": run.run_id, "network": run.network, "shortcut": run.shortcut, "seed": run.seed}
        | {"science": run.science}
        for run in plan.runs
    ]
    document = {"format": 1, "name": plan.name, "precision": plan.precision, "runs": runs}
    path.write_text(json.dumps(document, indent=1, sort_keys=True))
    assert experiment.plan().runs == plan.runs
    Experiment.create(tmp_path / "results", load_config(tmp_path / "config.yaml"), plan)
    assert path.read_bytes() == sealed


def test_fault_55_a_lock_dies_with_its_process_and_only_then(tmp_path):
    code = (
        "import sys; from pathlib import Path; from resnet_shortcuts.locks import try_lock\n"
        "lock = try_lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    path = tmp_path / "deep" / "lock"
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout.readline() == "held\n"
    assert locks.is_held(path)
    assert locks.try_lock(path) is None
    assert re.fullmatch(rf"process {owner.pid} on \S+, since \d\d:\d\d:\d\d on [\d-]+", locks.holder(path))
    owner.kill()
    owner.communicate()
    assert path.exists(), "a file that a dead process left is no claim"
    assert not locks.is_held(path)
    lock = locks.try_lock(path)
    assert locks.is_held(path)
    path.unlink()
    lock.release()
    assert not locks.is_held(path)


def test_a_lock_on_a_file_that_is_gone_guards_nothing(tmp_path, monkeypatch):
    """Between our open and our lock the owner removed the file and a third made it anew: ours must be the new one."""
    path = tmp_path / "lock"
    real, removed = fcntl.flock, []

    def racing(descriptor, how):
        if not removed:
            removed.append(path.unlink())
            path.touch()
        return real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", racing)
    lock = locks.try_lock(path)
    assert locks.is_held(path)
    assert locks.try_lock(path) is None
    lock.release()


def as_before(path):
    """Write a record as those of format 1 were: with the hash of its canonical spelling."""
    record = {**sealed_files.parse(path.read_bytes(), path), "format": 1}
    path.write_text(json.dumps({**record, "sha256": hashing.sha256(hashing.canonical(record))}, indent=1) + "\n")


EDITS = [("50.0", "51.0"), ("50.0", "NaN"), ("50.0", "1e999"), ('"done"', '"\\ud800"'), ('"format": ', '"format": 9')]


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("edit", [*EDITS, ('"sha256": "', '"sha256": "0'), ('"format": 3', '"format": 1')])
def test_an_edited_record_is_found(experiment, edit, older):
    path = experiment.run_folder(store(experiment, 0)) / "run.json"
    if older:
        as_before(path)
    assert experiment.runs()
    edit = ('"format": 1', '"format": 2') if older and edit[0] == '"format": 3' else edit
    head, found, tail = path.read_text().rpartition(edit[0])
    assert found
    path.write_text(f"{head}{edit[1]}{tail}")
    (error,) = experiment.damaged()
    assert error.what.startswith(("damaged or edited record (its hash does not fit)", "record of format 9"))
    assert experiment.runs() == []


def test_a_record_of_before_is_compared_as_ever(experiment):
    run_id = store(experiment, 0)
    before = experiment.run(run_id)
    as_before(before.folder / "run.json")
    after = experiment.run(run_id).verify()
    assert {**after.to_json(), "format": 3} == before.to_json()


def test_a_result_that_names_a_file_elsewhere_is_refused(experiment):
    run_id = store(experiment, 0)
    path = experiment.run_folder(run_id) / "run.json"
    record = sealed_files.parse(path.read_bytes(), path)
    record["files"]["../../../config.yaml"] = {"bytes": 1, "sha256": "0" * 64}
    path.write_bytes(sealed_files.render(record))
    assert [error.what for error in experiment.damaged()] == ["the record names a file elsewhere"]
