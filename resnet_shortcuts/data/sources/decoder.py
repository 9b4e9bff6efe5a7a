"""Decoding in processes of our own: for small images, Pillow spends more time under Python's lock than outside it.

Each process reads lines of JSON, ``{"start": n, "paths": [...]}``, decodes those images into a mapped array and
answers ``{}`` or ``{"error": [what, where, todo]}``. It ends when its input ends, and so with its parent.
"""

import json
import os
import queue
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from resnet_shortcuts.data.source_contract import Images
from resnet_shortcuts.errors import DataError, EnvironmentFault


class Pool:
    """Processes that decode into the .npy file at ``target``; ``decode`` may be called from as many threads as there
    are."""

    def __init__(self, target: Path, size: int) -> None:
        command = [sys.executable, "-m", __name__, str(target)]
        pipe = subprocess.PIPE
        self._processes = [  # in sessions of their own: Ctrl-C is for the parent, which then ends them
            subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) for _ in range(size)
        ]
        self._idle: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()
        for process in self._processes:
            self._idle.put(process)

    def decode(self, start: int, paths: Sequence[Path]) -> None:
        """Fill the rows from ``start`` on. Raises DataError with the path of an image that cannot be read."""
        process = self._idle.get()
        try:
            answer = _ask(process, {"start": start, "paths": [str(path) for path in paths]})
        finally:
            self._idle.put(process)
        if "error" in answer:
            raise DataError(*answer["error"])

    def close(self) -> None:
        """End the processes, also in the middle of their work."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.communicate()


def _ask(process: "subprocess.Popen[str]", question: dict[str, Any]) -> dict[str, Any]:
    if process.stdin is None or process.stdout is None:
        raise ValueError("a decoding process without pipes")
    line = ""
    try:
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        pass  # told below
    if not line:
        raise EnvironmentFault("a decoding process was ended from outside", f"process {process.pid}", "run it again")
    answer: dict[str, Any] = json.loads(line)
    return answer


@contextmanager
def pool(target: Path, size: int) -> Iterator[Pool]:
    """A pool that ends with the block."""
    made = Pool(target, size)
    try:
        yield made
    finally:
        made.close()


def main() -> None:
    """The process: see the head of this module."""
    from resnet_shortcuts.data.sources import image_files

    warnings.simplefilter("ignore")  # Pillow's remarks on odd files; what cannot be read is an error
    images: Images = np.load(sys.argv[1], mmap_mode="r+")
    for line in sys.stdin:
        question = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            image_files.fill(images, question["start"], [Path(path) for path in question["paths"]])
        except DataError as error:
            answer["error"] = [error.what, error.where, error.todo]
        try:
            os.write(sys.stdout.fileno(), (json.dumps(answer) + "\n").encode())
        except BrokenPipeError:  # the parent was killed
            return


if __name__ == "__main__":
    main()
