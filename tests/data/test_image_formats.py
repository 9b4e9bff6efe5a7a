"""Images of every raster format, turned as their metadata say; nothing else is opened, and no program is started."""

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.prepare import describe, prepare
from resnet_shortcuts.data.sources import image_files
from resnet_shortcuts.errors import DataError

from .conftest import noise, write_image

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")  # as `image_files.quiet` does

LOSSLESS = {"PNG", "BMP", "DIB", "TIFF", "PPM", "TGA", "PCX", "SGI", "QOI"}
_RAMP = np.arange(0, 256, 8)
SMOOTH = np.stack([*np.meshgrid(_RAMP, _RAMP), np.full((32, 32), 90)], 2).astype(np.uint8)


def encoded(format_: str, image: np.ndarray = SMOOTH, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format_, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("format_", sorted(image_files.FORMATS))
def test_every_raster_format_is_decoded_under_every_suffix(tmp_path, format_):
    if format_ == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    data = encoded(format_, quality=95) if format_ in ("JPEG", "WEBP", "AVIF") else encoded(format_)
    for suffix in [*image_files.FORMATS[format_].split(), ".jpg"]:  # a wrong suffix is common, and harmless
        path = tmp_path / f"image{suffix}"
        path.write_bytes(data)
        decoded = image_files.decode(path, 32)
        error = np.abs(decoded.astype(int) - SMOOTH)
        assert error.max() == 0 if format_ in LOSSLESS else error.mean() < 8


def test_the_suffixes_are_those_that_pillow_registers():
    Image.init()
    ours = {suffix: format_ for format_, suffixes in image_files.FORMATS.items() for suffix in suffixes.split()}
    theirs = {
        suffix: format_ for suffix, format_ in Image.registered_extensions().items() if format_ in image_files.FORMATS
    }
    known = {suffix: "JPEG" if format_ == "MPO" else format_ for suffix, format_ in theirs.items()}
    assert {suffix: ours[suffix] for suffix in known if suffix != ".pfm"} == {
        suffix: format_
        for suffix, format_ in known.items()
        if suffix != ".pfm"  # floating-point pixels
    }


def test_near_misses_of_formats_are_read_from_class_folders(tmp_path):
    for part in ("train", "test"):
        for label, name in enumerate("ab"):
            for number, (suffix, format_) in enumerate(
                {"jfif": "JPEG", "JPEG": "JPEG", "tga": "TGA", "jp2": "JPEG2000"}.items()
            ):
                path = tmp_path / "data" / part / name / f"{number}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded(format_, np.roll(SMOOTH, 3 * label + number + 9 * (part == "test"), 0)))
    spec = DataSpec(source="image-folder", augment=())
    assert describe(prepare(spec, data_root=tmp_path / "data", cache=tmp_path / "cache"))["counts"] == {
        "train": 8,
        "test": 8,
    }


@pytest.mark.parametrize("content", ["eps", "pdf", "wmf", "psd-stub", "svg", "gd", "xpm", "fits"])
def test_nothing_but_a_known_raster_format_is_opened_whatever_its_suffix(tmp_path, content, monkeypatch):
    """A program that Pillow's EPS decoder would start leaves a mark where it is found and run."""
    programs, mark = tmp_path / "bin", tmp_path / "started"
    programs.mkdir()
    for name in ("gs", "gswin32c", "djpeg", "convert", "inkscape"):
        (programs / name).write_text(f"#!/bin/sh\ntouch {mark}\nexit 1\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    buffer = io.BytesIO()
    if content in ("eps", "pdf"):
        Image.new("RGB", (16, 16)).save(buffer, content)
    data = (
        buffer.getvalue()
        or {
            "wmf": b"\xd7\xcd\xc6\x9a\x00\x00" + bytes(60),
            "psd-stub": b"8BPS" + bytes(60),
            "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            "gd": b"\xff\xfe" + bytes(2000),
            "xpm": b'/* XPM */\nstatic char *x[] = {\n"1 1 1 1",\n"a c #000000",\n"a"};',
            "fits": b"SIMPLE  =                    T" + bytes(3000),
        }[content]
    )
    for suffix in (".jpg", ".png", ".tif", ".gif"):
        path = tmp_path / f"x{suffix}"
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"cannot read image: .*: repair or remove it"):
            image_files.decode(path, 16)
    assert not mark.exists()


# -- orientation -------------------------------------------------------------------------------------------------------

UPRIGHT = np.zeros((24, 24), np.uint8)
UPRIGHT[:6] = 255
UPRIGHT[:, :3] = 120


def stored_as(orientation: int, image: np.ndarray) -> np.ndarray:
    """What a camera stores so that this EXIF orientation shows ``image``: TIFF 6.0, page 36."""
    return {
        1: image, 2: image[:, ::-1], 3: image[::-1, ::-1], 4: image[::-1],
        5: image.T, 6: image.T[::-1], 7: image[::-1, ::-1].T, 8: image.T[:, ::-1],
    }[orientation]  # fmt: skip


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "RGB", "I;16", "P", "1", "LA", "RGBA"])
def test_orientation_of_every_mode_is_applied(tmp_path, mode, orientation):
    picture = stored_as(orientation, UPRIGHT).copy()
    if mode == "I;16":
        image = Image.fromarray(picture.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(picture).convert(mode, dither=Image.Dither.NONE)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "x.png", exif=exif)
    expected = np.where(UPRIGHT > 127, 255, 0) if mode == "1" else UPRIGHT
    assert (image_files.decode(tmp_path / "x.png", 24) == expected[..., None]).all()


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif"])
def test_orientation_of_every_format_is_applied(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 8
    image = Image.fromarray(stored_as(8, UPRIGHT).copy()).convert("RGB")
    image.save(tmp_path / f"x.{suffix}", exif=exif)
    assert np.abs(image_files.decode(tmp_path / f"x.{suffix}", 24).astype(int) - UPRIGHT[..., None]).mean() < 6


# -- damaged metadata --------------------------------------------------------------------------------------------------


def png_with(kind: bytes, content: bytes, *, good_crc: bool = True, after_pixels: bool = False) -> bytes:
    data = encoded("PNG")
    place = data.index(b"IEND") - 4 if after_pixels else data.index(b"IDAT") - 4
    crc = zlib.crc32(kind + content) ^ (0 if good_crc else 1)
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)
    return data[:place] + chunk + data[place:]


