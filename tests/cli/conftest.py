"""Commands are run as a user runs them: a process, its streams and its exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TINY = """\
data: {source: digits, train_size: 60, test_size: 40}
networks: [cifar-resnet-8]
shortcuts: [plain, A]
seeds: 2
train: {epochs: 2, batch_size: 20, schedule: {kind: one-cycle}}
run: {jobs: 1}  # so small a sweep spends its time on starting workers
cost: {measure: false}
"""


class Rsc:
    """``rsc`` in a folder of its own, with a cache shared by the session."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        kept = {key: value for key, value in os.environ.items() if not key.startswith("RSC_") or key == "RSC_TEST_DATA"}
        self.environment = {**kept, "RSC_CACHE": str(cache), "OMP_NUM_THREADS": "1"}

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-P", "-c", "from resnet_shortcuts.cli import main; main()", *map(str, arguments)]

    def __call__(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def config(self, text: str = TINY, name: str = "tiny.yaml") -> Path:
        path = self.folder / name
        path.write_text(text)
        return path


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def rsc(tmp_path, shared_cache):
    return Rsc(tmp_path, shared_cache)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, shared_cache):
    """A folder in which the tiny config has been trained once."""
    rsc = Rsc(tmp_path_factory.mktemp("trained"), shared_cache)
    done = rsc("train", "--config", rsc.config())
    assert done.returncode == 0, done.stderr
    rsc.first = done
    return rsc
