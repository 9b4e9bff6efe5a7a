import pytest
import torch
from pydantic import ValidationError

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.models import NetworkSpec, build_network, check_network, network_names, set_position
from resnet_shortcuts.shortcuts import find, strategies


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def build(name, strategy, classes=10, seed=0, in_channels=3):
    return build_network(
        NetworkSpec(name=name), find(strategy), in_channels=in_channels, num_classes=classes, seed=seed
    )


@pytest.mark.parametrize(
    ("depth", "strategy", "count"),
    [(20, "A", 269_722), (20, "B", 272_474), (20, "C", 283_962), (56, "A", 853_018), (56, "B", 855_770),
     (56, "C", 900_858), (110, "A", 1_727_962), (110, "B", 1_730_714), (110, "C", 1_826_202)],
)  # fmt: skip
def test_parameter_counts_are_the_published_ones(depth, strategy, count):
    assert parameters(build(f"cifar-resnet-{depth}", strategy)) == count


@pytest.mark.parametrize("name", [strategy.name for strategy in strategies()])
@pytest.mark.parametrize("network", ["cifar-resnet-8", "cifar-resnet-11-bottleneck"])
def test_every_strategy_serves_every_network_at_odd_sizes(network, name):
    assert build(network, name, classes=7, in_channels=1)(torch.randn(2, 1, 9, 11)).shape == (2, 7)


def test_parameters_shared_by_name_and_shape_start_equal():
    first, second = build("cifar-resnet-8", "A").state_dict(), build("cifar-resnet-8", "C").state_dict()
    assert set(first) < set(second)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_building_neither_reads_nor_moves_the_global_random_state():
    torch.manual_seed(1)
    first = build("cifar-resnet-8", "B").state_dict()
    expected = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), expected)
    second = build("cifar-resnet-8", "B").state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = build("cifar-resnet-8", "B", seed=1).state_dict()
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_initial_weights_have_the_variance_of_he_et_al():
    weight = build("cifar-resnet-8", "A").layer3[0].conv2.weight
    assert weight.var().item() == pytest.approx(2 / (9 * 64), rel=0.03)


def test_gradients_reach_every_parameter():
    model = build("cifar-resnet-8", "C")
    model(torch.randn(4, 3, 8, 8)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "meant"),
    [("cifar-resnet-21", "cifar-resnet-20"), ("cifar-resnet-30-bottleneck", "cifar-resnet-29-bottleneck"),
     ("cifar-resnt-20", "cifar-resnet-20"), ("cifar-resnet-2", "cifar-resnet-8")],
)  # fmt: skip
def test_a_wrong_name_or_depth_is_answered_with_the_nearest(name, meant):
    with pytest.raises(ValidationError, match=meant):
        NetworkSpec.model_validate(name)


def test_a_spec_is_a_name_or_a_mapping_and_says_the_same():
    assert (
        NetworkSpec.model_validate("cifar-resnet-20").identity()
        == NetworkSpec(name="cifar-resnet-20", width=16, stem="cifar").identity()
    )
    assert NetworkSpec(name="cifar-resnet-20", width=8).label == "cifar-resnet-20(width=8)"
    for name in network_names():
        assert NetworkSpec.model_validate(name).label == name


@pytest.mark.parametrize("stem", ["cifar", "imagenet", "deep"])
def test_stems(stem):
    model = build_network(
        NetworkSpec(name="cifar-resnet-8", stem=stem, width=4), find("A"), in_channels=3, num_classes=10, seed=0
    )
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("name", ["cifar-resnet-8", "cifar-preresnet-11-bottleneck", "cifar-pyramidnet-8"])
@pytest.mark.parametrize("strategy", ["projection", "dropout"])
def test_networks_compile_in_one_graph_and_export(name, strategy):
    model = build(name, strategy).eval()
    x = torch.randn(2, 3, 8, 8)
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), model(x))
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), model(x))


def test_the_position_of_a_compiled_network_can_be_set():
    model = build("cifar-resnet-8", "dropout").train()
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    x = torch.randn(2, 3, 8, 8)
    set_position(compiled, 1, 1)
    first = compiled(x)
    set_position(compiled, 1, 2)
    assert not torch.equal(compiled(x), first)
    set_position(model, 1, 1)
    torch.testing.assert_close(model(x), first)


def test_a_network_is_checked_without_building_it():
    check_network("imagenet-resnet-152", find("C"), in_channels=3, num_classes=1000)
    with pytest.raises(UsageError, match="whole multiple"):
        check_network("cifar-pyramidnet-20", find("avg-duplicate"), in_channels=3, num_classes=10)
    spec = NetworkSpec(name="cifar-resnet-8", zero_init=True)
    with pytest.raises(UsageError, match="can never learn"):
        check_network(spec, find("A"), in_channels=3, num_classes=10)


def test_a_depth_beyond_reason_is_refused():
    with pytest.raises(ValidationError, match="did you mean"):
        NetworkSpec.model_validate("cifar-resnet-999999999998")
