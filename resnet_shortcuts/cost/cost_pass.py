"""The cost pass: of every network and strategy first memory and counts, in fresh processes, then time, interleaved."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from resnet_shortcuts import machine
from resnet_shortcuts.cost import cost_environment, timed_steps
from resnet_shortcuts.cost.cost_request import CostReport, CostRequest, CostRow, Race, report_key
from resnet_shortcuts.cost.memory import measure_all
from resnet_shortcuts.cost.timing import Clock, Timings, Turn, race
from resnet_shortcuts.errors import RscError

CONTROL = "\0control"
"""The baseline once more, from weights of its own: what the ratio of two equal strategies looks like (A/A)."""

SHORTEST_TURN = 0.02
"""Seconds: on a CPU a turn is as many steps as take this long, so that clock and caches weigh little."""

OTHERS_ALLOWED = 0.25
"""Cores: other programs may use this much of the machine before the figures are said to be disturbed."""

INFERENCE_SHARE = 0.2
"""Of the time for timing."""

Progress = Callable[[str, int, int], None]
"""Told what is being measured, how many steps of the pass are done, and of how many."""
Row = dict[str, Any]
Rows = dict[tuple[str, str], Row]


def measure_costs(
    request: CostRequest, progress: Progress = lambda *_: None, clock: Clock = time.perf_counter
) -> CostReport:
    """Measures what `request` asks for, in this process and its forks; a fresh process, see `cost.process`.

    The budget counts from the call. Memory and counts are always taken whole; what is left is shared among the
    networks' races, each of which does one round at least. A strategy that cannot be built or run has a row with its
    `error`; one that does not exist raises UsageError.
    """
    began = clock()
    timed_steps.check(request)
    load: dict[str, float | None] = {"load_average_before": machine.load_average()[0], "other_cores": None}
    rows: Rows = {(network, shortcut): {} for network in request.networks for shortcut in request.shortcuts}
    stages = len(rows) + len(request.networks)
    counted = {"counts", "memory"} & set(request.passes)
    for number, (label, figures) in enumerate(measure_all(request, rows if counted else ()), start=1):
        rows[label].update(figures)
        progress(" ".join(label), number, stages)
    races: list[Race] = []
    warnings: list[str] = []
    if "time" in request.passes:
        watch = cost_environment.OtherLoad()
        for number, network in enumerate(request.networks):
            progress(f"{network}: timing", len(rows) + number, stages)
            left = (request.seconds - (clock() - began)) / (len(request.networks) - number)
            models = _models(request, network, rows)
            if models:
                races.append(_time_network(request, network, models, left, rows, clock))
        load["other_cores"] = watch.cores()
        warnings = [*_disturbed(load["other_cores"]), *(text for held in races for text in _weak(request, held))]
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


def _models(request: CostRequest, network: str, rows: Rows) -> dict[str, nn.Module]:
    """The network with each strategy that can serve it; a row whose strategy cannot gets its error."""
    models = {}
    for name in request.shortcuts:
        row = rows[network, name]
        if "error" not in row:
            try:
                models[name] = timed_steps.build(request, network, name)
            except RscError as problem:
                row["error"] = str(problem)
    return models


def _time_network(
    request: CostRequest, network: str, models: dict[str, nn.Module], seconds: float, rows: Rows, clock: Clock
) -> Race:
    """Races training steps, then inference batches, of one network; writes the figures into `rows`."""
    torch.set_num_threads(request.threads)
    began, shortcuts = clock(), list(models)
    baseline = request.baseline_label if request.baseline_label in models else shortcuts[0]
    models = {**models, CONTROL: timed_steps.build(request, network, baseline)}
    images, labels = timed_steps.batch(request, request.batch_size)
    training = {
        name: timed_steps.training_step(request, model, timed_steps.optimizer_of(request, model), images, labels)
        for name, model in models.items()
    }
    limits = {"target": request.target, "min_rounds": request.min_rounds, "max_rounds": request.max_rounds}
    turns, per_turn = _turns(request, training, baseline, clock)
    budget = (seconds - (clock() - began)) * (1 - INFERENCE_SHARE)
    trained = race(turns, baseline, seconds=budget, seed=request.seed, clock=clock, **limits)  # type: ignore[arg-type]
    del training, turns
    for model in models.values():
        model.zero_grad(set_to_none=True)
    size = request.evaluation_batch_size or request.batch_size
    images, _ = timed_steps.batch(request, size)
    inference = {name: timed_steps.inference_step(model, images) for name, model in models.items()}
    turns, _ = _turns(request, inference, baseline, clock)
    budget = seconds - (clock() - began)
    inferred = race(turns, baseline, seconds=budget, seed=request.seed + 1, clock=clock, **limits)  # type: ignore[arg-type]
    for name in shortcuts:
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


def _turns(
    request: CostRequest, work: dict[str, Callable[[], None]], baseline: str, clock: Clock
) -> tuple[dict[str, Turn], int]:
    """A turn for each piece of work, and how many steps each does."""
    if request.device_type == "cuda":
        return {name: timed_steps.cuda_turn(step) for name, step in work.items()}, timed_steps.CUDA_BLOCK
    work[baseline]()  # the first step allocates and chooses kernels
    once = timed_steps.cpu_turn(work[baseline], 1, clock)()
    number = max(1, round(SHORTEST_TURN / max(once, SHORTEST_TURN / 100)))
    return {name: timed_steps.cpu_turn(step, number, clock) for name, step in work.items()}, number


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
