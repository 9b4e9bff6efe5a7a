"""Runs side by side on one GPU end as they do alone; skipped with a reason where there is no GPU."""

import pytest
import torch

from resnet_shortcuts.experiments.runner import run_plan
from tests.faults.rig import YAML, make_rig

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and torch sees none here"),
]


@pytest.mark.slow
def test_packed_runs_equal_solo_runs(tmp_path):
    found = []
    for jobs in (1, 4):
        rig = make_rig(tmp_path / str(jobs), tmp_path / "cache", YAML, "run.device=cuda", "seeds=4")
        summary = run_plan(rig.plan, rig.config, rig.dataset, rig.experiment, jobs=jobs, devices=("cuda:0",))
        assert len(summary.done) == len(rig.plan.runs) == 4
        found.append([rig.outcome(number) for number in range(4)])
    assert found[0] == found[1]
