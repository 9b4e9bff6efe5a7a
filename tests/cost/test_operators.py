"""Every form that benchmarks/operators.py times is equal to the shipped one; no time is looked at."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def operators() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "operators.py"
    spec = importlib.util.spec_from_file_location("operators", path)
    assert spec is not None and spec.loader is not None  # noqa: PT018
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("strategy", ["stride-pad", "stride-duplicate", "avg-pad", "avg-duplicate", "max-pad"])
def test_the_forms_are_equal(operators: ModuleType, strategy: str) -> None:
    operators.check_equal(operators.forms_of(strategy, 8), *operators.tensors(8, 6, 2))


def test_a_form_that_is_not_equal_is_found(operators: ModuleType) -> None:
    forms = operators.forms_of("stride-pad", 8)
    forms["wrong"] = lambda x, r: r + operators.padded(operators.F.avg_pool2d(x, 2), r.shape[1])
    with pytest.raises(AssertionError, match="wrong"):
        operators.check_equal(forms, *operators.tensors(8, 6, 2))
