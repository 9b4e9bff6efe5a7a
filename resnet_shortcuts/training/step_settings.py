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
    algorithms whose results do not vary from run to run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    batch_size: int = Field(default=128, ge=1)
    precision: Literal["fp32", "bf16"] = "fp32"
    label_smoothing: float = 0.0
    engine: Engine = "plain"
    compile: bool = False
    deterministic: bool = True


class OptimizerSettings(Protocol):
    """What a recipe says about the optimizer; the learning rate is given to every step."""

    @property
    def momentum(self) -> float: ...  # noqa: D102

    @property
    def nesterov(self) -> bool: ...  # noqa: D102

    @property
    def weight_decay(self) -> float: ...  # noqa: D102


def engine_for(device: str, compile: bool) -> Engine:
    """The engine for training on this device (``cpu``, ``cuda`` or ``cuda:N``) where none is asked for.

    With ``compile`` the static step is compiled but not captured. A compiled step in a graph is measured as ``both`` by
    ``benchmarks/gpu.py`` and becomes the default if it proves faster.
    """
    if not device.startswith("cuda"):
        return "plain"
    return "static" if compile else "graph"
