"""Runs on a Ray cluster: the connection, its nodes, and the pool that gives them runs. The only module that uses Ray.

Results stay on this machine: an actor on its node keeps them (`FencedHome`), and workers anywhere talk to it. What is
sent are JSON texts and bytes. Every run is placed on a node by us, so that a sick node gets none.
"""

import contextlib
import ipaddress
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from resnet_shortcuts.errors import EnvironmentFault, UsageError
from resnet_shortcuts.experiments import node, processes
from resnet_shortcuts.experiments.fenced_home import FencedHome
from resnet_shortcuts.experiments.node import NodeReport, Sick
from resnet_shortcuts.experiments.pools import Handle, Pool
from resnet_shortcuts.experiments.run_job import EVENTS, Lost, Remark, RunEvent, RunJob, WorkerSetup
from resnet_shortcuts.experiments.store import Experiment
from resnet_shortcuts.source_hash import source_sha256
from resnet_shortcuts.words import counted

_CONNECT_SECONDS, _PROBE_SECONDS = 60.0, 120.0
_LISTEN_SECONDS, _NODES_SECONDS = 0.2, 2.0  # how long to wait for an event; how often nodes are looked at
_GRACE_SECONDS = 10.0  # what workers get to save a checkpoint
_WITHOUT_NODES_SECONDS = 60.0  # how long to wait for a node where all have gone
_INSTALL = "pip install 'resnet-shortcuts[cluster]'"
_ENDINGS: TypeAdapter[RunEvent | Sick] = TypeAdapter(Annotated[RunEvent | Sick, Field(discriminator="event")])


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise EnvironmentFault("Ray is not installed", "--on", _INSTALL) from error
    return ray


class _HomeActor:
    """`FencedHome` as an actor; what the driver asks beside that."""

    def __init__(self, results: str, name: str, dataset: str) -> None:
        self._home = FencedHome(Experiment(Path(results), name), Path(dataset))

    def answer(self, method: str, about: dict[str, Any], parts: dict[str, bytes]) -> Any:
        return self._home.answer(method, about, parts)

    def events(self) -> list[bytes]:
        return [event.as_line() for event in self._home.events()]

    def stop(self) -> None:
        self._home.stop()

    def abandon(self, run_id: str) -> None:
        self._home.abandon(run_id)


def _examine(device: str) -> str:
    from ray._private.authentication.authentication_utils import is_token_auth_enabled

    return node.examine(device, bool(is_token_auth_enabled()))


def _train(setup: str, job: str, home: Any) -> str:
    ray = _ray()
    return node.train(setup, job, lambda *asked: ray.get(home.answer.remote(*asked)))


def _measure(request: str, known: list[str]) -> str:
    return node.measure(request, known)


@dataclass
class Node:
    """A machine of the cluster. ``excluded`` says why it gets no runs; ``running`` are the runs that it has.

    ``probe`` is the task that asks for its ``report``.
    """

    node_id: str
    cpus: float
    gpus: float
    report: NodeReport | None = None
    excluded: str = ""
    running: set[str] = field(default_factory=set)
    probe: Any = None

    @property
    def name(self) -> str:
        """What users call it."""
        return f"{self.report.host if self.report else 'node'} ({self.node_id[:8]})"


