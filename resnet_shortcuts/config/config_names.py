"""Which file a config's name means, and what an experiment is called after its file."""

import re
from pathlib import Path

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.suggestions import did_you_mean

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SHIPPED = Path(__file__).parents[1] / "configs"
"""The configs that ship with the package (in a checkout, a link to the folder ``configs``)."""


def is_name(name: str) -> bool:
    """Whether an experiment may have this name: it becomes a folder under results."""
    return bool(_NAME.fullmatch(name)) and not name.endswith(".")


def experiment_name(path: Path) -> str:
    """The name of an experiment whose config gives none: the file's, with '-' for what no name may contain, or ''."""
    if is_name(path.stem):
        return path.stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:100].rstrip("-._")


def find_config(reference: Path) -> Path:
    """The file that ``reference`` means: itself, or the shipped config of this name (``cifar10-quick``).

    Raises UsageError, with the nearest files beside it and the nearest shipped names, where there is none.
    """
    try:
        reference.lstat()
        return reference
    except FileNotFoundError:
        beside = sorted(other.name for other in reference.parent.glob("*.y*ml"))[:50]
    except (OSError, ValueError):  # a name too long, a NUL in it: reading it says so
        return reference
    bare = reference.name == str(reference)
    shipped = sorted(path.stem for path in SHIPPED.glob("*.yaml")) if bare else []
    name = reference.name.removesuffix(".yaml")
    if name in shipped:
        return SHIPPED / f"{name}.yaml"
    known = [*beside, *shipped]
    todo = did_you_mean(reference.name, known) if known else "check the path"
    raise UsageError("no such file", str(reference)[:300], todo)
