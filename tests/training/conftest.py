"""A small piece of the digits, prepared once."""

import pytest
import torch

from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.dataset import load
from resnet_shortcuts.data.prepare import prepare


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """As the workers have it; two threads beside other work are slower than one."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")

    def make(**keys):
        spec = DataSpec.model_validate({"train_size": 100, "test_size": 60, **keys})
        return load(prepare(spec, data_root=None, cache=cache), spec), spec

    return make
