"""``make check``: says when the files that docs/reliability.md covers have changed since its commit."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENT = "docs/reliability.md"
COVERED = (
    "resnet_shortcuts",
    "tests/faults",
    "tests/experiments",
    "tests/test_durable.py",
    "tests/test_child_process.py",
    "tests/config/test_config_mutations.py",
    "tests/cli/test_command_lines.py",
    "tests/cli/test_hostile_environment.py",
)


def warning(root: Path = ROOT) -> str | None:
    """The line to print, or None where nothing has changed or git cannot tell (an archive without its history)."""
    match = re.search(r"commit ([0-9a-f]{12})", (root / DOCUMENT).read_text())
    if match is None:
        return f"warning: {DOCUMENT} names no commit: run 'make torture'"
    commit = match[1]
    done = subprocess.run(
        ["git", "-C", str(root), "diff", "--name-only", commit, "--", *COVERED],
        capture_output=True,
        text=True,
        check=False,
    )
    changed = done.stdout.splitlines()
    if done.returncode or not changed:
        return None
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return f"warning: {DOCUMENT} is of {commit}; changed since: {', '.join(changed[:3])}{more}: run 'make torture'"


if __name__ == "__main__":
    if line := warning():
        print(line, file=sys.stderr)
