"""Everything that training needs to go on as if it had never stopped: weights, buffers, momentum, position, history.

Every random draw is keyed by position, so no generator state belongs here. The tensors travel as safetensors and the
rest as JSON, whose floats keep all their bits; nothing here can run code when it is read.
"""

import json
from collections.abc import Iterable, Mapping

import torch
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from resnet_shortcuts.errors import IntegrityError
from resnet_shortcuts.hashing import sha256
from resnet_shortcuts.training.epoch_record import EpochRecord

FORMAT = 1
TENSORS, PROGRESS = "state.safetensors", "progress.json"
_MOMENTUM, _MODEL = "momentum.", "model."


class Progress(BaseModel):
    """Where a run stands. ``epoch`` and ``epoch_step`` count from 0; the sums are over the epoch that is open."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    loss_sum: float = 0.0
    hits: int = 0
    seen: int = 0
    history: list[EpochRecord] = []


def render(model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> dict[str, bytes]:
    """The state as named byte strings."""
    tensors = {_MODEL + name: tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        momentum = optimizer.state[parameter].get("momentum_buffer") if parameter in optimizer.state else None
        if momentum is not None:
            tensors[_MOMENTUM + name] = momentum
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    document = {"format": FORMAT, **progress.model_dump(), "history": [epoch.as_json() for epoch in progress.history]}
    return {TENSORS: save(plain), PROGRESS: json.dumps(document, allow_nan=False).encode()}


def restore(files: Mapping[str, bytes], model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Put a rendered state into a model and its optimizer. Raises IntegrityError, and then nothing has been changed."""
    progress = _read_progress(files[PROGRESS])
    try:
        tensors = load(files[TENSORS])
    except SafetensorError as error:
        raise IntegrityError("not a checkpoint", TENSORS, f"delete it ({error})") from error
    model_state = model.state_dict()
    parameters = dict(model.named_parameters())
    _check({_MODEL + name: tensor for name, tensor in model_state.items()}, tensors, needed=True)
    _check({_MOMENTUM + name: tensor for name, tensor in parameters.items()}, tensors, needed=False)
    known = {*(_MODEL + name for name in model_state), *(_MOMENTUM + name for name in parameters)}
    if unknown := sorted(set(tensors) - known):
        raise _another(unknown[0], "only the checkpoint has it")
    with torch.no_grad():
        for name, tensor in model_state.items():
            tensor.copy_(tensors[_MODEL + name])
        for name, parameter in parameters.items():
            if (momentum := tensors.get(_MOMENTUM + name)) is not None:
                optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(momentum)
    return progress


def digest(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """SHA-256 over names and bits, whatever the memory format: equal exactly where two states are bit-identical."""
    parts = []
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        plain = tensor.detach().cpu().contiguous()
        parts.append(f"{name}:{plain.dtype}:{tuple(plain.shape)};".encode())
        parts.append(plain.view(-1).view(torch.uint8).numpy().tobytes())
    return sha256(*parts)


def momentum_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[tuple[str, torch.Tensor]]:
    """Name and momentum buffer of every parameter that has one."""
    pairs = [(name, optimizer.state[p].get("momentum_buffer")) for name, p in model.named_parameters()]
    return [(name, momentum) for name, momentum in pairs if momentum is not None]


def _read_progress(data: bytes) -> Progress:
    try:
        document = json.loads(data)
        written = document.pop("format")
        progress = Progress.model_validate(document) if written == FORMAT else None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise IntegrityError("not a checkpoint", PROGRESS, f"delete it ({error})") from error
    if progress is None:
        todo = "use the version of resnet-shortcuts that wrote it, or a newer one"
        raise IntegrityError(f"checkpoint format {written} (this version reads {FORMAT})", PROGRESS, todo)
    return progress


def _check(expected: Mapping[str, torch.Tensor], stored: Mapping[str, torch.Tensor], *, needed: bool) -> None:
    for name, tensor in expected.items():
        if name not in stored:
            if needed:
                raise _another(name, "the checkpoint has no such tensor")
            continue
        here, there = (tuple(tensor.shape), tensor.dtype), (tuple(stored[name].shape), stored[name].dtype)
        if here != there:
            raise _another(name, f"{there[0]} {there[1]} in the checkpoint, {here[0]} {here[1]} here")


def _another(name: str, detail: str) -> IntegrityError:
    return IntegrityError("checkpoint of another network", f"first tensor that differs: {name} ({detail})", "delete it")
