"""How fast this loop trains on a GPU: step by step, in a CUDA graph, compiled, both, and packed. One Markdown table.

    python benchmarks/gpu.py [--device cuda] [--networks 20 56 110] [--batch 128 512] [--ways eager graph compile both]
                             [--packed 1 2 4 8] [--precision auto] [--blocks 10] [--json FILE]

Option A, 32x32 generated images kept on the GPU, crop and flip. Each measurement is a process of its own that calls
``training.loop.train``, so batches, augmentation, the learning rate and the loop's look at its sums every 50 steps are
in the figures; Python's start, the compiler, recording and evaluation are not (`start, s` has the first three).

- ways: eager (the static step, launched kernel by kernel), graph (what `rsc train` does on a GPU), compile
  (`run.compile: true`), both (the compiled step recorded in a graph);
- packed: that many processes of the way `graph` at once, started together. Without NVIDIA's MPS the GPU gives them
  turns, and packing gains little more than the gaps between launches: start `nvidia-cuda-mps-control -d` first.

Times are of blocks of 50 steps between CUDA events, one synchronisation a block, after 60 steps outside the clock; for
packed processes by the slowest one. `a step` is one process's; `a run` is what 64,000 steps of one run cost (He et al.
2015's training), the runs packed beside it sharing the time.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resnet_shortcuts import machine
from resnet_shortcuts.errors import RscError

WAYS = {"eager": ("static", False), "graph": ("graph", False), "compile": ("static", True), "both": ("graph", True)}
BLOCK = 50
WARM_UP = 60
ITERATIONS = 64_000
_IMAGES = 512 * 98  # no short batch at either size, which a compiler would compile anew for


@dataclass(frozen=True)
class Task:
    """What one process measures; the test runs a small one on the CPU."""

    depth: int
    batch: int
    way: str
    precision: str
    device: str
    blocks: int
    block: int = BLOCK
    warm_up: int = WARM_UP
    images: int = _IMAGES


class Enough(Exception):  # noqa: N818 (not a fault)
    """All blocks are timed."""


def generated(images: int) -> Any:
    """A data set of random 32x32 images in ten classes, in memory."""
    import numpy as np

    from resnet_shortcuts.data.dataset import Dataset, Split

    draw = np.random.default_rng(0)
    pictures = draw.integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    split = Split(pictures, draw.integers(0, 10, images), np.arange(images))
    return Dataset(split, None, split, tuple("abcdefghij"), {}, 32)


class Stopwatch:
    """Called after every step; seconds a step of each block, by CUDA events or, on a CPU, by the clock."""

    def __init__(self, task: Task, warmed: Callable[[], None]) -> None:
        self.task, self.warmed, self.steps, self.seconds = task, warmed, 0, list[float]()
        self.began = 0.0
        self.event: Any = None

    def __call__(self, progress: Any, capture: Any) -> None:
        """Note a step. Raises Enough after the last block."""
        self.steps += 1
        timed = self.steps - self.task.warm_up
        if timed < 0 or timed % self.task.block:
            return
        if timed == 0:
            self._synchronize()
            self.warmed()
        else:
            self.seconds.append(self._since() / self.task.block)
        if len(self.seconds) == self.task.blocks:
            raise Enough
        self._mark()

    def _synchronize(self) -> None:
        import torch

        if self.task.device != "cpu":
            torch.cuda.synchronize(self.task.device)

    def _mark(self) -> None:
        self.began = time.perf_counter()
        if self.task.device != "cpu":
            self.event = self._recorded()

    def _since(self) -> float:
        if self.task.device == "cpu":
            return time.perf_counter() - self.began
        now = self._recorded()
        now.synchronize()
        return float(self.event.elapsed_time(now)) / 1000

    @staticmethod
    def _recorded() -> Any:
        import torch

        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event


def measure(task: Task, warmed: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Train until all blocks are timed: seconds a step of each, seconds until the clock started, peak bytes."""
    import torch

    from resnet_shortcuts.data.data_config import DataSpec
    from resnet_shortcuts.models.networks import build_network
    from resnet_shortcuts.shortcuts.catalogue import find
    from resnet_shortcuts.training.loop import train
    from resnet_shortcuts.training.recipe import TrainSpec

    if task.device != "cpu":
        torch.cuda.set_device(task.device if ":" in task.device else 0)
    engine, compiled = WAYS[task.way]
    data = generated(task.images)
    model = build_network(f"cifar-resnet-{task.depth}", find("A"), in_channels=3, num_classes=10, seed=0)
    began = time.perf_counter()
    started: list[float] = []

    def ready() -> None:
        started.append(time.perf_counter() - began)
        warmed()

    watch = Stopwatch(task, ready)
    with contextlib.suppress(Enough):
        train(
            model,
            data,
            DataSpec(source="image-folder", augment=("crop", "flip")),
            TrainSpec(iterations=task.warm_up + task.blocks * task.block + 1, batch_size=task.batch, lr=0.01),
            seed=0,
            device=task.device,
            precision=task.precision,
            compile=compiled,
            engine=engine,
            evaluate_every=0,
            after_step=watch,
        )
    peak = torch.cuda.max_memory_reserved() if task.device != "cpu" else None
    return {"seconds": watch.seconds, "start": started[0], "peak_reserved_bytes": peak}


