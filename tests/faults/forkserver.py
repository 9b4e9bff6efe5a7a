"""Forks training sessions from a process with torch imported. Started by ``rig.ForkServer``; JSON lines both ways."""

import faulthandler
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

import resnet_shortcuts.data.dataset
import resnet_shortcuts.training.loop  # noqa: F401
from resnet_shortcuts import durable
from resnet_shortcuts.child_process import Channel, Fault, Message, Ready, printing_to
from resnet_shortcuts.errors import EnvironmentFault
from resnet_shortcuts.experiments import checkpoints, training_session
from resnet_shortcuts.experiments.home import FolderHome
from resnet_shortcuts.experiments.run_job import Failed, RunJob, WorkerSetup
from resnet_shortcuts.experiments.store import Experiment
from resnet_shortcuts.experiments.training_session import train_run
from resnet_shortcuts.models.network_config import NetworkSpec
from resnet_shortcuts.models.networks import build_network
from resnet_shortcuts.shortcuts.catalogue import find
from tests.faults.faulty_os import FaultyOs, Recorder

WARM = {"name": "cifar-resnet-8", "width": 8}


def session(setup: dict[str, Any], job: dict[str, Any], events: str, how: dict[str, Any]) -> int:
    """What a worker does with one job, in the product's own code.

    ``how``: ``kill_at`` k: SIGKILL at the k-th system call of the durable writer; ``fail_at`` [k, errno name]: that
    call fails; ``calls``: a file that gets the number of calls; ``poison`` step: weights turn NaN after it; ``crash``,
    ``exhaust`` step: an exception, or too large an allocation, after it; ``slow``: seconds of sleep a step; ``clock``:
    time runs backwards; ``share``: least training time between checkpoints, in times that one takes.
    """
    for descriptor, path in ((0, os.devnull), (1, events), (2, events + ".log")):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, descriptor)
    faulthandler.enable()
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = Channel.over_standard_streams()
    recorder = Recorder()
    durable.os = recorder
    if "kill_at" in how:
        durable.os = FaultyOs(how["kill_at"], None)
    if "fail_at" in how:
        durable.os = FaultyOs(*how["fail_at"])
    checkpoints.SHARE = how.get("share", 0)
    _arrange(how)
    channel.send(Ready())
    run = WorkerSetup.model_validate(setup)
    home = FolderHome(Experiment(run.results, run.name), channel.send)
    event: Message
    try:
        event = train_run(home, run, RunJob.model_validate(job), lambda: bool(stopping), printing_to)
    except EnvironmentFault as error:
        event = Fault.of(error)
    channel.send(event)
    if "calls" in how:
        Path(how["calls"]).write_text(str(len(recorder.calls)))
    return int(isinstance(event, Failed | Fault))


def _arrange(how: dict[str, Any]) -> None:
    """Bend the world around the session: time, numbers, memory."""
    import time

    after_step = training_session._Session._after_step

    def bent(self: training_session._Session, progress: Any, capture: Any) -> None:
        if "slow" in how:
            time.sleep(how["slow"])
        if progress.step == how.get("poison"):
            model = next(cell.cell_contents for cell in [*_cells(capture)])
            with torch.no_grad():
                next(model.parameters()).fill_(float("nan"))
        if progress.step == how.get("exhaust"):
            torch.empty(2**50)
        if progress.step == how.get("crash"):
            raise ZeroDivisionError("planted")
        after_step(self, progress, capture)

    training_session._Session._after_step = bent
    if "clock" in how:
        real, start = time.monotonic, time.monotonic()
        training_session.time.monotonic = lambda: start - 1000 * (real() - start)


def _cells(capture: Any) -> Any:
    run = capture.__self__
    yield type("Cell", (), {"cell_contents": run.model})


def _warm_up() -> None:
    """Let oneDNN compile its kernels once, here; children inherit them. (Backward on a CPU starts no thread.)"""
    model = build_network(NetworkSpec.model_validate(WARM), find("projection"), in_channels=1, num_classes=10, seed=0)
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)  # its first use imports torch._dynamo
    for batch in (32, 50, 4, 18):
        images = torch.zeros(batch, 8, 8, 1).permute(0, 3, 1, 2)
        model.train()(images).sum().backward()
        optimizer.step()
        with torch.inference_mode():
            model.eval()(images)


def main() -> None:
    torch.set_num_threads(1)
    _warm_up()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    while line := sys.stdin.readline():
        message = json.loads(line)
        if "wait" in message:
            _, status = os.waitpid(message["wait"], 0)
            answer = {"code": os.waitstatus_to_exitcode(status)}
        else:
            pid = os.fork()
            if pid == 0:
                code = 99
                try:
                    code = session(**message)
                finally:
                    os._exit(code)
            answer = {"pid": pid}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
