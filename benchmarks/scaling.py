"""What grows with what: time with runs and with images, reading with stored runs, memory with workers.

    python benchmarks/scaling.py [linear] [stored] [memory] [--runs 10000] [--json FILE]

- linear: sweeps of 1, 2 and 4 runs by one worker, and runs over 250, 500 and 1,000 of the digits. `off the line` says
  how far the middle one lies from the straight line through the first and the last.
- stored: as many runs as asked for, made up and published through the run store, then listed and compared by the
  commands themselves, as new processes.
- memory: resident size of 1, 2 and 4 workers while they train. RSS counts what processes share in each of them; PSS
  shares it out, so that its sum is what the workers take together; USS is what one worker has to itself.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from resnet_shortcuts import machine
from resnet_shortcuts.errors import RscError

PARTS = ("linear", "stored", "memory")
SWEEPS, IMAGES, WORKERS = (1, 2, 4), (250, 500, 1000), (1, 2, 4)
NETWORKS = [f"cifar-resnet-{depth}" for depth in (8, 14, 20, 32, 44)]
GOAL_SECONDS = 5.0


def sweep(scratch: Path, name: str, runs: int, images: int, jobs: int, epochs: int = 2) -> float:
    """Train ``runs`` seeds of ResNet-8 on the digits; seconds from the first worker's start to the last result."""
    from resnet_shortcuts.config.experiment_config import load_config
    from resnet_shortcuts.experiments.runner import run_plan
    from resnet_shortcuts.experiments.store import Experiment
    from resnet_shortcuts.experiments.study import open_study

    file = scratch / f"{name}.yaml"
    file.write_text(
        json.dumps(  # JSON is YAML
            {
                "name": name,
                "data": {"source": "digits", "train_size": images},
                "networks": ["cifar-resnet-8"],
                "shortcuts": ["A"],
                "seeds": runs,
                "train": {"epochs": epochs, "batch_size": 32},
                "run": {"device": "cpu", "precision": "fp32", "evaluate_every": 1_000_000},
            }
        )
    )
    config = load_config(file)
    study = open_study(config, None)
    experiment = Experiment.create(scratch / "results", config, study.plan)
    began = time.perf_counter()
    summary = run_plan(study.plan, config, study.folder, experiment, jobs=jobs, device="cpu")
    if len(summary.done) != runs:
        raise SystemExit(f"runs failed: {summary.failed or summary.diverged}")
    return time.perf_counter() - began


def off_the_line(sizes: tuple[int, ...], seconds: list[float]) -> float:
    """How far the middle points lie from the line through the first and the last, as a share of the line's value."""
    slope = (seconds[-1] - seconds[0]) / (sizes[-1] - sizes[0])
    straight = [seconds[0] + slope * (size - sizes[0]) for size in sizes]
    return max(abs(measured / line - 1) for measured, line in zip(seconds[1:-1], straight[1:-1], strict=True))


def linear(scratch: Path) -> dict[str, Any]:
    """Seconds of sweeps by number of runs, and of runs by number of images."""
    by_runs = [sweep(scratch, f"runs-{count}", count, IMAGES[0], 1) for count in SWEEPS]
    by_images = [sweep(scratch, f"images-{count}", 1, count, 1) for count in IMAGES]
    print("| what | 1x | 2x | 4x | off the line |\n| --- | --- | --- | --- | --- |")
    for what, sizes, seconds in (("runs", SWEEPS, by_runs), ("images", IMAGES, by_images)):
        cells = " | ".join(f"{duration:.1f} s" for duration in seconds)
        print(f"| {what}: {', '.join(map(str, sizes))} | {cells} | {100 * off_the_line(sizes, seconds):.0f} % |")
    return {"runs": dict(zip(SWEEPS, by_runs, strict=True)), "images": dict(zip(IMAGES, by_images, strict=True))}


