"""Results folders that came from elsewhere: newer versions, links, devices, ill-formed files, other users."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from resnet_shortcuts import durable, locks
from resnet_shortcuts.analysis.reading import read_experiment
from resnet_shortcuts.errors import EnvironmentFault, IntegrityError, RscError, UsageError
from resnet_shortcuts.experiments import checkpoints, sealed_files
from resnet_shortcuts.experiments.run_states import list_runs, prunable, prune
from resnet_shortcuts.experiments.runner import run_plan
from resnet_shortcuts.experiments.sealed_files import NewerFormatError
from resnet_shortcuts.experiments.store import LOCK, LOG, Experiment, read_costs
from tests.experiments.test_store import experiment, store  # noqa: F401 (a fixture)
from tests.faults.rig import ROOT, make_rig

UPGRADE = r"of format 4 \(this version reads \d\): .*: upgrade resnet-shortcuts"


def as_newer(path):
    """Give a sealed file the next format number, a key of that format and a seal that fits."""
    document = json.loads(path.read_bytes())
    del document["sha256"]
    path.write_bytes(sealed_files.render({**document, "format": 4, "telemetry": {"energy": 1}}))
    return path.read_bytes()


def contents(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return {path: path.read_bytes() for path in files if path.name != ".lock"}


# --- newer formats ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_a_run_of_a_newer_version_is_left_alone_by_train_and_named_by_runs_and_compare(tmp_path, cache):
    rig = make_rig(tmp_path, cache)
    run_id = store(rig.experiment, 0)
    written = as_newer(rig.experiment.run_folder(run_id) / "run.json")
    before = contents(rig.experiment.folder)
    with pytest.raises(NewerFormatError, match=UPGRADE):
        run_plan(rig.plan, rig.config, rig.dataset, rig.experiment, jobs=1)
    (state,) = list_runs(rig.experiment)
    assert state.state == "newer"
    assert "upgrade resnet-shortcuts" in state.reason
    record = read_experiment(rig.experiment)
    assert (list(record.runs), len(record.damaged)) == ([], 1)
    assert "upgrade resnet-shortcuts" in record.damaged[0]
    assert contents(rig.experiment.folder) == before
    assert (rig.experiment.run_folder(run_id) / "run.json").read_bytes() == written


def test_a_plan_of_a_newer_version_is_left_alone(tmp_path, cache):
    rig = make_rig(tmp_path, cache)
    as_newer(rig.experiment.folder / "plan.json")
    before = contents(rig.experiment.folder)
    with pytest.raises(NewerFormatError, match=UPGRADE):
        Experiment.create(rig.experiment.results, rig.config, rig.plan)
    for reading in (list_runs, read_experiment):
        with pytest.raises(NewerFormatError, match=UPGRADE):
            reading(rig.experiment)
    assert contents(rig.experiment.folder) == before


def test_a_checkpoint_of_a_newer_version_is_neither_gone_on_from_nor_replaced_nor_pruned(experiment):  # noqa: F811
    run_id = experiment.plan().runs[0].run_id
    work = experiment.work_folder(run_id)
    for step in (1, 2):
        progress = json.dumps({"format": 1, "step": step, "epoch": 0}).encode()
        checkpoints.save(work, run_id, {"state.safetensors": b"x", "progress.json": progress}, {})
    as_newer(max(work.glob("*.json")))
    before = contents(work)
    with pytest.raises(NewerFormatError, match=UPGRADE):
        checkpoints.newest(work, run_id, pytest.fail)
    assert list_runs(experiment)[0].state == "newer"
    assert prune(experiment) == []
    assert contents(work) == before


def test_why_a_run_failed_in_a_newer_version_is_neither_deleted_nor_trained_over_nor_pruned(tmp_path, cache):
    rig = make_rig(tmp_path, cache)
    job, stored = rig.job(), rig.experiment
    stored.claim(job.run_id).release()
    stored.note_failure(job.record("failed", "planted"))
    written = as_newer(stored.work_folder(job.run_id) / "failed.json")
    summary = run_plan(rig.plan, rig.config, rig.dataset, stored, jobs=1)
    assert "upgrade resnet-shortcuts" in summary.damaged[job.run_id]
    assert summary.exit_code == 4
    (state,) = list_runs(stored)
    assert state.state == "newer"
    assert stored.runs() == []
    assert prune(stored) == []
    assert (stored.work_folder(job.run_id) / "failed.json").read_bytes() == written


def test_a_cost_report_of_a_newer_version_is_named_as_such(experiment):  # noqa: F811
    from tests.analysis.test_read import report

    path = experiment.folder / "cost" / "a.json"
    durable.write_file(path, sealed_files.render(report().model_dump(mode="json")))
    read_costs(path)
    as_newer(path)
    with pytest.raises(NewerFormatError, match=UPGRADE):
        read_costs(path)
    (error,) = read_experiment(experiment).damaged
    assert "upgrade resnet-shortcuts" in error
    path.write_bytes(sealed_files.render({**report().model_dump(mode="json"), "format": 2}))
    with pytest.raises(NewerFormatError, match="cost report of format 2"):
        read_costs(path)


def test_keys_of_a_later_version_are_kept(experiment):  # noqa: F811
    later = {"energy_joules": 7.5, "labels": {"network": "n", "shortcut": "s", "seed": 0, "cohort": 2}}
    run = experiment.run(store(experiment, 0, **later))
    assert run.to_json()["energy_joules"] == 7.5
    assert run.to_json()["labels"]["cohort"] == 2
    path = experiment.folder / "plan.json"
    document = json.loads(path.read_bytes())
    del document["sha256"]
    path.write_bytes(sealed_files.render({**document, "looks": [3, 5, 10]}))
    assert '"looks"' in experiment.plan().to_json()


# --- shapes ----------------------------------------------------------------------------------------------------------

VALUES = [
    None,
    True,
    -1,
    0,
    3,
    1.5,
    1e300,
    "",
    "x",
    "done",
    "../x",
    "\x1b[31m",
    [],
    [1],
    {},
    {"a": 1},
    [[]],
    "é" * 1000,
]


def mutated(document, draw):
    """The document with one value, at any depth, replaced or removed."""
    places = []

    def visit(value):
        if isinstance(value, dict | list):
            for key in value if isinstance(value, dict) else range(len(value)):
                places.append((value, key))
                visit(value[key])

    copy = json.loads(json.dumps(document))
    visit(copy)
    parent, key = draw.choice(places)
    if draw.random() < 0.3:
        del parent[key]
    else:
        parent[key] = draw.choice(VALUES)
    return copy


@pytest.mark.parametrize("name", ["run.json", "plan.json", "cost", "checkpoint"])
def test_sealed_records_of_any_shape_are_read_or_refused_in_one_line(experiment, name):  # noqa: F811
    run_id = store(experiment, 0)
    work = experiment.work_folder(experiment.plan().runs[1].run_id)
    progress = json.dumps({"format": 1, "step": 1, "epoch": 0}).encode()
    about = {"environment": {"cpu": "x"}, "resumed": [{"step": 1, "changed": {}}], "checkpoints": {"saved": 1}}
    checkpoints.save(work, work.name, {"state.safetensors": b"x", "progress.json": progress}, about)
    from tests.analysis.test_read import report

    durable.write_file(experiment.folder / "cost" / "a.json", sealed_files.render(report().model_dump(mode="json")))
    path = {
        "run.json": experiment.run_folder(run_id) / "run.json",
        "plan.json": experiment.folder / "plan.json",
        "cost": experiment.folder / "cost" / "a.json",
        "checkpoint": next(work.glob("*.json")),
    }[name]
    document = json.loads(path.read_bytes())
    del document["sha256"]
    draw = random.Random(name)
    accepted = 0
    for _ in range(400):
        path.write_bytes(sealed_files.render(mutated(document, draw)))
        with contextlib.suppress(IntegrityError):  # and nothing else
            states = list_runs(experiment)
            record = read_experiment(experiment)
            accepted += all(state.state not in ("damaged", "newer") for state in states) and not record.damaged
    assert 0 < accepted < 360


def test_an_ill_formed_record_names_file_and_key(experiment):  # noqa: F811
    path = experiment.run_folder(store(experiment, 0)) / "run.json"
    document = json.loads(path.read_bytes())
    del document["sha256"]
    document["labels"]["seed"] = "three"
    path.write_bytes(sealed_files.render(document))
    (error,) = experiment.damaged()
    assert error.where == str(path)
    assert "labels.seed" in error.what


def test_an_accuracy_that_is_not_that_of_the_predictions_is_found(experiment):  # noqa: F811
    store(experiment, 0, test_accuracy=75.0)
    (error,) = experiment.damaged()
    assert error.what == "the record says 75 % accuracy, its predictions have 50 %"
    assert list_runs(experiment)[0].state == "damaged"
    assert len(read_experiment(experiment).damaged) == 1


def test_an_edited_config_is_found_and_its_margin_is_not_used(experiment):  # noqa: F811
    assert read_experiment(experiment).damaged == []
    path = experiment.folder / "config.yaml"
    path.write_text(path.read_text().replace("margin: 0.2", "margin: 60.0"))
    record = read_experiment(experiment)
    assert record.margin == 0.2
    assert "it is not the one of the plan" in record.damaged[0]


# --- links, devices, pipes -------------------------------------------------------------------------------------------


@pytest.fixture
def victim(tmp_path):
    """Another's folder, whose files look like ours."""
    folder = tmp_path / "victim"
    (folder / "thesis").mkdir(parents=True)
    for name in ("lock", "log.txt", "failed.json", "checkpoint-000000000001-000000.json", "thesis/chapter.tex"):
        (folder / name).write_text(name)
    return folder


