"""What the reliability tests share: a tiny experiment on the digits, and sessions forked from a warm server."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_shortcuts import durable
from resnet_shortcuts.config.experiment_config import Config, load_config
from resnet_shortcuts.data.dataset import load
from resnet_shortcuts.data.prepare import prepare
from resnet_shortcuts.experiments.plan import Plan, make_plan
from resnet_shortcuts.experiments.run_job import RunJob, WorkerSetup, run_job, worker_setup
from resnet_shortcuts.experiments.store import HISTORY, PREDICTIONS, Experiment

ROOT = Path(__file__).parents[2]
TORTURE = int(os.environ.get("RSC_TORTURE", "1"))

YAML = """
name: tiny
data: {source: digits, train_size: 100, test_size: 50}
networks: [{name: cifar-resnet-8, width: 8}]
shortcuts: [projection]
seeds: 1
train: {epochs: 3, batch_size: 32, lr: 0.05, schedule: {kind: one-cycle}}
run: {device: cpu, precision: fp32, checkpoint_seconds: 0.000001}
"""


@dataclass
class Rig:
    """An experiment of which nothing has been trained yet."""

    config: Config
    plan: Plan
    experiment: Experiment
    dataset: Path

    @property
    def setup(self) -> WorkerSetup:
        setup = worker_setup(self.config, self.plan, self.dataset, self.experiment, ("cpu",), 1)
        return setup.model_copy(update={"environment": {**setup.environment, "commit": None}})

    def job(self, number: int = 0) -> RunJob:
        return run_job(self.plan.runs[number], self.config)

    def outcome(self, number: int = 0) -> dict[str, Any]:
        """Everything that must be bit-identical, however a run came to its end."""
        run_id = self.plan.runs[number].run_id
        run, folder = self.experiment.run(run_id).verify(), self.experiment.run_folder(run_id)
        files = {name: (folder / name).read_bytes() for name in (HISTORY, PREDICTIONS)}
        return {"digests": run.digests, "accuracy": run.test_accuracy, "steps": run.steps, **files}


def make_rig(folder: Path, cache: Path, text: str = YAML, *overrides: str) -> Rig:
    path = folder / "config.yaml"
    durable.write_file(path, text.encode())  # whole at any moment: other processes make the same rig beside this one
    config = load_config(path, overrides)
    dataset = prepare(config.data, data_root=None, cache=cache)
    plan = make_plan(config, load(dataset, config.data).identity, "fp32")
    return Rig(config, plan, Experiment.create(folder / "results", config, plan), dataset)


class Child:
    """A forked process that runs one session."""

    def __init__(self, server: "ForkServer", pid: int, events: Path) -> None:
        self.server, self.pid, self._events = server, pid, events

    def wait(self) -> int:
        """Its exit code, or minus the signal that ended it."""
        return int(self.server.ask({"wait": self.pid})["code"])

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    def events(self) -> list[dict[str, Any]]:
        text = self._events.read_bytes() if self._events.exists() else b""
        return [json.loads(line) for line in text.split(b"\n")[:-1]]

    def wait_for(self, event: str, seconds: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for found in self.events():
                if found["event"] == event:
                    return found
            time.sleep(0.005)
        raise AssertionError(f"no event {event!r}: {self.events()}")


class ForkServer:
    """A process that has torch imported and forks a session on demand, so that each costs milliseconds."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forkserver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=ROOT,
        )

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write((json.dumps(message) + "\n").encode())
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def start(self, rig: Rig, number: int = 0, **how: Any) -> Child:
        """Fork a session that trains one run. ``how``: see ``forkserver.session``."""
        self.count += 1
        events = self.folder / f"events-{self.count}"
        setup = rig.setup.model_copy(update=how.pop("setup", {})).model_dump(mode="json")
        job = rig.job(number).model_dump(mode="json")
        answer = self.ask({"setup": setup, "job": job, "events": str(events), "how": how})
        return Child(self, answer["pid"], events)

    def finish(self, rig: Rig, number: int = 0, **how: Any) -> list[dict[str, Any]]:
        """Run a session to its end; its events."""
        child = self.start(rig, number, **how)
        code = child.wait()
        assert code >= 0, f"ended by signal {-code}: {child.events()}"
        return child.events()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
