"""Counts against figures worked out by hand and published, and saved bytes against a graph walked by other means."""

from pathlib import Path

import pytest
import torch
from torch import nn

from resnet_shortcuts.cost import counting
from resnet_shortcuts.models.networks import build_network
from resnet_shortcuts.shortcuts.catalogue import find

SHAPE = (3, 32, 32)
CHANNELS = 16 * 7 + 32 * 6 + 64 * 6
"""Batch-norm channels of ResNet-20: stem and six layers of 16, six of 32, six of 64."""
CONVOLUTIONAL = 379_904
"""Values a sample, ../shared/reference/published-numbers.md."""


def network(shortcut: str, name: str = "cifar-resnet-20", shape: tuple[int, int, int] = SHAPE) -> nn.Module:
    return build_network(name, find(shortcut), in_channels=shape[0], num_classes=10, seed=0)


def saved_by_hand(batch: int) -> int:
    """What ResNet-20 with option A keeps, in bytes: see the docstring of `counting`."""
    stem = 3 * 32 * 32 + 2 * 16 * 32 * 32
    blocks = 3 * 4 * (16 * 32 * 32 + 32 * 16 * 16 + 64 * 8 * 8)
    assert stem + blocks == CONVOLUTIONAL
    sample = 4 * (stem + blocks) + 4 * 64 + 4 * 10 + 8
    once = 4 * (2 * CHANNELS + 2 * CHANNELS + 1)
    return batch * sample + once


@pytest.mark.parametrize(("shortcut", "expected"), [("A", 269_722), ("B", 272_474), ("C", 283_962)])
def test_parameters_are_the_published_ones(shortcut: str, expected: int) -> None:
    assert counting.parameters(network(shortcut)) == expected


def multiply_adds_by_hand(shortcut: str) -> int:
    """Convolutions and final layer of ResNet-20 at 32x32, from the layers' shapes."""
    stem, head = 3 * 16 * 9 * 32**2, 64 * 10
    stages = [(16, 16, 32), (16, 32, 16), (32, 64, 8)]
    total = stem + head
    for before, width, size in stages:
        total += (before * width + 5 * width * width) * 9 * size**2
        total += before * width * size**2 if shortcut == "B" and before != width else 0
        total += (before * width + 2 * width * width) * size**2 if shortcut == "C" else 0
    return total


@pytest.mark.parametrize("shortcut", ["plain", "A", "B", "C", "avg-duplicate", "max-pad"])
def test_multiply_adds_are_those_of_the_convolutions_and_the_last_layer(shortcut: str) -> None:
    model = network(shortcut)
    assert counting.multiply_adds(model, SHAPE) == multiply_adds_by_hand(shortcut)
    assert multiply_adds_by_hand("A") == 40_551_040
    assert model.training


@pytest.mark.parametrize("batch", [2, 5])
def test_saved_bytes_of_option_a_to_the_byte(batch: int) -> None:
    assert counting.saved_bytes(network("A"), SHAPE, batch) == saved_by_hand(batch)


def test_saved_bytes_of_the_convolutional_part_at_batch_128() -> None:
    values = saved_by_hand(128) - 128 * (4 * 74 + 8) - 4 * (4 * CHANNELS + 1)
    assert values == 4 * 128 * CONVOLUTIONAL
    assert round(values / 2**20, 1) == 185.5


def test_what_other_strategies_add() -> None:
    base = saved_by_hand(2)
    transitions = 32 * 16 * 16 + 64 * 8 * 8
    projected = {"B": (transitions, 96), "C": (transitions + 3 * 16 * 32**2 + 2 * transitions, 336)}
    for name, (values, channels) in projected.items():
        parts = counting.saved_bytes_by_part(network(name), SHAPE, 2)
        assert parts["shortcuts"] == 4 * (2 * values + 4 * channels), name
        assert sum(parts.values()) == base + parts["shortcuts"], name
    pooled = counting.saved_bytes_by_part(network("max-pad"), SHAPE, 2)
    assert pooled["shortcuts"] == 8 * 2 * (16 * 16**2 + 32 * 8**2)  # the indices are int64
    for name in ("plain", "stride-duplicate", "avg-pad", "avg-duplicate"):
        assert counting.saved_bytes(network(name), SHAPE, 2) == base, name