def spawn(task: Task, count: int) -> list[dict[str, Any]]:
    """What ``count`` processes measure side by side: the clocks start when the last of them is warm."""
    threads = str(max(1, machine.cores() // count))
    command = [sys.executable, str(Path(__file__).resolve()), "--task", json.dumps(asdict(task))]
    environment = {**os.environ, "OMP_NUM_THREADS": threads}
    running = [
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise SystemExit(f"a process for {task} failed: see above")
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [json.loads(process.communicate()[0]) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()


def perform(described: dict[str, Any]) -> None:
    """In a process that `spawn` started: measures, waiting for the word when warm."""

    def wait() -> None:
        print("ready", flush=True)
        sys.stdin.readline()

    print(json.dumps(measure(Task(**described), wait)), flush=True)


def row(task: Task, processes: list[dict[str, Any]]) -> dict[str, Any]:
    """A line of the table from what each process measured."""
    packed = len(processes)
    blocks = [seconds for process in processes for seconds in process["seconds"]]
    slowest = max(sum(process["seconds"]) / len(process["seconds"]) for process in processes)
    peaks = [process["peak_reserved_bytes"] for process in processes if process["peak_reserved_bytes"] is not None]
    return {
        "network": f"ResNet-{task.depth}",
        "batch": task.batch,
        "way": task.way,
        "packed": packed,
        "step_ms": 1000 * statistics.median(blocks),
        "step_ms_least": 1000 * min(blocks),
        "step_ms_most": 1000 * max(blocks),
        "images_per_second": packed * task.batch / slowest,
        "run_seconds": ITERATIONS * slowest / packed,
        "peak_reserved_bytes": max(peaks, default=None),
        "start_seconds": max(process["start"] for process in processes),
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table."""
    lines = [
        "| network | batch | way | runs at once | a step, ms (least to most) | images/s, all runs | a run, s "
        "| memory a run, GiB | start, s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for run in rows:
        peak = run["peak_reserved_bytes"]
        lines.append(
            f"| {run['network']} | {run['batch']} | {run['way']} | {run['packed']} | {run['step_ms']:.3f} "
            f"({run['step_ms_least']:.3f} to {run['step_ms_most']:.3f}) | {run['images_per_second']:,.0f} | "
            f"{run['run_seconds']:.1f} | {'' if peak is None else f'{peak / 2**30:.2f}'} | {run['start_seconds']:.1f} |"
        )
    return "\n".join(lines)


def device_facts(device: str) -> dict[str, Any]:
    """What the figures are of: GPU, versions, and whether MPS lets processes share it at one time."""
    import psutil
    import torch

    names = {process.info["name"] for process in psutil.process_iter(["name"])}
    return {
        "gpu": machine.gpu_name(device),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "python": machine.environment(device)["python"],
        "cpu": machine.cpu_model(),
        "cores": machine.cores(),
        "mps": "nvidia-cuda-mps-server" in names,
        "commit": machine.commit(),
    }


def heading(facts: dict[str, Any], precision: str) -> str:
    """The sentence over the table."""
    mps = "with MPS" if facts["mps"] else "without MPS (processes take turns)"
    return (
        f"{facts['gpu']}, torch {facts['torch']}, CUDA {facts['cuda']}, cuDNN {facts['cudnn']}, Python "
        f"{facts['python']}, {facts['cores']} cores of {facts['cpu']}; {precision}, channels last, {mps}. "
        f"A run: {ITERATIONS:,} steps."
    )


def tasks(asked: argparse.Namespace, precision: str) -> list[tuple[Task, int]]:
    """Everything to measure: each way alone, then the graph packed."""
    tasks = []
    for depth in asked.networks:
        for batch in asked.batch:
            ways = [(way, 1) for way in asked.ways] + [("graph", count) for count in asked.packed if count > 1]
            for way, count in ways:
                tasks.append((Task(depth, batch, way, precision, asked.device, asked.blocks), count))
    return tasks


def main() -> None:
    """Measures, or in a process that it started, does one task of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--networks", type=int, nargs="+", default=[20, 56, 110], help="depths")
    parser.add_argument("--batch", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--ways", nargs="*", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--packed", type=int, nargs="*", default=[2, 4, 8], help="runs at once, in processes")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--blocks", type=int, default=10, help=f"of {BLOCK} steps")
    parser.add_argument("--json", type=Path, help="write every figure here")
    parser.add_argument("--task", type=json.loads, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.task:
        perform(asked.task)
        return
    if not asked.device.startswith("cuda"):
        parser.error("--device is cuda or cuda:N; for a CPU there is benchmarks/throughput.py")
    machine.resolve_device(asked.device)
    precision = machine.resolve_precision(asked.precision, asked.device)
    facts, rows = device_facts(asked.device), []
    for task, count in tasks(asked, precision):
        rows.append(row(task, spawn(task, count)))
        print(markdown(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
        if asked.json:  # after every row: a long pass that is cut off leaves what it has
            document = {"schema": 1, "kind": "gpu", "device": facts, "precision": precision, "rows": rows}
            asked.json.write_text(json.dumps(document, indent=1))
    print(f"{heading(facts, precision)}\n\n{markdown(rows)}")


if __name__ == "__main__":
    try:
        main()
    except RscError as problem:
        print("\n".join(f"error: {line}" for line in problem.lines), file=sys.stderr)
        sys.exit(problem.exit_code)
