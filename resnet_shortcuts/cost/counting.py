"""Costs that are counted, not timed: exact, and the same on every device.

Networks are counted on the meta device, where tensors have shapes but no values: no image is read and nothing computed.

What autograd keeps of ResNet-20 with option A at batch size B, 3x32x32, 10 classes, fp32, to the byte (4 bytes a value
unless stated otherwise; a test checks it):

- 379,904 values a sample, the convolutional part: the input (3,072); the outputs of the stem's convolution and ReLU
  (2 x 16,384); and for each of the nine blocks four feature maps: what the two batch norms read and what the two ReLUs
  gave, which is also what the next convolutions read (12 x 16,384 + 12 x 8,192 + 12 x 4,096). The shortcut of option A
  keeps nothing.
- the head and the loss: 64 values a sample that the last layer reads, 10 log-probabilities, the label (one int64).
- once a batch: the mean and the inverse deviation of every batch-norm channel (2 x 688 values), the running mean and
  variance, which batch norm hands to its backward too (2 x 688; buffers, not parameters), and the loss's total weight.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from resnet_shortcuts.cost.cost_request import Memory
from resnet_shortcuts.models.library_networks import build_model, check_model
from resnet_shortcuts.models.network_config import NetworkSpec
from resnet_shortcuts.shortcuts.catalogue import Strategy
from resnet_shortcuts.shortcuts.contract import Shortcut
from resnet_shortcuts.training.step import forward_and_loss
from resnet_shortcuts.training.step_settings import StepSettings

STEM, SHORTCUTS, HEAD, LOSS = "stem", "shortcuts", "head", "loss"


def outline(
    spec: NetworkSpec | str, strategy: Strategy, input_shape: tuple[int, int, int], num_classes: int
) -> nn.Module:
    """The network to count, for samples (C, H, W): on the meta device, or on the CPU where it does not run there.

    A custom strategy that reads a value in its forward pass (``.item()``) does not. Raises UsageError where the
    strategy cannot serve the network.
    """
    model = check_model(spec, strategy, in_channels=input_shape[0], num_classes=num_classes)
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *input_shape, device="meta"))
    except RuntimeError:
        model = build_model(spec, strategy, in_channels=input_shape[0], num_classes=num_classes, seed=0)
    return model.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def parameters(model: nn.Module) -> int:
    """Number of trainable and frozen parameters, each once."""
    return sum(parameter.numel() for parameter in model.parameters())


def multiply_adds(model: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Multiply-adds of one forward pass of one sample (C, H, W): half of what torch.utils.flop_counter counts.

    Convolutions and matrix products count; pooling, padding, batch norm, ReLU, gates' products and adds count as zero.
    """
    was_training = model.training
    model.eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(torch.zeros(1, *input_shape, device=_device(model)))
    model.train(was_training)
    return int(counter.get_total_flops()) // 2


