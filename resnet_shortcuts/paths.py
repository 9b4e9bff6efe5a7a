"""Paths as users write them, and the folder for this user's caches: the only module that reads HOME or RSC_CACHE."""

import os
import re
from pathlib import Path

import platformdirs

from resnet_shortcuts.errors import EnvironmentFault

_TODO_CACHE = "set RSC_CACHE to a folder that you may write to (or set HOME)"


def expand(path: str | Path) -> Path:
    """``path`` with ``~``, ``~user`` and ``$VARIABLES`` replaced, unless it exists as written.

    Raises EnvironmentFault where the home folder or a variable is not known, so that no folder named ``~`` or ``$X``
    is made by accident.
    """
    written = str(path)
    if not re.match("~", written) and "$" not in written:
        return Path(written)
    if os.path.lexists(written):
        return Path(written)
    expanded = os.path.expandvars(written)
    unset = re.search(r"\$(?:\{(\w+)\}|(\w+))", expanded)
    if unset:
        name = unset[1] or unset[2]
        raise EnvironmentFault(f"the environment variable {name} is not set", written, f"set {name}, or write the path")
    expanded = os.path.expanduser(expanded)  # noqa: PTH111 - Path.expanduser raises where there is no such user
    if expanded.startswith("~"):
        user = expanded.partition("/")[0][1:]
        reason = f"user {user!r} has no home folder" if user else "no home folder: HOME is not set"
        raise EnvironmentFault(reason, written, "write the full path" if user else "set HOME, or write the full path")
    return Path(expanded)


def cache_folder() -> Path:
    """RSC_CACHE, or the platform's cache folder for this user. It need not exist yet.

    Raises EnvironmentFault where there is no home folder to put it into, or RSC_CACHE cannot be a folder.
    """
    written = os.environ.get("RSC_CACHE")
    if written:
        return _existing_parent_is_folder(expand(written))
    try:
        folder = platformdirs.user_cache_path("resnet-shortcuts")
    except RuntimeError:
        folder = Path("~")
    if folder.parts[:1] == ("~",):
        raise EnvironmentFault("no cache folder: HOME is not set", "RSC_CACHE", _TODO_CACHE)
    return folder


def _existing_parent_is_folder(folder: Path) -> Path:
    try:
        parent = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EnvironmentFault(f"RSC_CACHE cannot be used ({reason})", str(folder), _TODO_CACHE) from error
    if not parent.is_dir():
        raise EnvironmentFault(f"RSC_CACHE cannot be used ({parent} is a file)", str(folder), _TODO_CACHE)
    return folder
