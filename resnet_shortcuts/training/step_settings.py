"""Settings of a training step: what its time and memory depend on beside network, optimizer and hardware.

Free of torch.
"""

from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

Engine = Literal["plain", "static", "graph"]


class StepSettings(BaseModel):
    """How one training step is carried out; see ``training.step`` for the engines.

    ``precision`` ``bf16`` runs the forward pass under autocast; the loss is always computed in fp32. ``compile``
    compiles the forward and backward pass with torch.compile. ``deterministic`` (CUDA only) restricts cuDNN to
    algorithms whose results do not vary from run to run. ``tf32`` (CUDA only) lets products of fp32 be rounded to 10
    bits, in training and in evaluation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    batch_size: int = Field(default=128, ge=1)
    precision: Literal["fp32", "bf16"] = "fp32"
    label_smoothing: float = 0.0
    engine: Engine = "plain"
    compile: bool = False
    deterministic: bool = True
    tf32: bool = False


class OptimizerSettings(Protocol):
    """What a recipe says about the optimizer; the learning rate is given to every step."""

    @property
    def momentum(self) -> float: ...  # noqa: D102

    @property
    def nesterov(self) -> bool: ...  # noqa: D102

    @property
    def weight_decay(self) -> float: ...  # noqa: D102


def engine_for(device: str) -> Engine:
    """The engine for training on this device (``cpu``, ``cuda`` or ``cuda:N``) where none is asked for.

    With ``StepSettings.compile`` the graph captures the compiled step; a capture that fails goes on without the graph.
    """
    return "graph" if device.startswith("cuda") else "plain"


def evaluation_batch_size(device: str, train_batch_size: int, input_shape: tuple[int, int, int]) -> int:
    """Images in a batch of an evaluation: as in training on a CPU, more on a GPU, which small batches leave idle.

    On a GPU as many as have the pixels of 2,000 images (3, 32, 32), but no fewer than a batch of training.
    """
    if not device.startswith("cuda"):
        return train_batch_size
    pixels = input_shape[1] * input_shape[2]
    return max(train_batch_size, 2000 * 32 * 32 // pixels)
