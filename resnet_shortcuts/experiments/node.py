"""What a machine of a cluster does: it says what it is, trains one run, or measures costs. Knows nothing of Ray.

Arguments and answers are JSON, so that no machine unpickles what another sends.
"""

import json
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import Literal

import numpy as np

from resnet_shortcuts import __version__, durable, machine
from resnet_shortcuts.child_process import Fault, Message, printing_to
from resnet_shortcuts.cost.cost_launch import CostPass, key_of, run_cost_pass
from resnet_shortcuts.data import decoded_cache
from resnet_shortcuts.errors import EnvironmentFault, RscError
from resnet_shortcuts.experiments import processes
from resnet_shortcuts.experiments.fenced_home import Call, HomeFault, RemoteHome
from resnet_shortcuts.experiments.run_job import RunEvent, RunJob, WorkerSetup, run_environment
from resnet_shortcuts.paths import cache_folder
from resnet_shortcuts.shortcuts.custom_sources import load_sources
from resnet_shortcuts.source_hash import source_sha256

_folders: dict[str, Path] = {}
"""Where this process has found data sets, by their content."""
_LOOK_SECONDS = 0.5  # a worker asks this often whether to stop


class NodeReport(Message):
    """What a machine is: for `rsc doctor`, and to decide whether it may train. ``folders`` are its data sets."""

    host: str
    version: str
    source_sha256: str
    torch: str | None
    hardware: str
    cores: int
    gpus: list[str]
    bf16: bool
    data_root: str
    folders: list[str]
    token: bool


class Sick(Message):
    """This machine cannot train, which says nothing of the run."""

    event: Literal["sick"] = "sick"
    run_id: str
    reason: str


def examine(device: str, token: bool) -> str:
    """The `NodeReport` of this machine. ``token``: whether its cluster asks for a token."""
    root = os.environ.get("RSC_DATA_ROOT", "")
    here = machine.hardware()
    return NodeReport(
        host=socket.gethostname(),
        version=__version__,
        source_sha256=source_sha256(),
        torch=machine.package_versions()["torch"],
        hardware=str(here),
        cores=machine.cores(),
        gpus=[gpu.name for gpu in here.gpus or ()],
        bf16=machine.bf16_supported(device),
        data_root=root,
        folders=sorted(path.name for path in Path(root).iterdir())[:20] if root and Path(root).is_dir() else [],
        token=token,
    ).model_dump_json()


def train(setup_json: str, job_json: str, call: Call) -> str:
    """Train one run; the event that says how it ended, `Sick` and `Fault` among them."""
    setup, job = WorkerSetup.model_validate_json(setup_json), RunJob.model_validate_json(job_json)
    event: RunEvent | Sick
    try:
        event = _train(setup, job, call)
    except HomeFault as error:
        event = Fault(error="EnvironmentFault", what=error.what, where=error.where, todo=error.todo)
    except EnvironmentFault as error:
        event = Sick(run_id=job.run_id, reason=str(error))
    except RscError as error:
        event = Fault.of(error)
    return event.model_dump_json()


def _train(setup: WorkerSetup, job: RunJob, call: Call) -> RunEvent:
    check_code(setup)
    scratch = Path(tempfile.gettempdir()) / f"rsc-{socket.gethostname()}-logs"
    durable.make_folder(scratch)
    home = RemoteHome(call, scratch)
    setup = setup.model_copy(update={"dataset": local_dataset(setup, _content_of(job), call)})
    environment = run_environment(setup.device, setup.threads, setup.run, setup.precision)
    setup = setup.model_copy(update={"environment": {**setup.environment, **environment}})
    load_sources(setup.sources)

    import torch

    from resnet_shortcuts.experiments.training_session import train_run

    torch.set_num_threads(setup.threads)
    looked = time.monotonic()

    def stopping() -> bool:
        nonlocal looked
        if time.monotonic() - looked >= _LOOK_SECONDS:
            looked = time.monotonic()
            home.look()
        return home.stopping

    return train_run(home, setup, job, stopping, printing_to)


