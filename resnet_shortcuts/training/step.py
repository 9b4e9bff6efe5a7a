"""The training step: forward pass, loss, backward pass, update, and the sums that an epoch reports.

This is the only place that spells it out. The training loop trains with it, the cost pass times it, and the property
checks take their gradients from it. `make_step` builds one of three engines, which train alike:

- ``plain`` does what it says, operation by operation; used on CPUs.
- ``static`` is the same arithmetic over fixed buffers, with the learning rate in a tensor: it never waits for a value
  on the device.
- ``graph`` captures the static step in a CUDA graph and replays it, which replaces hundreds of kernel launches by one.

With ``StepSettings.compile`` the model is compiled by torch.compile in any of them. Tests hold that plain and static
give equal bits on a CPU, and static and graph on a GPU (tests marked ``gpu``).
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_shortcuts.errors import RscError
from resnet_shortcuts.training.step_settings import Engine, OptimizerSettings, StepSettings

WARM_UP = 3
"""Full batches trained before the capture: libraries choose kernels, momentum buffers and compiled code come to be."""

BACKEND: str | Callable[..., object] = "inductor"
"""The backend of torch.compile."""

_RECOMPILE_LIMIT = 64  # graphs of one module's code: a cost pass holds one for every strategy at once
_WAITED = "called a synchronizing CUDA operation"  # wording of torch's sync debug mode


def make_optimizer(model: nn.Module, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """SGD over all parameters of ``model``, at learning rate 0: every step sets its own."""
    return torch.optim.SGD(
        model.parameters(),
        lr=0.0,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
        fused=next(model.parameters()).device.type == "cuda",
    )


def make_step(model: nn.Module, optimizer: torch.optim.Optimizer, settings: StepSettings) -> "Step":
    """The step that trains ``model``, on the device of its parameters, with the engine that ``settings`` names.

    Call `reset_compiler` first where ``settings.compile`` is set and other models were compiled in this process.
    """
    return ENGINES[settings.engine](model, optimizer, settings)


def random_batch(
    size: int, input_shape: tuple[int, int, int], num_classes: int, *, seed: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Images (size, C, H, W) float32 channels last, drawn from N(0, 1), and labels (size,) int64, on the device."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(size, *input_shape, generator=generator)
    labels = torch.randint(num_classes, (size,), generator=generator)
    return images.to(device, memory_format=torch.channels_last), labels.to(device)


def forward_and_loss(
    forward: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor, settings: StepSettings
) -> tuple[Tensor, Tensor]:
    """Cross-entropy, a scalar, and logits (B, classes), both float32, of images (B, C, H, W) and labels (B,) int64."""
    bf16 = settings.precision == "bf16"
    with torch.autocast(images.device.type, torch.bfloat16) if bf16 else contextlib.nullcontext():
        logits = forward(images)
    logits = logits.float()
    return F.cross_entropy(logits, labels, label_smoothing=settings.label_smoothing), logits


class Step:
    """Trains a model on one batch a call; this class is the plain engine.

    ``loss_sum`` () float64 and ``hits`` () int64, on the device, grow with every step by the loss times the number of
    images and by the number of right answers. Raises RscError where ``settings.compile`` cannot be honoured.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, settings: StepSettings) -> None:
        self.model, self.optimizer, self.settings = model, optimizer, settings
        self.device = next(model.parameters()).device
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self.hits = torch.zeros((), dtype=torch.int64, device=self.device)
        self.forward: Callable[[Tensor], Tensor] = model
        if settings.compile:
            self.forward = torch.compile(model, fullgraph=True, backend=BACKEND)
        if self.device.type == "cuda":
            torch.backends.cudnn.deterministic = settings.deterministic
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = settings.tf32
        self.prepare()

    def prepare(self) -> None:
        """Set up what an engine needs before its first step."""

    def __call__(self, images: Tensor, labels: Tensor, rate: float) -> None:
        """Train on images (B, C, H, W) float32 and labels (B,) int64 at this learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.perform(images, labels)

    def perform(self, images: Tensor, labels: Tensor) -> None:
        """Forward pass, loss, backward pass, update, sums; reads and writes tensors only."""
        with _compiler_errors() if self.settings.compile else contextlib.nullcontext():
            loss, logits = forward_and_loss(self.forward, images, labels, self.settings)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.loss_sum += loss.detach() * len(labels)
        self.hits += (logits.detach().argmax(1) == labels).sum()


class StaticStep(Step):
    """The step over buffers that stay where they are: images, labels and ``rate`` () float32.

    The optimizer reads ``rate``. A batch of another size than ``settings.batch_size`` (the last of an epoch) is trained
    without the buffers.
    """

    def prepare(self) -> None:
        """Allocate the buffers."""
        self.rate = torch.zeros((), device=self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        self.images: Tensor | None = None
        self.labels = torch.zeros(self.settings.batch_size, dtype=torch.int64, device=self.device)

    def __call__(self, images: Tensor, labels: Tensor, rate: float) -> None:
        """Train on one batch at this learning rate; the host does not wait for the device."""
        self.rate.fill_(rate)
        if len(labels) != self.settings.batch_size:
            self.perform(images, labels)
            return
        if self.images is None:
            self.images = torch.empty_like(images)
        self.images.copy_(images)
        self.labels.copy_(labels)
        self.full_batch(self.images, self.labels)

    def full_batch(self, images: Tensor, labels: Tensor) -> None:
        """Train on the buffers."""
        self.perform(images, labels)


class GraphedStep(StaticStep):
    """The static step captured in a CUDA graph after ``WARM_UP`` full batches, and replayed.

    The warm-up steps are the run's own first steps, taken on a side stream, and a capture executes nothing: weights,
    momentum, running statistics and generators are at every step where an uncaptured run has them.

    A step that cannot be captured is trained uncaptured, with equal results, and ``why_not`` says why: a module that
    waits for the device in its forward pass (``.item()``, a mask as index), one that draws at random and keeps its
    position elsewhere than in buffers, or a capture that fails.
    """

    def prepare(self) -> None:
        """Allocate buffers and the side stream."""
        super().prepare()
        reason = "a module that draws at random keeps its position elsewhere than in its buffers"
        self.why_not = "" if position_in_buffers(self.model) else reason
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warmed = 0
        self._side = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]

    def full_batch(self, images: Tensor, labels: Tensor) -> None:
        """Replay, after warm-up and capture."""
        if not self.why_not and self._warmed < WARM_UP:
            return self._warm_up(images, labels)
        if not self.why_not and self._graph is None:
            try:
                self._graph = self._capture(images, labels)
            except RuntimeError as error:
                self.optimizer.zero_grad(set_to_none=True)  # they may lie in the memory of the failed graph
                self.why_not = f"the capture failed: {_one_line(error)}"
        if self._graph is None:
            return self.perform(images, labels)
        return self._graph.replay()

    def _warm_up(self, images: Tensor, labels: Tensor) -> None:
        """A real step on the side stream, so that libraries have what a capture there needs."""
        current = torch.cuda.current_stream(self.device)
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            if self._warmed < WARM_UP - 1:
                self.perform(images, labels)
            elif self._waits_for_device(images, labels):
                self.why_not = "a module waits for the device in every step"
        current.wait_stream(self._side)
        self._warmed += 1

    def _waits_for_device(self, images: Tensor, labels: Tensor) -> bool:
        """Perform the step; whether anything in it waited for the device, which no graph can hold."""
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                self.perform(images, labels)
            finally:
                torch.cuda.set_sync_debug_mode(before)
        return any(_WAITED in str(warning.message) for warning in caught)

    def _capture(self, images: Tensor, labels: Tensor) -> torch.cuda.CUDAGraph:
        """Capture the step. Nothing is executed. Raises RuntimeError where it cannot be captured."""
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)  # so that the graph's gradients are in its own memory
        with torch.cuda.device(self.device), torch.cuda.graph(graph, stream=self._side):
            self.perform(images, labels)
        return graph


ENGINES: dict[Engine, type[Step]] = {"plain": Step, "static": StaticStep, "graph": GraphedStep}


def position_in_buffers(model: nn.Module) -> bool:
    """Whether a captured step follows ``set_position``: each module that draws at random, given another step, changes
    its own buffers in place, and nothing else of itself.

    A replay reads a buffer again, but a Python number, a new tensor or a generator's state as they were when captured.
    """
    for module in getattr(model, "random_modules", ()):
        module.set_position(0, 0)
        attributes, buffers = dict(vars(module)), dict(module.named_buffers())
        contents = {name: buffer.clone() for name, buffer in buffers.items()}
        module.set_position(0, 1)
        now = dict(module.named_buffers())
        if any(value is not attributes.get(name) for name, value in vars(module).items()):
            return False
        if now.keys() != buffers.keys() or any(now[name] is not buffer for name, buffer in buffers.items()):
            return False
        if all(torch.equal(now[name], content) for name, content in contents.items()):
            return False
    return True


def reset_compiler() -> None:
    """Forget everything compiled in this process.

    Code compiled for earlier models counts against a limit, past which torch.compile would not compile any more.
    """
    import torch._dynamo

    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    torch._dynamo.config.recompile_limit = _RECOMPILE_LIMIT


@contextlib.contextmanager
def _compiler_errors() -> Iterator[None]:
    """Raises RscError where torch.compile fails, cannot take the whole model, or is switched off."""
    from torch._dynamo import exc, utils

    what, todo = "run.compile is true, but the training step was not compiled", "set run.compile to false"
    try:
        yield
    except exc.FailOnRecompileLimitHit as error:
        raise RscError(what, "it was recompiled more often than torch allows", todo) from error
    except exc.TorchDynamoException as error:
        raise RscError(what, _one_line(error), todo) from error
    if not utils.counters["stats"]["unique_graphs"]:
        raise RscError(what, "torch.compile is switched off in this process", "unset TORCHDYNAMO_DISABLE")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
