"""Parameter counts of every depth, by the rule of the published ones."""

import pytest
import torch

from resnet_shortcuts.models import NetworkSpec, build_network, network_names
from resnet_shortcuts.models.blocks import BottleneckBlock
from resnet_shortcuts.shortcuts import Site, build_shortcut, find

NINE = (
    "plain", "stride-pad", "stride-duplicate", "max-pad", "avg-pad", "avg-duplicate", "projection", "projection-all",
    "avg-projection",
)  # fmt: skip


def count(name, strategy, classes=10, **options):
    with torch.device("meta"):
        from resnet_shortcuts.models.networks import ResidualNetwork

        model = ResidualNetwork(NetworkSpec(name=name, **options).architecture, find(strategy), 3, classes)
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("depth", "strategy", "expected"),
    [(18, "A", 11_515_688), (18, "B", 11_689_512), (18, "C", 12_043_816),
     (50, "A", 22_780_456), (50, "B", 25_557_032), (50, "C", 40_128_552)],
)  # fmt: skip
def test_imagenet_counts_are_the_published_ones(depth, strategy, expected):
    assert count(f"imagenet-resnet-{depth}", strategy, 1000) == expected


def block_parameters(kind, inputs, width):
    """Weights and BN pairs of one block's branch."""
    if kind == "basic":
        return 9 * width * (inputs + width) + 4 * width
    return inputs * width + 9 * width * width + 4 * width * width + 2 * (width + width + 4 * width)


def by_rule(kind, blocks, width, strategy, classes, stem):
    expansion = 1 if kind == "basic" else 4
    total, channels = 3 * width * stem * stem + 2 * width, width
    for stage, number in enumerate(blocks):
        for index in range(number):
            inner = width * 2**stage
            out = inner * expansion
            changes = channels != out or (stage > 0 and index == 0)
            total += block_parameters(kind, channels, inner)
            if strategy == "C" or (strategy == "B" and changes):
                total += channels * out + 2 * out
            channels = out
    return total + channels * classes + classes


@pytest.mark.parametrize("strategy", ["A", "B", "C"])
@pytest.mark.parametrize("n", [1, 3, 5, 7, 9, 18])
def test_cifar_counts_follow_the_rule(n, strategy):
    blocks = (n,) * 3
    assert count(f"cifar-resnet-{6 * n + 2}", strategy) == by_rule("basic", blocks, 16, strategy, 10, 3)
    assert count(f"cifar-resnet-{9 * n + 2}-bottleneck", strategy) == by_rule(
        "bottleneck", (n,) * 3, 16, strategy, 10, 3
    )


@pytest.mark.parametrize("strategy", ["A", "B", "C"])
@pytest.mark.parametrize(
    ("depth", "kind", "blocks"),
    [(18, "basic", (2, 2, 2, 2)), (34, "basic", (3, 4, 6, 3)), (50, "bottleneck", (3, 4, 6, 3)),
     (101, "bottleneck", (3, 4, 23, 3)), (152, "bottleneck", (3, 8, 36, 3))],
)  # fmt: skip
def test_imagenet_counts_follow_the_rule(depth, kind, blocks, strategy):
    assert count(f"imagenet-resnet-{depth}", strategy, 1000) == by_rule(kind, blocks, 64, strategy, 1000, 7)


def test_pre_activation_counts():
    """The BN of a block's output moves to the next block's input: in all the same number (worked out by hand)."""
    assert count("cifar-preresnet-110", "A") == 1_727_962
    assert count("cifar-preresnet-110", "B") == 1_727_962 + 16 * 32 + 32 * 64
    assert count("cifar-preresnet-110", "projection-nobn") == count("cifar-preresnet-110", "B")


def test_pyramidnet_counts_are_those_of_public_code():
    """osmr/imgclsmob, pyramidnet110_a48|a84|a270_cifar10 (the paper prints 1.7M, 3.8M and 28.3M)."""
    for alpha, expected in ((48.0, 1_772_706), (84.0, 3_904_446), (270.0, 28_485_477)):
        assert count("cifar-pyramidnet-110", "pyramid-pad", alpha=alpha) == expected


@pytest.mark.parametrize("name", [name for name in network_names() if "imagenet" not in name])
def test_every_kind_of_network_learns_something(name):
    small = name.replace(name.split("-")[2], "11" if "bottleneck" in name else "8")
    model = build_network(small, find("projection"), in_channels=3, num_classes=5, seed=0)
    x = torch.randn(4, 3, 16, 16).to(memory_format=torch.channels_last)
    out = model(x)
    out.square().sum().backward()
    assert out.shape == (4, 5)
    assert all(p.grad is not None for p in model.parameters())


WEIGHTS = 256 * 128 + 9 * 128 * 128 + 128 * 512 + 2 * (128 + 128 + 512)
BRANCH = 256 * 128 * 56 * 56 + 9 * 128 * 128 * 28 * 28 + 128 * 512 * 28 * 28


@pytest.mark.parametrize("name", NINE)
def test_the_bottleneck_example_of_the_question(name):
    """(256, 56, 56) through 1x1/128, 3x3/128 stride 2, 1x1/512 to (512, 28, 28)."""
    from resnet_shortcuts.cost.counting import multiply_adds, parameters

    learned = name in {"projection", "projection-all", "avg-projection"}
    block = BottleneckBlock(256, 128, 2, build_shortcut(find(name), Site(256, 512, 2)), first=False, stride_first=False)
    assert parameters(block.shortcut) == (132_096 if learned else 0)
    assert parameters(block) - parameters(block.shortcut) == WEIGHTS
    assert multiply_adds(block, (256, 56, 56)) == BRANCH + (256 * 512 * 28 * 28 if learned else 0)
    x = torch.randn(1, 256, 56, 56)
    assert block(x).shape == (1, 512, 28, 28)
    carried = block.shortcut(x, torch.zeros(1, 512, 28, 28))
    zero = int((carried == 0).all(3).all(2).all(0).sum())
    assert zero == {"plain": 512, "stride-pad": 256, "max-pad": 256, "avg-pad": 256}.get(name, 0)
    assert saved(block.shortcut, x, torch.zeros(1, 512, 28, 28)) == KEPT[name]


#: Bytes that autograd keeps for the shortcut beyond its input, which the branch keeps anyway: a max-pool keeps n int64
#: indices (n = 256 x 28 x 28), a BN its input (2n floats), mean and deviation; D the averages too.
VALUES = 256 * 28 * 28
NORM = 4 * (2 * VALUES + 2 * 512)
KEPT = {"plain": 0, "stride-pad": 0, "stride-duplicate": 0, "max-pad": 8 * VALUES, "avg-pad": 0, "avg-duplicate": 0,
        "projection": NORM, "projection-all": NORM, "avg-projection": NORM + 4 * VALUES}  # fmt: skip


def saved(shortcut, x, residual):
    known = {x.untyped_storage().data_ptr()}
    known |= {t.untyped_storage().data_ptr() for t in (*shortcut.parameters(), *shortcut.buffers())}
    kept = {}

    def pack(tensor):
        if tensor.untyped_storage().data_ptr() not in known:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = shortcut(x.requires_grad_(), residual.requires_grad_())
    assert y.shape == residual.shape
    return sum(kept.values())