def test_a_link_in_work_is_never_followed_by_prune_or_train(experiment, victim):  # noqa: F811
    before = contents(victim)
    planned = experiment.plan().runs[0].run_id
    for name in (planned, "0123456789abcdef"):
        durable.make_folder(experiment.folder / "work")
        (experiment.folder / "work" / name).symlink_to(victim)
    assert prunable(experiment) == []
    assert prune(experiment) == []
    assert list_runs(experiment)[0].state == "planned"
    lock = experiment.claim(planned)
    assert not experiment.work_folder(planned).is_symlink()
    assert sorted(path.name for path in experiment.work_folder(planned).iterdir()) == [LOCK]
    lock.release()
    assert contents(victim) == before


def test_prune_deletes_only_what_the_tool_made(experiment, victim):  # noqa: F811
    work = experiment.folder / "work"
    for name in ("my-notes", "861e904d06ba4d0", "0123456789ABCDEF"):
        durable.write_file(work / name / LOCK, b"")
    durable.write_file(work / ("0" * 16) / "notes.md", b"mine")  # named like a run, without our files
    ours = work / ("1" * 16)
    for name in (LOCK, LOG, "checkpoint-000000000001-000000.json", "notes.md"):
        durable.write_file(ours / name, b"")
    (ours / "failed.json").symlink_to(victim / "log.txt")
    (ours / "publish").symlink_to(victim)
    others = {path: data for path, data in contents(work).items() if ours not in path.parents}
    assert prune(experiment) == [ours]
    assert {path: data for path, data in contents(work).items() if ours not in path.parents} == others
    assert [path.name for path in ours.iterdir()] == ["notes.md"]
    assert (victim / "log.txt").read_text() == "log.txt"


