"""``--on``: joining the cluster that it names."""

import contextlib
from collections.abc import Iterator

from resnet_shortcuts.cli.output import say
from resnet_shortcuts.errors import EnvironmentFault
from resnet_shortcuts.experiments.ray_cluster import Cluster, connected


@contextlib.contextmanager
def joined(on: str, gpus_per_run: float | None) -> Iterator[Cluster]:
    """The cluster, its nodes examined. Says which are left out; raises EnvironmentFault where none can train."""
    with connected(on, gpus_per_run) as cluster:
        for line in cluster.examine():
            say(f"warning: {line}")
        if not cluster.all_slots():
            todo = "see rsc doctor --on auto; a GPU's share is --gpus-per-run"
            raise EnvironmentFault("no node of the cluster can train", cluster.address, todo)
        yield cluster
