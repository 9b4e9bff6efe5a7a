import pytest
import torch

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.shortcuts import Site, build_shortcut, find, strategies

NAMES = [strategy.name for strategy in strategies()]


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


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_of_the_shortcut_reaches_the_input(name):
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    join(name, x, Site(4, 8, 2)).square().sum().backward() if name != "plain" else None
    assert name == "plain" or x.grad.abs().sum() > 0


def test_plain_is_the_branch_alone():
    residual = torch.randn(1, 4, 4, 4)
    assert torch.equal(build_shortcut(find("plain"), Site(4, 4, 1))(residual + 1, residual), residual)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"plain", "projection-all"}])
def test_where_nothing_changes_it_is_the_identity(name):
    x = torch.randn(1, 4, 4, 4)
    shortcut = build_shortcut(find(name), Site(4, 4, 1))
    assert torch.equal(shortcut(x, torch.zeros_like(x)), x)
    assert not list(shortcut.parameters())


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
