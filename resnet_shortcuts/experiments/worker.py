"""What a worker process does: it trains one run after another, as its parent sends them.

SIGTERM means: save a checkpoint at the next step and leave.
"""

import signal
from typing import Any

from resnet_shortcuts import gpus
from resnet_shortcuts.child_process import Channel, Ready, printing_to
from resnet_shortcuts.experiments.home import FolderHome
from resnet_shortcuts.experiments.run_job import Failed, RunJob, WorkerSetup
from resnet_shortcuts.experiments.store import Experiment
from resnet_shortcuts.experiments.training_session import train_run
from resnet_shortcuts.shortcuts.custom_sources import load_sources


def serve(plain: Any, channel: Channel) -> None:
    """Train runs until there are no more, this process is asked to stop, or something unexpected happens in it."""
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
    setup = WorkerSetup.model_validate(plain)
    # What every run needs is imported before the parent counts this process as ready.
    import torch

    import resnet_shortcuts.data.dataset
    import resnet_shortcuts.training.loop  # noqa: F401

    torch.set_num_threads(setup.threads)
    if setup.device != "cpu":
        facts = {**setup.environment, "gpu_facts": gpus.recorded_facts(setup.device)}
        setup = setup.model_copy(update={"environment": facts})
    load_sources(setup.sources)
    home = FolderHome(Experiment(setup.results, setup.name), channel.send)
    channel.send(Ready())
    while not stopping and (message := channel.receive()) is not None:
        event = train_run(home, setup, RunJob.model_validate(message), lambda: bool(stopping), printing_to)
        channel.send(event)
        if isinstance(event, Failed) or event.event == "stopped":
            return
