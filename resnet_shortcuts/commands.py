"""What other programs print about this machine."""

import subprocess


def output_of(*command: str) -> str:
    """What a command prints, or nothing where it is missing, fails or takes more than 10 s."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
