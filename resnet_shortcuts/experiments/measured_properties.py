"""Properties of strategies as ``rsc verify`` measures them, kept: they depend only on our code and torch."""

import json
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from resnet_shortcuts import durable
from resnet_shortcuts.errors import IntegrityError
from resnet_shortcuts.experiments import sealed_files
from resnet_shortcuts.experiments.sealed_files import NewerFormatError
from resnet_shortcuts.hashing import canonical, sha256
from resnet_shortcuts.paths import cache_folder
from resnet_shortcuts.properties.property_row import PropertyRow
from resnet_shortcuts.source_hash import PACKAGE

SEEDS = 5
DEPTHS = (56,)  # deep enough that a gradient could get lost, and a second a strategy


def measured_properties(names: Sequence[str], tell: Callable[[str], None], seeds: int = SEEDS) -> list[PropertyRow]:
    """The rows of `properties.network_checks.verify_over_seeds` for these strategies, from the cache if it has them.

    Imports torch only to measure, which takes a while and is announced. Raises EnvironmentFault where the cache
    cannot be written, NewerFormatError where a newer version wrote there.
    """
    path = cache_folder() / "verify" / f"{_key(names, seeds)}.json"
    kept = _kept(path)
    if kept is not None:
        return kept
    from resnet_shortcuts.properties.network_checks import verify_over_seeds

    tell(f"measuring what {', '.join(names)} do, from {seeds} seeds (a minute or two; kept for the next time)")
    measured = list(verify_over_seeds(names, seeds, DEPTHS, tell))
    durable.write_file(path, sealed_files.render({"rows": json.loads(json.dumps(measured))}))
    return measured


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


def _key(names: Sequence[str], seeds: int) -> str:
    """A hash of everything that the measurements follow from."""
    settings = canonical([list(names), seeds, DEPTHS, metadata.version("torch"), metadata.version("numpy")])
    rooms = ("shortcuts", "models", "properties", "training")
    sources = [source.read_bytes() for room in rooms for source in sorted((PACKAGE / room).glob("*.py"))]
    return sha256(settings, *sources)[:16]