def test_published_shares_of_b_and_c() -> None:
    whole = {name: counting.saved_bytes(network(name), SHAPE, 4) for name in ("A", "B", "C")}
    assert whole["B"] / whole["A"] == pytest.approx(1.03, abs=0.005)
    assert whole["C"] / whole["A"] == pytest.approx(1.23, abs=0.01)


def test_parts_of_option_a() -> None:
    batch = 2
    parts = counting.saved_bytes_by_part(network("A"), SHAPE, batch)
    assert parts == {
        "stem": 4 * (batch * (3 * 32**2 + 2 * 16 * 32**2) + 4 * 16),
        "layer1": 4 * (batch * 12 * 16 * 32**2 + 4 * 16 * 6),
        "layer2": 4 * (batch * 12 * 32 * 16**2 + 4 * 32 * 6),
        "layer3": 4 * (batch * 12 * 64 * 8**2 + 4 * 64 * 6),
        "head": 4 * batch * 64,
        "loss": batch * (4 * 10 + 8) + 4,
    }


def test_a_storage_counts_once_and_whole() -> None:
    class Sliced(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, 2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            wide = x.flatten(1) * 2
            return wide[:, :3] @ self.weight + wide[:, 3:6] @ self.weight

    # kept: `wide` (2 x 12 values) once although two slices of it are read; log-probabilities, labels and total weight
    assert counting.saved_bytes(Sliced(), (3, 2, 2), 2) == 4 * 24 + 4 * 4 + 2 * 8 + 4


@pytest.mark.parametrize("shortcut", ["A", "C", "max-pad", "exclusive-gate", "dropout"])
@pytest.mark.parametrize("name", ["cifar-resnet-8", "imagenet-resnet-18"])
def test_counts_on_the_meta_device_are_those_of_a_network_with_values(shortcut: str, name: str) -> None:
    outlined = counting.outline(name, find(shortcut), SHAPE, 10)
    real = network(shortcut, name)
    assert all(parameter.is_meta for parameter in outlined.parameters())
    assert counting.parameters(outlined) == counting.parameters(real)
    assert counting.multiply_adds(outlined, SHAPE) == counting.multiply_adds(real, SHAPE)
    assert counting.saved_bytes_by_part(outlined, SHAPE, 4) == counting.saved_bytes_by_part(real, SHAPE, 4)


def test_a_custom_strategy_that_reads_a_value_is_counted_on_the_cpu(tmp_path: Path) -> None:
    (tmp_path / "asking.py").write_text(
        "from torch import nn\n"
        "from resnet_shortcuts.shortcuts import Shortcut\n"
        "class Asking(Shortcut):\n"
        "    def __init__(self, site):\n"
        "        super().__init__()\n"
        "        self.pool = nn.AvgPool2d(1, site.stride)\n"
        "        self.more = site.out_channels - site.in_channels\n"
        "    def forward(self, x, residual):\n"
        "        scale = 1.0 if x.sum().item() > -1e30 else 0.0\n"
        "        return residual + scale * nn.functional.pad(self.pool(x), (0, 0, 0, 0, 0, self.more))\n"
    )
    outlined = counting.outline("cifar-resnet-8", find("./asking.py:Asking", tmp_path), SHAPE, 10)
    assert not any(parameter.is_meta for parameter in outlined.parameters())
    plain = counting.outline("cifar-resnet-8", find("A"), SHAPE, 10)
    assert counting.multiply_adds(outlined, SHAPE) == counting.multiply_adds(plain, SHAPE)


def test_counting_leaves_the_model_as_it_was() -> None:
    model = network("B").eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    counting.saved_bytes_by_part(model, SHAPE, 2)
    counting.multiply_adds(model, SHAPE)
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_memory_by_part_is_counted_from_the_tensors() -> None:
    model = network("A")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)
    empty = counting.memory(model, optimizer, 7)
    assert (empty.gradients, empty.optimizer, empty.activations) == (0, 0, 7)
    model(torch.zeros(2, *SHAPE)).sum().backward()
    optimizer.step()
    full = counting.memory(model, optimizer, 7)
    assert full.parameters == full.gradients == full.optimizer == 4 * 269_722
    assert full.buffers == 4 * 2 * CHANNELS + 8 * 19


def test_saved_bytes_under_bf16_autocast_are_another_number() -> None:
    model = network("A")
    assert counting.saved_bytes(model, SHAPE, 2, "bf16") != counting.saved_bytes(model, SHAPE, 2, "fp32")
