"""benchmarks/gpu.py and scaling.py: what they do without a GPU, their tables from figures made by hand. No time is
asserted."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_shortcuts.gpus import driver_present

FOLDER = Path(__file__).parents[2] / "benchmarks"


def load(name):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def gpu():
    return load("gpu")


@pytest.fixture(scope="module")
def scaling():
    return load("scaling")


@pytest.mark.skipif(driver_present(), reason="there is a GPU here")
def test_without_a_gpu_the_benchmark_exits_5_with_one_line():
    done = subprocess.run([sys.executable, FOLDER / "gpu.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert done.stderr.startswith("error: device 'cuda' is not available")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_the_gpu_benchmark_times_blocks_of_the_training_loop(gpu):
    """Its path through `train` on the CPU, so that it is not found broken where a GPU is at hand."""
    warm = []
    task = gpu.Task(8, 4, "eager", "fp32", "cpu", blocks=3, block=2, warm_up=2, images=16)
    found = gpu.measure(task, lambda: warm.append(True))
    assert len(found["seconds"]) == 3
    assert min(found["seconds"]) > 0
    assert warm == [True]


def test_a_packed_row_goes_by_the_slowest_process(gpu):
    task = gpu.Task(20, 128, "graph", "bf16", "cuda", 2)
    found = [
        {"seconds": [0.001, 0.003], "start": 5.0, "peak_reserved_bytes": 2**30},
        {"seconds": [0.002, 0.006], "start": 7.0, "peak_reserved_bytes": 2**31},
    ]
    row = gpu.row(task, found)
    assert row["run_seconds"] == pytest.approx(64_000 * 0.004 / 2)
    assert row["images_per_second"] == pytest.approx(2 * 128 / 0.004)
    assert row["step_ms"] == pytest.approx(2.5)
    assert (row["packed"], row["start_seconds"], row["peak_reserved_bytes"]) == (2, 7.0, 2**31)
    line = gpu.markdown([row]).splitlines()[-1]
    assert line == "| ResNet-20 | 128 | graph | 2 | 2.500 (1.000 to 6.000) | 64,000 | 128.0 | 2.00 | 7.0 |"
    assert len({text.count("|") for text in gpu.markdown([row]).splitlines()}) == 1


def test_the_distance_from_a_straight_line(scaling):
    assert scaling.off_the_line((1, 2, 4), [3.0, 5.0, 9.0]) == pytest.approx(0)
    assert scaling.off_the_line((1, 2, 4), [1.0, 4.0, 16.0]) == pytest.approx(1 / 3)


@pytest.mark.slow
def test_made_up_runs_are_listed_and_compared_as_real_ones(scaling, tmp_path, monkeypatch):
    monkeypatch.setattr(scaling, "NETWORKS", ["cifar-resnet-8"])
    name, _ = scaling.store(tmp_path, 40)
    took = scaling.timed("runs", name, "--results", str(tmp_path / "results"), times=1)
    assert took["wall"] > 0
    from resnet_shortcuts.analysis.reading import read_experiment
    from resnet_shortcuts.experiments.store import Experiment

    record = read_experiment(Experiment.open(tmp_path / "results", name))
    assert len(record.runs) == 40
    assert not record.damaged
    assert not record.missing
