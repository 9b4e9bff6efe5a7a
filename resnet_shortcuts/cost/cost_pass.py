"""The cost pass: memory and counts of every network and strategy, in fresh processes, then time, interleaved."""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from resnet_shortcuts import machine
from resnet_shortcuts.cost import cost_environment, timed_steps
from resnet_shortcuts.cost.cost_request import OTHERS_ALLOWED, CostReport, CostRequest, CostRow, Race, report_key
from resnet_shortcuts.cost.memory import figures_of, measure_all
from resnet_shortcuts.cost.timing import Clock, Timings, Turn, race
from resnet_shortcuts.gpus import BUSY_PERCENT
from resnet_shortcuts.training.step import reset_compiler

CONTROL = "\0control"
"""The baseline once more, from weights of its own: what the ratio of two equal strategies looks like (A/A)."""

SHORTEST_TURN = 0.02
"""Seconds: on a CPU a turn is as many steps as take this long, so that clock and caches weigh little."""

CUDA_STEPS, LONGEST_TURN = 50, 0.25
"""On a GPU a turn is this many steps between two CUDA events, or as many as take this many seconds."""

INFERENCE_SHARE = 0.2
"""Of the time for timing."""

Progress = Callable[[str, int, int], None]
"""Called with what is being measured, how many stages of the pass are done, and of how many."""
Row = dict[str, Any]
Rows = dict[tuple[str, str], Row]


def measure_costs(
    request: CostRequest, progress: Progress = lambda *_: None, clock: Clock = time.perf_counter
) -> CostReport:
    """Measures what `request` asks for, in this process and its forks; run it in a fresh process, see `cost_process`.

    The budget counts from the call. Memory and counts are always taken whole; what is left is shared among the
    networks' races, each of which does one round at least. A strategy that cannot be built or run, or runs out of
    memory, has a row with its `error`; one that does not exist raises UsageError.
    """
    began = clock()
    timed_steps.check(request)
    load: dict[str, float | None] = {"load_average_before": machine.load_average()[0], "other_cores": None}
    if request.device_type == "cuda":
        load["gpu_busy_percent"] = cost_environment.busy_gpu(request)
    rows: Rows = {(network, shortcut): {} for network in request.networks for shortcut in request.shortcuts}
    stages = len(rows) + (len(request.networks) if "time" in request.passes else 0)
    for number, (label, figures) in enumerate(_measured(request, rows), start=1):
        rows[label].update(figures)
        progress(" ".join(label), number, stages)
    races: list[Race] = []
    warnings: list[str] = []
    if "time" in request.passes:
        watch = cost_environment.OtherLoad()
        for number, network in enumerate(request.networks):
            progress(f"{network}: timing", len(rows) + number, stages)
            left = (request.seconds - (clock() - began)) / (len(request.networks) - number)
            held = _time_network(request, network, left, rows, clock)
            races += [] if held is None else [held]
        load["other_cores"] = watch.cores()
        warnings = [
            *_disturbed(load["other_cores"]),
            *_busy_gpu(load.get("gpu_busy_percent")),
            *(text for held in races for text in _weak(request, held)),
        ]
        progress("timing", stages, stages)
    return CostReport(
        key=report_key(request, cost_environment.hardware(request)),
        request=request,
        environment=cost_environment.environment(request),
        rows=tuple(CostRow(network=label[0], shortcut=label[1], **row) for label, row in rows.items()),
        races=tuple(races),
        load=load,
        warnings=tuple(warnings),
        seconds=clock() - began,
    )


def _measured(request: CostRequest, rows: Rows) -> Iterator[tuple[tuple[str, str], Row]]:
    """Memory and counts of each row. Counts alone need no process of their own: nothing is computed."""
    if "memory" in request.passes:
        yield from measure_all(request, rows)
    elif "counts" in request.passes:
        yield from ((label, figures_of(request, *label)) for label in rows)


def _time_network(request: CostRequest, network: str, seconds: float, rows: Rows, clock: Clock) -> Race | None:
    """Races training steps, then inference batches, of one network; writes the figures into `rows`.

    None where no strategy can be trained.
    """
    torch.set_num_threads(request.threads)
    began = clock()
    batch = timed_steps.batch(request, request.batch_size)
    contestants = _contestants(request, network, rows, batch)
    if not contestants:
        return None
    baseline = next(iter(contestants))
    hold = partial(
        race,
        baseline=baseline,
        target=request.target,
        min_rounds=request.min_rounds,
        max_rounds=request.max_rounds,
        clock=clock,
    )
    models = {name: model for name, (model, _) in contestants.items()}
    turns, per_turn = _turns(request, {name: step for name, (_, step) in contestants.items()}, baseline, clock)
    del contestants
    trained = hold(turns, seconds=(seconds - (clock() - began)) * (1 - INFERENCE_SHARE), seed=request.seed)
    del turns
    for model in models.values():
        model.zero_grad(set_to_none=True)
    images, _ = timed_steps.batch(request, request.evaluation_batch_size or request.batch_size)
    inference = {name: timed_steps.inference_step(model, images) for name, model in models.items()}
    turns, _ = _turns(request, inference, baseline, clock)
    inferred = hold(turns, seconds=seconds - (clock() - began), seed=request.seed + 1)
    for name in models.keys() - {CONTROL}:
        rows[network, name].update(_figures(request, trained, inferred, name))
    control = trained.ratio_interval(CONTROL)
    return Race(
        network=network,
        baseline=baseline,
        rounds=trained.rounds,
        steps_per_turn=per_turn,
        stopped=trained.stopped,
        control_ratio=trained.ratio(CONTROL),
        control_interval=control,
        noise=None if control is None else max(abs(end - 1) for end in control),
    )


