"""Which code this is: version, commit, and a hash of the package's source. Imports nothing heavy."""

from functools import cache
from pathlib import Path

from resnet_shortcuts.hashing import sha256

PACKAGE = Path(__file__).absolute().parent


@cache
def source_sha256() -> str:
    """SHA-256 of every .py file of this package, names and contents in the order of their names.

    Computed once a process: a file that is edited later does not change what this process is.
    """
    parts = []
    for name, path in sorted((path.relative_to(PACKAGE).as_posix(), path) for path in PACKAGE.rglob("*.py")):
        content = path.read_bytes()
        parts += [f"{name}\0{len(content)}\0".encode(), content]
    return sha256(*parts)
