"""The ratios of benchmarks/throughput.py from figures made by hand; the benchmark itself is run by hand."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "throughput.py"
    spec = importlib.util.spec_from_file_location("throughput", path)
    assert spec is not None and spec.loader is not None  # noqa: PT018
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def one_round(speed: float, bf16: bool) -> dict[str, float]:
    found = {
        "runner fp32": 600 * speed,
        "bare fp32": 640 * speed,
        "ordinary, 0 workers": 300 * speed,
        "ordinary, 2 workers": 240 * speed,
        "ordinary, packed": 330 * speed,
    }
    return {**found, "runner bf16": 900 * speed, "bare bf16": 950 * speed} if bf16 else found


def test_ratios_are_taken_within_a_round_against_the_better_ordinary_loop(benchmark: ModuleType) -> None:
    ratios = dict(benchmark.compare([one_round(1.0, True), one_round(0.5, True)]))
    found = {name.split(":")[0]: values for name, values in ratios.items()}
    assert found == {
        "runner bf16 / ordinary, 0 workers": [3.0, 3.0],
        "runner fp32 / ordinary, 0 workers": [2.0, 2.0],
        "runner fp32 / ordinary, packed": [600 / 330] * 2,
        "runner fp32 / bare fp32": [600 / 640] * 2,
        "runner bf16 / bare bf16": [900 / 950] * 2,
    }


def test_without_bf16_only_fp32_is_compared(benchmark: ModuleType) -> None:
    assert all("bf16" not in name for name, _ in benchmark.compare([one_round(1.0, False)]))


def test_generated_images_have_ten_classes_and_a_test_part(benchmark: ModuleType, tmp_path: Path) -> None:
    benchmark.generate(tmp_path, 20)
    assert len(list((tmp_path / "train").iterdir())) == 10
    assert len(list((tmp_path / "train").glob("*/*.png"))) == len(list((tmp_path / "test").glob("*/*.png"))) == 20