Contestants = dict[str, tuple[nn.Module, Callable[[], None]]]


def _contestants(request: CostRequest, network: str, rows: Rows, batch: tuple[Tensor, Tensor]) -> Contestants:
    """Each strategy's model and training step: first the baseline and its control, then the others in order.

    A row whose strategy cannot be trained, or does not fit into memory beside those before it, gets its error.
    """
    if request.compile:
        reset_compiler()
    ready: Contestants = {}
    for name in sorted(request.shortcuts, key=lambda name: name != request.baseline_label):
        row = rows[network, name]
        try:
            if "error" not in row:
                ready[name] = timed_steps.warmed_up(request, network, name, *batch)
                if CONTROL not in ready:
                    ready[CONTROL] = timed_steps.warmed_up(request, network, name, *batch)
        except timed_steps.FAILURES as problem:
            ready.pop(name, None)
            row["error"] = timed_steps.failure(request, problem)
    return ready


def _turns(
    request: CostRequest, work: dict[str, Callable[[], None]], baseline: str, clock: Clock
) -> tuple[dict[str, Turn], int]:
    """A turn for each piece of work, and how many steps each does."""
    on_cpu = request.device_type == "cpu"
    turn: Callable[[Callable[[], None], int], Turn] = (
        partial(timed_steps.cpu_turn, clock=clock) if on_cpu else partial(timed_steps.cuda_turn, device=request.device)
    )
    work[baseline]()  # the first step allocates and chooses kernels
    once = max(turn(work[baseline], 1)(), SHORTEST_TURN / 100)
    number = max(1, round(SHORTEST_TURN / once) if on_cpu else min(CUDA_STEPS, round(LONGEST_TURN / once)))
    return {name: turn(step, number) for name, step in work.items()}, number


def _figures(request: CostRequest, trained: Timings, inferred: Timings, name: str) -> Row:
    def milliseconds(interval: tuple[float, float] | None) -> tuple[float, float] | None:
        return None if interval is None else (interval[0] * 1000, interval[1] * 1000)

    is_baseline = name == trained.baseline
    return {
        "step_ms": trained.median(name) * 1000,
        "step_ms_interval": milliseconds(trained.interval(name)),
        "ratio": trained.ratio(name),
        "ratio_interval": None if is_baseline else trained.ratio_interval(name),
        "images_per_second": request.batch_size / trained.median(name),
        "inference_ms": inferred.median(name) * 1000,
        "inference_ms_interval": milliseconds(inferred.interval(name)),
        "inference_ratio": inferred.ratio(name),
        "inference_ratio_interval": None if is_baseline else inferred.ratio_interval(name),
    }


def _disturbed(other_cores: float | None) -> Iterator[str]:
    if other_cores is not None and other_cores > OTHERS_ALLOWED:
        yield (
            f"other programs used {other_cores:.1f} cores while times were taken, so the times are too long: "
            "stop them (see `top`) and measure again: rsc cost --config FILE (or --network NAME) --measure"
        )


def _busy_gpu(percent: float | None) -> Iterator[str]:
    if percent is not None and percent > BUSY_PERCENT:
        yield (
            f"the GPU was {percent:.0f} % busy with other programs before times were taken, so they may be too long: "
            "stop them (see nvidia-smi) and measure again"
        )


def _weak(request: CostRequest, held: Race) -> Iterator[str]:
    if held.rounds < request.min_rounds:
        remedy = _longer(request, request.min_rounds / held.rounds)
        yield f"{held.network}: the budget ended after {held.rounds} of at least {request.min_rounds} rounds: {remedy}"
    elif held.noise is not None and held.noise > request.target:
        remedy = _longer(request, (held.noise / request.target) ** 2)
        yield (
            f"{held.network}: two timings of {held.baseline} may differ by {100 * held.noise:.1f} %, "
            f"and no smaller difference counts: leave the machine alone and {remedy}"
        )


def _longer(request: CostRequest, times: float) -> str:
    """The budget that should be enough: rounds take as long as they took, and noise falls with their root."""
    seconds = min(86_400, 60 * math.ceil(max(times, 1.5) * request.seconds / 60))
    return f"measure longer: rsc cost --config FILE (or --network NAME) --measure --seconds {seconds}"