class Cluster:
    """A connection to a Ray cluster. ``device`` is what runs train on there; ``gpus`` is the share of one run."""

    def __init__(self, address: str, gpus: float | None) -> None:
        self._ray, self.address, self.needs_bf16 = _ray(), address, False
        self.nodes: dict[str, Node] = {}
        self._functions: dict[Any, Any] = {}
        self.look()
        has_gpus = any(each.gpus for each in self.nodes.values())
        self.gpus = gpus if gpus is not None else float(has_gpus)
        self.device = "cuda" if self.gpus else "cpu"

    def look(self) -> list[str]:
        """Notice nodes that have come, and examine them; the ids of those that have gone."""
        alive = {each["NodeID"]: each["Resources"] for each in self._ray.nodes() if each["Alive"]}
        gone = self.nodes.keys() - alive.keys()
        for node_id in alive.keys() - self.nodes.keys():
            found = alive[node_id]
            self.nodes[node_id] = Node(node_id, found.get("CPU", 0.0), found.get("GPU", 0.0))
        return [node_id for node_id in gone if self.nodes.pop(node_id)]

    def examine(self, wait: bool = True) -> list[str]:
        """Ask each new node what it is; a line for each that is left out now. Raises EnvironmentFault without a token.

        Without ``wait``, nodes that have not answered yet are looked at the next time. Nodes without cores are not
        asked: they keep results, or look on.
        """
        fit = [each for each in self.nodes.values() if each.cpus and not each.excluded]
        new = [each for each in fit if each.report is None]
        for each in new:
            if each.probe is None:
                each.probe = self.on(each, _examine, cpus=0, gpus=self.gpus if each.gpus else 0).remote(self.device)
        asked = {each.probe: each for each in new}
        timeout = _PROBE_SECONDS if wait else 0
        answered, silent = self._ray.wait(list(asked), num_returns=len(asked), timeout=timeout) if asked else ([], [])
        for probe in answered:
            self._read(asked[probe])
        for probe in silent if wait else ():
            asked[probe].excluded = f"no answer within {_PROBE_SECONDS:.0f} s"
        for each in fit:
            if each.report is not None:
                self._check_token(each.report)
                each.excluded = _unfit(each.report, self.needs_bf16)
        return [f"{each.name} is left out: {each.excluded}" for each in fit if each.excluded]

    def _read(self, asked: Node) -> None:
        """What a node says it is; whatever Ray makes of one that cannot run us."""
        try:
            asked.report = NodeReport.model_validate_json(self._ray.get(asked.probe))
        except self._ray.exceptions.TaskUnschedulableError:
            del self.nodes[asked.node_id]  # it has just gone
        except Exception as error:
            asked.excluded = f"resnet-shortcuts does not run there: {_first_line(error)}"

    def _check_token(self, report: NodeReport) -> None:
        if not report.token and not is_loopback(self.address):
            what = "the cluster takes commands from anybody who reaches its port: no token is asked for"
            todo = "stop it and start it with RAY_AUTH_MODE=token on every machine: see docs/cluster.md"
            raise EnvironmentFault(what, self.address, todo)

    def precision(self) -> str:
        """What ``run.precision: auto`` means here: bf16 where every node multiplies it."""
        reports = [each.report for each in self.nodes.values() if each.report and not each.excluded]
        return "bf16" if reports and all(report.bf16 for report in reports) else "fp32"

    def findings(self) -> list[dict[str, Any]]:
        """Rows for ``rsc doctor``: the cluster, then its nodes."""
        self.examine()
        asks = any(each.report and each.report.token for each in self.nodes.values())
        found = f"{self.address}: {counted(len(self.nodes), 'node')}, {'token' if asks else 'no token'}"
        rows = [{"what": "Ray cluster", "state": "fine", "found": f"{found}, Ray {self._ray.__version__}", "todo": ""}]
        for each in self.nodes.values():
            if not each.cpus:
                row = {"state": "note", "found": "no cores: it trains nothing", "todo": ""}
            elif each.report is None:
                row = {"state": "wrong", "found": each.excluded, "todo": "install the same version there"}
            else:
                runs = counted(self.slots(each), "run")
                data = each.report.data_root and f"; {each.report.data_root}: {', '.join(each.report.folders)}"
                found = f"version {each.report.version}, {each.report.hardware}; {runs} at a time{data}"
                row = {"state": "wrong" if each.excluded else "fine", "found": found, "todo": each.excluded}
            rows.append({"what": each.name, **row})
        return rows

    def all_slots(self) -> int:
        """How many runs go side by side."""
        return sum(map(self.slots, self.nodes.values()))

    def on(self, chosen: Node, function: Any, *, cpus: float, gpus: float = 0.0, threads: int = 1) -> Any:
        """A function as a task for one node, tried once; ``.remote(...)`` starts it."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if function not in self._functions:  # sent to the cluster once
            self._functions[function] = self._ray.remote(function)
        return self._functions[function].options(
            num_cpus=cpus,
            num_gpus=gpus,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(chosen.node_id, soft=False),
            runtime_env={"env_vars": _variables(threads)},
        )

    def start_home(self, experiment: Experiment, dataset: Path) -> Any:
        """The actor that keeps results, on this machine's node."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=False)
        actor = self._ray.remote(_HomeActor).options(num_cpus=0, max_restarts=0, scheduling_strategy=here)
        return actor.remote(str(experiment.results.absolute()), experiment.name, str(dataset.absolute()))

    def pool(self, setup: WorkerSetup) -> "RayPool":
        """What executes the runs of a sweep here, one core a run."""
        return RayPool(setup.model_copy(update={"threads": 1}), self)

    def __str__(self) -> str:
        able = sum(self.slots(each) > 0 for each in self.nodes.values())
        return f"{counted(able, 'node')} of the Ray cluster at {self.address}"

    def measure(self, request: str, known: list[str]) -> str:
        """The report of a cost pass on one node that has nothing else to do; empty where it is known already."""
        fit = [each for each in self.nodes.values() if each.cpus and not each.excluded]
        if not fit:
            return ""
        chosen = max(fit, key=lambda each: (each.gpus, each.cpus))
        task = self.on(chosen, _measure, cpus=chosen.cpus, gpus=float(bool(self.gpus)))
        return str(self._ray.get(task.remote(request, known)))

    def slots(self, each: Node) -> int:
        """How many runs fit on a node side by side."""
        if each.excluded or (each.report is None and each.cpus):
            return 0
        by_gpu = int(each.gpus / self.gpus + 1e-6) if self.gpus else int(each.cpus)
        return min(by_gpu, int(each.cpus))


