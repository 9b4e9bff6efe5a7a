import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch

from resnet_shortcuts.properties.shortcut_description import describe
from resnet_shortcuts.shortcuts import Site, build_shortcut, find, strategies
from resnet_shortcuts.shortcuts.operations import SpatialOperation, operations
from tools.shortcut_document import render
from tools.shortcut_pictures import grids, sample

ROOT = Path(__file__).parents[2]
SPATIAL = operations(SpatialOperation)
HALF = Site(1, 1, 2)


def test_the_page_and_its_pictures_are_fresh():
    for path, text in render().items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, "run: python -m tools.shortcut_document"


def test_pictures_are_well_formed():
    pictures = [text for path, text in render().items() if path.endswith(".svg")]
    assert len(pictures) == 14
    for text in pictures:
        ET.fromstring(text)  # noqa: S314  # our own text


@pytest.mark.parametrize("name", ["stride", "avg", "avg3", "blur3", "blur4"])
def test_pictures_show_what_the_operation_does(name):
    window, gradient = grids(SPATIAL[name])
    x = torch.randn(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    y = SPATIAL[name].build(HALF).double()(x)
    (of_one,) = torch.autograd.grad(y[0, 0, 1, 1], x, retain_graph=True)
    torch.testing.assert_close(of_one[0, 0], torch.from_numpy(window))
    (of_all,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(of_all[0, 0], torch.from_numpy(gradient))


@pytest.mark.parametrize("name", ["max", "max2", "polyphase"])
def test_pictures_of_choices_show_what_is_chosen_of_the_sample(name):
    x = torch.from_numpy(sample())[None, None].requires_grad_()
    (gradient,) = torch.autograd.grad(SPATIAL[name].build(HALF)(x).sum(), x)
    torch.testing.assert_close(gradient[0, 0], torch.from_numpy(grids(SPATIAL[name])[1]))


@pytest.mark.parametrize(
    ("name", "strategy"),
    [("conv2", "projection-2x2"), ("conv3", "projection-3x3"), ("factorized", "factorized-reduce"),
     ("depthwise", "depthwise-projection"), ("s2d", "s2d-projection"), ("none", "skip-transitions")],
)  # fmt: skip
def test_pictures_of_learned_windows_show_which_pixels_they_read(name, strategy):
    shortcut = build_shortcut(find(strategy), Site(1, 2, 2, preactivation=True))
    x = torch.randn(1, 1, 8, 8, requires_grad=True)
    y = shortcut(x, torch.zeros(1, 2, 4, 4, requires_grad=True))
    for output, grid in zip((y[:, :, 1, 1], y), grids(SPATIAL[name]), strict=True):
        (gradient,) = torch.autograd.grad((output * torch.randn_like(output)).sum(), x, retain_graph=True,
                                          allow_unused=True)  # fmt: skip
        read = torch.zeros(8, 8, dtype=torch.bool) if gradient is None else gradient[0, 0] != 0
        assert torch.equal(read, torch.from_numpy(grid) != 0)


@pytest.mark.parametrize("strategy", strategies(), ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("site", [Site(16, 32, 2), Site(16, 64, 1), Site(16, 16, 1)], ids=["half", "widen", "same"])
def test_costs_counted_by_hand_are_those_of_the_module(strategy, site):
    from resnet_shortcuts.cost.counting import parameters

    shortcut = build_shortcut(strategy, site)
    said = strategy.cost(site, 10)
    assert parameters(shortcut) == said["parameters"]
    side = 10 // site.stride
    with torch.utils.flop_counter.FlopCounterMode(display=False) as counter, torch.no_grad():
        shortcut(torch.zeros(1, site.in_channels, 10, 10), torch.zeros(1, site.out_channels, side, side))
    products = counter.get_total_flops() // 2
    assert products == said["multiply_adds"]


def test_one_strategy_in_full():
    said = describe(find("D"))
    assert said["formula"] == "y = BN(conv1x1(avg(x))) + branch"
    assert said["cost"] == {"parameters": 16 * 32 + 64, "multiply_adds": 16 * 32 * 256}
    assert said["properties"]["coverage"] == 1
    assert describe(find("pyramid-pad"))["note"].endswith("equals avg-pad.")


def test_the_page_needs_no_torch():
    code = "import sys; from tools.shortcut_document import render; render(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
