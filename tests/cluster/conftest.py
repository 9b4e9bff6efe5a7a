"""Clusters for the tests, each started once: skipped where it is not installed, unless RSC_REQUIRE_CLUSTER=1."""

import os

import pytest

from tests.cluster import slurm as slurm_cluster


def skip_or_fail(reason: str) -> None:
    if os.environ.get("RSC_REQUIRE_CLUSTER") == "1":
        pytest.fail(f"RSC_REQUIRE_CLUSTER=1, and {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


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
