"""Which code this is: version, commit, and a hash of the package's source. Imports nothing heavy."""

import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).absolute().parent


@cache
def source_sha256() -> str:
    """SHA-256 of every .py file of this package, names and contents in the order of their names.

    Computed once a process: a file that is edited later does not change what this process is.
    """
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py"), key=lambda path: path.relative_to(PACKAGE).as_posix()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
