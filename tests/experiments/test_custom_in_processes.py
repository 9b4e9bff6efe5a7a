"""Custom strategies in other processes: the text that was hashed runs there, and what a notebook defines does not."""

import subprocess
import sys
from pathlib import Path

import pytest

import resnet_shortcuts
from resnet_shortcuts.cost.cost_launch import run_cost_pass
from resnet_shortcuts.experiments.runner import run_plan
from resnet_shortcuts.experiments.study import cost_request, open_study
from tests.faults.rig import YAML, make_rig

MINE = """
from resnet_shortcuts.shortcuts import Shortcut

class Mine(Shortcut):
    def __init__(self, site):
        super().__init__()

    def forward(self, x, residual):
        return residual
"""
NOTEBOOK = """
import sys
from pathlib import Path
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.experiments.runner import run_plan
from resnet_shortcuts.shortcuts import Shortcut, register
from tests.faults.rig import YAML, make_rig

@register("mine")
class Mine(Shortcut):
    def __init__(self, site):
        super().__init__()

    def forward(self, x, residual):
        return residual

rig = make_rig(Path(sys.argv[1]), Path(sys.argv[1]) / "cache", YAML, "shortcuts=[mine]", "train.epochs=1")
try:
    run_plan(rig.plan, rig.config, rig.dataset, rig.experiment, jobs=1)
except UsageError as error:
    print(error)
print(len(run_plan(rig.plan, rig.config, rig.dataset, rig.experiment, jobs=0).done))
"""


@pytest.fixture
def rig(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    rig = make_rig(tmp_path, tmp_path / "cache", YAML, "shortcuts=[./mine.py:Mine]", "train.epochs=1")
    (tmp_path / "mine.py").write_text("raise ImportError('this is not what was hashed')\n")
    return rig


def test_workers_run_the_text_that_was_hashed(rig):
    summary = run_plan(rig.plan, rig.config, rig.dataset, rig.experiment, jobs=1)
    assert len(summary.done) == 1, summary


def test_the_cost_pass_runs_the_text_that_was_hashed(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "config.yaml").write_text(YAML.replace("[projection]", "[./mine.py:Mine]"))
    config = make_rig(tmp_path, tmp_path / "cache", YAML, "shortcuts=[./mine.py:Mine]").config
    (row,) = run_cost_pass(cost_request(open_study(config, None), passes=("counts",))).rows
    assert (row.error, row.shortcut) == (None, "Mine")
    assert row.parameters > 0


def test_what_a_notebook_defines_trains_with_jobs_0_only(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK, str(tmp_path)],
        cwd=Path(resnet_shortcuts.__file__).parents[1], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    refusal, trained = done.stdout.splitlines()
    assert refusal.startswith("no other process can build shortcut 'mine'")
    assert "jobs: 0" in refusal
    assert trained == "1"
