"""``make torture``: the reliability tests at many times their numbers; what was tried goes into docs/reliability.md.

``python -m tests.torture [TIMES]``, ten by default. The table is written only if everything passed.
"""

import datetime
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

from resnet_shortcuts import machine
from resnet_shortcuts.durable import write_file

ROOT = Path(__file__).parents[1]
TESTS = (
    "tests/analysis/test_report.py",  # first: it looks at the largest size that this process ever had
    "tests/cost/test_torture.py",  # then what times, before anything else has been at work
    "tests/test_durable.py",
    "tests/faults",
    "tests/training/test_loop.py",
    "tests/experiments/test_store.py",
    "tests/experiments/test_foreign_results.py",
    "tests/experiments/test_fuzzed_files.py",
    "tests/experiments/test_deleted_folder.py",
    "tests/test_child_process.py",
    "tests/config/test_config_mutations.py",
    "tests/cli/test_command_lines.py",
    "tests/cli/test_hostile_environment.py",
    "tests/analysis/test_simulated.py",
    "tests/analysis/test_simulated_procedure.py",
)
HEAD = """# What was tried, and survived

Written by `make torture` on {date}: {processor}, {cores} cores, Python {python}, torch {torch}, commit {commit}.
Every case below is a real process, file or system call, or an experiment simulated from a known truth.
"Bit-identical" compares the hashes of weights and momentum, the bytes of the history and of the predictions with those
of a run that nothing disturbed.

| test | cases | tried | seconds |
| --- | ---: | --- | ---: |
"""


def main(times: int) -> int:
    """Run everything; the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--maxfail=3",
            "--timeout=3600",
            "-o",
            "junit_family=xunit1",
            f"--junitxml={report}",
            *TESTS,
        ]
        environment = {**os.environ, "RSC_TORTURE": str(times), "OMP_NUM_THREADS": "1"}
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        if code == 0:
            write_file(ROOT / "docs" / "reliability.md", render(ET.parse(report)).encode())  # noqa: S314 (our own file)
    return code


def render(report: ET.ElementTree) -> str:
    """The table as Markdown: one row a test, its cases counted together."""
    cases: dict[str, list[ET.Element]] = defaultdict(list)
    for case in report.iter("testcase"):
        cases[re.sub(r"\[.*", "", case.get("name", ""))].append(case)
    facts = machine.environment()
    text = HEAD.format(
        date=datetime.datetime.now(datetime.UTC).date(),
        processor=facts["cpu"],
        cores=facts["cores"],
        python=facts["python"],
        torch=facts["packages"]["torch"],
        commit=(facts["commit"] or "unknown")[:12],
    )
    for name, group in cases.items():
        seconds = sum(float(case.get("time", 0)) for case in group)
        text += f"| {_words(name)} | {len(group)} | {_tried(group)} | {seconds:.0f} |\n"
    return text


def _words(name: str) -> str:
    words = name.removeprefix("test_").replace("_", " ")
    return re.sub(r"^fault ((?:\d+ )+)", lambda match: f"fault {', '.join(match[1].split())}: ", words)


def _tried(group: list[ET.Element]) -> str:
    counts: dict[str, int] = defaultdict(int)
    for case in group:
        for noted in case.iter("property"):
            counts[noted.get("name", "")] += int(noted.get("value", 0))
    skipped = sum(case.find("skipped") is not None for case in group)
    parts = [f"{number:,} {what}" for what, number in counts.items()] + ([f"{skipped} skipped"] if skipped else [])
    return ", ".join(parts)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
