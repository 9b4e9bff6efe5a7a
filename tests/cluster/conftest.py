"""Clusters for the tests, each started once: skipped where it is not installed, unless RSC_REQUIRE_CLUSTER=1."""

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from resnet_shortcuts.experiments.runner import run_plan
from tests.cluster import slurm as slurm_cluster
from tests.faults.rig import ROOT, YAML, make_rig

LONG = YAML.replace("seeds: 1", "seeds: 4").replace("epochs: 3", "epochs: 60") + "cost: {measure: false}\n"


def skip_or_fail(reason: str) -> None:
    if os.environ.get("RSC_REQUIRE_CLUSTER") == "1":
        pytest.fail(f"RSC_REQUIRE_CLUSTER=1, and {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def reference(tmp_path_factory, cache):
    """What the runs of `LONG` end with when worker processes of this machine train them."""
    rig = make_rig(tmp_path_factory.mktemp("reference"), cache, LONG)
    run_plan(rig.plan, rig.config, rig.dataset, rig.experiment, jobs=1)
    return outcomes(rig)


def outcomes(rig):
    return [rig.outcome(number) for number in range(len(rig.plan.runs))]


def wait_until(holds, what, seconds=90):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.02)


def checkpoints(rig):
    """Work folders in which a run on its way has saved something."""
    return {path.parent for path in (rig.experiment.folder / "work").glob("*/checkpoint-*.json")}


class RayNodes:
    """A Ray cluster of two nodes with one core each; ``rsc`` runs commands as a user on this machine does."""

    def __init__(self, cache: Path) -> None:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t" * 32, "RSC_CACHE": str(cache)}
        os.environ |= {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}
        os.environ |= {"OMP_NUM_THREADS": "1", "RAY_DEDUP_LOGS": "0", "RAY_USAGE_STATS_ENABLED": "0"}
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        self.address = self.cluster.address
        self.second = self.add()

    def add(self, **how):
        return self.cluster.add_node(num_cpus=1, **how)

    def remove(self, node) -> None:
        """As when its machine loses power."""
        self.cluster.remove_node(node, allow_graceful=False)

    def rsc(self, folder: Path, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "resnet_shortcuts.cli", *arguments, "--on", self.address]
        environment = {**os.environ, **variables}
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


@pytest.fixture(scope="session")
def ray_nodes(cache):
    if find_spec("ray") is None:  # importing it would fix its settings
        skip_or_fail("Ray is not installed: pip install 'resnet-shortcuts[cluster]'")
    before = dict(os.environ)
    try:
        nodes = RayNodes(cache)
        yield nodes
        nodes.cluster.shutdown()
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    missing = slurm_cluster.missing()
    if missing:
        skip_or_fail(f"SLURM is not installed ({', '.join(missing)}): apt-get install slurmctld slurmd munge")
    cluster = slurm_cluster.Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