def check_code(setup: WorkerSetup) -> None:
    """Raises EnvironmentFault where this machine has other code: its results would not be those of the plan."""
    if setup.code.source_sha256 != source_sha256():
        what = (
            f"another resnet-shortcuts is installed here: version {__version__}, source {source_sha256()[:12]}, "
            f"and not {setup.code.version}, {(setup.code.source_sha256 or '')[:12]}"
        )
        raise EnvironmentFault(what, socket.gethostname(), "install the same version on every machine")


def _content_of(job: RunJob) -> str:
    data = job.science["data"]
    return str(data["content"]) if isinstance(data, dict) else ""


def local_dataset(setup: WorkerSetup, content: str, call: Call) -> Path:
    """The decoded data set of this content on this machine: its own, or fetched from home, once a machine.

    Raises EnvironmentFault where the machine has other data under this name.
    """
    if content not in _folders:
        _folders[content] = _own_dataset(setup, content) or _fetched(content, call)
    return _folders[content]


def _own_dataset(setup: WorkerSetup, content: str) -> Path | None:
    from resnet_shortcuts.data.prepare import describe, prepare

    root = os.environ.get("RSC_DATA_ROOT")
    here = decoded_cache.read_manifest(setup.dataset)
    if not root and here is not None and here["content"] == content and decoded_cache.is_sound(setup.dataset):
        return setup.dataset  # a disk that machines share
    try:
        folder = prepare(setup.data, data_root=Path(root) if root else None, cache=cache_folder())
    except RscError:
        return None
    if describe(folder)["content"] != content:
        what = f"the data on this machine have content {describe(folder)['content']}, the plan has {content}"
        raise EnvironmentFault(what, str(folder), "copy the data of the machine that planned, or set RSC_DATA_ROOT")
    return folder


def _fetched(content: str, call: Call) -> Path:
    """The data set as home has it, checked, in this machine's cache."""
    target = cache_folder() / "data" / f"fetched-{content[:16]}"
    durable.make_folder(target.parent)
    with decoded_cache.locked(target.parent / f".{target.name}.lock", None):
        if decoded_cache.is_sound(target):
            return target
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.staging-", dir=target.parent))
        try:
            with decoded_cache.writing(target):
                manifest = json.loads(_file(decoded_cache.MANIFEST, None, call))
                for name in decoded_cache.ARRAYS:
                    _file(f"{name}.npy", staging, call)
                    array = np.load(staging / f"{name}.npy", mmap_mode="r")
                    if manifest["content"] != content or decoded_cache.array_hash(array) != manifest["sha256"][name]:
                        raise EnvironmentFault("the data did not arrive whole", str(target), "run it again")
                if target.exists():
                    shutil.rmtree(target)  # damaged
                decoded_cache.publish(staging, target, manifest)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return target


def _file(name: str, folder: Path | None, call: Call) -> bytes:
    """A file of home's data set, into ``folder``, or as bytes."""
    data, offset, size = b"", 0, 1
    while offset < size:
        answer, sent = call("data", {"name": name, "offset": offset}, {})
        size, offset = answer["size"], offset + len(sent["data"])
        if folder is None:
            data += sent["data"]
        else:
            with (folder / name).open("ab") as file:
                file.write(sent["data"])
    return data


def measure(request_json: str, known: list[str]) -> str:
    """The report of a cost pass here; empty where one of ``known`` keys is that of this hardware."""
    asked = CostPass.model_validate_json(request_json)
    load_sources(asked.sources)
    if key_of(asked.request) in known:
        return ""
    try:
        report = run_cost_pass(asked.request, environ=processes.environment(asked.request.threads))
    except RscError as error:
        return Fault.of(error).model_dump_json()
    return report.model_dump_json()
