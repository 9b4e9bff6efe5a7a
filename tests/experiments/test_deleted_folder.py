"""A results folder that is deleted while it is trained: one clear line, and plan and config are written again."""

import shutil
import subprocess
import time

from tests.cli.conftest import Rsc


def test_a_results_folder_deleted_under_a_sweep_ends_with_one_line_and_can_be_trained_again(tmp_path):
    rsc = Rsc(tmp_path, tmp_path / "cache")
    folder = tmp_path / "results" / "tiny"
    process = subprocess.Popen(
        rsc.command("train", "--config", rsc.config()), cwd=tmp_path, env=rsc.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(folder.glob("runs/*/run.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    shutil.rmtree(folder.rename(tmp_path / "deleted"))
    _, err = process.communicate(timeout=240)
    assert process.returncode == 4, err
    (line,) = [line for line in err.splitlines() if line.startswith("error")]
    assert line.startswith("error: results were deleted during training: ")
    assert line.endswith("results/tiny: run the same command again")
    assert {path.name for path in folder.iterdir()} >= {"plan.json", "config.yaml"}
    listed = rsc("runs", "tiny")
    assert listed.returncode == 0, listed.stderr
    assert " planned" in listed.stdout
    again = rsc("train", "--config", folder / "config.yaml")
    assert again.returncode == 0, again.stderr
