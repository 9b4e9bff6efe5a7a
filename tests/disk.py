"""A model of a disk: what it may hold after a power cut at any moment of a commit.

A folder's names are certain up to its last fsync and may or may not have moved on since; a file's bytes are certain
once it was synced, and cut anywhere otherwise. Nothing else is promised by POSIX, and nothing else is assumed.
"""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(eq=False)
class File:
    data: bytes = b""
    synced: bool = False


@dataclass(eq=False)
class Folder:
    volatile: dict[str, Any] = field(default_factory=dict)
    durable: dict[str, Any] = field(default_factory=dict)


class Disk:
    """Starts as the real folder ``root`` is now, all of it durable."""

    def __init__(self, root: Path) -> None:
        self.root, self.top = root, self._load(root)
        self.open: dict[int, File | Folder] = {}

    def _load(self, path: Path) -> Any:
        if path.is_file():
            return File(path.read_bytes(), synced=True)
        names = {child.name: self._load(child) for child in path.iterdir()}
        return Folder(dict(names), dict(names))

    def _find(self, path: Any) -> tuple[Folder, str]:
        """The folder that holds the last name of a path, and that name."""
        folder, parts = self.top, Path(path).relative_to(self.root).parts
        for part in parts[:-1]:
            folder = folder.volatile[part]
        return folder, parts[-1]

    def replay(self, name: str, arguments: tuple[Any, ...], result: Any) -> None:
        """Do to the model what a system call has just done."""
        if name == "open":
            if Path(arguments[0]) == self.root:
                self.open[result] = self.top
                return
            folder, last = self._find(arguments[0])
            if last not in folder.volatile and arguments[1] & os.O_CREAT:
                folder.volatile[last] = File()
            self.open[result] = folder.volatile[last]
        elif name == "write":
            file = self.open[arguments[0]]
            file.data, file.synced = file.data + bytes(arguments[1])[:result], False
        elif name == "fsync":
            opened = self.open[arguments[0]]
            if isinstance(opened, Folder):
                opened.durable = dict(opened.volatile)
            else:
                opened.synced = True
        elif name in {"replace", "rename"}:
            (source, old), (target, new) = self._find(arguments[0]), self._find(arguments[1])
            target.volatile[new] = source.volatile.pop(old)
        elif name == "mkdir":
            folder, last = self._find(arguments[0])
            folder.volatile[last] = Folder()
        elif name == "unlink":
            folder, last = self._find(arguments[0])
            del folder.volatile[last]

    def after_a_cut(self) -> Iterator[dict[str, bytes]]:
        """Everything that a reader may find: path relative to the root -> bytes."""
        folders = list(self._folders(self.top))
        for choice in itertools.product(("durable", "volatile"), repeat=len(folders)):
            names = dict(self._walk(self.top, "", dict(zip(map(id, folders), choice, strict=True))))
            unsynced = {id(file): file for file in names.values() if not file.synced}
            sizes = [sorted({0, 1, n // 2, max(n - 1, 0), n} & set(range(n + 1))) for n in
                     (len(file.data) for file in unsynced.values())]  # fmt: skip
            for cut in itertools.product(*sizes):
                short = dict(zip(unsynced, cut, strict=True))
                yield {path: file.data[: short.get(id(file))] for path, file in names.items()}

    def _folders(self, folder: Folder) -> Iterator[Folder]:
        yield folder
        below = {id(e): e for e in (*folder.volatile.values(), *folder.durable.values()) if isinstance(e, Folder)}
        for child in below.values():
            yield from self._folders(child)

    def _walk(self, folder: Folder, prefix: str, choice: dict[int, str]) -> Iterator[tuple[str, File]]:
        for name, entry in getattr(folder, choice[id(folder)]).items():
            if isinstance(entry, Folder):
                yield from self._walk(entry, f"{prefix}{name}/", choice)
            else:
                yield f"{prefix}{name}", entry