@pytest.mark.parametrize("kind", ["device", "pipe", "link", "folder"])
@pytest.mark.parametrize("name", ["run.json", "history.json", "plan.json", "config.yaml"])
def test_only_regular_files_are_read(experiment, tmp_path, name, kind):  # noqa: F811
    folder = experiment.run_folder(store(experiment, 0))
    path = (folder if name in ("run.json", "history.json") else experiment.folder) / name
    moved = path.rename(tmp_path / "moved")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else moved)
    reading = threading.Thread(target=lambda: answers.append(read_of(experiment)), daemon=True)
    answers: list[bool] = []
    reading.start()
    reading.join(60)
    assert answers == [True], "answered, and refused"


def read_of(experiment):  # noqa: F811
    """Whether reading this experiment names something that is wrong."""
    try:
        return bool(read_experiment(experiment).damaged)
    except IntegrityError:
        return True


def test_a_run_folder_that_is_a_link_is_no_result(experiment, tmp_path):  # noqa: F811
    folder = experiment.run_folder(store(experiment, 0))
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert list_runs(experiment)[0].state == "damaged"
    place = experiment.set_aside(folder.name)
    assert place.is_symlink()
    assert (tmp_path / "elsewhere" / "run.json").is_file()


@pytest.mark.parametrize("name", ["cost", "cost/log.txt", "damaged", "sources", ".lock"])
def test_nothing_is_written_through_a_link(tmp_path, cache, victim, name):
    rig = make_rig(tmp_path, cache)
    path, before = rig.experiment.folder / name, contents(victim)
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(victim / "log.txt" if path.suffix or name == ".lock" else victim)
    with pytest.raises(EnvironmentFault, match="a link where our own file or folder belongs"):
        Experiment.create(rig.experiment.results, rig.config, rig.plan)
    assert contents(victim) == before


