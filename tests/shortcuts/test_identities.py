"""Exact identities between strategies, on shapes, channels and strides that hypothesis chooses."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_shortcuts.models import build_network
from resnet_shortcuts.shortcuts import Site, build_shortcut, find
from resnet_shortcuts.shortcuts.channel_modules import Convolution
from resnet_shortcuts.shortcuts.operations import SpatialOperation, operations


def build_spatial(name, stride):
    return operations(SpatialOperation)[name].build(Site(1, 1, stride))


FEW = settings(max_examples=25, deadline=None, derandomize=True)

SIZES = st.integers(1, 11)
CHANNELS = st.integers(1, 5)
STRIDES = st.integers(2, 3)


def tensor(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def alone(strategy, site, x, state=None):
    shortcut = build_shortcut(find(strategy), site).double().eval()
    if state is not None:
        shortcut.load_state_dict(state)
    size = (-(-x.shape[2] // site.stride), -(-x.shape[3] // site.stride))
    return shortcut(x, x.new_zeros(x.shape[0], site.out_channels, *size))


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-12)


@FEW
@given(SIZES, SIZES, CHANNELS, STRIDES)
def test_a_1x1_pool_of_stride_s_is_striding(height, width, channels, stride):
    x = tensor(2, channels, height, width)
    strided = build_spatial("stride", stride)(x)
    assert torch.equal(F.max_pool2d(x, 1, stride), strided)
    assert torch.equal(F.avg_pool2d(x, 1, stride), strided)


@FEW
@given(SIZES, SIZES, CHANNELS)
def test_avg_2x2_is_a_frozen_2x2_convolution_of_quarters(height, width, channels):
    x = tensor(2, channels, 2 * height, 2 * width)
    kernel = torch.full((channels, 1, 2, 2), 0.25, dtype=torch.float64)
    close(build_spatial("avg", 2)(x), F.conv2d(x, kernel, stride=2, groups=channels))


@FEW
@given(SIZES, SIZES, CHANNELS, CHANNELS, STRIDES)
def test_space_to_depth_and_1x1_is_a_convolution_as_wide_as_its_stride(height, width, inputs, outputs, stride):
    x = tensor(2, inputs, height * stride, width * stride)
    site = Site(inputs, outputs, stride, preactivation=True)
    weight = tensor(outputs, inputs, stride, stride, seed=1)
    expected = F.conv2d(F.pixel_unshuffle(x, stride), weight.view(outputs, -1, 1, 1))
    for name in ("s2d-projection", "projection-2x2"):
        close(alone(name, site, x, {"operation.conv.weight": weight}), expected)


@FEW
@given(SIZES, SIZES, CHANNELS, CHANNELS)
def test_d_is_a_2x2_convolution_with_tied_taps(height, width, inputs, outputs):
    x = tensor(2, inputs, 2 * height, 2 * width)
    site = Site(inputs, outputs, 2, preactivation=True)
    weight = tensor(outputs, inputs, 1, 1, seed=1)
    tied = weight.expand(-1, -1, 2, 2) / 4
    d = alone("avg-projection", site, x, {"operation.conv.weight": weight})
    close(d, alone("projection-2x2", site, x, {"operation.conv.weight": tied}))


@FEW
@given(SIZES, SIZES, CHANNELS, CHANNELS, st.sampled_from(["blur3", "blur4", "avg", "avg3", "stride"]))
def test_a_filter_and_a_1x1_convolution_commute(height, width, inputs, outputs, name):
    x = tensor(2, inputs, height, width)
    one = Convolution(inputs, outputs, norm=False).double()
    spatial = build_spatial(name, 2).double()
    close(one(spatial(x)), spatial(one(x)))


@FEW
@given(st.integers(2, 4), CHANNELS, st.integers(0, 2), st.integers(0, 2))
def test_even_shifts_pass_through_in_the_interior(half, channels, down, right):
    size = 4 * half + 12
    x = torch.zeros(1, channels, size, size, dtype=torch.float64)
    x[:, :, 6:-6, 6:-6] = tensor(1, channels, size - 12, size - 12)
    moved = torch.roll(x, (2 * down, 2 * right), (2, 3))
    for name in ("stride", "avg", "avg3", "max", "max2", "blur3", "blur4", "polyphase"):
        spatial = build_spatial(name, 2).double()
        close(spatial(moved), torch.roll(spatial(x), (down, right), (2, 3)))
    for name in ("projection-3x3", "s2d-haar", "s2d-keep", "factorized-reduce", "depthwise-projection"):
        site = Site(channels, 2 * channels, 2, preactivation=True)
        shortcut = build_shortcut(find(name), site).double()
        zeros = x.new_zeros(1, 2 * channels, size // 2, size // 2)
        close(shortcut(moved, zeros), torch.roll(shortcut(x, zeros), (down, right), (2, 3)))


@FEW
@given(SIZES, SIZES, CHANNELS)
def test_haar_is_orthonormal_and_starts_with_twice_the_average(height, width, channels):
    x = tensor(2, channels, 2 * height, 2 * width)
    bands = alone("s2d-haar", Site(channels, 4 * channels, 2), x)
    close(bands.square().sum(), x.square().sum())
    close(bands[:, :channels], 2 * build_spatial("avg", 2)(x))
    assert torch.equal(
        alone("haar-pad", Site(channels, channels, 2), x), alone("s2d-haar", Site(channels, channels, 2), x)
    ) or torch.allclose(bands[:, :channels], alone("haar-pad", Site(channels, channels, 2), x), rtol=1e-6)


@FEW
@given(SIZES, SIZES, CHANNELS, st.integers(0, 6))
def test_both_sides_padding_is_the_same_up_to_a_permutation(height, width, channels, extra):
    x = tensor(2, channels, height, width)
    site = Site(channels, channels + extra, 2)
    order = both_sides_order(channels, channels + extra)
    assert torch.equal(alone("stride-pad-both", site, x), alone("stride-pad", site, x)[:, order])


def both_sides_order(inputs, outputs):
    """Which channel of stride-pad's output stands at each place of stride-pad-both's."""
    before = (outputs - inputs) // 2
    zeros = list(range(inputs, outputs))
    return zeros[:before] + list(range(inputs)) + zeros[before:]


def permuted(state, network):
    """stride-pad's weights for stride-pad-both: every stage's channels in the order that its padding gives them."""
    orders = {"layer1": torch.arange(16)}
    for stage, (inputs, outputs) in {"layer2": (16, 32), "layer3": (32, 64)}.items():
        before = orders[f"layer{int(stage[-1]) - 1}"]
        full = torch.cat([before, torch.arange(inputs, outputs)])
        orders[stage] = full[torch.tensor(both_sides_order(inputs, outputs))]
    out = {}
    for name, value in state.items():
        stage, _, rest = name.partition(".")
        if stage in orders and value.dim():
            own = orders[stage]
            entering = orders[f"layer{int(stage[-1]) - 1}"] if rest == "0.conv1.weight" and stage != "layer1" else own
            if "conv1" in rest:
                value = value[:, entering]
            elif "conv2" in rest or "bn2" in rest:
                value = value[own]
        out[name] = value[:, orders["layer3"]] if name == "fc.weight" else value
    return out


def test_the_two_networks_with_padding_at_the_end_and_on_both_sides_are_one():
    """In training mode, with gradients: outputs, and every parameter's gradient up to the same permutation."""
    first, second = (
        build_network("cifar-resnet-20", find(name), in_channels=3, num_classes=10, seed=0).double()
        for name in ("stride-pad", "stride-pad-both")
    )
    second.load_state_dict(permuted(first.state_dict(), first))
    x = tensor(4, 3, 16, 16)
    outputs = [model(x) for model in (first, second)]
    torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-9)
    for output in outputs:
        output.square().sum().backward()
    gradients = [{name: p.grad for name, p in model.named_parameters()} for model in (first, second)]
    for name, gradient in permuted(gradients[0], first).items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-7, atol=1e-8)


def test_space_to_depth_projection_and_projection_2x2_are_one_network_to_the_last_bit():
    first, second = (
        build_network("cifar-resnet-11-bottleneck", find(name), in_channels=3, num_classes=10, seed=0)
        for name in ("s2d-projection", "projection-2x2")
    )
    states = first.state_dict(), second.state_dict()
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    x = torch.randn(2, 3, 15, 17)
    outputs = [model(x) for model in (first, second)]
    assert torch.equal(*outputs)
    for output in outputs:
        output.square().sum().backward()
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_on_an_ordinary_resnet_pyramid_pad_is_avg_pad():
    x = torch.randn(2, 3, 16, 16)
    first, second = (
        build_network("cifar-resnet-8", find(name), in_channels=3, num_classes=10, seed=0)(x)
        for name in ("pyramid-pad", "avg-pad")
    )
    assert torch.equal(first, second)
