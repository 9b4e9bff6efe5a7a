"""Networks that PyTorch cannot train as a config asks are refused before anything is trained."""

import pytest
import torch
from torch import nn

from resnet_shortcuts import machine
from resnet_shortcuts.config.experiment_config import load_config
from resnet_shortcuts.errors import SettingError
from resnet_shortcuts.experiments.study import open_study
from resnet_shortcuts.experiments.trainability import check_networks

YAML = """
data: {source: digits, train_size: 60, test_size: 40}
networks: [imagenet-resnet-18]
shortcuts: [plain]
seeds: 1
train: {epochs: 1, batch_size: 20}
run: {device: cpu, precision: bf16}
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("RSC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "config.yaml").write_text(YAML)
    return lambda *overrides: open_study(load_config(tmp_path / "config.yaml", overrides), None)


def test_bf16_gradients_that_pytorch_gets_wrong_on_a_cpu_are_refused_before_training(study):
    with pytest.raises(SettingError, match="has stride 2 over maps 1 wide") as raised:
        check_networks(study())
    assert raised.value.where == "run.precision"
    assert raised.value.todo.startswith("use fp32, --set run.precision=fp32")
    check_networks(study("run.precision=fp32"))
    check_networks(study("networks=[cifar-resnet-8]"))


def test_shapes_that_are_accepted_have_right_bf16_gradients():
    if not machine.bf16_supported("cpu"):
        pytest.skip("this processor does not multiply bf16")
    torch.manual_seed(0)
    for height, width, kernel, stride in [(1, 1, 3, 1), (1, 1, 1, 2), (2, 2, 3, 2), (2, 2, 7, 2), (1, 4, 3, 2)]:
        layer = nn.Conv2d(32, 64, kernel, stride, kernel // 2, bias=False).to(memory_format=torch.channels_last)
        images = torch.randn(16, 32, height, width).to(memory_format=torch.channels_last)
        gradients = {}
        for dtype in (torch.float32, torch.bfloat16):
            layer.zero_grad()
            junk = [torch.full((count,), 1e30) for count in (1000, 5000, 20000, layer.weight.numel())]
            del junk
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
                layer(images).float().sum().backward()
            gradients[dtype] = layer.weight.grad.clone()
        difference = (gradients[torch.float32] - gradients[torch.bfloat16]).abs().max()
        assert difference < 0.05 * gradients[torch.float32].abs().max(), (height, width, kernel, stride)
