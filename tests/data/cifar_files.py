"""CIFAR-10's files in small: batches of 20 images, pickled as Python 2 did, their archives, and a server of them."""

import contextlib
import gzip
import hashlib
import io
import struct
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

NAMES = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
IMAGES = 20


def images_and_labels(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (20, 3, 32, 32) uint8 and labels (20,), known by the batch's name."""
    random = np.random.default_rng(NAMES.index(name))
    return random.integers(0, 256, (IMAGES, 3, 32, 32), dtype=np.uint8), np.arange(IMAGES) % 10


def pickled(name: str) -> bytes:
    """A batch of CIFAR-10, python version."""
    return pickle_of(*images_and_labels(name))


def pickle_of(pixels: np.ndarray, labels: np.ndarray, keys: tuple[bytes, ...] = (b"labels",)) -> bytes:
    """The opcodes that Python 2's cPickle wrote (protocol 2), in the order of the real files.

    The last of ``keys`` gets the labels, the others their fifths, as coarse labels.
    """
    raw, count = pixels.tobytes(), len(labels)

    def short(text: bytes) -> bytes:
        return b"U" + bytes([len(text)]) + text

    def listed(key: bytes) -> bytes:
        numbers = labels if key == keys[-1] else labels // 5
        return short(key) + b"q\x04]q\x05(" + b"".join(b"K" + bytes([number]) for number in numbers) + b"e"

    return b"".join(
        [
            b"\x80\x02}q\x01(",
            short(b"batch_label") + b"q\x02" + short(b"training batch 1 of 5") + b"q\x03",
            *map(listed, keys),
            short(b"data") + b"q\x07cnumpy.core.multiarray\n_reconstruct\nq\x08cnumpy\nndarray\nq\tK\x00\x85q\n",
            short(b"b") + b"q\x0b\x87Rq\x0c(K\x01K" + bytes([count]) + b"M\x00\x0c\x86q\rcnumpy\ndtype\nq\x0e",
            short(b"u1") + b"q\x0fK\x00K\x01\x87q\x10Rq\x11(K\x03" + short(b"|") + b"q\x12NNN",
            b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x13b\x89",
            b"T" + struct.pack("<i", len(raw)) + raw + b"q\x14tq\x15b",
            short(b"filenames") + b"q\x16]q\x17(" + b"".join(short(b"a.png") for _ in labels) + b"eu.",
        ]
    )


def binary(name: str) -> bytes:
    """A batch of CIFAR-10, binary version."""
    return binary_of(*images_and_labels(name))


def binary_of(pixels: np.ndarray, labels: np.ndarray, *, coarse: bool = False) -> bytes:
    """Records of label and pixels; of CIFAR-100 with a coarse label before the fine one."""
    return b"".join(
        (bytes([label // 5]) if coarse else b"") + bytes([label]) + image.tobytes()
        for label, image in zip(labels.tolist(), pixels, strict=True)
    )


def tar_gz(members: dict[str, bytes] | list[tarfile.TarInfo]) -> bytes:
    """A .tar.gz of files by name, or of bare members."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        if isinstance(members, list):
            for member in members:
                archive.addfile(member)
        else:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def python_archive() -> bytes:
    return tar_gz({f"cifar-10-batches-py/{name}": pickled(name) for name in NAMES})


def binary_archive() -> bytes:
    return tar_gz({f"cifar-10-batches-bin/{name}.bin": binary(name) for name in NAMES})


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class Server:
    """Serves ``data`` on 127.0.0.1 in several ways, chosen by the first part of the path; remembers what was asked."""

    def __init__(self, data: bytes) -> None:
        server = self
        self.asked: list[tuple[str, str | None]] = []
        self.data = data

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append((self.path, self.headers.get("Range")))
                with contextlib.suppress(ConnectionError):
                    getattr(server, self.path.split("/")[1])(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def address(self, how: str, name: str = "cifar-10-python.tar.gz") -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/{how}/{name}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def _head(handler: BaseHTTPRequestHandler, status: int, length: int) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()

    def good(self, handler: BaseHTTPRequestHandler) -> None:
        start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        if start >= len(self.data):
            self._head(handler, 416, 0)
            return
        self._head(handler, 206 if start else 200, len(self.data) - start)
        handler.wfile.write(self.data[start:])

    def no_resume(self, handler: BaseHTTPRequestHandler) -> None:
        self._head(handler, 200, len(self.data))
        handler.wfile.write(self.data)

    def truncated(self, handler: BaseHTTPRequestHandler) -> None:
        """Breaks off in the middle."""
        self._head(handler, 200, len(self.data))
        handler.wfile.write(self.data[: len(self.data) // 2])

    def short(self, handler: BaseHTTPRequestHandler) -> None:
        """Has only the first half, and says so."""
        self._head(handler, 200, len(self.data) // 2)
        handler.wfile.write(self.data[: len(self.data) // 2])

    def flipped(self, handler: BaseHTTPRequestHandler) -> None:
        data = bytearray(self.data)
        data[len(data) // 2] ^= 1
        self._head(handler, 200, len(data))
        handler.wfile.write(data)

    def long(self, handler: BaseHTTPRequestHandler) -> None:
        self._head(handler, 200, len(self.data) + 1)
        handler.wfile.write(self.data + b"!")

    def page(self, handler: BaseHTTPRequestHandler) -> None:
        self._head(handler, 200, 20)
        handler.wfile.write(b"<html>moved</html>\n\n")

    def absent(self, handler: BaseHTTPRequestHandler) -> None:
        self._head(handler, 404, 0)

    def silent(self, handler: BaseHTTPRequestHandler) -> None:
        time.sleep(3)

    def slow(self, handler: BaseHTTPRequestHandler) -> None:
        self._head(handler, 200, len(self.data))
        for start in range(0, len(self.data), 100):
            handler.wfile.write(self.data[start : start + 100])
            handler.wfile.flush()
            time.sleep(0.05)


@contextlib.contextmanager
def serving(data: bytes) -> Iterator[Server]:
    server = Server(data)
    try:
        yield server
    finally:
        server.close()
