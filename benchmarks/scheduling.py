"""What scheduling and listing 100,000 runs take, without training: ``python benchmarks/scheduling.py``.

A sweep of 100,000 runs on 1,000 slots of which 1 % are lost, then ``rsc runs`` and ``rsc compare`` over as many stored
results (written without waiting for the disk). Prints seconds and the most memory so far; run it on an idle machine.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from resnet_shortcuts.analysis.reading import read_experiment  # noqa: E402
from resnet_shortcuts.config.experiment_config import load_config  # noqa: E402
from resnet_shortcuts.experiments.plan import make_plan  # noqa: E402
from resnet_shortcuts.experiments.run_record import Labels, RunRecord  # noqa: E402
from resnet_shortcuts.experiments.run_states import list_runs  # noqa: E402
from resnet_shortcuts.experiments.runner import run_plan  # noqa: E402
from resnet_shortcuts.experiments.store import HISTORY, PREDICTIONS, Experiment, pack_predictions  # noqa: E402
from tests.experiments.fake_pool import FakePool  # noqa: E402

DATA = {"content": "0", "train_size": 1000, "test_size": 100, "validation": 0, "resolution": 8}


def timed(what: str, work: Callable[[], object]) -> float:
    """Do it; print how long it took and the most memory that this process has had."""
    before = time.perf_counter()
    work()
    seconds = time.perf_counter() - before
    mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {seconds:.1f} s, at most {mebibytes:,.0f} MiB so far", flush=True)
    return seconds


def store_all(experiment: Experiment) -> None:
    """A made-up result for each run of the plan."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, 100)
    for run in experiment.plan().runs:
        wrong = generator.random(100) < 0.1
        predictions = np.where(wrong, (labels + 1) % 10, labels)
        record = RunRecord(
            run_id=run.run_id,
            science=run.science,
            labels=Labels(network=run.network, shortcut=run.shortcut, seed=run.seed, recipe=run.recipe),
            status="done",
            test_accuracy=float(100 * (~wrong).mean()),
            train_error=1.0,
        )
        files = {HISTORY: json.dumps([{"epoch": 1}]).encode(), PREDICTIONS: pack_predictions(predictions, labels)}
        experiment.publish(record, files)


def main() -> None:
    """Sweep, then list and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--slots", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(
            "name: many\ndata: {source: digits}\nnetworks: [cifar-resnet-8, cifar-resnet-20]\n"
            f"shortcuts: [A, max-pad]\nseeds: {arguments.runs // 4}\ntrain: {{epochs: 1}}\nrun: {{device: cpu}}\n"
        )
        config = load_config(folder / "config.yaml")
        plans = []
        timed("plan", lambda: plans.append(make_plan(config, DATA, "fp32")))
        experiment = Experiment.create(folder / "results", config, plans[0])
        pool = FakePool(arguments.slots, losses=0.01)
        swept = timed("sweep", lambda: run_plan(plans[0], config, folder, experiment, make_pool=lambda setup: pool))
        print(f"scheduling: {1000 * swept / arguments.runs:.3f} ms a run")
        os.fsync = lambda descriptor: None  # what is stored here need not last
        timed("store", lambda: store_all(experiment))
        timed("runs", lambda: list_runs(experiment))
        timed("compare: read", lambda: read_experiment(experiment, images=False, history=False))


if __name__ == "__main__":
    main()
