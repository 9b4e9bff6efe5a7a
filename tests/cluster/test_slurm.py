"""A job array on a real SLURM: shares of a plan in one folder, asked to stop, submitted again."""

import subprocess
import sys

from tests.cluster.conftest import LONG, checkpoints, outcomes, wait_until
from tests.faults.rig import ROOT, make_rig


def test_an_array_is_stopped_submitted_again_and_gives_the_results_of_one_machine(slurm, reference, tmp_path, cache):
    rig = make_rig(tmp_path, cache, LONG)
    slurm.environment |= {"RSC_CACHE": str(cache), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    script = tmp_path / "job.sh"
    command = [sys.executable, "-m", "resnet_shortcuts.cli", "slurm", "--config", str(tmp_path / "config.yaml")]
    command += ["--array", "2", "--time", "0:10:00", "--cpus", "1", "-o", str(script)]
    done = subprocess.run(command, cwd=tmp_path, env=slurm.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(f"submit it: sbatch {script}\n")
    job = slurm.submit(script)
    wait_until(lambda: len(checkpoints(rig)) == 2, lambda: logs(tmp_path))  # both tasks train
    slurm.ask("scancel", "--signal=TERM", "--batch", job)
    slurm.wait_for(job)
    assert logs(tmp_path).count("terminated: ") == 2, logs(tmp_path)
    assert len(rig.experiment.finished_ids()) < 4
    assert checkpoints(rig), "what was trained is kept"
    for _ in range(2):  # a third submission has nothing to do
        slurm.wait_for(slurm.submit(script))
    assert "share 1 of 2: 2 runs finished" in logs(tmp_path)
    assert "share 2 of 2: 2 runs finished" in logs(tmp_path)
    assert not list(rig.experiment.folder.glob("cost/*.json"))
    assert outcomes(rig) == reference
    assert any(rig.experiment.run(run.run_id).resumed for run in rig.plan.runs)


def logs(folder):
    return "\n".join(path.read_text() for path in folder.glob("rsc-tiny-*.log"))
