"""The request of a cost pass and its report, as JSON-able models; imports no torch."""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from resnet_shortcuts.gpus import BUSY_PERCENT
from resnet_shortcuts.hashing import canonical, sha256
from resnet_shortcuts.machine import Hardware
from resnet_shortcuts.shortcuts.catalogue import label_meant
from resnet_shortcuts.training.step_settings import StepSettings

FORMAT = 1

OTHERS_ALLOWED = 0.25
"""Cores: other programs may use this much of the machine before the times are reported as disturbed."""

Interval = tuple[float, float]
"""Lower and upper end of a 95 % interval."""


class Frozen(BaseModel):
    """A value: cannot be changed, refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CostSpec(Frozen):
    """The config's section ``cost``: whether `train` ends with a cost pass, and how long that may take."""

    measure: Annotated[bool, Field(strict=True)] = True
    seconds: Annotated[float, Field(strict=True, gt=0, le=86_400)] = 30.0


class CostRequest(StepSettings):
    """What to measure, and the settings of the training step (`StepSettings`) and its optimizer.

    `networks` and `shortcuts` map the labels of the tables' rows to descriptions: of a network what `NetworkSpec`
    validates, of a strategy what `shortcuts.catalogue.find` takes. Every network is measured with every strategy.
    `identities` may give, by label, what else tells a strategy from another (`Strategy.identity()`, which holds the
    hash of a custom strategy's source); it only enters the report's key.
    """

    networks: dict[str, str | dict[str, Any]] = Field(min_length=1)
    shortcuts: dict[str, str | dict[str, Any]] = Field(min_length=1)
    baseline: str = "A"
    identities: dict[str, Any] = Field(default_factory=dict)
    input_shape: tuple[int, int, int] = (3, 32, 32)
    num_classes: int = Field(default=10, ge=2)
    evaluation_batch_size: int | None = Field(default=None, ge=1)
    device: str = "cpu"
    threads: int = Field(default=1, ge=1)
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    passes: tuple[Literal["counts", "memory", "time"], ...] = ("counts", "memory", "time")
    seconds: float = Field(default=30.0, gt=0)
    target: float = Field(default=0.02, gt=0)
    min_rounds: int = Field(default=30, ge=1)
    max_rounds: int = Field(default=1000, ge=1)
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _drop_what_older_reports_held(cls, values: Any) -> Any:
        return {key: value for key, value in values.items() if key != "base"} if isinstance(values, dict) else values

    @property
    def step(self) -> StepSettings:
        """The settings of the training step alone."""
        return StepSettings(**self.model_dump(include=set(StepSettings.model_fields)))

    @property
    def device_type(self) -> str:
        """``cpu`` or ``cuda``, without the device's number."""
        return self.device.split(":")[0]

    @property
    def baseline_label(self) -> str:
        """The row that ratios refer to: `baseline`, by label or alias, where it is there, otherwise the first one."""
        return label_meant(self.baseline, self.shortcuts) or next(iter(self.shortcuts))


class Memory(Frozen):
    """Bytes by part, counted from the tensors; `activations` is what autograd saves for backward at this precision."""

    parameters: int
    gradients: int
    optimizer: int
    buffers: int
    activations: int


class CostRow(Frozen):
    """The cost of one strategy in one network. What was not measured is None, never 0; times are per step or batch."""

    network: str
    shortcut: str
    parameters: int | None = None
    multiply_adds: int | None = None
    saved_bytes: int | None = None
    saved_bytes_by_part: dict[str, int] | None = None
    memory: Memory | None = None
    peak_memory_bytes: int | None = None
    peak_reserved_bytes: int | None = None
    step_ms: float | None = None
    step_ms_interval: Interval | None = None
    ratio: float | None = None
    ratio_interval: Interval | None = None
    images_per_second: float | None = None
    inference_ms: float | None = None
    inference_ms_interval: Interval | None = None
    inference_ratio: float | None = None
    inference_ratio_interval: Interval | None = None
    error: str | None = None

    def activation_bytes(self, precision: str) -> int | None:
        """What autograd keeps for backward at this precision; ``saved_bytes`` are always those of fp32."""
        if self.memory is not None:
            return self.memory.activations
        return self.saved_bytes if precision == "fp32" else None


class Race(Frozen):
    """How the strategies of one network were timed, and how far two timings of the same strategy lie apart.

    `noise` is the larger distance from 1 of the ends of the A/A control's interval: no claim is made below it.
    """

    network: str
    baseline: str
    rounds: int
    steps_per_turn: int
    stopped: Literal["precision", "rounds", "budget"]
    control_ratio: float | None
    control_interval: Interval | None
    noise: float | None


class TimedHardware(BaseModel):
    """What a cost depends on beside the request: the machine, and ``device``, the processor or GPU that is timed."""

    model_config = ConfigDict(frozen=True)

    device: str | None = None
    memory_format: str | None = None
    hardware: Hardware | None = None


class CostEnvironment(TimedHardware):
    """The hardware, what comparisons read of it, and all of `machine.environment`; keys of other versions are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    cores: int | None = None
    allocator: str | None = None
    torch: str | None = None
    threads: int | None = None
    precision: str | None = None
    batch_size: int | None = None


class CostReport(Frozen):
    """The answer to a `CostRequest`; `key` names hardware, settings and what was measured."""

    format: int = FORMAT
    key: str
    request: CostRequest
    environment: CostEnvironment
    rows: tuple[CostRow, ...]
    races: tuple[Race, ...] = ()
    load: dict[str, float | None] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seconds: float | None = None

    @property
    def disturbed(self) -> bool:
        """Whether other programs took so much of the processor, or of the GPU, that times are not to be trusted."""
        cores, gpu = self.load.get("other_cores") or 0.0, self.load.get("gpu_busy_percent") or 0.0
        return cores > OTHERS_ALLOWED or gpu > BUSY_PERCENT

    def row(self, network: str, shortcut: str) -> CostRow | None:
        """The row of this network and strategy, by their labels; None where there is none."""
        return next((row for row in self.rows if (row.network, row.shortcut) == (network, shortcut)), None)


def report_key(request: CostRequest, hardware: TimedHardware) -> str:
    """Sixteen hex digits that identify the hardware, what is measured on it, and with which settings.

    The budget is left out: a pass with a larger one answers the same question, better.
    """
    asked = request.model_dump(mode="json", exclude={"seconds", "target", "min_rounds", "max_rounds", "seed"})
    asked["device"] = request.device_type  # which of several equal GPUs makes no difference; the hardware names it
    if not request.tf32:
        del asked["tf32"]  # reports of versions without it keep their keys
    facts = hardware.model_dump(include=set(TimedHardware.model_fields))
    return sha256(canonical({"format": FORMAT, "asked": asked, "hardware": facts}))[:16]


def train_seconds(row: CostRow, *, steps: int, evaluation_images: int, evaluation_batch_size: int) -> float | None:
    """Estimated seconds of one run that has the machine to itself; None where step or inference time is unmeasured.

    Steps times step time, and the `evaluation_images` of all evaluations of the run in batches; without preparing
    data, composing batches and writing checkpoints.
    """
    if row.step_ms is None or row.inference_ms is None:
        return None
    batches = math.ceil(evaluation_images / evaluation_batch_size)
    return (steps * row.step_ms + batches * row.inference_ms) / 1000
