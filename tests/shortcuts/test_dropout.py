import torch

from resnet_shortcuts.models import build_network, set_position
from resnet_shortcuts.shortcuts import Site, build_shortcut, find
from resnet_shortcuts.shortcuts.join_modules import uniform


def dropped(site=0, seed=0, step=0, shape=(8, 4, 16, 16)):
    shortcut = build_shortcut(find("dropout"), Site(4, 4, 1, site, 9)).train()
    shortcut.set_position(seed, step)
    return shortcut(torch.ones(shape), torch.zeros(shape))


def test_it_drops_half_and_scales_up_the_rest():
    y = dropped()
    assert set(y.unique().tolist()) == {0.0, 2.0}
    assert abs((y == 0).float().mean().item() - 0.5) < 4 * 0.5 / y.numel() ** 0.5
    eval_mode = build_shortcut(find("dropout"), Site(4, 4, 1)).eval()
    assert torch.equal(eval_mode(torch.ones(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)), torch.ones(1, 4, 2, 2))


def test_position_alone_fixes_what_is_dropped():
    torch.manual_seed(0)
    first = dropped(seed=3, step=7)
    torch.rand(5)
    assert torch.equal(first, dropped(seed=3, step=7))
    for other in (dropped(seed=4, step=7), dropped(seed=3, step=8), dropped(seed=3, step=7, site=1)):
        agree = (first == other).float().mean().item()
        assert abs(agree - 0.5) < 0.03


def test_memory_format_changes_nothing():
    x = torch.randn(2, 4, 8, 8)
    shortcut = build_shortcut(find("dropout"), Site(4, 4, 1)).train()
    plain = shortcut(x, torch.zeros_like(x))
    last = shortcut(x.to(memory_format=torch.channels_last), torch.zeros_like(x).to(memory_format=torch.channels_last))
    assert torch.equal(plain, last)


def test_the_numbers_are_uniform_and_unrelated():
    u = uniform(torch.tensor([12345678901234567, 5]), 2, torch.Size([1 << 16])).double()
    assert abs(u.mean() - 0.5) < 0.005
    assert abs(u.var() - 1 / 12) < 0.002
    counts = torch.histc(u, 64, 0, 1)
    assert ((counts - 1024) ** 2 / 1024).sum() < 130  # chi-squared with 63 degrees of freedom: p about 1e-6
    for lag in (1, 2, 16, 64, 256):
        assert abs(torch.corrcoef(torch.stack([u[:-lag], u[lag:]]))[0, 1]) < 0.02


def test_a_network_is_told_its_position_at_once():
    model = build_network("cifar-resnet-8", find("dropout"), in_channels=3, num_classes=10, seed=0).train()
    x = torch.randn(4, 3, 8, 8)
    set_position(model, 0, 1)
    first = model(x)
    assert torch.equal(first, model(x))
    set_position(model, 0, 2)
    assert not torch.equal(first, model(x))
    assert len(model.random_modules) == 3
    assert not any("position" in name for name in model.state_dict())
