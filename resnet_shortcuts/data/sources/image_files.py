"""One image file to one uint8 array, whatever the file holds; and many of them side by side."""

import io
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from resnet_shortcuts.data.source_contract import Done, Images, Rows
from resnet_shortcuts.data.sources import decoder
from resnet_shortcuts.errors import DataError

MAX_PIXELS = 178_956_970
"""Larger images are refused (Pillow's own limit of a decompression bomb): 0.5 GB a decoded image."""
MAX_BYTES = 2**30
"""Larger image files are refused."""

FORMATS = {
    "JPEG": ".jpg .jpeg .jpe .jfif .mpo",
    "PNG": ".png .apng",
    "WEBP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp",
    "DIB": ".dib",
    "TIFF": ".tif .tiff",
    "PPM": ".ppm .pgm .pbm .pnm",
    "AVIF": ".avif .avifs",
    "JPEG2000": ".jp2 .j2k .jpc .jpf .jpx .j2c",
    "TGA": ".tga .icb .vda .vst",
    "ICO": ".ico",
    "PCX": ".pcx",
    "SGI": ".sgi .rgb .rgba .bw",
    "QOI": ".qoi",
}
"""Pillow's decoders that may read an image, and the suffixes of their files. None of them starts a program."""
SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes.split())

_TO_8_BITS = "convert it to 8 bits a channel: the range of its values is unknown"
_CHUNK = 64
_WORTH_PROCESSES = 2000
# What Pillow's decoders raise for damaged files: mostly OSError and SyntaxError, the others from inside odd formats.
_BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error),
    *(IndexError, KeyError, TypeError, OverflowError),
)
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_regular(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file. Raises DataError for anything else (a pipe, a device), for more than ``limit``
    bytes, and for what cannot be read; never waits for a writer."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise DataError("not a regular file", str(path), "remove it or replace it")
            if info.st_size > limit:
                raise DataError(f"file of {info.st_size:,} bytes", str(path), f"at most {limit:,} are read")
            return file.read(limit)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError("cannot read", str(path), f"{reason}: check its permissions or get it again") from error


def decode(path: Path, side: int | None) -> Images:
    """The image of a file as (S, S, 3) uint8 in RGB: see `decode_bytes`."""
    try:
        data = read_regular(path)
    except DataError as error:
        raise DataError("cannot read image", str(path), f"repair or remove it ({error.todo})") from error
    return decode_bytes(data, str(path), side)


def decode_bytes(data: bytes, where: str, side: int | None) -> Images:
    """The image in the contents of a file as (S, S, 3) uint8 in RGB.

    The shorter side is resized (bilinear, antialiased) to ``side`` and the centre is cut out. With None the image must
    be square and keeps its size. EXIF orientation is applied; grey, palette, CMYK and 16-bit images are converted;
    transparency is dropped; damaged metadata is ignored. Raises DataError with ``where`` for what cannot be decoded.
    """
    try:
        try:
            image = _rgb(data, where)
        except _BROKEN:
            pixels_only = _without_metadata(data)
            if pixels_only == data:
                raise
            image = _rgb(pixels_only, where)
        return _square(image, side, where)
    except (Image.DecompressionBombError, MemoryError) as error:
        raise DataError("image too large", where, f"make it smaller than {MAX_PIXELS:,} pixels") from error
    except _BROKEN as error:
        raise DataError("cannot read image", where, f"repair or remove it ({_reason(error)})") from error


def _opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=tuple(FORMATS))
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise Image.DecompressionBombError
    return image


def _rgb(data: bytes, where: str) -> Image.Image:
    with _opened(data) as image:
        if image.mode == "F":
            raise DataError("image of floating-point pixels", where, _TO_8_BITS)
        image.load()
        upright = _TURNS.get(_orientation(image))
        pixels = image
        if image.mode.startswith("I"):  # 16 bits: Pillow's own conversion would clip at 255 instead of scaling
            deep = np.asarray(image).astype(np.int64)
            if deep.min() < 0 or deep.max() > 65535:
                raise DataError("image of 32-bit pixels", where, _TO_8_BITS)
            pixels = Image.fromarray((deep >> 8).astype(np.uint8))
        return (pixels if upright is None else pixels.transpose(upright)).convert("RGB")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none that can be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # metadata of any damage: only the pixels count
        return 1


