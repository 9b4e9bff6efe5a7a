"""What a command shows in a terminal of 80 columns, as SVG: ``python -m tools.screenshot FILE.svg rsc compare NAME``.

The picture of the README is made by ``python -m tools.screenshot docs/benchmark.svg rsc compare benchmark`` after
``make benchmark``.
"""

import io
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from resnet_shortcuts.durable import write_file

WIDTH, HEIGHT = 80, 24
RSC = [sys.executable, "-P", "-c", "from resnet_shortcuts.cli import main; main()"]


def shown(command: list[str]) -> str:
    """What the command prints to a terminal of 80 columns in colour, its errors left out."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(WIDTH), "LINES": str(HEIGHT), "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    arguments = [*RSC, *command[1:]] if command[0] == "rsc" else command
    process = subprocess.Popen(arguments, stdout=theirs, stderr=subprocess.DEVNULL, env=environment)
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 65_536):
            parts.append(part)
    except OSError:  # Linux: EIO once the last writer has closed the terminal
        pass
    os.close(ours)
    if process.wait():
        sys.exit(f"error: exit code {process.returncode}: {shlex.join(command)}")
    return b"".join(parts).decode().replace("\r\n", "\n").rstrip("\n")


def svg(command: list[str], text: str) -> str:
    """The command and its output as a picture that loads nothing from elsewhere; equal texts give equal bytes."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text.from_ansi(f"\x1b[1m$ {shlex.join(command)}\x1b[0m\n{text}"))
    picture = console.export_svg(title=shlex.join(command), theme=MONOKAI, unique_id="terminal")
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)


if __name__ == "__main__":
    target, *words = sys.argv[1:]
    write_file(Path(target), svg(words, shown(words)).encode())
