"""Whether the networks of a config can be trained as it asks, checked before the first run."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from resnet_shortcuts.errors import SettingError

if TYPE_CHECKING:
    from resnet_shortcuts.experiments.study import Study
    from resnet_shortcuts.models.network_config import NetworkSpec
    from resnet_shortcuts.shortcuts.catalogue import Strategy


def check_networks(study: "Study") -> None:
    """Build every network with every strategy once, without memory. Raises UsageError where one cannot serve it, and
    what `check_layers` raises.
    """
    from resnet_shortcuts.models.library_networks import check_model

    for network in study.config.networks:
        for shortcut in study.config.shortcuts:
            check_model(network, shortcut, in_channels=study.input_shape[0], num_classes=study.classes)
    check_layers(study)


def check_layers(study: "Study") -> None:
    """Raises SettingError where a layer cannot be trained on batches of one image, or not in bf16 on a CPU.

    One value per channel has no variance: batch normalisation needs more. And PyTorch 2.13 gets the weight
    gradient of a bf16 convolution wrong on CPUs with AMX where the stride is longer than its input is wide.
    """
    from torch import nn

    bf16_on_cpu = study.precision == "bf16" and study.device == "cpu"
    if study.config.train.batch_size > 1 and not bf16_on_cpu:
        return
    for network, shortcut, name, module, shape in _layers(study):
        place = f"'{name}' of {network.label} with {shortcut.name}"
        if isinstance(module, nn.BatchNorm2d) and shape.numel() == shape[1]:
            what = (
                f"train.batch_size 1 leaves {place} one value a channel, "
                "and batch normalisation needs more (images x height x width)"
            )
            raise SettingError(what, "train.batch_size", "at least 2: --set train.batch_size=2")
        if bf16_on_cpu and isinstance(module, nn.Conv2d) and module.kernel_size[1] > 1 and module.stride[1] > shape[3]:
            what = (
                f"{place} has stride {module.stride[1]} over maps {shape[3]} wide, "
                "whose bf16 gradients PyTorch computes wrongly on CPUs"
            )
            todo = "use fp32, --set run.precision=fp32, or larger images"
            raise SettingError(what, "run.precision", todo)


def _layers(study: "Study") -> "Iterator[tuple[NetworkSpec, Strategy, str, Any, Any]]":
    """Network, strategy, name, module and shape of the input of each convolution and batch normalisation."""
    import torch
    from torch import nn

    from resnet_shortcuts.cost.counting import outline

    images = min(study.config.train.batch_size, 2)
    for network in study.config.networks:
        for shortcut in study.config.shortcuts:
            shapes: dict[Any, Any] = {}

            def note(module: nn.Module, inputs: Any, shapes: dict[Any, Any] = shapes) -> None:
                shapes.setdefault(module, inputs[0].shape)

            with torch.no_grad(), contextlib.suppress(Exception):  # a custom strategy's error is for its runs to report
                model = outline(network, shortcut, study.input_shape, study.classes).eval()
                names = {module: name for name, module in model.named_modules()}
                for module in names:
                    if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
                        module.register_forward_pre_hook(note)
                model(torch.zeros(images, *study.input_shape, device=next(model.parameters()).device))
            yield from ((network, shortcut, names[module], module, shape) for module, shape in shapes.items())
