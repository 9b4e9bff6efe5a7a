"""Configs as experiments store them: read again, maybe on another machine, where the data lie elsewhere."""

import os
import sys
from pathlib import Path
from typing import Any

from resnet_shortcuts.config.yaml_lines import Document
from resnet_shortcuts.words import printable


def is_stored(path: Path) -> bool:
    """Whether this is the config that an experiment stores beside its plan."""
    return path.name == "config.yaml" and (path.parent / "plan.json").exists()


def with_data_found_here(document: Document) -> dict[str, Any]:
    """The config as it was read, less the folder of the data where a stored config names one of another machine: the
    data root is asked for it then. Run ids hash what the data hold, so that other data make other runs.
    """
    plain: dict[str, Any] = document.data
    root = document.value(("data", "root"))
    if "config_format" not in plain or not isinstance(root, str):
        return plain  # written by hand
    if not Path(root).is_absolute() or os.path.lexists(root):
        return plain
    if document.where(("data", "root")).startswith("--set"):
        return plain
    note = f"note: the data folder of the stored config is not here ({root}): --data-root or RSC_DATA_ROOT names it"
    print(printable(note), file=sys.stderr)
    return {**plain, "data": {**plain["data"], "root": None}}
