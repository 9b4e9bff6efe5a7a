"""Golden files of all renderings. When they are meant to change:

RSC_GOLDEN=write pytest tests/analysis/test_golden.py
"""

import dataclasses
import os
import re
from pathlib import Path

import pytest

from resnet_shortcuts.analysis.claims import judge_claims
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, RunRecord
from resnet_shortcuts.analysis.published import published
from resnet_shortcuts.analysis.report import report_html
from resnet_shortcuts.analysis.result_text import comparison_text
from resnet_shortcuts.analysis.verdicts import judge
from tests.analysis.made import whole
from tests.analysis.verified import VERIFY

FOLDER = Path(__file__).parent / "golden"
NETWORKS = ("cifar-resnet-20", "cifar-resnet-56")


def record() -> ExperimentRecord:
    made = whole(NETWORKS, seeds=6, names=("stride-pad", "max-pad", "avg-pad", "avg-duplicate", "projection"))
    runs = [
        RunRecord(run.network, run.shortcut, run.seed, status="diverged", reason="loss is NaN at step 7")
        if (run.network, run.shortcut, run.seed) == ("cifar-resnet-56", "max-pad", 2)
        else run
        for run in made.runs
    ]
    return dataclasses.replace(made, runs=runs, missing=[("cifar-resnet-56", "projection-all", 0)])


def compare_with_golden(name: str, text: str) -> None:
    path = FOLDER / name
    text = re.sub(r"-?\d+\.\d{7,}(e-?\d+)?", lambda found: f"{float(found[0]):.6g}", text)  # processors differ beyond
    if os.environ.get("RSC_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text, f"{name} changed: see this file's first line"


@pytest.mark.parametrize(
    ("name", "format_", "options"),
    [
        ("compare-80.txt", "table", {"width": 80}),
        ("compare-160.txt", "table", {"width": 160}),
        ("compare-ascii.txt", "table", {"width": 80, "unicode": False}),
        ("compare-colour.txt", "table", {"width": 100, "color": True}),
        ("compare.md", "markdown", {}),
        ("compare.csv", "csv", {}),
        ("compare.tex", "latex", {}),
        ("compare.json", "json", {}),
    ],
)
def test_text(name: str, format_: str, options: dict[str, object]) -> None:
    made = record()
    verdicts = judge(made)
    text = comparison_text(
        verdicts, format_, claims=judge_claims(made, VERIFY), publications=published(made), **options  # type: ignore[arg-type]
    )  # fmt: skip
    compare_with_golden(name, text)


def test_html() -> None:
    """Without figures: how matplotlib writes its paths is its own business."""
    made = record()
    verdicts = judge(made)
    html = report_html(
        verdicts,
        claims=judge_claims(made, VERIFY),
        publications=published(made),
        drawings=[],
        command="rsc report made",
    )
    compare_with_golden("report.html", html)
