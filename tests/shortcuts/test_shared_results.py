"""A results folder with a custom strategy, given to somebody else: nothing of it points to where it was made."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import resnet_shortcuts
from resnet_shortcuts.config.experiment_config import load_config
from resnet_shortcuts.errors import IntegrityError

CONFIG = """
data: {source: digits, train_size: 60, test_size: 40}
networks: [{name: cifar-resnet-8, width: 4}]
shortcuts: [A, ./mine.py:Mine]
seeds: 1
train: {epochs: 1, batch_size: 20}
run: {jobs: 1}
cost: {measure: false}
"""
MINE = """
from resnet_shortcuts.shortcuts import Shortcut

class Mine(Shortcut):
    def __init__(self, site):
        super().__init__()

    def forward(self, x, residual):
        return residual + x.mean((1, 2, 3), keepdim=True)
"""


@pytest.fixture(scope="module")
def rsc(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")

    def run(folder, *arguments):
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("RSC_")},
            "RSC_CACHE": str(cache),
            "PYTHONPATH": str(Path(resnet_shortcuts.__file__).parents[1]),
        }
        command = [sys.executable, "-P", "-c", "from resnet_shortcuts.cli import main; main()", *map(str, arguments)]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, rsc):
    """A folder that got the results, of which the folder that they were made in is gone; and the ids of their runs."""
    made = tmp_path_factory.mktemp("made")
    (made / "c.yaml").write_text(CONFIG)
    (made / "mine.py").write_text(MINE)
    done = rsc(made, "train", "c.yaml")
    assert done.returncode == 0, done.stderr
    given = tmp_path_factory.mktemp("given")
    (made / "results").rename(given / "results")
    (made / "mine.py").unlink()
    return given, {path.name for path in (given / "results" / "c" / "runs").iterdir()}, str(made)


def test_neither_config_nor_plan_names_the_folder_that_they_were_made_in(elsewhere):
    folder, _, made = elsewhere
    for name in ("config.yaml", "plan.json"):
        assert made not in (folder / "results" / "c" / name).read_text()


def test_runs_and_compare_read_them(elsewhere, rsc):
    folder, ids, _ = elsewhere
    listed = json.loads(rsc(folder, "runs", "c", "--format", "json").stdout)
    assert {run["run_id"] for run in listed["rows"]} == ids, listed
    compared = rsc(folder, "compare", "c")
    assert (compared.returncode, "Mine" in compared.stdout) == (0, True), compared.stderr


def test_the_stored_config_is_finished_where_it_lies_and_trained_anew_elsewhere(elsewhere, rsc):
    folder, ids, _ = elsewhere
    config = folder / "results" / "c" / "config.yaml"
    again = rsc(folder, "train", config)
    assert (again.returncode, "nothing to train" in again.stderr or "0 to train" in again.stderr) == (0, True), again
    anew = rsc(folder, "train", config, "--results", "other")
    assert anew.returncode == 0, anew.stderr
    assert {path.name for path in (folder / "other" / "c" / "runs").iterdir()} == ids
    assert (folder / "other" / "c" / "config.yaml").read_text() == config.read_text()


def test_an_edited_source_is_refused(elsewhere):
    folder, _, _ = elsewhere
    (stored,) = (folder / "results" / "c" / "sources").glob("*/mine.py")
    text = stored.read_text()
    stored.write_text(text.replace("mean", "amax"))
    try:
        with pytest.raises(IntegrityError, match="does not match its SHA-256"):
            load_config(folder / "results" / "c" / "config.yaml")
    finally:
        stored.write_text(text)
