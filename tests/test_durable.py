"""The durable writer: every crash state of a commit, every failing system call, and what a user is told."""

import errno
import os
import resource
import subprocess
import sys
import time

import pytest

from resnet_shortcuts import durable
from resnet_shortcuts.errors import EnvironmentFault
from tests.disk import Disk
from tests.faults.faulty_os import FaultyOs, Recorder

OLD, NEW = b"old content, shorter", b"new content, quite a bit longer than the old"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_replaced_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "a" / "b" / "file.json"
    durable.write_file(target, OLD)
    durable.write_file(target, NEW)
    assert target.read_bytes() == NEW
    assert names(target.parent) == ["file.json"]


def test_a_folder_is_published_once(tmp_path):
    durable.write_folder(tmp_path / "runs" / "x", {"a": OLD, "b": NEW})
    with pytest.raises(FileExistsError):
        durable.write_folder(tmp_path / "runs" / "x", {"a": NEW})
    assert (tmp_path / "runs" / "x" / "a").read_bytes() == OLD


def test_an_empty_folder_of_the_final_name_is_not_replaced_silently(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(FileExistsError):
        durable.write_folder(tmp_path / "x", {"a": NEW})


# --- crash states ----------------------------------------------------------------------------------------------------


def states_of(commit, root, monkeypatch):
    """All states that a power cut may leave during the commit, and those after it."""
    disk, states = Disk(root), []

    class Replaying(Recorder):
        def before(self, name, arguments):
            states.extend(disk.after_a_cut())

        def after(self, name, arguments, result):
            disk.replay(name, arguments, result)
            states.extend(disk.after_a_cut())

    with monkeypatch.context() as patch:
        patch.setattr(durable, "os", Replaying())
        commit()
    return states, list(disk.after_a_cut())


def test_crash_states_of_a_file_commit_are_the_old_or_the_new_content(tmp_path, monkeypatch):
    target = tmp_path / "file"
    durable.write_file(target, OLD)
    states, final = states_of(lambda: durable.write_file(target, NEW), tmp_path, monkeypatch)
    assert len(states) > 20
    assert {state["file"] for state in states} == {OLD, NEW}
    assert {state["file"] for state in final} == {NEW}, "a finished commit lasts"


def test_crash_states_of_a_published_folder_are_nothing_or_the_whole(tmp_path, monkeypatch):
    files = {"a": OLD, "b": NEW}
    target = tmp_path / "runs" / "x"
    states, final = states_of(lambda: durable.write_folder(target, files), tmp_path, monkeypatch)
    whole = {f"runs/x/{name}": data for name, data in files.items()}
    assert len(states) > 20
    for state in states:
        assert {path: data for path, data in state.items() if path.startswith("runs/x/")} in ({}, whole)
    assert all(state.items() >= whole.items() for state in final), "a finished commit lasts"


# --- failing system calls --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "EACCES", "SHORT"])
def test_fault_51_every_failing_call_leaves_the_old_content_and_one_line(tmp_path, monkeypatch, error):
    target = tmp_path / "file"
    durable.write_file(target, OLD)
    counter = Recorder()
    with monkeypatch.context() as patch:
        patch.setattr(durable, "os", counter)
        durable.write_file(target, OLD)
    for k in range(1, len(counter.calls) + 1):
        with monkeypatch.context() as patch:
            patch.setattr(durable, "os", FaultyOs(k, error))
            with pytest.raises(EnvironmentFault) as raised:
                durable.write_file(target, NEW)
        told = raised.value
        assert told.exit_code == 5
        assert len(told.lines) == 1
        assert str(target) in told.lines[0]
        assert ("no space left" in told.what) == (error in {"ENOSPC", "EDQUOT", "EFBIG", "SHORT"})
        assert target.read_bytes() in {OLD, NEW}
        assert names(tmp_path) == ["file"]
        durable.write_file(target, OLD)


def test_fault_51_a_real_file_size_limit(tmp_path):
    code = (
        "from pathlib import Path; from resnet_shortcuts import durable, errors\n"
        "try: durable.write_file(Path('file'), b'x' * 100_000)\n"
        "except errors.EnvironmentFault as told: print(told); raise SystemExit(told.exit_code)\n"
    )
    durable.write_file(tmp_path / "file", OLD)
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))  # noqa: E731
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, preexec_fn=limit, capture_output=True, text=True)
    assert done.returncode == 5, done.stderr
    assert done.stdout.startswith("no space left to write: file:")
    assert (tmp_path / "file").read_bytes() == OLD
    assert names(tmp_path) == ["file"]


def test_fault_51_a_real_full_disk(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    try:
        durable.write_file(tmp_path / "file", OLD)
        with pytest.raises(EnvironmentFault, match="no space left"):
            durable.write_file(tmp_path / "file", b"x" * 200_000)
        assert (tmp_path / "file").read_bytes() == OLD
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_fault_52_a_folder_without_permission_is_never_saved_to_in_silence(tmp_path, monkeypatch):
    monkeypatch.setattr(durable, "os", FaultyOs(1, "EACCES"))
    with pytest.raises(EnvironmentFault, match=r"cannot write \(Permission denied\)"):
        durable.write_file(tmp_path / "new" / "file", NEW)


def test_a_file_where_a_folder_belongs_is_told(tmp_path):
    (tmp_path / "results").write_bytes(b"")
    with pytest.raises(EnvironmentFault, match="something else has this name"):
        durable.write_file(tmp_path / "results" / "name" / "file", NEW)


def test_leftovers_of_dead_writers_are_swept(tmp_path):
    code = "import sys; from pathlib import Path; from resnet_shortcuts import durable\n"
    code += "durable.temporary_beside(Path(sys.argv[1])).write_bytes(b'half')"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "file")], check=True)
    alive = durable.temporary_beside(tmp_path / "file")
    elsewhere = tmp_path / ".file.tmp-another_host-2-ab12cd34"
    for path in (tmp_path / "file", alive, elsewhere, tmp_path / ".file.tmp-99999999-0", tmp_path / ".mine.tmp-x"):
        path.write_bytes(OLD)
    durable.sweep(tmp_path)
    assert names(tmp_path) == sorted(["file", alive.name, elsewhere.name, ".mine.tmp-x"])
    os.utime(elsewhere, (0, 0))
    durable.sweep(tmp_path)
    assert names(tmp_path) == sorted(["file", alive.name, ".mine.tmp-x"])


def test_a_file_system_that_cannot_sync_folders_is_lived_with(tmp_path, monkeypatch):
    class NoFolderSync(Recorder):
        def bends(self, name):
            return name == "fsync" and len([c for c in self.calls if c[0] == "fsync"]) != 1

        def instead(self, name, arguments):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(durable, "os", NoFolderSync())
    durable.write_file(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == NEW


def test_a_folder_is_made_while_another_process_keeps_removing_it(tmp_path):
    """As when one process leaves a work folder that another is about to use."""
    code = "import os, sys, contextlib\nwhile True:\n with contextlib.suppress(OSError): os.rmdir(sys.argv[1])"
    target = tmp_path / "work" / "run"
    remover = subprocess.Popen([sys.executable, "-c", code, str(target)])
    try:
        durable.make_folder(target)
        while target.exists():
            time.sleep(0.001)
        for _ in range(500):
            durable.make_folder(target)
    finally:
        remover.kill()
        remover.wait()
    assert target.parent.is_dir()
