import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from resnet_shortcuts.shortcuts.channel_modules import Pointwise


@pytest.mark.parametrize("channels", [1, 4, 7, 8, 16])
@pytest.mark.parametrize(("size", "stride"), [(8, 1), (8, 2), (7, 2), (9, 3)])
def test_a_pointwise_convolution_is_torchs_whatever_its_channels(channels, size, stride):
    layer = Pointwise(channels, 12, stride).double()
    x = torch.randn(2, channels, size, size, dtype=torch.float64)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight, stride=stride))


def test_a_narrow_projection_trains_without_corrupting_the_heap():
    code = """
import torch
from resnet_shortcuts.models.networks import build_network
from resnet_shortcuts.shortcuts.catalogue import find
for name in ("projection", "projection-all", "factorized-reduce"):
    for width in (1, 2, 4):
        model = build_network(
            {"name": "cifar-resnet-8", "width": width}, find(name), in_channels=3, num_classes=10, seed=0
        ).to(memory_format=torch.channels_last)
        for _ in range(12):
            x = torch.randn(16, 3, 16, 16).to(memory_format=torch.channels_last)
            model(x).sum().backward()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
