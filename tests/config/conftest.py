"""A good config, and how a changed one is loaded and what is complained of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from resnet_shortcuts.config.experiment_config import Config, load_config
from resnet_shortcuts.errors import Exit, RscError

GOOD = """\
data: {source: digits, train_size: 1000, test_size: 797}
networks: [cifar-resnet-20]
shortcuts: [plain, A, max-pad]
seeds: [0, 1, 2]
train:
  epochs: 30
  batch_size: 64
  lr: 0.1
"""

Load = Callable[..., Config]
Complaints = Callable[..., list[str]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str | bytes, *overrides: str) -> Config:
        path = tmp_path / "mine.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        try:
            return load_config(path, overrides)
        finally:
            assert [found.name for found in tmp_path.iterdir()] == ["mine.yaml"], "nothing is created"

    return load


@pytest.fixture
def complaints(load: Load) -> Complaints:
    """The lines a user gets, with the config's path shortened to FILE."""

    def complaints(text: str | bytes, *overrides: str) -> list[str]:
        with pytest.raises(RscError) as caught:
            load(text, *overrides)
        assert caught.value.exit_code == Exit.USAGE
        lines = caught.value.lines
        assert all("\n" not in line and line.count(": ") >= 2 for line in lines), lines
        path = next((word for line in lines for word in line.split() if "mine.yaml" in word), "")
        return [line.replace(path[: path.find("mine.yaml")] + "mine.yaml", "FILE") for line in lines]

    return complaints
