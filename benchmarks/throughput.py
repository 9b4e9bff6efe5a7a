"""How fast a sweep of this runner trains, against an ordinary training loop and against the bare step, in one run.

    python benchmarks/throughput.py [--data DIR] [--steps 60] [--rounds 3] [--json FILE]

ResNet-20 with option A, batch 128, 32x32 images. DIR holds train/CLASS/ and test/CLASS/ image folders; without it
images are generated, and the report says so. Contestants take turns, in an order of its own each round, because the
same configuration drifts by 10 to 20 % between minutes: only ratios within a round count. Images a second are of
training, all processes together, without the start of Python and the import of torch.

- runner: a sweep, one single-threaded worker a core, checkpoints, history, final evaluation and publishing included;
- ordinary: one process on all cores, fp32, default memory format, DataLoader with PIL transforms, 0 and 2 workers (the
  better one counts, its first two steps outside the clock), and packed: one such loop of one thread a core;
- bare: what the runner's processes would do with the same model on one batch in memory and nothing else.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from resnet_shortcuts import machine
from resnet_shortcuts.errors import RscError
from resnet_shortcuts.experiments import processes

BATCH, NETWORK, SHORTCUT = 128, "cifar-resnet-20", "A"
WARM_UP = 2
Contestant = Callable[[], float]


def generate(folder: Path, images: int) -> None:
    """Ten classes of smooth random 32x32 PNG images; `images` to train on, 20 to test on."""
    draw = np.random.default_rng(0)
    for part, count in (("train", images), ("test", 20)):
        for number in range(count):
            target = folder / part / f"class{number % 10}" / f"{number:05d}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            small = draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC).save(target)


class Sweep:
    """Sweeps of this runner over prepared data; every call trains anew, in a folder of its own."""

    def __init__(self, data: Path, steps: int, scratch: Path) -> None:
        self.data, self.steps, self.scratch, self.jobs, self.calls = data, steps, scratch, machine.cores(), 0

    def __call__(self, precision: str) -> float:
        """Images a second of one run a core, side by side."""
        from resnet_shortcuts.config.experiment_config import load_config
        from resnet_shortcuts.experiments.runner import run_plan
        from resnet_shortcuts.experiments.store import Experiment
        from resnet_shortcuts.experiments.study import open_study

        self.calls += 1
        file = self.scratch / f"throughput-{self.calls}.yaml"
        data = {"source": "image-folder", "root": str(self.data), "resolution": 32, "test_size": 20}
        file.write_text(
            json.dumps(  # JSON is YAML
                {
                    "name": file.stem,
                    "data": {**data, "augment": ["crop", "flip"]},
                    "networks": [NETWORK],
                    "shortcuts": [SHORTCUT],
                    "seeds": list(range(self.jobs)),
                    "train": {"iterations": self.steps, "batch_size": BATCH},
                    "run": {"device": "cpu", "precision": precision, "jobs": self.jobs, "evaluate_every": 1_000_000},
                }
            )
        )
        config = load_config(file)
        study = open_study(config, None)
        experiment = Experiment.create(self.scratch / "results", config, study.plan)
        summary = run_plan(study.plan, config, study.folder, experiment, jobs=self.jobs, device="cpu")
        if len(summary.done) != self.jobs:
            raise SystemExit(f"runs failed: {summary.failed or summary.diverged}")
        slowest = max(run.elapsed_seconds or 0.0 for run in experiment.runs())
        return self.jobs * self.steps * BATCH / slowest


def spawn(count: int, environment: dict[str, str], **task: Any) -> float:
    """Images a second of `count` processes of this file doing `task` at the same time, at the pace of the slowest."""
    command = [sys.executable, str(Path(__file__).resolve()), "--task", json.dumps(task)]
    running = [
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    try:
        for process in running:  # all are past their imports before the first begins
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise SystemExit(f"a process for {task} did not start")
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return count * min(float(process.communicate()[0]) for process in running)
    finally:
        for process in running:
            process.kill()
            process.wait()


def contestants(data: Path, steps: int, scratch: Path) -> dict[str, Contestant]:
    """Everything that is timed, by name."""
    cores = machine.cores()
    sweep = Sweep(data, steps, scratch)
    plain = {**os.environ, "OMP_NUM_THREADS": str(cores)}
    single = {**os.environ, "OMP_NUM_THREADS": "1"}
    ours = processes.environment(1)
    by_name: dict[str, Contestant] = {}
    for precision in ("fp32", "bf16") if machine.bf16_supported("cpu") else ("fp32",):
        by_name[f"runner {precision}"] = lambda precision=precision: sweep(precision)  # type: ignore[misc]
        by_name[f"bare {precision}"] = lambda precision=precision: spawn(  # type: ignore[misc]
            cores, ours, kind="bare", precision=precision, steps=steps
        )
    for workers in (0, 2):
        by_name[f"ordinary, {workers} workers"] = lambda workers=workers: spawn(  # type: ignore[misc]
            1, plain, kind="ordinary", data=str(data), workers=workers, threads=cores, steps=steps
        )
    by_name["ordinary, packed"] = lambda: spawn(
        cores, single, kind="ordinary", data=str(data), workers=0, threads=1, steps=steps
    )
    return by_name


def bare(precision: str, steps: int) -> Iterator[None]:
    """The bare step; yields before the clock starts and after every step."""
    import torch

    from resnet_shortcuts.cost import timed_steps
    from resnet_shortcuts.cost.cost_request import CostRequest

    torch.set_num_threads(1)
    request = CostRequest(
        networks={NETWORK: NETWORK}, shortcuts={SHORTCUT: SHORTCUT}, batch_size=BATCH, precision=precision
    )
    _, step = timed_steps.warmed_up(request, NETWORK, SHORTCUT, *timed_steps.batch(request, BATCH))
    for _ in range(steps + 1):
        yield
        step()


def ordinary(data: str, workers: int, threads: int, steps: int) -> Iterator[None]:
    """A training loop as most people write it; yields before every step."""
    import torch
    from torch.nn import functional as F

    from resnet_shortcuts.models.networks import build_network
    from resnet_shortcuts.shortcuts.catalogue import find
    from resnet_shortcuts.torchvision_import import import_torchvision

    import_torchvision()
    from torchvision import datasets, transforms

    torch.set_num_threads(threads)
    prepare = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.262)),
        ]
    )
    images = datasets.ImageFolder(str(Path(data) / "train"), prepare)
    loader = torch.utils.data.DataLoader(images, BATCH, shuffle=True, num_workers=workers, drop_last=True)
    model = build_network(NETWORK, find(SHORTCUT), in_channels=3, num_classes=len(images.classes), seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    model.train()
    done = 0
    yield
    while done < WARM_UP + steps:
        for batch, labels in loader:
            loss = F.cross_entropy(model(batch), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
            yield
            if done == WARM_UP + steps:
                break


def perform(task: dict[str, Any]) -> None:
    """Does one task in this process: says it is ready, waits for the word, prints images a second."""
    kind = task.pop("kind")
    steps = task["steps"]
    work = bare(**task) if kind == "bare" else ordinary(**task)
    next(work)
    print("ready", flush=True)
    sys.stdin.readline()
    skip = 1 if kind == "bare" else WARM_UP
    for _ in range(skip):
        next(work)
    began = time.perf_counter()
    for _ in range(steps):
        next(work, None)
    print(steps * BATCH / (time.perf_counter() - began), flush=True)


def compare(rounds: list[dict[str, float]]) -> list[tuple[str, list[float]]]:
    """The ratios, round by round, that tell something, each with what it compares."""
    better = max((f"ordinary, {n} workers" for n in (0, 2)), key=lambda name: median(rounds, name))
    pairs = [
        ("runner bf16", better, f"bf16 against fp32: not like for like ({better})"),
        ("runner fp32", better, f"fp32 against fp32, packed against one process ({better})"),
        ("runner fp32", "ordinary, packed", "like for like: fp32, as many processes on either side"),
        ("runner fp32", "bare fp32", "of the bare step, fp32"),
        ("runner bf16", "bare bf16", "of the bare step, bf16"),
    ]
    return [
        (f"{ours} / {theirs}: {what}", [round_[ours] / round_[theirs] for round_ in rounds])
        for ours, theirs, what in pairs
        if ours in rounds[0]
    ]


def median(rounds: list[dict[str, float]], name: str) -> float:
    """Median images a second of one contestant."""
    return statistics.median(round_[name] for round_ in rounds)


def report(rounds: list[dict[str, float]], generated: bool) -> dict[str, Any]:
    """Prints the tables; returns them."""
    facts = machine.environment()
    tcmalloc = machine.tcmalloc_path()
    print(f"\n{facts['cpu']}, {facts['cores']} cores, torch {facts['packages']['torch']}, ", end="")
    print(f"allocator of the runner's workers: {'tcmalloc' if tcmalloc else 'glibc, large blocks kept'}")
    print("images: generated" if generated else "images: as given", end="")
    print(
        f"; ResNet-20, batch {BATCH}, {len(rounds)} rounds; load average {machine.load_average()[0]:.1f} at the end\n"
    )
    if not machine.bf16_supported("cpu"):
        print("bf16: skipped, this processor does not multiply bf16 in hardware (no avx512_bf16, no AMX)\n")
    print("| contestant | images/s, median | least | most |\n| --- | --- | --- | --- |")
    speeds = {name: [round_[name] for round_ in rounds] for name in rounds[0]}
    for name, values in speeds.items():
        print(f"| {name} | {statistics.median(values):.0f} | {min(values):.0f} | {max(values):.0f} |")
    print("\n| ratio of images/s, within a round | median | least | most |\n| --- | --- | --- | --- |")
    ratios = dict(compare(rounds))
    for name, values in ratios.items():
        print(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")
    return {"schema": 1, "kind": "throughput", "environment": facts, "images_per_second": speeds, "ratios": ratios}


def main() -> None:
    """Runs the comparison, or in a process that it started, one task of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with train/CLASS/ and test/CLASS/; generated without it")
    parser.add_argument("--steps", type=int, default=60, help="training steps of each process and turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write every figure here")
    parser.add_argument("--task", type=json.loads, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.task:
        perform(asked.task)
        return
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        data = asked.data.resolve() if asked.data else scratch / "images"
        if asked.data is None:
            print("no --data: images are generated")
            generate(data, 20 * BATCH)
        timed = contestants(data, asked.steps, scratch)
        rounds: list[dict[str, float]] = []
        for number in range(asked.rounds):
            speeds: dict[str, float] = {}
            for contestant in random.sample(list(timed), len(timed)):
                speeds[contestant] = timed[contestant]()
                print(
                    f"round {number + 1} of {asked.rounds}: {contestant}: {speeds[contestant]:.0f} images/s", flush=True
                )
            rounds.append({contestant: speeds[contestant] for contestant in timed})
        tables = report(rounds, asked.data is None)
        if asked.json:
            asked.json.write_text(json.dumps(tables, indent=1))


if __name__ == "__main__":
    try:
        main()
    except RscError as problem:
        sys.exit("\n".join(f"error: {line}" for line in problem.lines))
