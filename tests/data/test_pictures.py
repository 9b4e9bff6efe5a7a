"""Fault 32: images of every kind, handled or named."""

import io
import os
import signal

import numpy as np
import pytest
from PIL import Image

from resnet_shortcuts.data.sources import decoder, image_files
from resnet_shortcuts.errors import DataError, EnvironmentFault

from .conftest import noise, write_image


def ramp(mode_max: int, dtype) -> np.ndarray:
    return (np.arange(256).reshape(16, 16) * (mode_max // 255)).astype(dtype)


def test_fault_32_grey_becomes_rgb(tmp_path):
    path = write_image(tmp_path / "grey.png", ramp(255, np.uint8))
    decoded = image_files.decode(path, 16)
    assert decoded.shape == (16, 16, 3)
    assert (decoded == ramp(255, np.uint8)[..., None]).all()


def test_fault_32_16_bits_are_scaled_not_clipped(tmp_path):
    path = write_image(tmp_path / "deep.png", ramp(65535, np.uint16))
    assert np.abs(image_files.decode(path, 16)[..., 0].astype(int) - ramp(255, np.uint8)).max() <= 1


def test_fault_32_cmyk_is_converted(tmp_path):
    image = Image.new("CMYK", (20, 20), (0, 255, 255, 0))  # red
    image.save(tmp_path / "print.jpg", quality=95)
    red, green, blue = image_files.decode(tmp_path / "print.jpg", 8).reshape(-1, 3).mean(0)
    assert red > 200
    assert max(green, blue) < 60


def test_fault_32_exif_rotation_is_applied(tmp_path):
    upright = np.zeros((24, 24, 3), np.uint8)
    upright[:12] = 255  # bright above
    image = Image.fromarray(np.rot90(upright).copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # 'rotate by 90 degrees clockwise to view'
    image.save(tmp_path / "phone.jpg", exif=exif, quality=95)
    decoded = image_files.decode(tmp_path / "phone.jpg", 24)
    assert decoded[:10].mean() > 240
    assert decoded[14:].mean() < 15


def test_fault_32_a_palette_and_one_bit(tmp_path):
    Image.fromarray(noise(0)).convert("P").save(tmp_path / "palette.gif")
    Image.fromarray(ramp(255, np.uint8)).convert("1").save(tmp_path / "bits.png")
    assert image_files.decode(tmp_path / "palette.gif", 12).shape == (12, 12, 3)
    assert set(np.unique(image_files.decode(tmp_path / "bits.png", 16))) == {0, 255}


def test_fault_32_tiny_images_are_enlarged(tmp_path):
    path = write_image(tmp_path / "dot.png", np.full((1, 1, 3), 77, np.uint8))
    assert (image_files.decode(path, 32) == 77).all()


def test_fault_32_huge_images_are_named(tmp_path):
    Image.new("1", (20_000, 9_000)).save(tmp_path / "huge.png")
    with pytest.raises(DataError, match=r"image too large: .*huge\.png"):
        image_files.decode(tmp_path / "huge.png", 8)


def test_fault_32_floating_point_pixels_are_named(tmp_path):
    write_image(tmp_path / "height.tif", np.zeros((8, 8), np.float32))
    with pytest.raises(DataError, match=r"floating-point pixels: .*height\.tif"):
        image_files.decode(tmp_path / "height.tif", 8)


def test_every_damaged_jpeg_is_named_or_decoded(tmp_path):
    """Whatever byte is lost or changed, nothing but DataError comes out."""
    buffer = io.BytesIO()
    Image.fromarray(noise(3, 16, 16)).save(buffer, "JPEG")
    data, random = buffer.getvalue(), np.random.default_rng(0)
    path = tmp_path / "damaged.jpg"
    refused: list[str] = []
    for _ in range(300):
        damaged = bytearray(data[: random.integers(1, len(data) + 1)])
        damaged[random.integers(len(damaged))] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        try:
            assert image_files.decode(path, 16).shape == (16, 16, 3)
        except DataError as error:
            refused.append(str(error))
    assert len(refused) > 200
    assert all(str(path) in error for error in refused)


def test_all_bad_images_are_named_in_order(tmp_path):
    paths = [write_image(tmp_path / f"{n:03}.png", noise(n)) for n in range(200)]
    for bad in (70, 71, 150):
        paths[bad].write_bytes(b"bad")
    out, rows = np.zeros((200, 12, 12, 3), np.uint8), []
    errors = image_files.decode_all(paths, out, np.arange(200), rows.extend)
    assert [error.where[-7:] for error in errors] == ["070.png", "071.png", "150.png"]
    assert rows == [n for n in range(200) if n not in (70, 71, 150)]
    assert all((out[n] == noise(n)).all() for n in rows)


def test_only_the_rows_asked_for_are_decoded(tmp_path):
    paths = [write_image(tmp_path / f"{n:03}.png", noise(n)) for n in range(100)]
    out, rows = np.zeros((100, 12, 12, 3), np.uint8), np.array([0, 1, 50, 99])
    assert image_files.decode_all(paths, out, rows, lambda done: None) == []
    assert np.flatnonzero(out.any((1, 2, 3))).tolist() == rows.tolist()


@pytest.mark.parametrize("bad", [None, 130])
def test_processes_decode_as_threads_do(tmp_path, monkeypatch, bad):
    monkeypatch.setattr(image_files, "_WORTH_PROCESSES", 100)
    paths = [write_image(tmp_path / f"{n:03} \udcff.png", noise(n)) for n in range(200)]
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.uint8, (200, 12, 12, 3))
    chunks: list[int] = []
    damaged = [] if bad is None else [bad, 190]
    for number in damaged:
        paths[number].write_bytes(b"bad")
    errors = image_files.decode_all(paths, out, np.arange(200), lambda rows: chunks.append(len(rows)))
    assert [error.where for error in errors] == [str(paths[number]) for number in damaged]
    assert chunks == ([64, 64, 64, 8] if bad is None else [64, 64, 62, 8])
    assert all((image == noise(n)).all() for n, image in enumerate(out) if n not in damaged)


def test_a_decoding_process_that_is_killed_is_named(tmp_path):
    path = write_image(tmp_path / "a.png", noise(0))
    np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.uint8, (2, 12, 12, 3))
    with decoder.pool(tmp_path / "out.npy", 1) as pool:
        pool.decode(0, [path])
        os.kill(pool._processes[0].pid, signal.SIGKILL)
        with pytest.raises(EnvironmentFault, match="decoding process killed"):
            pool.decode(1, [path])