def store(scratch: Path, runs: int) -> tuple[str, float]:
    """Publish made-up runs of 5 networks with 20 strategies on the digits; the experiment's name, seconds a run."""
    import numpy as np

    from resnet_shortcuts.config.experiment_config import load_config
    from resnet_shortcuts.experiments.run_record import RunRecord
    from resnet_shortcuts.experiments.store import HISTORY, PREDICTIONS, Experiment, pack_predictions
    from resnet_shortcuts.experiments.study import open_study
    from resnet_shortcuts.shortcuts.catalogue import strategies

    shortcuts = [strategy.name for strategy in strategies()][:20]
    file = scratch / "many.yaml"
    described = {"name": "many", "data": {"source": "digits"}, "networks": NETWORKS, "shortcuts": shortcuts}
    recipe = {"train": {"epochs": 10}, "run": {"device": "cpu", "precision": "fp32"}}
    file.write_text(json.dumps({**described, **recipe, "seeds": max(1, runs // (len(NETWORKS) * len(shortcuts)))}))
    config = load_config(file)
    study = open_study(config, None)
    experiment = Experiment.create(scratch / "results", config, study.plan)
    environment, draw = machine.environment(), np.random.default_rng(0)
    labels = draw.integers(0, 10, study.test_images)
    began = time.perf_counter()
    for run in study.plan.runs:
        wrong = draw.random(len(labels)) < draw.normal(0.1, 0.01)
        predictions = np.where(wrong, (labels + 1) % 10, labels)
        accuracy = 100.0 * float((predictions == labels).mean())
        record = {
            "run_id": run.run_id,
            "science": run.science,
            "labels": {"network": run.network, "shortcut": run.shortcut, "seed": run.seed},
            "status": "done",
            "reason": "",
            "steps": study.steps,
            "test_accuracy": accuracy,
            "train_error": 10.0,
            "digests": {},
            "environment": environment,
            "resumed": [],
            "elapsed_seconds": 1.0,
        }
        files = {HISTORY: made_up_history(accuracy), PREDICTIONS: pack_predictions(predictions, labels)}
        experiment.publish(RunRecord.model_validate(record), files)
    return config.name, (time.perf_counter() - began) / len(study.plan.runs)


def made_up_history(accuracy: float) -> bytes:
    """Ten epochs of a run that ends with this accuracy."""
    epochs = [
        {
            "epoch": epoch,
            "step": 11 * epoch,
            "learning_rate": 0.1,
            "train_loss": 1 / epoch,
            "train_accuracy": 90.0,
            "test_accuracy": accuracy,
        }
        for epoch in range(1, 11)
    ]
    return json.dumps(epochs, indent=1).encode()


def timed(*words: str, times: int = 3) -> dict[str, float]:
    """Wall and processor seconds of an ``rsc`` command as a new process, the median of so many."""
    wall, processor = [], []
    for _ in range(times):
        before, began = psutil.Process().cpu_times(), time.perf_counter()
        subprocess.run([sys.executable, "-c", _RSC, *words], check=True, stdout=subprocess.DEVNULL)
        wall.append(time.perf_counter() - began)
        after = psutil.Process().cpu_times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        processor.append(spent)
    return {"wall": statistics.median(wall), "processor": statistics.median(processor)}


_RSC = "import sys; from resnet_shortcuts.cli import main; sys.exit(main())"


def stored(scratch: Path, runs: int) -> dict[str, Any]:
    """Seconds that listing and comparing take."""
    name, publishing = store(scratch, runs)
    results: dict[str, Any] = {"runs": runs, "publish_seconds_a_run": publishing}
    print(f"\n{runs:,} stored runs; publishing one took {1000 * publishing:.1f} ms\n")
    print(f"| command | wall, s | processor, s | under {GOAL_SECONDS:.0f} s |\n| --- | --- | --- | --- |")
    for command in ("runs", "compare"):
        took = results[command] = timed(command, name, "--results", str(scratch / "results"))
        verdict = "yes" if took["wall"] < GOAL_SECONDS else "no"
        print(f"| rsc {command} | {took['wall']:.2f} | {took['processor']:.2f} | {verdict} |")
    return results


class Sampler(threading.Thread):
    """Looks at this process's training workers until it is stopped; keeps the look at which they took most."""

    def __init__(self, workers: int) -> None:
        super().__init__(daemon=True)
        self.workers, self.most = workers, dict[str, float]()
        self._over = threading.Event()

    def run(self) -> None:
        """Look ten times a second."""
        while not self._over.wait(0.1):
            sizes = []
            for child in psutil.Process().children():
                with contextlib.suppress(psutil.Error):
                    if "train" in child.cmdline():
                        sizes.append(child.memory_full_info())
            if len(sizes) == self.workers:
                look = {kind: sum(getattr(size, kind) for size in sizes) for kind in ("rss", "pss", "uss")}
                if look["pss"] > self.most.get("pss", 0):
                    self.most = look

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self.join()


@contextlib.contextmanager
def sampling(workers: int) -> Iterator[Sampler]:
    """A sampler at work."""
    sampler = Sampler(workers)
    sampler.start()
    try:
        yield sampler
    finally:
        sampler.stop()


def memory(scratch: Path) -> list[dict[str, Any]]:
    """Bytes that 1, 2 and 4 workers take at their peak."""
    rows = []
    for workers in WORKERS:
        with sampling(workers) as sampler:
            sweep(scratch, f"workers-{workers}", workers, IMAGES[-1], workers)
        if not sampler.most:
            raise SystemExit(f"{workers} workers were never seen together")
        rows.append({"workers": workers, **sampler.most})
    print(
        "\n| workers | together (PSS), MiB | each: PSS | each: own (USS) | each: RSS |\n| --- | --- | --- | --- | --- |"
    )
    for row in rows:
        each = " | ".join(f"{row[kind] / row['workers'] / 2**20:.0f}" for kind in ("pss", "uss", "rss"))
        print(f"| {row['workers']} | {row['pss'] / 2**20:.0f} | {each} |")
    return rows


def main() -> None:
    """Runs the parts asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"{', '.join(PARTS)}; all without any")
    parser.add_argument("--runs", type=int, default=10_000, help="how many to store, in hundreds")
    parser.add_argument("--json", type=Path, help="write every figure here")
    asked = parser.parse_args()
    if wrong := set(asked.parts) - set(PARTS):
        parser.error(f"no part {sorted(wrong)[0]!r}: there are {', '.join(PARTS)}")
    parts = asked.parts or PARTS
    facts = machine.environment()
    print(f"{facts['cpu']}, {facts['cores']} cores, torch {facts['packages']['torch']}; load average ", end="")
    print(f"{machine.load_average()[0]:.1f} at the start\n")
    results: dict[str, Any] = {"schema": 1, "kind": "scaling", "environment": facts}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if "linear" in parts:
            results["linear"] = linear(scratch)
        if "stored" in parts:
            results["stored"] = stored(scratch, asked.runs)
        if "memory" in parts:
            results["memory"] = memory(scratch)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    try:
        main()
    except RscError as problem:
        print("\n".join(f"error: {line}" for line in problem.lines), file=sys.stderr)
        sys.exit(problem.exit_code)