def _without_metadata(data: bytes) -> bytes:
    """A PNG or JPEG less the parts that no pixel depends on; anything else, or what cannot be parsed, as it is."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return data[:8] + b"".join(_png_pixels(data))
        if data.startswith(b"\xff\xd8"):
            return data[:2] + b"".join(_jpeg_pixels(data))
    except (struct.error, IndexError):
        pass
    return data


def _png_pixels(data: bytes) -> Iterator[bytes]:
    at = 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            yield data[at : at + length + 12]
        at += length + 12


def _jpeg_pixels(data: bytes) -> Iterator[bytes]:
    at = 2
    while True:
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == 0xFFDA:  # the scan: pixels to the end
            yield data[at:]
            return
        is_metadata = 0xFFE0 <= marker <= 0xFFEF or marker == 0xFFFE
        if not is_metadata or marker == 0xFFEE:  # APP14 says how colours are coded
            yield data[at : at + length + 2]
        at += length + 2


def _square(image: Image.Image, side: int | None, where: str) -> Images:
    width, height = image.size
    if side is None:
        if width != height:
            raise DataError(f"image is {width}x{height}, not square", where, "set data.resolution")
    elif (width, height) != (side, side):
        short = min(width, height)
        left, top = (width - short) // 2, (height - short) // 2
        square = image.crop((left, top, left + short, top + short))
        image = square.resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8)


def _reason(error: BaseException) -> str:
    text = str(getattr(error, "strerror", None) or error) or type(error).__name__
    return "not an image of a known format" if "cannot identify" in text else text


def fill(out: Images, start: int, paths: Sequence[Path]) -> None:
    """Decode ``paths`` into the rows of ``out`` (N, S, S, 3) from ``start`` on."""
    for position, path in enumerate(paths, start):
        out[position] = decode(path, out.shape[1])


def decode_all(paths: Sequence[Path], out: Images, rows: Rows, done: Done) -> list[DataError]:
    """Decode ``paths[row]`` into ``out[row]`` (N, S, S, 3) uint8 for each of ``rows`` (sorted), one process a core
    (threads where few images make it not worth it).

    ``done`` gets the rows that are decoded, as they are. Returns an error for each image that cannot be read, in order.
    """
    workers = min(64, len(os.sched_getaffinity(0)))
    if isinstance(out, np.memmap) and out.filename is not None and len(rows) >= _WORTH_PROCESSES:
        with decoder.pool(Path(out.filename), workers) as pool:
            return _in_order(paths, rows, pool.decode, workers, done)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")  # remarks on odd files; what cannot be read is an error
        return _in_order(paths, rows, lambda start, chunk: fill(out, start, chunk), workers, done)


def _in_order(
    paths: Sequence[Path], rows: Rows, work: Callable[[int, Sequence[Path]], None], workers: int, done: Done
) -> list[DataError]:
    def decoded(chunk: Rows) -> tuple[Rows, list[DataError]]:
        try:
            work(int(chunk[0]), [paths[row] for row in chunk])
            return chunk, []
        except DataError as error:
            if len(chunk) == 1:
                return chunk[:0], [error]
        parts = [decoded(chunk[place : place + 1]) for place in range(len(chunk))]
        return np.concatenate([good for good, _ in parts]), [error for _, errors in parts for error in errors]

    problems: list[DataError] = []
    executor = ThreadPoolExecutor(max_workers=workers)
    try:
        for good, errors in executor.map(decoded, _chunks(rows)):
            problems += errors
            done(good)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
    return problems


def _chunks(rows: Rows) -> list[Rows]:
    """Rows in runs of neighbours, at most 64 each."""
    runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1) if len(rows) else []
    return [run[start : start + _CHUNK] for run in runs for start in range(0, len(run), _CHUNK)]


def check_same_size(paths: Sequence[Path], side: int) -> None:
    """With no resolution asked for, every image must be ``side`` x ``side``: raises DataError naming the first that
    is not. What cannot be opened is left for `decode_all` to report."""
    for path in paths:
        try:
            with Image.open(path, formats=tuple(FORMATS)) as image:
                size = image.size
        except (Image.DecompressionBombError, *_BROKEN):
            continue
        if size != (side, side):
            what = f"image is {size[0]}x{size[1]}, others are {side}x{side}"
            raise DataError(what, str(path), "set data.resolution to resize all")