def _unfit(report: NodeReport, needs_bf16: bool) -> str:
    """Why a node may not train; empty where it may."""
    ours = source_sha256()
    if report.source_sha256 != ours:
        return f"other code: version {report.version}, source {report.source_sha256[:12]} and not {ours[:12]}"
    if needs_bf16 and not report.bf16:
        return "its hardware does not multiply bf16, which the plan asks for (run.precision)"
    return ""


def _variables(threads: int) -> dict[str, str]:
    """The environment of workers, without what only this machine has."""
    mine = processes.environment(threads)
    return {key: value for key, value in mine.items() if os.environ.get(key) != value}


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"[:200]


def is_loopback(address: str) -> bool:
    """Whether this address, HOST:PORT, can be reached from its own machine only."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _resolve(on: str) -> str:
    """HOST:PORT of ``auto``, or as it is given. Raises UsageError, EnvironmentFault."""
    if on != "auto":
        host, _, port = on.rpartition(":")
        if not host or not port.isdecimal():
            raise UsageError(f"'{on[:60]}' is not a cluster", "--on", "give local, auto, or HOST:PORT")
        return on
    if address := os.environ.get("RAY_ADDRESS", ""):
        return address
    current = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"  # noqa: S108 (Ray's place)
    try:
        return current.read_text().strip()
    except OSError as error:
        todo = "start or join one: ray start --head, or ray start --address=HOST:PORT (see docs/cluster.md)"
        raise EnvironmentFault("no Ray cluster runs on this machine", "--on auto", todo) from error


@contextlib.contextmanager
def connected(on: str, gpus: float | None = None) -> Iterator[Cluster]:
    """A connection to the cluster that ``--on`` names. Raises EnvironmentFault, UsageError."""
    ray, address = _ray(), _resolve(on)
    _check_port(address)
    if not is_loopback(address) and os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        todo = "start every node and this command with RAY_AUTH_MODE=token and the same token: see docs/cluster.md"
        raise EnvironmentFault("a cluster that other machines can reach must ask for a token", address, todo)
    _init(ray, address)
    try:
        yield Cluster(address, gpus)
    finally:
        ray.shutdown()


def _check_port(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        todo = "check that 'ray start --head' runs there, and that no firewall is between"
        raise EnvironmentFault(f"nothing answers ({error.strerror or error})", address, todo) from error


def _init(ray: Any, address: str) -> None:
    """``ray.init`` with a time limit of ours, in a thread, where it also leaves our signal handlers alone."""
    errors: list[BaseException] = []

    def connect() -> None:
        logging.getLogger("ray").setLevel(logging.CRITICAL)  # what matters to users is said by us
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_CONNECT_SECONDS)
    if errors or thread.is_alive():
        reason = _first_line(errors[0]) if errors else f"no answer within {_CONNECT_SECONDS:.0f} s"
        todo = (
            "check that the token is the same on both (RAY_AUTH_MODE=token, RAY_AUTH_TOKEN or ~/.ray/auth_token), that "
            "Ray and Python have the same version, and that this machine is a node of the cluster "
            "(ray start --address=HOST:PORT --num-cpus 0)"
        )
        raise EnvironmentFault(f"cannot join the Ray cluster ({reason})", address, todo)


class RayPool(Pool):
    """The nodes of a cluster. A node that cannot train is left out, and said to be; its run goes to another."""

    def __init__(self, setup: WorkerSetup, cluster: Cluster) -> None:
        self._ray, self._cluster = _ray(), cluster
        self._setup = setup.model_dump_json()
        self._threads = setup.threads
        cluster.needs_bf16 = setup.precision == "bf16"
        self._home = cluster.start_home(Experiment(setup.results, setup.name), setup.dataset)
        self._tasks: dict[Any, tuple[str, Node]] = {}
        self._remarks = cluster.examine()
        self._looked = self._had_nodes = time.monotonic()

    def free(self) -> bool:
        """See `Pool`."""
        return self._freest() is not None

    def start(self, job: RunJob) -> None:
        """See `Pool`."""
        chosen = self._freest()
        if chosen is None:
            raise RuntimeError("no node is free")
        task = self._cluster.on(chosen, _train, cpus=1, gpus=self._cluster.gpus, threads=self._threads)
        self._tasks[task.remote(self._setup, job.model_dump_json(), self._home)] = job.run_id, chosen
        chosen.running.add(job.run_id)

    def listen(self, handle: Handle) -> None:
        """See `Pool`."""
        if self._tasks:
            waiting = list(self._tasks)
            self._ray.wait(waiting, num_returns=1, timeout=_LISTEN_SECONDS)
            ended, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
        else:
            ended = []
            time.sleep(_LISTEN_SECONDS)
        self._pass_on(handle)
        while self._remarks and self._tasks:
            run_id, _ = next(iter(self._tasks.values()))
            handle(Remark(run_id=run_id, text=self._remarks.pop()))
        for task in ended:
            run_id, chosen = self._tasks.pop(task)
            chosen.running.discard(run_id)
            self._ended(task, run_id, chosen, handle)
        self._look(handle)

    def _pass_on(self, handle: Handle) -> None:
        """The events that workers have reported; not those of workers that were lost meanwhile."""
        known = {run_id for run_id, _ in self._tasks.values()}
        for line in self._ray.get(self._home.events.remote()):
            event = EVENTS.validate_json(line)
            if event.event != "ready" and getattr(event, "run_id", "") in known:
                handle(event)

    def _ended(self, task: Any, run_id: str, chosen: Node, handle: Handle) -> None:
        """A task came to its end: the event that it returned, or what has happened to it."""
        try:
            event = _ENDINGS.validate_json(self._ray.get(task))
        except Exception as error:  # a killed worker, a lost node, a node that cannot run us
            event = self._of_error(error, run_id, chosen)
        if isinstance(event, Sick):
            chosen.excluded = event.reason
            handle(Remark(run_id=run_id, text=f"{chosen.name} is left out: {event.reason}"))
            event = Lost(run_id=run_id, reason=event.reason, started=False)
        elif event.event == "stopped":  # not asked for here
            event = Lost(run_id=run_id, reason="the worker was stopped", started=True)
        if isinstance(event, Lost):
            self._ray.get(self._home.abandon.remote(run_id))
        handle(event)

    def _of_error(self, error: Exception, run_id: str, chosen: Node) -> RunEvent | Sick:
        if isinstance(error, self._ray.exceptions.RayTaskError):
            return Sick(run_id=run_id, reason=f"resnet-shortcuts does not run there: {_first_line(error)}")
        never = isinstance(error, self._ray.exceptions.TaskUnschedulableError)
        reason = f"lost with its worker on {chosen.name} ({type(error).__name__})"
        return Lost(run_id=run_id, reason=reason, started=not never)

    def _look(self, handle: Handle) -> None:
        """Nodes come and go. Raises EnvironmentFault where none is left that may train."""
        now = time.monotonic()
        if now - self._looked >= _NODES_SECONDS:
            self._looked = now
            self._cluster.look()
            self._remarks += self._cluster.examine(wait=False)
        nodes = self._cluster.nodes.values()
        if any(self._cluster.slots(each) for each in nodes):
            self._had_nodes = now
            return
        reasons = "; ".join(f"{each.name}: {each.excluded}" for each in nodes if each.excluded)
        if reasons or now - self._had_nodes > _WITHOUT_NODES_SECONDS:
            what = f"no node of the cluster can train ({reasons or 'none has free cores or GPUs of this kind'})"
            raise EnvironmentFault(what, self._cluster.address, "see rsc doctor --on auto")

    def _freest(self) -> Node | None:
        free = {each.node_id: self._cluster.slots(each) - len(each.running) for each in self._cluster.nodes.values()}
        best = max(free, key=free.__getitem__, default=None)
        return self._cluster.nodes[best] if best is not None and free[best] > 0 else None

    def stop(self) -> int:
        """See `Pool`."""
        self._ray.get(self._home.stop.remote())
        tasks = list(self._tasks)
        if not tasks:
            return 0
        _, unsaved = self._ray.wait(tasks, num_returns=len(tasks), timeout=_GRACE_SECONDS)
        return len(unsaved)

    def kill(self) -> None:
        """See `Pool`. Ray ends the workers of a driver that leaves the cluster, as it does of one that was killed.

        Its forced cancellation is not used: it aborts the driver where a task's reply is on its way.
        """
        with contextlib.suppress(Exception):
            self._ray.kill(self._home)