def module_counts(module: nn.Module, inputs: Sequence[Tensor]) -> dict[str, int]:
    """Parameters, multiply-adds and saved bytes of any module for these inputs; its buffers are as before afterwards.

    ``saved_bytes`` are those of the forward pass alone, in training mode: every storage once, parameters left out.
    """
    state = {name: buffer.clone() for name, buffer in module.named_buffers()}
    was_training = module.training
    parameter_storages = {parameter.untyped_storage()._cdata for parameter in module.parameters()}
    kept: dict[int, Tensor] = {}

    def save(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor.detach()
        return tensor

    leaves = [each.detach().clone().requires_grad_(each.is_floating_point()) for each in inputs]
    counter = FlopCounterMode(display=False)
    try:
        with saved_tensors_hooks(save, lambda tensor: tensor):
            module.train()(*leaves)
        with counter, torch.no_grad():
            module.eval()(*leaves)
    finally:
        module.train(was_training)
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                buffer.copy_(state[name])
    saved = sum(each.untyped_storage().nbytes() for key, each in kept.items() if key not in parameter_storages)
    return {
        "parameters": parameters(module),
        "multiply_adds": int(counter.get_total_flops()) // 2,
        "saved_bytes": saved,
    }


def saved_bytes(model: nn.Module, input_shape: tuple[int, int, int], batch_size: int, precision: str = "fp32") -> int:
    """Bytes that autograd saves from the forward pass and the loss of one training batch until backward.

    Every storage once and whole, parameters left out (they exist anyway); the images and the labels are in it, because
    backward reads them. Cross-entropy is the loss. Eager. Under ``bf16`` autocast it holds the bf16 copies of weights.
    """
    return sum(saved_bytes_by_part(model, input_shape, batch_size, precision).values())


def saved_bytes_by_part(
    model: nn.Module, input_shape: tuple[int, int, int], batch_size: int, precision: str = "fp32"
) -> dict[str, int]:
    """`saved_bytes` by who saved the storage first: ``stem``, the stages by name, ``shortcuts``, ``head``, ``loss``.

    A stage is a child of the network that holds shortcuts. The blocks compute their branch before their shortcut, so
    ``shortcuts`` holds only what the shortcuts add to what would be kept without them. The model's mode and its
    batch-norm statistics are as before afterwards.
    """
    device = _device(model)
    images = torch.zeros(batch_size, *input_shape, device=device).to(memory_format=torch.channels_last)
    labels = torch.zeros(batch_size, dtype=torch.int64, device=device)
    settings = StepSettings.model_validate({"batch_size": batch_size, "precision": precision})
    statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
    was_training = model.training
    with _Ledger(model) as ledger:
        forward_and_loss(model.train(), images, labels, settings)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            buffer.copy_(statistics[name])
    model.train(was_training)
    return ledger.bytes


def memory(model: nn.Module, optimizer: torch.optim.Optimizer, activations: int) -> Memory:
    """Bytes by part after a training step, from the tensors themselves; `activations` as `saved_bytes` counted them."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    states = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return Memory(
        parameters=_bytes(model.parameters()),
        gradients=_bytes(gradients),
        optimizer=_bytes(states),
        buffers=_bytes(model.buffers()),
        activations=activations,
    )


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


class _Ledger:
    """Assigns every storage that autograd saves to the part that was computing when it was first saved."""

    def __init__(self, model: nn.Module) -> None:
        self.bytes: dict[str, int] = {}
        self._parameters = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
        self._kept: dict[int, Tensor] = {}  # holds the tensors, so that no storage's address is used twice
        self._stack = [LOSS]
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._hooks = saved_tensors_hooks(self._save, lambda tensor: tensor)
        self._model = model

    def __enter__(self) -> "_Ledger":
        self._follow(self._model, STEM)
        for name, child in self._model.named_children():
            inside = [module for module in child.modules() if isinstance(module, Shortcut)]
            if inside:
                self._follow(child, name, then=HEAD)
            for shortcut in inside:
                self._follow(shortcut, SHORTCUTS)
        self._hooks.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._hooks.__exit__(*problem)
        for handle in self._handles:
            handle.remove()
        self._kept.clear()

    def _follow(self, module: nn.Module, part: str, then: str | None = None) -> None:
        """Assign to `part` while `module` computes, and what its caller computes afterwards to `then`."""

        def leave(*_: object) -> None:
            self._stack.pop()
            self._stack[-1] = then or self._stack[-1]

        self._handles.append(module.register_forward_pre_hook(lambda *_: self._stack.append(part)))
        self._handles.append(module.register_forward_hook(leave))

    def _save(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        address = storage._cdata  # of the storage itself: tensors on the meta device hold no data
        if storage.nbytes() and address not in self._parameters and address not in self._kept:
            self._kept[address] = tensor.detach()
            part = self._stack[-1]
            self.bytes[part] = self.bytes.get(part, 0) + storage.nbytes()
        return tensor
