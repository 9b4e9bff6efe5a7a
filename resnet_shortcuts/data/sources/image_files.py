"""One image file to one uint8 array, whatever the file holds; and many of them side by side."""

import os
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from resnet_shortcuts.data.source_contract import Images
from resnet_shortcuts.data.sources import decoder
from resnet_shortcuts.errors import DataError

MAX_PIXELS = 178_956_970
"""Larger images are refused (Pillow's own limit of a decompression bomb): 0.5 GB a decoded image."""

_FORMATS = ("jpg", "jpeg", "jpe", "png", "bmp", "gif", "ppm", "pgm", "pbm", "tif", "tiff", "webp")
SUFFIXES = frozenset(f".{name}" for name in _FORMATS)
_TO_8_BITS = "convert it to 8 bits a channel: the range of its values is unknown"
_CHUNK = 64
_WORTH_PROCESSES = 2000
# What Pillow's decoders raise for damaged files: mostly OSError and SyntaxError, the others from inside odd formats.
_BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error),
    *(IndexError, KeyError, TypeError, OverflowError),
)


def decode(path: Path, resolution: int | None, stored: int | None = None) -> Images:
    """An image as (S, S, 3) uint8 in RGB.

    The shorter side is resized (bilinear, antialiased) to S and the centre is cut out; S is ``stored`` or
    ``resolution``. With resolution None the image must be square and keeps its size. EXIF rotation is applied; grey,
    palette, CMYK and 16-bit images are converted; transparency is dropped. Raises DataError with the path for
    anything that cannot be read.
    """
    try:
        with _opened(path) as image:
            return _square(_rgb(image, path), stored or resolution, path)
    except DataError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise DataError("image too large", str(path), f"make it smaller than {MAX_PIXELS:,} pixels") from error
    except _BROKEN as error:
        raise DataError("cannot read image", str(path), f"mend or remove it ({_reason(error)})") from error


def _opened(path: Path) -> Image.Image:
    image = Image.open(path)
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise Image.DecompressionBombError
    return image


def _rgb(image: Image.Image, path: Path) -> Image.Image:
    if image.mode == "F":
        raise DataError("image of floating-point pixels", str(path), _TO_8_BITS)
    if image.mode.startswith("I"):  # 16 bits: Pillow's own conversion would clip at 255 instead of scaling
        deep = np.asarray(image).astype(np.int64)
        if deep.min() < 0 or deep.max() > 65535:
            raise DataError("image of 32-bit pixels", str(path), _TO_8_BITS)
        oriented = ImageOps.exif_transpose(Image.fromarray((deep >> 8).astype(np.uint8)))
        return oriented.convert("RGB")
    image.load()
    return ImageOps.exif_transpose(image).convert("RGB")


def _square(image: Image.Image, side: int | None, path: Path) -> Images:
    width, height = image.size
    if side is None:
        if width != height:
            raise DataError(f"image is {width}x{height}, not square", str(path), "set data.resolution")
    elif (width, height) != (side, side):
        short = min(width, height)
        left, top = (width - short) // 2, (height - short) // 2
        square = image.crop((left, top, left + short, top + short))
        image = square.resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8)


def _reason(error: BaseException) -> str:
    text = str(getattr(error, "strerror", None) or error) or type(error).__name__
    return "not an image" if "cannot identify" in text else text


def fill(out: Images, start: int, paths: Sequence[Path]) -> None:
    """Decode ``paths`` into the rows of ``out`` (N, S, S, 3) from ``start`` on."""
    for position, path in enumerate(paths, start):
        out[position] = decode(path, out.shape[1])


def decode_all(paths: Sequence[Path], out: Images, tick: Callable[[int], None]) -> None:
    """Decode every path into ``out`` (N, S, S, 3) uint8, one process a core (threads where few images make it not
    worth it).

    ``tick`` gets the number of images done so far. Raises DataError for the first image, in order, that cannot be read.
    """
    workers = min(64, len(os.sched_getaffinity(0)))
    if isinstance(out, np.memmap) and out.filename is not None and len(paths) >= _WORTH_PROCESSES:
        with decoder.pool(Path(out.filename), workers) as pool:
            _in_order(paths, pool.decode, workers, tick)
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")  # remarks on odd files; what cannot be read is an error
        _in_order(paths, lambda start, chunk: fill(out, start, chunk), workers, tick)


def _in_order(
    paths: Sequence[Path], work: Callable[[int, Sequence[Path]], None], workers: int, tick: Callable[[int], None]
) -> None:
    starts = range(0, len(paths), _CHUNK)
    executor = ThreadPoolExecutor(max_workers=workers)
    try:
        for start, _ in zip(starts, executor.map(lambda at: work(at, paths[at : at + _CHUNK]), starts), strict=True):
            tick(min(start + _CHUNK, len(paths)))
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def check_same_size(paths: Sequence[Path], side: int) -> None:
    """With no resolution asked for, every image must be ``side`` x ``side``: raises DataError naming the first that
    is not."""
    for path in paths:
        try:
            with _opened(path) as image:
                size = image.size
        except (Image.DecompressionBombError, *_BROKEN) as error:
            raise DataError("cannot read image", str(path), f"mend or remove it ({_reason(error)})") from error
        if size != (side, side):
            what = f"image is {size[0]}x{size[1]}, others are {side}x{side}"
            raise DataError(what, str(path), "set data.resolution to resize all")