def test_results_and_its_parts_may_be_links_to_another_disk(tmp_path, cache):
    disk = Path("/dev/shm") / f"resnet-shortcuts-{os.getpid()}"
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("there is no second file system to write on")
    rig = make_rig(tmp_path, cache)
    try:
        for name in ("runs", "work"):
            (disk / name).mkdir(parents=True)
            (rig.experiment.folder / name).symlink_to(disk / name)
        run_id = store(rig.experiment, 0)
        assert [state.state for state in list_runs(rig.experiment)] == ["done"]
        assert {path.name for path in (disk / "runs").iterdir()} == {run_id}
        (disk / "runs" / run_id / "run.json").write_bytes(b"")
        place = rig.experiment.set_aside(run_id)
        assert (place / "history.json").is_file()
        assert not rig.experiment.finished(run_id)
        moved = shutil.move(rig.experiment.folder, disk / "tiny")
        rig.experiment.folder.symlink_to(moved)
        (rig.experiment.results / "circle").symlink_to(rig.experiment.results)
        assert Experiment.newest(rig.experiment.results).name == "tiny"
    finally:
        shutil.rmtree(disk)


# --- other users and processes ---------------------------------------------------------------------------------------

AS_NOBODY = """
import os, sys
from pathlib import Path
from resnet_shortcuts.analysis.reading import read_experiment
from resnet_shortcuts.experiments.run_states import list_runs
from resnet_shortcuts.experiments.store import Experiment
read_experiment(Experiment.newest(Path(sys.argv[1])))  # imports what that needs
os.setgid(65534); os.setuid(65534)
experiment = Experiment.newest(Path(sys.argv[1]))
assert not os.access(experiment.folder, os.W_OK)
read_experiment(experiment)
print(*(state.state for state in list_runs(experiment)))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_reading_needs_no_permission_to_write(experiment, tmp_path):  # noqa: F811
    ids = [run.run_id for run in experiment.plan().runs]
    store(experiment, 0)
    running = experiment.claim(ids[1])
    experiment.claim(ids[2]).release()
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder.is_relative_to("/tmp/"):
            folder.chmod(0o755)
    before = contents(experiment.folder)
    command = [sys.executable, "-c", AS_NOBODY, str(experiment.results)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.split() == ["done", "running", "interrupted", "planned", "planned", "planned"], done.stderr
    assert contents(experiment.folder) == before
    running.release()


def test_who_may_write_in_a_folder_may_take_its_locks(tmp_path):
    for mode, expected in ((0o777, 0o666), (0o775, 0o664), (0o755, 0o644)):
        folder = tmp_path / oct(mode)
        folder.mkdir()
        folder.chmod(mode)
        locks.try_lock(folder / LOCK).release()
        assert (folder / LOCK).stat().st_mode & 0o777 == expected


def test_a_group_that_shares_a_folder_shares_what_is_made_in_it(tmp_path):
    tmp_path.chmod(0o2775)
    before = os.umask(0o022)
    try:
        durable.make_folder(tmp_path / "name" / "runs")
    finally:
        os.umask(before)
    assert (tmp_path / "name").stat().st_mode & 0o775 == 0o775
    assert (tmp_path / "name" / "runs").stat().st_mode & 0o775 == 0o775


def test_asking_whether_a_lock_is_held_keeps_nobody_from_taking_it(tmp_path):
    path, ended = tmp_path / LOCK, threading.Event()
    locks.try_lock(path).release()

    def ask():
        while not ended.is_set():
            locks.is_held(path)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(300):
            lock = locks.try_lock(path)
            assert lock is not None
            lock.release()
    finally:
        ended.set()
        asking.join()
    assert not locks.is_held(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("number", ["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_named_with_the_remedy(tmp_path, monkeypatch, number):
    import errno
    import fcntl

    def without(descriptor, how):
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))

    monkeypatch.setattr(fcntl, "flock", without)
    for call in (locks.try_lock, locks.is_held):
        (tmp_path / LOCK).touch()
        with pytest.raises(EnvironmentFault, match=r"this file system has no locks .* mount this one with locks"):
            call(tmp_path / LOCK)


def test_a_stale_handle_is_tried_again(tmp_path, monkeypatch):
    import errno
    import fcntl

    real, failed = fcntl.flock, []

    def stale_once(descriptor, how):
        if not failed:
            failed.append(descriptor)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", stale_once)
    lock = locks.try_lock(tmp_path / LOCK)
    assert lock is not None
    lock.release()


def test_a_run_that_another_has_published_meanwhile_is_done(experiment, monkeypatch):  # noqa: F811
    """As on a shared folder whose client still says that there is nothing."""
    run_id = store(experiment, 0)
    before = contents(experiment.run_folder(run_id))
    monkeypatch.setattr(Experiment, "finished", lambda self, run_id: False)
    store(experiment, 0, test_accuracy=99.0)
    assert contents(experiment.run_folder(run_id)) == before
    assert {path.name for path in experiment.run_folder(run_id).parent.iterdir()} == {run_id}, "nothing is left behind"
    (experiment.run_folder(run_id) / "history.json").write_bytes(b"")
    with pytest.raises(IntegrityError, match="damaged file"):
        store(experiment, 0)


def test_train_sweeps_what_dead_writers_left(tmp_path, cache):
    rig = make_rig(tmp_path, cache)
    folder = rig.experiment.folder
    code = "import sys; from pathlib import Path; from resnet_shortcuts import durable\n"
    code += "for path in sys.argv[1:]: durable.write_file(durable.temporary_beside(Path(path)) / 'half', b'')"
    places = [folder / "table.md", folder / "runs" / ("0" * 16), folder / "cost" / "a.json"]
    subprocess.run([sys.executable, "-c", code, *map(str, places)], check=True, cwd=ROOT)
    (folder / ".table.md.tmp-99999999-0").touch()
    Experiment.create(rig.experiment.results, rig.config, rig.plan)
    assert not list(folder.rglob("*.tmp-*"))


def test_a_deleted_experiment_is_created_again(experiment, tmp_path):  # noqa: F811
    from resnet_shortcuts.config.experiment_config import load_config

    plan, before = experiment.plan(), contents(experiment.folder)
    shutil.rmtree(experiment.folder)
    Experiment.create(experiment.results, load_config(tmp_path / "config.yaml"), plan)
    assert {path: before[path] for path in contents(experiment.folder) if path.suffix} == {
        path: data for path, data in before.items() if path.suffix
    }


# --- as many runs as there may be ------------------------------------------------------------------------------------


def test_100000_runs_are_planned_stored_and_read_and_more_are_refused(tmp_path):
    code = f"""
