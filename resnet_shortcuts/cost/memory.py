"""Peak memory of one strategy, in a fresh process.

The process is forked from one that has imported torch and computed nothing, so each starts from the same state and
none pays the import again. On a CPU the figure is the peak resident size over three training steps less the resident
size just before the model is built; on CUDA it is the allocator's peak. Eager, never while timing.

Before that, the process does a training step of a toy network, so that what the libraries load and allocate once (some
130 MB: code pages, lazily imported modules) is not taken for a strategy's memory.
"""

import selectors
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import psutil
import torch
from pydantic import TypeAdapter
from torch import nn

from resnet_shortcuts import machine
from resnet_shortcuts.child_process import Channel, Child, Message, fork
from resnet_shortcuts.cost import counting
from resnet_shortcuts.cost.cost_request import CostRequest
from resnet_shortcuts.cost.timed_steps import FAILURES, batch, build, failure, network_spec, training_step
from resnet_shortcuts.shortcuts.catalogue import find
from resnet_shortcuts.training.recipe import TrainSpec
from resnet_shortcuts.training.step import forward_and_loss, make_optimizer, make_step, random_batch
from resnet_shortcuts.training.step_settings import StepSettings

STEPS = 3

Figures = dict[str, Any]
Label = tuple[str, str]


class Probed(Message):
    """What a probe measured of one strategy."""

    event: Literal["probed"] = "probed"
    figures: Figures


_EVENTS = TypeAdapter(Probed)


def resident(peak: bool = False) -> int:
    """Resident bytes of this process, now or at most so far."""
    field = "VmHWM" if peak else "VmRSS"
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def settle(device: str = "cpu", backward: bool = True) -> None:
    """A training step of a toy network on the CPU and on `device`: libraries load and allocate what they do once.

    A process that is to be forked leaves out `backward`: autograd would start a thread for each GPU, and CUDA with it.
    """
    for place in dict.fromkeys(("cpu", device)):
        toy = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten())
        toy.append(nn.Linear(128, 2)).to(place)
        step = make_step(toy, make_optimizer(toy, TrainSpec(epochs=1)), StepSettings(batch_size=2))
        images, labels = random_batch(2, (1, 4, 4), 2, seed=0, device=place)
        if backward:
            step(images, labels, 0.0)
        else:
            with torch.no_grad():
                forward_and_loss(toy, images, labels, step.settings)


def figures_of(request: CostRequest, network: str, shortcut: str) -> Figures:
    """Measures (in this process, which should be a fresh one) and counts one strategy. Keys as in `CostRow`.

    Memory first, so that counting cannot raise the peak; a strategy that runs out of it has its counts and an `error`.
    """
    results: Figures = {}
    for name, figures in (("memory", _memory), ("counts", _counts)):
        if name in request.passes:
            try:
                results.update(figures(request, network, shortcut))
            except FAILURES as problem:
                results["error"] = failure(request, problem)
    return results


def _memory(request: CostRequest, network: str, shortcut: str) -> Figures:
    """Peak memory of `STEPS` training steps, eager whatever the request says, and its parts."""
    request = request.model_copy(update={"engine": "plain", "compile": False})
    if request.device_type == "cpu":
        torch.set_num_threads(request.threads)
    settle(request.device)
    before = _allocated(request)
    model = build(request, network, shortcut)
    optimizer = make_optimizer(model, request)
    step = training_step(request, model, optimizer, *batch(request, request.batch_size))
    for _ in range(STEPS):
        step()
    if request.device_type == "cpu":
        results: Figures = {"peak_memory_bytes": resident(peak=True) - before}
    else:
        torch.cuda.synchronize(request.device)
        results = {
            "peak_memory_bytes": torch.cuda.max_memory_allocated(request.device) - before,
            "peak_reserved_bytes": torch.cuda.max_memory_reserved(request.device),
        }
    kept = counting.saved_bytes(model, request.input_shape, request.batch_size, request.precision)
    return {**results, "memory": counting.memory(model, optimizer, kept).model_dump()}


def _allocated(request: CostRequest) -> int:
    """Bytes that are there before the network is, such as the workspaces of libraries; resets CUDA's peak."""
    if request.device_type == "cpu":
        return resident()
    torch.cuda.reset_peak_memory_stats(request.device)
    return torch.cuda.memory_allocated(request.device)


def _counts(request: CostRequest, network: str, shortcut: str) -> Figures:
    spec, strategy = network_spec(request.networks[network]), find(request.shortcuts[shortcut])
    model = counting.outline(spec, strategy, request.input_shape, request.num_classes)
    parts = counting.saved_bytes_by_part(model, request.input_shape, request.batch_size)
    return {
        "parameters": counting.parameters(model),
        "multiply_adds": counting.multiply_adds(model, request.input_shape),
        "saved_bytes": sum(parts.values()),
        "saved_bytes_by_part": parts,
    }


def measure_all(request: CostRequest, labels: Iterable[Label]) -> Iterator[tuple[Label, Figures]]:
    """`figures_of` each label in a separate process; one that ends early has the figure `error`.

    On a CPU as many run side by side as there are cores and as memory allows, judged by the first,
    which runs before the others: a process's resident size does not depend on its neighbours.
    """
    torch.set_num_threads(1)  # no pool of threads may exist in a process that forks
    settle(backward=False)
    waiting = list(labels)
    room = 1
    with selectors.DefaultSelector() as running:
        while waiting or running.get_map():
            while waiting and len(running.get_map()) < room:
                label = waiting.pop(0)
                running.register(_start(request, label), selectors.EVENT_READ, label)
            for key, _ in running.select():
                probe: Child[Probed] = key.fileobj  # type: ignore[assignment]
                running.unregister(probe)
                figures = _result(probe, request)
                room = max(room, _room(request, figures))
                yield key.data, figures


def _start(request: CostRequest, label: Label) -> Child[Probed]:
    return fork(lambda channel: _probe(channel, request, label), _EVENTS)


def _probe(channel: Channel, request: CostRequest, label: Label) -> None:
    channel.send(Probed(figures=figures_of(request, *label)))


def _result(probe: Child[Probed], request: CostRequest) -> Figures:
    event = probe.next_event()
    try:
        return (
            event.figures if event else {"error": f"the measuring {probe.reason()} (batch size {request.batch_size})"}
        )
    finally:
        probe.close()


def _room(request: CostRequest, figures: Figures) -> int:
    """How many processes may run side by side, when each takes what the one just done took."""
    peak = figures.get("peak_memory_bytes")
    if request.device_type != "cpu" or not peak:
        return 1
    cores = max(1, machine.cores() // request.threads)
    return int(max(1, min(cores, psutil.virtual_memory().available // (3 * peak))))
