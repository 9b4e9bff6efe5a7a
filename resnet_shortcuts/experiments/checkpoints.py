"""Checkpoints of a run on its way: tensors first, manifest last, the two newest kept, the newest that verifies used.

``checkpoint-STEP-EPOCH.safetensors`` holds weights, buffers and momentum; the ``.json`` beside it is the manifest: the
rest of the state, run, step, environment, the tensors' length and hash. Without a manifest there is no checkpoint.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from resnet_shortcuts import durable
from resnet_shortcuts.errors import IntegrityError
from resnet_shortcuts.experiments import sealed_files
from resnet_shortcuts.experiments.run_record import CheckpointTally, ListedFile, Resume, RunId, Stored
from resnet_shortcuts.experiments.sealed_files import NewerFormatError
from resnet_shortcuts.machine import Hardware

KEPT = 2
SHARE = 50
"""A checkpoint that takes t seconds is followed by at least 50 t of training: under 2 % of it."""
_TENSORS, _PROGRESS = "state.safetensors", "progress.json"  # as training.state names the parts of a state
# What decides the bits of a result besides the science: a resume under another value is allowed, warned of, recorded.
EXECUTION = ("threads", "device", "gpu", "cpu", "compile", "memory_format", "packages", "resnet_shortcuts")


class Manifest(Stored):
    """What is stored beside the tensors of a checkpoint; ``progress`` is the rest of the training state."""

    run_id: RunId
    step: Annotated[int, Field(ge=0)]
    progress: dict[str, Any]
    files: Annotated[dict[str, ListedFile], Field(min_length=1)]
    environment: dict[str, Any] = Field(default_factory=dict)
    elapsed_seconds: Annotated[float, Field(ge=0)] = 0.0
    resumed: list[Resume] = Field(default_factory=list)
    checkpoints: CheckpointTally = CheckpointTally()


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint: the state as ``training.training_state`` renders it, and the manifest."""

    step: int
    state: dict[str, bytes]
    manifest: Manifest


class Pace:
    """When the next checkpoint of a run is due, and what those so far took, those of earlier sessions included.

    The one that a session resumes from is not counted: its own time is not known when it is written. Nor is its time
    part of the run's ``elapsed_seconds``. A state that turns out not to be finite is counted, though it is not written.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = lambda: time.monotonic()) -> None:
        self._seconds, self._clock = seconds, clock
        self._last, self._took = clock(), 0.0
        self._saved, self._total = 0, 0.0

    def due(self) -> bool:
        """Whether enough training has passed since the last one, or since the session began."""
        return self._clock() - self._last >= max(self._seconds, SHARE * self._took)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Time the saving of a checkpoint; one that fails is not counted."""
        before = self._clock()
        yield
        self._last = self._clock()
        self._took = max(0.0, self._last - before)
        self._saved += 1
        self._total += self._took

    @property
    def tally(self) -> CheckpointTally:
        """How many were saved, and the seconds that they took together."""
        return CheckpointTally(saved=self._saved, seconds=round(self._total, 6))

    def go_on_from(self, tally: CheckpointTally) -> None:
        """Count on from the tally of an earlier session."""
        self._saved += tally.saved
        self._total += tally.seconds


def save(folder: Path, run_id: str, state: Mapping[str, bytes], about: Mapping[str, Any]) -> None:
    """Write a checkpoint, then delete all but the two newest. Raises EnvironmentFault; the older ones stay whole then.

    ``about`` goes into the manifest: environment, elapsed_seconds, resumed, checkpoints, all JSON-able.
    """
    progress = json.loads(state[_PROGRESS])
    # An epoch's last step and its end are two states, hence both numbers.
    stem = f"checkpoint-{progress['step']:012d}-{progress['epoch']:06d}"
    tensors = f"{stem}.safetensors"
    manifest = {
        **about,
        "run_id": run_id,
        "step": progress["step"],
        "progress": progress,
        "files": sealed_files.listing({tensors: state[_TENSORS]}),
    }
    durable.write_file(folder / tensors, state[_TENSORS])
    durable.write_file(folder / f"{stem}.json", sealed_files.render(manifest))
    for old in _manifests(folder)[KEPT:]:
        durable.remove(old)  # the manifest goes first: tensors without it are ignored
        durable.remove(old.with_suffix(".safetensors"))


def newest(folder: Path, run_id: str, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that verifies, None if there is none at all; ``warn`` gets a line for each damaged one.

    Raises IntegrityError if there are checkpoints and none verifies, NewerFormatError if one is of a newer version: to
    go on from an older one would replace it.
    """
    bad: list[IntegrityError] = []
    for path in _manifests(folder):
        try:
            checkpoint = _read(path, run_id)
        except NewerFormatError:
            raise
        except IntegrityError as error:
            bad.append(error)
            continue
        for passed in bad:
            warn(f"{passed.what}: {passed.where}: went back to the checkpoint of step {checkpoint.step}")
        return checkpoint
    if bad:
        todo = "no checkpoint of this run is good: 'rsc runs --prune' deletes them"
        raise IntegrityError(bad[0].what, bad[0].where, todo)
    return None


def of_newer_version(folder: Path) -> bool:
    """Whether a newer version of this package has written a checkpoint, or why a run failed, into this work folder."""
    for path in (*_manifests(folder), folder / "failed.json"):
        try:
            sealed_files.parse(sealed_files.read(path), path)
        except NewerFormatError:
            return True
        except IntegrityError:
            continue
    return False


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Execution settings, each with its value then and now, that differ and so may change the last bits of a result."""
    changed = {key: [before.get(key), now.get(key)] for key in EXECUTION if before.get(key) != now.get(key)}
    hardware = [Hardware.recorded(facts) for facts in (before, now)]
    if not changed and not hardware[0].agrees(hardware[1]):  # different processors of the same name
        changed["hardware"] = [str(machine) for machine in hardware]
    return changed


def _manifests(folder: Path) -> list[Path]:
    """Newest first."""
    return sorted(folder.glob("checkpoint-*.json"), reverse=True)


def _read(path: Path, run_id: str) -> Checkpoint:
    manifest = sealed_files.load(path, Manifest)
    if manifest.run_id != run_id:
        raise IntegrityError(f"checkpoint of another run ({manifest.run_id})", str(path), "delete it")
    name, listed = next(iter(manifest.files.items()))
    if Path(name).name != name:
        raise IntegrityError("checkpoint names a file elsewhere", str(path), "delete it")
    tensors = sealed_files.read_listed(path.with_name(name), listed.bytes, listed.sha256)
    progress = json.dumps(manifest.progress).encode()
    return Checkpoint(manifest.step, {_TENSORS: tensors, _PROGRESS: progress}, manifest)