import re, sys
from pathlib import Path
from resnet_shortcuts.config.experiment_config import load_config
from resnet_shortcuts.errors import SettingError
from resnet_shortcuts.experiments.plan import make_plan, run_id
from resnet_shortcuts.experiments.run_states import list_runs
from resnet_shortcuts.experiments.store import Experiment
folder = Path({str(tmp_path)!r})
config = load_config(folder / "many.yaml")
data = {{"content": "0", "train_size": 1000, "test_size": 797, "validation": 0, "resolution": 8}}
plan = make_plan(config, data, "fp32")
experiment = Experiment.create(folder / "results", config, plan)
assert experiment.plan().runs == plan.runs
assert len({{run.run_id for run in plan.runs}}) == 100_000
for run in plan.runs[::9973]:
    assert run_id(run.science) == run.run_id
assert {{state.state for state in list_runs(experiment)}} == {{"planned"}}
try:
    make_plan(load_config(folder / "many.yaml", ["seeds=25001"]), data, "fp32")
except SettingError as error:
    print(error)
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])  # of this program alone
"""
    (tmp_path / "many.yaml").write_text(
        "data: {source: digits, train_size: 1000}\nnetworks: [cifar-resnet-8, cifar-resnet-20]\n"
        "shortcuts: [A, max-pad]\nseeds: 25000\ntrain: {epochs: 1}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    refused, kibibytes = done.stdout.splitlines()
    assert refused.startswith(
        "100,004 runs are planned (seeds x networks x shortcuts), and 100,000 are the most: seeds:"
    )
    assert int(kibibytes) < 400 * 1024
    assert (tmp_path / "results" / "many" / "plan.json").stat().st_size < sealed_files.LARGEST_RECORD / 4


def test_what_is_written_can_be_read(tmp_path):
    with pytest.raises(UsageError, match="are the most that can be stored"):
        sealed_files.render({"name": "x" * sealed_files.LARGEST_RECORD})
    path = tmp_path / "large.json"
    path.write_bytes(b" " * (sealed_files.LARGEST_RECORD + 1))
    with pytest.raises(RscError, match="absurdly large"):
        sealed_files.read(path)
