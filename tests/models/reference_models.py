"""Other people's networks to compare with, imported through the package's one door to torchvision."""

import pytest
import torch

from resnet_shortcuts.torchvision_import import import_torchvision


def torchvision_models():
    import_torchvision()
    import torchvision.models

    return torchvision.models


def timm():
    import_torchvision()
    return pytest.importorskip("timm", reason="timm is a test-only dependency")


def randomise_statistics(model, seed=0):
    """Give BN layers statistics and affine values that a trained network might have, so that eval mode tests them."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            shape = module.running_mean.shape
            module.running_mean.copy_(torch.randn(shape, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(shape, generator=generator) + 0.5)
            module.weight.data.copy_(torch.rand(shape, generator=generator) * 0.5 + 0.5)
            module.bias.data.copy_(torch.randn(shape, generator=generator) * 0.1)
    return model.eval()
