import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from resnet_shortcuts.models import NetworkSpec, build_network
from resnet_shortcuts.models.foreign_weights import from_timm_d, from_torchvision, to_torchvision
from resnet_shortcuts.models.networks import ResidualNetwork
from resnet_shortcuts.shortcuts import find

_spec = importlib.util.spec_from_file_location("reference_models", Path(__file__).with_name("reference_models.py"))
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


def build(name, strategy, **options):
    spec = NetworkSpec(name=name, **options)
    return build_network(spec, find(strategy), in_channels=3, num_classes=1000, seed=0)


@torch.inference_mode()
def same_logits(ours, theirs, size):
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    expected, got = theirs.eval()(x), ours.eval()(x)
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_projection_is_torchvisions_resnet_key_for_key(depth):
    with torch.device("meta"):
        theirs = getattr(reference.torchvision_models(), f"resnet{depth}")()
        architecture = NetworkSpec(name=f"imagenet-resnet-{depth}").architecture
        ours = ResidualNetwork(architecture, find("projection"), 3, 1000).state_dict()
    renamed = from_torchvision(theirs.state_dict())
    assert sorted(renamed) == sorted(ours)
    assert all(renamed[name].shape == ours[name].shape for name in ours)
    assert sorted(to_torchvision(ours)) == sorted(theirs.state_dict())


@pytest.mark.parametrize("depth", [18, 50])
def test_torchvisions_weights_give_torchvisions_logits(depth):
    theirs = reference.randomise_statistics(getattr(reference.torchvision_models(), f"resnet{depth}")())
    ours = build(f"imagenet-resnet-{depth}", "projection")
    ours.load_state_dict(from_torchvision(theirs.state_dict()))
    same_logits(ours, theirs, 65)


def test_v1_puts_the_stride_in_the_first_convolution():
    resnet = reference.torchvision_models().resnet
    theirs = reference.randomise_statistics(resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1]))
    for stage in (theirs.layer2, theirs.layer3, theirs.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    architecture = replace(NetworkSpec(name="imagenet-resnet-50-v1").architecture, blocks=(1, 1, 1, 1))
    ours = ResidualNetwork(architecture, find("projection"), 3, 1000)
    ours.load_state_dict(from_torchvision(theirs.state_dict()))
    same_logits(ours, theirs, 64)


def test_avg_projection_with_the_deep_stem_is_timms_resnet50d():
    theirs = reference.randomise_statistics(reference.timm().create_model("resnet50d", pretrained=False))
    ours = build("imagenet-resnet-50", "avg-projection", stem="deep")
    ours.load_state_dict(from_timm_d(theirs.state_dict()))
    same_logits(ours, theirs, 65)
