import pytest
import torch

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.shortcuts import Site, build_shortcut, find, strategies

AT_TRANSITIONS = [strategy for strategy in strategies() if not strategy.point.everywhere]


def join(name, x, site):
    """The shortcut's contribution alone: joined to a residual of zeros."""
    size = (-(-x.shape[2] // site.stride), -(-x.shape[3] // site.stride))
    return build_shortcut(find(name), site)(x, torch.zeros(x.shape[0], site.out_channels, *size))


def test_option_a_is_every_second_pixel_and_then_zero_channels():
    x = torch.randn(2, 3, 7, 6)
    y = join("A", x, Site(3, 8, 2))
    assert torch.equal(y[:, :3], x[:, :, ::2, ::2])
    assert not y[:, 3:].any()


def test_the_answer_averages_and_repeats():
    x = torch.randn(2, 3, 6, 6)
    y = join("avg-duplicate", x, Site(3, 6, 2))
    means = (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4
    torch.testing.assert_close(y, torch.cat([means, means], 1))


def test_the_asker_takes_the_maximum_of_three_by_three():
    x = torch.randn(1, 1, 4, 4)
    y = join("max-pad", x, Site(1, 2, 2))
    assert y[0, 0, 1, 1] == x[0, 0, 1:4, 1:4].max()
    assert y[0, 0, 0, 0] == x[0, 0, :2, :2].max()


def test_a_window_that_overhangs_averages_the_pixels_it_has():
    x = torch.ones(1, 2, 5, 7)
    assert torch.equal(join("avg-pad", x, Site(2, 2, 2)), torch.ones(1, 2, 3, 4))


def test_plain_is_the_branch_alone():
    residual = torch.randn(1, 4, 4, 4)
    assert torch.equal(build_shortcut(find("plain"), Site(4, 4, 1))(residual + 1, residual), residual)


@pytest.mark.parametrize("strategy", AT_TRANSITIONS, ids=lambda strategy: strategy.name)
def test_where_nothing_changes_a_strategy_of_transitions_is_the_identity(strategy):
    x = torch.randn(1, 4, 4, 4)
    shortcut = build_shortcut(strategy, Site(4, 4, 1))
    assert torch.equal(shortcut(x, torch.zeros_like(x)), x)
    assert not list(shortcut.parameters())


@pytest.mark.parametrize("name", [s.name for s in AT_TRANSITIONS if s.point.channels.name == "pad"])
def test_where_only_channels_change_the_spatial_operation_and_its_scale_do_not_act(name):
    x = torch.randn(1, 4, 5, 5)
    y = build_shortcut(find(name), Site(4, 6, 1))(x, torch.zeros(1, 6, 5, 5))
    assert torch.equal(y, torch.cat([x, torch.zeros(1, 2, 5, 5)], 1))


def test_scalings_act_in_every_block():
    x, residual = torch.randn(1, 4, 4, 4), torch.randn(1, 4, 4, 4)
    site = Site(4, 4, 1)
    torch.testing.assert_close(build_shortcut(find("scale-half"), site)(x, residual), 0.5 * x + residual)
    torch.testing.assert_close(build_shortcut(find("scale-both-half"), site)(x, residual), 0.5 * x + 0.5 * residual)


def test_gates_start_almost_open_for_the_shortcut_and_follow_their_formula():
    x, residual = torch.randn(2, 4, 6, 6), torch.randn(2, 8, 3, 3)
    for name in ("exclusive-gate", "shortcut-gate"):
        shortcut = build_shortcut(find(name), Site(4, 8, 2))
        assert torch.equal(shortcut.gate.bias, torch.full((8,), -6.0))
        g = torch.sigmoid(torch.nn.functional.conv2d(x, shortcut.gate.weight, shortcut.gate.bias, stride=2))
        a = join("A", x, Site(4, 8, 2))
        expected = (1 - g) * a + (g * residual if name == "exclusive-gate" else residual)
        torch.testing.assert_close(shortcut(x, residual), expected)
    other = find({"like": "exclusive-gate", "bias": -3})
    assert build_shortcut(other, Site(4, 4, 1)).gate.bias[0] == -3
    assert other.identity() != find("exclusive-gate").identity()


def test_rezero_starts_as_the_identity_and_can_learn():
    x, residual = torch.randn(1, 4, 4, 4), torch.randn(1, 4, 4, 4)
    shortcut = build_shortcut(find("rezero"), Site(4, 4, 1))
    y = shortcut(x, residual)
    assert torch.equal(y, x)
    y.sum().backward()
    torch.testing.assert_close(shortcut.alpha.grad, residual.sum())


def test_factorized_reduce_sees_the_pixels_that_the_stride_misses():
    shortcut = build_shortcut(find("factorized-reduce"), Site(2, 5, 2, preactivation=True))
    x = torch.randn(1, 2, 7, 5)
    y = shortcut(x, torch.zeros(1, 5, 4, 3))
    first = torch.nn.functional.conv2d(x[:, :, ::2, ::2], shortcut.operation.conv1.weight)
    second = torch.nn.functional.conv2d(x[:, :, 1::2, 1::2], shortcut.operation.conv2.weight)
    torch.testing.assert_close(y[:, :3], first)
    torch.testing.assert_close(y[:, 3:, :3, :2], second)
    assert not y[:, 3:, 3].any()


def test_polyphase_takes_the_strongest_component_of_each_image():
    x = torch.zeros(2, 1, 4, 4)
    x[0, 0, 1::2, ::2] = 2
    x[1, 0, ::2, 1::2] = 3
    y = join("polyphase-pad", x, Site(1, 2, 2))
    assert (y[0, 0] == 2).all()
    assert (y[1, 0] == 3).all()


def test_projections_of_the_bottleneck_example():
    shortcut = build_shortcut(find("B"), Site(256, 512, 2))
    assert sum(p.numel() for p in shortcut.parameters()) == 132_096


def test_in_a_pre_activation_net_a_projection_has_no_norm_and_reads_the_pre_activated_input():
    shortcut = build_shortcut(find("B"), Site(4, 8, 2, preactivation=True))
    assert shortcut.reads == "preactivated"
    assert [name for name, _ in shortcut.named_parameters()] == ["operation.conv.weight"]
    assert build_shortcut(find("A"), Site(4, 8, 2, preactivation=True)).reads == "raw"


def test_one_that_cannot_serve_says_which_block_and_shapes():
    with pytest.raises(UsageError) as caught:
        build_shortcut(find("avg-duplicate"), Site(16, 40, 2, 3, 9))
    for part in ("avg-duplicate", "block 4 of 9", "16 to 40 channels", "stride 2"):
        assert part in str(caught.value)
