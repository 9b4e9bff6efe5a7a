"""Properties of strategies as ``rsc verify`` measures them, kept: they depend only on our code and torch."""

import contextlib
import selectors
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

from resnet_shortcuts import durable, machine
from resnet_shortcuts.child_process import Child, Fault, launch
from resnet_shortcuts.errors import EnvironmentFault, IntegrityError
from resnet_shortcuts.experiments import processes, sealed_files
from resnet_shortcuts.experiments.sealed_files import NewerFormatError
from resnet_shortcuts.hashing import canonical, sha256
from resnet_shortcuts.paths import cache_folder
from resnet_shortcuts.properties.property_process import (
    EVENTS,
    PropertyRequest,
    SeedMeasured,
    StrategyMeasured,
)
from resnet_shortcuts.properties.property_row import PropertyRow
from resnet_shortcuts.source_hash import PACKAGE

SEEDS = 5
DEPTHS = (56,)  # deep enough that a gradient could get lost, and a second a strategy
Event = StrategyMeasured | SeedMeasured | Fault
Progress = Callable[[str, int, int], None]


def measured_properties(
    names: Sequence[str], decoded: Sequence[str], progress: Progress, seeds: int = SEEDS
) -> list[PropertyRow]:
    """The rows of `properties.network_checks.verify_seed`, from the cache as far as it has them.

    ``decoded`` are the strategies that decoders are fitted for.

    Each seed is kept as soon as it is measured; seeds that are not there are measured side by side, one a core.
    ``progress`` is told what is measured, and how many strategies times seeds are done of how many; nothing if all are
    there. Raises EnvironmentFault where the cache cannot be written or a measuring process ends early, NewerFormatError
    where a newer version wrote there.
    """
    folder = cache_folder() / "verify" / _key(names, decoded)
    kept = {seed: rows for seed in range(seeds) if (rows := _kept(folder / f"{seed}.json")) is not None}
    missing = [seed for seed in range(seeds) if seed not in kept]
    what, total = f"measuring {', '.join(names)}", len(names) * seeds
    done = len(names) * len(kept)
    if missing:
        progress(what, done, total)
    for event in _measure(names, decoded, missing):
        if isinstance(event, StrategyMeasured):
            done += 1
            progress(what, done, total)
        else:
            durable.write_file(folder / f"{event.seed}.json", sealed_files.render({"rows": event.rows}))
            kept[event.seed] = event.rows
    return [row for seed in range(seeds) for row in kept[seed]]


def _kept(path: Path) -> list[PropertyRow] | None:
    """What was measured before; None where there is nothing, or it is damaged. Raises NewerFormatError."""
    try:
        rows = sealed_files.parse(sealed_files.read(path), path).get("rows")
    except NewerFormatError:
        raise
    except IntegrityError:
        return None
    keys = PropertyRow.__required_keys__
    whole = isinstance(rows, list) and all(isinstance(row, dict) and keys <= row.keys() for row in rows)
    return rows if whole else None


def _measure(
    names: Sequence[str], decoded: Sequence[str], seeds: Sequence[int]
) -> Iterator[StrategyMeasured | SeedMeasured]:
    """The events of one process a core, each with its share of the seeds."""
    jobs = min(len(seeds), machine.cores())
    shares = [tuple(seeds[start::jobs]) for start in range(jobs)]
    with contextlib.ExitStack() as children, selectors.DefaultSelector() as running:
        for share in shares:
            request = PropertyRequest(names=tuple(names), decoded=tuple(decoded), seeds=share, depths=DEPTHS)
            started = launch(request, EVENTS, processes.environment(threads=1))
            children.callback(started.close)
            running.register(started, selectors.EVENT_READ, set(share))
        while running.get_map():
            for key, _ in running.select():
                child: Child[Event] = key.fileobj  # type: ignore[assignment]
                for event in child.receive():
                    if isinstance(event, Fault):
                        raise event.as_error()
                    if isinstance(event, SeedMeasured):
                        key.data.discard(event.seed)
                    yield event
                if child.ended:
                    running.unregister(child)
                    if key.data:
                        raise EnvironmentFault("properties cannot be measured", child.reason(), "see rsc doctor")


def _key(names: Sequence[str], decoded: Sequence[str]) -> str:
    """A hash of everything that the measurements depend on."""
    settings = canonical([list(names), list(decoded), DEPTHS, metadata.version("torch"), metadata.version("numpy")])
    rooms = ("shortcuts", "models", "properties", "training")
    sources = [source.read_bytes() for room in rooms for source in sorted((PACKAGE / room).glob("*.py"))]
    return sha256(settings, *sources)[:16]
