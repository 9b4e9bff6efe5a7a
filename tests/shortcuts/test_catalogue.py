import subprocess
import sys

import pytest

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.shortcuts import find, strategies


@pytest.mark.parametrize(
    ("alias", "name"),
    [("A", "stride-pad"), ("option-a", "stride-pad"), ("zero-pad", "stride-pad"), ("B", "projection"),
     ("C", "projection-all"), ("D", "avg-projection"), ("resnet-d", "avg-projection"), ("b", "projection")],
)  # fmt: skip
def test_aliases(alias, name):
    assert find(alias).name == name
    assert find(alias).identity() == find(name).identity()


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("stride-padd", "stride-pad"), ("maxpad", "max-pad"), ("avg", "avg-pad"), ("resnetd", "resnet-d")],
)
def test_a_wrong_name_is_answered_with_the_nearest(wrong, meant):
    with pytest.raises(UsageError, match=meant):
        find(wrong)


def test_a_name_like_no_other_is_answered_with_the_command_that_lists_them():
    with pytest.raises(UsageError) as caught:
        find("nonsense")
    assert caught.value.lines == ["unknown shortcut 'nonsense': shortcuts: see: rsc shortcuts"]


def test_a_composition_equal_to_a_named_point_is_that_point():
    assert find({"spatial": "stride", "channels": "pad"}).name == "stride-pad"
    assert find({"spatial": "stride", "channels": "pad", "name": "mine"}).identity() == find("A").identity()
    assert find({"spatial": "avg", "channels": "conv-bn", "scope": "transitions", "scale": 1}).name == "avg-projection"


def test_identities_differ_between_named_points():
    seen = [repr(sorted(strategy.identity().items())) for strategy in strategies()]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("strategy", strategies(), ids=lambda strategy: strategy.name)
def test_a_reference_finds_the_strategy_again(strategy):
    assert find(strategy.reference()) == strategy


def test_the_reference_of_a_composition_finds_it_again():
    mine = find({"spatial": "blur3", "channels": "pad", "scope": "transitions", "scale": 2.0, "name": "mine"})
    assert find(mine.reference()) == mine


@pytest.mark.parametrize(
    "wrong",
    [{"spatial": "strid", "channels": "pad"}, {"spatial": "avg"}, {"spatial": "avg", "channels": "pad", "scal": 2},
     {"spatial": "s2d", "channels": "pad"}, {"spatial": "avg", "channels": "pad", "scale": "big"}, 3,
     {"spatial": "max", "channels": "pad", "name": "A"}, {"spatial": "avg", "channels": "pad", "scale": float("nan")}],
)  # fmt: skip
def test_compositions_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError):
        find(wrong)


def test_a_second_name_of_a_network_names_one_that_is_there():
    said = {strategy.name: strategy.same_as for strategy in strategies() if strategy.same_as}
    assert {name: find(other).name for name, other in said.items()} == said
    assert {frozenset(pair) for pair in said.items()} == {
        frozenset(("stride-pad", "stride-pad-both")), frozenset(("projection-2x2", "s2d-projection")),
    }  # fmt: skip


def test_the_catalogue_needs_no_torch():
    code = "import sys, resnet_shortcuts.shortcuts, resnet_shortcuts.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
