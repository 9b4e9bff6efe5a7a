"""A run's trained weights in other forms: this package's names, torchvision's or timm's, or as an ONNX graph."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Literal

from resnet_shortcuts.errors import EnvironmentFault, UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from resnet_shortcuts.models.network_config import NetworkSpec
    from resnet_shortcuts.models.networks import ResidualNetwork
    from resnet_shortcuts.shortcuts.catalogue import Strategy

Form = Literal["safetensors", "torchvision", "timm", "onnx"]
FORMS: tuple[Form, ...] = ("safetensors", "torchvision", "timm", "onnx")
_NEEDED = ("onnx", "onnxscript")


def check_form(form: Form, spec: NetworkSpec) -> None:
    """Raises UsageError where the library has no such network, EnvironmentFault where ONNX is not installed."""
    if form == "onnx":
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise EnvironmentFault(f"{' and '.join(missing)} not installed", "--as onnx", "pip install onnx onnxscript")
    if form not in ("torchvision", "timm"):
        return
    if spec.library is not None and spec.library[0] == form:
        return
    if spec.library is not None:
        raise UsageError(f"{spec.name} is not {form}'s", "--as", f"use --as safetensors or --as {spec.library[0]}")
    built = spec.architecture
    stems = ("imagenet",) if form == "torchvision" else ("imagenet", "deep")
    same = spec.name.startswith("imagenet-resnet-") and not built.stride_first and built.width == 64
    if not same or built.stem not in stems:
        todo = "use --as safetensors, or train imagenet-resnet-18, 34, 50, 101 or 152"
        raise UsageError(f"{form} has no network like {spec.label}", "--as", todo)


def exported(model: nn.Module, strategy: Strategy, form: Form, input_shape: tuple[int, int, int]) -> bytes:
    """The file's content: a state dict as safetensors, or an ONNX graph of images (N, *input_shape), N free.

    Raises UsageError where the shortcut does not fit a ``downsample`` slot.
    """
    if form == "onnx":
        return _onnx(model, input_shape)
    from safetensors.torch import save

    from resnet_shortcuts.models.networks import ResidualNetwork

    state = model.state_dict()
    if form != "safetensors" and isinstance(model, ResidualNetwork):  # another library's has that library's names
        state = downsample_names(model, strategy)
    return save({name: tensor.detach().contiguous() for name, tensor in state.items()}, {"format": "pt"})


def downsample_names(model: ResidualNetwork, strategy: Strategy) -> dict[str, Tensor]:
    """The state dict under the names of torchvision's and timm's ResNets after `convert` to the same strategy."""
    from torch import nn

    from resnet_shortcuts.models.convert import slot_of

    state = {name: value for name, value in model.state_dict().items() if ".shortcut." not in name}
    for name, block in model.blocks():
        if block.shortcut.state_dict():
            changes_size = any(isinstance(each, nn.Conv2d) and each.stride != (1, 1) for each in block.children())
            slot = slot_of(block.shortcut, strategy, changes_size)
            state |= {f"{name}.downsample.{key}": value for key, value in slot.state_dict().items()}
    return state


def _onnx(model: nn.Module, input_shape: tuple[int, int, int]) -> bytes:
    import tempfile
    from pathlib import Path

    import torch

    images = torch.zeros(2, *input_shape)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            model.eval(), (images,), str(path), dynamo=True, input_names=["images"], output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},), external_data=False, verbose=False,
        )  # fmt: skip
        return path.read_bytes()
