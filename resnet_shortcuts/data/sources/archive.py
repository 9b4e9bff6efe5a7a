"""Reading chosen members out of a .tar.gz without unpacking it: nothing is ever written where an archive says."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO, cast

from resnet_shortcuts.errors import DataError

MAX_MEMBERS = 10_000


def read_members(path: Path, wanted: Mapping[str, int], limit: int) -> dict[str, bytes]:
    """The contents of the members named in ``wanted`` (name to the most bytes it may have).

    Raises DataError where the archive unpacks to more than ``limit`` bytes in all (a decompression bomb), holds more
    than 10,000 members, a link, a device, an absolute name or ``..``, is damaged, or lacks a member.
    """
    found: dict[str, bytes] = {}
    try:
        with (
            gzip.open(path) as stream,
            tarfile.open(fileobj=cast(IO[bytes], _Capped(stream, limit, path)), mode="r|") as archive,
        ):
            for number, member in enumerate(archive):
                _refuse_evil(member, number, path)
                if member.name in wanted and member.isfile():
                    found[member.name] = _read(archive, member, wanted[member.name], path)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise DataError("damaged archive", str(path), f"get it again ({error})") from error
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise DataError(f"archive lacks {', '.join(missing)}", str(path), "get it again")
    return found


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo, most: int, path: Path) -> bytes:
    if member.size > most:
        raise DataError(
            f"archive member {member.name!r} has {member.size:,} bytes, not {most:,}", str(path), "get it again"
        )
    content = archive.extractfile(member)
    data = content.read() if content else b""
    if len(data) != member.size:
        raise DataError(f"archive member {member.name!r} is cut short", str(path), "get it again")
    return data


def _refuse_evil(member: tarfile.TarInfo, number: int, path: Path) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise DataError(
            f"archive member {member.name!r} points outside", str(path), "get the archive from a known source"
        )
    if not (member.isfile() or member.isdir()):
        raise DataError(f"archive member {member.name!r} is a link or device", str(path), "get it from a known source")
    if number >= MAX_MEMBERS:
        raise DataError(f"archive of more than {MAX_MEMBERS:,} members", str(path), "get it from a known source")


class _Capped(io.BufferedIOBase):
    """A stream that refuses to give more than ``limit`` bytes."""

    def __init__(self, stream: gzip.GzipFile, limit: int, path: Path) -> None:
        self._stream, self._left, self._limit, self._path = stream, limit, limit, path

    def read(self, size: int | None = -1, /) -> bytes:
        most = self._left + 1
        data = self._stream.read(most if size is None or size < 0 else min(size, most))
        self._left -= len(data)
        if self._left < 0:
            raise DataError(
                f"archive unpacks to more than {self._limit:,} bytes", str(self._path), "get it from a known source"
            )
        return data
