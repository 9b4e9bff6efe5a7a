"""Writes a results folder with the version of the package whose source folder is given (see README.md).

    python make_results.py SOURCE TARGET

SOURCE is a clone at the version that is to write; TARGET is made and must not be there. One experiment is left whole,
one diverged, one interrupted by SIGTERM in its second run, and one with a first run whose worker was killed.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

CONFIGS = Path(__file__).parent / "configs"
RSC = [sys.executable, "-c", "from resnet_shortcuts.cli import main; main()"]


def start(source: Path, folder: Path, *words: str) -> subprocess.Popen[bytes]:
    cache = Path(tempfile.gettempdir()) / "rsc-compatibility-cache"
    variables = {**os.environ, "PYTHONPATH": str(source), "RSC_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*RSC, *words], cwd=folder, env=variables)


def train(source: Path, folder: Path, name: str) -> subprocess.Popen[bytes]:
    return start(source, folder, "train", "--config", f"configs/{name}.yaml", "--results", "results")


def wait_for_checkpoint(experiment: Path, step: int, finished: int) -> None:
    """Until so many runs are finished and the next one has saved a checkpoint at this step or later."""
    while True:
        done = {path.parent.name for path in experiment.glob("runs/*/run.json")}
        kept = [path for path in experiment.glob("work/*/checkpoint-*.json") if path.parent.name not in done]
        if len(done) == finished and any(int(path.name.split("-")[1]) >= step for path in kept):
            return
        time.sleep(0.005)


def main() -> None:
    source, target = Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()
    folder = Path(tempfile.mkdtemp())
    shutil.copytree(CONFIGS, folder / "configs")
    for name in ("finished", "diverged"):
        train(source, folder, name).wait()
    running = train(source, folder, "interrupted")
    wait_for_checkpoint(folder / "results" / "interrupted", step=30, finished=1)
    running.send_signal(signal.SIGTERM)
    running.wait()
    running = train(source, folder, "failed")
    wait_for_checkpoint(folder / "results" / "failed", step=1, finished=0)
    for worker in psutil.Process(running.pid).children():
        worker.kill()
    running.wait()
    for path in [*folder.rglob("cost/log.txt"), *folder.rglob("*.png"), *folder.rglob("*.svg"), *folder.rglob(".lock")]:
        path.unlink()
    shutil.copytree(folder / "results", target)


if __name__ == "__main__":
    main()
