"""``make mutants``: plants one defect at a time in a copy of the package and sees that a test finds it.

``python -m tests.mutants [NUMBER ...]``. Exits 1 where a defect goes unnoticed or where a test fails without one.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Mutant:
    """A defect: in ``file`` the text ``old`` becomes ``new``, and ``test`` must fail."""

    what: str
    file: str
    old: str
    new: str
    test: str


PACKAGE = "resnet_shortcuts"
DURABLE, STATE, LOOP = f"{PACKAGE}/durable.py", f"{PACKAGE}/training/state.py", f"{PACKAGE}/training/loop.py"
CHECKPOINTS, LOCKS = f"{PACKAGE}/experiments/checkpoints.py", f"{PACKAGE}/experiments/locks.py"
RESUMED = "tests/training/test_loop.py::test_a_run_resumed_at_any_point_ends_bit_identical[5-fp32]"
FILE_STATES = "tests/test_durable.py::test_crash_states_of_a_file_commit_are_the_old_or_the_new_content"

MUTANTS = (
    Mutant(
        "the schedule is skipped on resume",
        LOOP,
        "        self.progress = restore(start, self.model, self.optimizer)\n",
        "        self.progress = restore(start, self.model, self.optimizer)\n"
        "        constant = type(self.spec.schedule)(kind='constant')\n"
        "        self.spec = self.spec.model_copy(update={'schedule': constant})\n",
        RESUMED,
    ),
    Mutant(
        "momentum is not restored",
        STATE,
        "if (momentum := tensors.get(_MOMENTUM + name)) is not None:",
        "if (momentum := tensors.get(_MOMENTUM + name)) is None and momentum is not None:",
        RESUMED,
    ),
    Mutant(
        "a resume begins its epoch anew",
        LOOP,
        "self.batches.epoch(progress.epoch, first_step=progress.epoch_step)",
        "self.batches.epoch(progress.epoch)",
        RESUMED,
    ),
    Mutant(
        "the folder is not synced after a rename",
        DURABLE,
        "            raise\n        _sync_folder(path.parent)\n",
        "            raise\n",
        FILE_STATES,
    ),
    Mutant(
        "a file is not synced before its rename",
        DURABLE,
        "            rest = rest[written:]\n        os.fsync(descriptor)\n",
        "            rest = rest[written:]\n",
        FILE_STATES,
    ),
    Mutant(
        "the old file is unlinked before the rename",
        DURABLE,
        "            os.replace(temporary, path)",
        "            path.exists() and os.unlink(path)\n            os.replace(temporary, path)",
        FILE_STATES,
    ),
    Mutant(
        "an OSError is swallowed",
        DURABLE,
        "        raise fault(error, path) from error\n",
        "        fault(error, path)\n",
        "tests/test_durable.py::test_fault_51_every_failing_call_leaves_the_old_content_and_one_line",
    ),
    Mutant(
        "an unverified checkpoint is loaded",
        CHECKPOINTS,
        "records.read_listed(path.with_name(name), listed)",
        "path.with_name(name).read_bytes() if path.with_name(name).exists() else records.read_listed(path, listed)",
        "tests/faults/test_checkpoints.py::test_fault_34_a_flipped_bit_anywhere",
    ),
    Mutant(
        "the manifest is written before the tensors",
        CHECKPOINTS,
        "    durable.write_file(folder / tensors, state[_TENSORS])\n"
        '    durable.write_file(folder / f"{stem}.json", records.render(manifest))\n',
        '    durable.write_file(folder / f"{stem}.json", records.render(manifest))\n'
        "    durable.write_file(folder / tensors, state[_TENSORS])\n",
        "tests/faults/test_checkpoints.py::test_crash_states_of_a_checkpoint_are_the_old_or_the_new",
    ),
    Mutant(
        "a cached failure passes for a result",
        f"{PACKAGE}/experiments/store.py",
        '{run_id}")  # whatever',
        '{run_id}") or (self.work_folder(run_id) / FAILED).is_file()  # whatever',
        "tests/faults/test_checkpoints.py::test_fault_43_a_crashed_run_never_counts_as_done",
    ),
    Mutant(
        "a stale claim is honoured",
        LOCKS,
        "        return bool(struct.unpack(_WHOLE_FILE, answer)[0] != fcntl.F_UNLCK)\n",
        "        return bool(answer)\n",
        "tests/experiments/test_store.py::test_fault_55_a_lock_dies_with_its_process_and_only_then",
    ),
    Mutant(
        "a lock on a removed file counts",
        LOCKS,
        "    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)\n",
        "    return True\n",
        "tests/experiments/test_store.py::test_a_lock_on_a_file_that_is_gone_guards_nothing",
    ),
    Mutant(
        "an edited record is believed",
        f"{PACKAGE}/experiments/records.py",
        "    if not (seal_holds(data) or",
        "    if not (seal or",
        "tests/faults/test_checkpoints.py::test_fault_42_an_edited_result_is_named_and_left_out",
    ),
    Mutant(
        "an edited plan is believed",
        f"{PACKAGE}/experiments/plan.py",
        "if sealed and not records.seal_holds(text.encode()):",
        "if sealed and records.SEAL not in document:",
        "tests/experiments/test_plan.py::test_an_edited_plan_is_found[label]",
    ),
    Mutant(
        "a finished run is trained again",
        f"{PACKAGE}/experiments/home.py",
        "        if self.experiment.finished(run_id):\n",
        "        if self.experiment.folder is None:\n",
        "tests/faults/test_processes.py::test_fault_50_a_loss_that_is_not_finite_is_an_outcome",
    ),
    Mutant(
        "weights that are not finite are kept",
        LOOP,
        ".all().item():\n            return None\n",
        ".all().item():\n            pass\n",
        "tests/training/test_loop.py::test_a_state_that_is_not_finite_is_not_captured",
    ),
)


def passes(tree: Path, *tests: str) -> bool:
    """Whether the tests pass on the package in ``tree``."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 1}:  # neither passed nor failed: the test is gone
        raise SystemExit(done.stdout + done.stderr)
    return done.returncode == 0


def main(chosen: list[int]) -> int:
    """Try every mutant, or those of these numbers; the exit code."""
    mutants = [(number, mutant) for number, mutant in enumerate(MUTANTS, 1) if not chosen or number in chosen]
    alive = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        skipped = shutil.ignore_patterns("__pycache__", ".venv", ".git", "results", "shared", "*.egg-info")
        shutil.copytree(ROOT, tree, ignore=skipped)
        if not passes(tree, *dict.fromkeys(mutant.test for _, mutant in mutants)):
            print("a test fails without any defect: mend that first")
            return 1
        for number, mutant in mutants:
            path = tree / mutant.file
            whole = path.read_text()
            if whole.count(mutant.old) != 1:
                print(f"{number:2}  STALE    {mutant.what}: the text is not there exactly once in {mutant.file}")
                alive += 1
                continue
            path.write_text(whole.replace(mutant.old, mutant.new))
            found = not passes(tree, mutant.test)
            path.write_text(whole)
            alive += not found
            print(
                f"{number:2}  {'caught ' if found else 'ALIVE  '}  {mutant.what}  ({mutant.test.split('::')[1]})",
                flush=True,
            )
    print(f"{len(mutants) - alive} of {len(mutants)} defects caught")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main([int(argument) for argument in sys.argv[1:]]))
