"""The training loop against bits that c72f135 left, and against that version's plain step carried out here."""

import json

import pytest

from tests.compatibility.cases import CASES, CASES_BY_PRECISION
from tests.compatibility.internals import HERE, bf16_here, hardware
from tests.compatibility.reference_step import reference

STORED = HERE / "step_digests.json"
_trained = {}


def trained(name, precision, cache):
    if (name, precision) not in _trained:
        _trained[name, precision] = CASES[name].train(cache, precision)
    return _trained[name, precision]


@pytest.mark.parametrize(("precision", "name"), CASES_BY_PRECISION)
def test_the_loop_leaves_the_bits_of_the_plain_step(name, precision, cache):
    assert trained(name, precision, cache) == reference(CASES[name], cache, precision)


@pytest.mark.parametrize(("precision", "name"), CASES_BY_PRECISION)
def test_the_loop_leaves_the_bits_that_c72f135_left_on_such_a_processor(name, precision, cache):
    stored = json.loads(STORED.read_text())
    key = hardware()
    if key not in stored:
        pytest.skip(f"no digests are stored for this processor and torch: {key}")
    if precision == "bf16" and not bf16_here():
        pytest.skip("this processor does not multiply bf16 in hardware")
    assert trained(name, precision, cache)[0] == stored[key][precision][name]


def test_the_cases_differ():
    stored = json.loads(STORED.read_text())
    for by_precision in stored.values():
        weights = [found["weights"] for cases in by_precision.values() for found in cases.values()]
        assert len(set(weights)) == len(weights)
        assert set(by_precision["fp32"]) == set(CASES)