@pytest.mark.parametrize("after_pixels", [False, True])
@pytest.mark.parametrize("good_crc", [True, False])
@pytest.mark.parametrize(
    "kind", ["eXIf", "iCCP", "tEXt", "zTXt", "iTXt", "pHYs", "gAMA", "cHRM", "sRGB", "tIME", "caBX", "acTL"]
)
def test_damaged_metadata_of_a_png_is_ignored(tmp_path, kind, good_crc, after_pixels):
    for content in (b"", b"nonsense", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"x\0\0" + b"\xff" * 40):
        (tmp_path / "x.png").write_bytes(png_with(kind.encode(), content, good_crc=good_crc, after_pixels=after_pixels))
        assert (image_files.decode(tmp_path / "x.png", 32) == SMOOTH).all()


@pytest.mark.parametrize("marker", [0xE0, 0xE1, 0xE2, 0xED, 0xEF, 0xFE])
def test_damaged_metadata_of_a_jpeg_is_ignored(tmp_path, marker):
    data = encoded("JPEG", quality=95)
    for content in (
        b"",
        b"Exif\0\0nonsense",
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"ICC_PROFILE\0\0",
        b"MPF\0MM\0*\xff\xff\xff\xff",
        b"Photoshop 3.0\x008BIM\x04\x04\xff",
        b"JFIF\0\x01",
        b"http://ns.adobe.com/xap/1.0/\0<x",
    ):
        segment = struct.pack(">HH", 0xFF00 | marker, len(content) + 2) + content
        (tmp_path / "x.jpg").write_bytes(data[:2] + segment + data[2:])
        assert np.abs(image_files.decode(tmp_path / "x.jpg", 32).astype(int) - SMOOTH).mean() < 8


def test_damaged_exif_of_other_formats_is_ignored(tmp_path):
    for suffix, format_ in {"webp": "WEBP", "avif": "AVIF"}.items():
        if format_ == "AVIF" and not features.check("avif"):
            continue
        (tmp_path / f"x.{suffix}").write_bytes(encoded(format_, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"))
        assert np.abs(image_files.decode(tmp_path / f"x.{suffix}", 32).astype(int) - SMOOTH).mean() < 12


def test_damaged_pixels_are_not_metadata(tmp_path):
    data = bytearray(png_with(b"tEXt", b"x\0y"))
    data[data.index(b"IDAT") + 20] ^= 255
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(DataError, match="cannot read image"):
        image_files.decode(tmp_path / "x.png", 32)


# -- regular files of a sane size --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["fifo", "zero", "folder", "socket", "huge"])
def test_anything_but_a_regular_file_of_a_sane_size_is_answered_at_once(tmp_path, kind):
    path = tmp_path / "x.png"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        import socket

        with socket.socket(socket.AF_UNIX) as server:
            os.chdir(tmp_path)
            server.bind("x.png")
    else:
        with path.open("wb") as file:
            file.truncate(2**40)
    code = (
        "import sys; from pathlib import Path; from resnet_shortcuts.data.sources import image_files\n"
        "from resnet_shortcuts.errors import DataError\n"
        "try: image_files.decode(Path(sys.argv[1]), 8)\n"
        "except DataError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=True
    )
    assert f"cannot read image: {path}: repair or remove it" in done.stdout


@pytest.mark.parametrize("name", ["val_annotations.txt", "LOC_val_solution.csv", "trainLabels.csv"])
def test_a_file_of_labels_that_is_a_pipe_or_endless_is_answered_at_once(tmp_path, name):
    for number in range(2):
        write_image(tmp_path / "data" / "train" / "a" / f"{number}.png", noise(number))
        write_image(tmp_path / "data" / "train" / "b" / f"{number}.png", noise(10 + number))
        write_image(tmp_path / "data" / "val" / f"{number}.png", noise(20 + number))
    os.mkfifo(tmp_path / "data" / "val" / name)
    with pytest.raises(DataError, match="labels are unknown"):
        prepare(DataSpec(source="imagenet", resolution=8), data_root=tmp_path / "data", cache=tmp_path / "cache")
