from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """One cache of decoded data for all of these tests, and one thread, as the workers have it."""
    folder = tmp_path_factory.getbasetemp() / "compatibility-cache"
    monkeypatch.setenv("RSC_CACHE", str(folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # for workers: this source, wherever they start
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield folder
    torch.set_num_threads(before)
