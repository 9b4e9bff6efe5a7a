"""Processes that train in one folder train one plan: a different plan under the same name waits until they are done."""

import contextlib
import itertools
import os
from collections.abc import Iterator

from resnet_shortcuts import durable, locks
from resnet_shortcuts.errors import BusyError
from resnet_shortcuts.experiments.plan import Plan
from resnet_shortcuts.experiments.store import Experiment
from resnet_shortcuts.hashing import sha256

_PREFIX = ".training-"


@contextlib.contextmanager
def training(experiment: Experiment, plan: Plan) -> Iterator[None]:
    """Within, no other plan can be trained under this name. Raises BusyError where another one is being trained.

    Each process holds its own lock file, whose name has the hash of its plan; a dead process's holds nothing.
    """
    mine = _PREFIX + sha256(plan.to_json().encode())[:16]
    durable.make_folder(experiment.folder)
    with locks.locked(experiment.folder / ".lock"):
        for path in experiment.folder.glob(f"{_PREFIX}*"):
            if not locks.is_held(path):
                durable.discard(path)
            elif not path.name.startswith(mine):
                what = f"another plan named {experiment.name} is being trained"
                raise BusyError(what, str(experiment.folder), "wait for its end, or --set name=ANOTHER")
        names = (experiment.folder / f"{mine}-{os.getpid()}-{number}" for number in itertools.count())
        path, lock = next((path, lock) for path in names if (lock := locks.try_lock(path)))
    try:
        yield
    finally:
        durable.discard(path)
        lock.release()
