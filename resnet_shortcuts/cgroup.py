"""Cores and memory that Linux control groups grant this process, versions 1 and 2.

A limit of any group above the process's own applies too, so the smallest one counts.
"""

from collections.abc import Iterator
from pathlib import Path

_MOUNT = "sys/fs/cgroup"


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Processor time a second, in cores; None where nothing limits it. ``root`` is for tests."""
    quotas = [
        int(words[0]) / int(words[1])
        for folder in _folders(root, "")
        if len(words := _words(folder / "cpu.max")) == 2 and words[0].isdigit() and words[1] != "0"
    ]
    for folder in _folders(root, "cpu"):
        quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
        if quota and period and quota[0].isdigit() and period[0] not in ("", "0"):
            quotas.append(int(quota[0]) / int(period[0]))
    return min((quota for quota in quotas if quota > 0), default=None)


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes; None where nothing limits it (version 1 then gives a number beyond any memory, which is returned)."""
    words = [_words(folder / "memory.max") for folder in _folders(root, "")]
    words += [_words(folder / "memory.limit_in_bytes") for folder in _folders(root, "memory")]
    return min((int(value[0]) for value in words if value and value[0].isdigit()), default=None)


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The folders of the process's group and of those above it; ``controller`` is empty for version 2."""
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controller not in controllers.split(","):
            continue
        mounts = (
            [_MOUNT, f"{_MOUNT}/unified"] if not controller else [f"{_MOUNT}/{controllers}", f"{_MOUNT}/{controller}"]
        )
        group = Path(path.strip("/"))
        # A container often sees only its own group, mounted as the root: a path from outside does not exist there.
        groups = [Path()] if ".." in group.parts else [group, *group.parents]
        for mount in dict.fromkeys(mounts):
            yield from (root / mount / place for place in groups)


def read_text(path: Path) -> str:
    """The text of a file of the system; empty where it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _words(path: Path) -> list[str]:
    return read_text(path).split()
