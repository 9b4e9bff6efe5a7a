"""The training step as one function over buffers that stay where they are, so that a CUDA graph can hold it.

Three engines train alike. ``plain`` is the step as ``loop`` spells it out, for processors. ``static`` is the same
arithmetic over fixed buffers, with the learning rate in a tensor: nothing in it asks the host for a number. ``graph``
records that step once and replays it, which replaces hundreds of launches by one. A test demands that plain and static
give equal bits on a CPU; static and graph do on a GPU (tests marked ``gpu``).

The graph needs no state put back: its warm-up steps are the run's own first steps, taken on a side stream, and
recording executes nothing. Weights, momentum, running statistics and generators are therefore where the uncaptured run
has them at every step.
"""

import warnings
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Engine = Literal["plain", "static", "graph"]

WARM_UP = 3
"""Full batches trained before the recording: libraries choose their kernels, momentum and compiled code come to be."""

_WAITED = "called a synchronizing CUDA operation"  # how torch's sync debug mode words it


def engine_for(device: torch.device, compile: bool) -> Engine:
    """The engine of a run that names none: the only place that chooses.

    With ``compile`` the static step runs compiled and is not recorded: a compiled step under a graph (engine "graph"
    asked for by name) is what ``benchmarks/gpu.py`` measures as "both", and becomes the choice once measured to help.
    """
    if device.type != "cuda":
        return "plain"
    return "static" if compile else "graph"


class StaticStep:
    """The step over ``images`` (B, C, H, W) float32, ``labels`` (B,) int64, ``rate`` () float32, all on the device.

    ``loss_sum`` () float64 and ``hits`` () int64 grow with every step: the loss times the images, and right answers.
    The optimizer reads ``rate`` from then on. A batch of another size (an epoch's last) is trained as it comes.
    """

    def __init__(
        self,
        model: nn.Module,
        forward: Callable[[Tensor], Tensor],
        optimizer: torch.optim.Optimizer,
        *,
        batch_size: int,
        precision: str,
        label_smoothing: float,
        loss_sum: Tensor,
        hits: Tensor,
    ) -> None:
        self.model, self.forward, self.optimizer = model, forward, optimizer
        self.batch_size, self.precision, self.label_smoothing = batch_size, precision, label_smoothing
        self.device, self.loss_sum, self.hits = loss_sum.device, loss_sum, hits
        self.rate = torch.zeros((), device=self.device)
        for group in optimizer.param_groups:
            group["lr"] = self.rate
        self.images: Tensor | None = None
        self.labels = torch.zeros(batch_size, dtype=torch.int64, device=self.device)
        if self.device.type == "cuda":  # otherwise two runs of one seed differ in their last bits
            torch.backends.cudnn.deterministic = True
        self.prepare()

    def prepare(self) -> None:
        """What an engine sets up before its first step."""

    def __call__(self, images: Tensor, labels: Tensor, rate: float) -> None:
        """Train on one batch at this learning rate; the host does not wait for the device."""
        self.rate.fill_(rate)
        if len(labels) != self.batch_size:
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

    def perform(self, images: Tensor, labels: Tensor) -> None:
        """The step: forward, loss, backward, update, sums. Reads and writes tensors alone."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self.forward(images)
        logits = logits.float()
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.loss_sum += loss.detach() * len(labels)
        self.hits += (logits.detach().argmax(1) == labels).sum()


class GraphedStep(StaticStep):
    """The step recorded in a CUDA graph after ``WARM_UP`` full batches, and replayed.

    Where it cannot be recorded it goes on uncaptured, with equal results, and ``why_not`` says why: a module that waits
    for the device in its forward pass (``.item()``, a mask as index), or one that draws at random and keeps its
    position elsewhere than in buffers.
    """

    def prepare(self) -> None:
        """What the recording needs from the start."""
        odd = "a module that draws at random keeps its position elsewhere than in its buffers"
        self.why_not = "" if position_in_buffers(self.model) else odd
        self._side = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warmed = 0

    def full_batch(self, images: Tensor, labels: Tensor) -> None:
        """Replay, after warming up and recording."""
        if self.why_not:
            self.perform(images, labels)
        elif self._warmed < WARM_UP:
            self._warm_up(images, labels)
        else:
            if self._graph is None:
                self._graph = self._record(images, labels)
            self._graph.replay()

    def _warm_up(self, images: Tensor, labels: Tensor) -> None:
        """A real step on the side stream, where libraries then have what recording there needs."""
        here = torch.cuda.current_stream(self.device)
        self._side.wait_stream(here)
        with torch.cuda.stream(self._side):
            if self._warmed < WARM_UP - 1:
                self.perform(images, labels)
            elif self._waits_for_device(images, labels):
                self.why_not = "a module waits for the device in every step"
        here.wait_stream(self._side)
        self._warmed += 1

    def _waits_for_device(self, images: Tensor, labels: Tensor) -> bool:
        """Perform the step, and say whether anything in it waited for the device: no graph can hold that."""
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                self.perform(images, labels)
            finally:
                torch.cuda.set_sync_debug_mode(before)
        return any(_WAITED in str(one.message) for one in said)

    def _record(self, images: Tensor, labels: Tensor) -> torch.cuda.CUDAGraph:
        """Record the step. Nothing is executed, so nothing has to be put back."""
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)  # so that the graph's gradients are in its own memory
        with torch.cuda.device(self.device), torch.cuda.graph(graph, stream=self._side):
            self.perform(images, labels)
        return graph


ENGINES: dict[str, type[StaticStep]] = {"static": StaticStep, "graph": GraphedStep}


def position_in_buffers(model: nn.Module) -> bool:
    """Whether a recorded step follows ``set_position``: each module that draws at random, told another step, changes
    its own buffers in place, and nothing else of itself.

    A replay reads a buffer anew, but a Python number, a new tensor or a generator's state as it was when recorded.
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
