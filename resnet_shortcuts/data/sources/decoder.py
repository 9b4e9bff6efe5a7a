"""Decoding in child processes: for small images, Pillow spends more time under Python's lock than outside it.

Each process decodes the images that it is sent into a mapped array, and ends with its parent.
"""

import queue
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter

from resnet_shortcuts.child_process import Channel, Child, Fault, Message, Request, launch
from resnet_shortcuts.data.source_contract import Images
from resnet_shortcuts.errors import DataError, EnvironmentFault


class Decoding(Request):
    """What a decoding process is started for: to fill the .npy file at ``target``."""

    kind: Literal["decode"] = "decode"
    target: Path


class Chunk(Message):
    """Images to decode into the rows from ``start`` on."""

    start: int
    paths: tuple[Path, ...]


class Decoded(Message):
    """A chunk is done."""

    event: Literal["decoded"] = "decoded"


_EVENTS: TypeAdapter[Decoded | Fault] = TypeAdapter(Annotated[Decoded | Fault, Field(discriminator="event")])


class Pool:
    """Processes that decode into the .npy file at ``target``; ``decode`` may be called from as many threads as there
    are."""

    def __init__(self, target: Path, size: int) -> None:
        self._processes = [launch(Decoding(target=target.absolute()), _EVENTS) for _ in range(size)]
        self._idle: queue.SimpleQueue[Child[Decoded | Fault]] = queue.SimpleQueue()
        for process in self._processes:
            self._idle.put(process)

    def decode(self, start: int, paths: Sequence[Path]) -> None:
        """Fill the rows from ``start`` on. Raises DataError with the path of an image that cannot be read."""
        process = self._idle.get()
        try:
            process.send(Chunk(start=start, paths=tuple(paths)))
            event = process.next_event()
        finally:
            self._idle.put(process)
        if event is None:
            raise EnvironmentFault(f"a decoding {process.reason()}", f"process {process.pid}", "run it again")
        if isinstance(event, Fault):
            raise event.as_error()

    def close(self) -> None:
        """End the processes, also in the middle of their work."""
        for process in self._processes:
            process.close()


@contextmanager
def pool(target: Path, size: int) -> Iterator[Pool]:
    """A pool that ends with the block."""
    decoders = Pool(target, size)
    try:
        yield decoders
    finally:
        decoders.close()


def serve(plain: Any, channel: Channel) -> None:
    """What a decoding process does."""
    from resnet_shortcuts.data.sources import image_files

    warnings.simplefilter("ignore")  # Pillow's remarks on odd files; what cannot be read is an error
    images: Images = np.load(Decoding.model_validate(plain).target, mmap_mode="r+")
    while (message := channel.receive()) is not None:
        chunk = Chunk.model_validate(message)
        try:
            image_files.fill(images, chunk.start, chunk.paths)
        except DataError as error:
            channel.send(Fault.of(error))
        else:
            channel.send(Decoded())
