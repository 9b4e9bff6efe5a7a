"""Golden files of all renderings. When they are meant to change:

RSC_GOLDEN=write pytest tests/analysis/test_golden.py
"""

import dataclasses
import os
import re
from pathlib import Path

import numpy as np
import pytest

from resnet_shortcuts.analysis.claims import judge_claims
from resnet_shortcuts.analysis.experiment_records import CostRecord, ExperimentRecord, Regime, RunRecord
from resnet_shortcuts.analysis.published import published
from resnet_shortcuts.analysis.report import report_html
from resnet_shortcuts.analysis.result_text import comparison_text
from resnet_shortcuts.analysis.verdicts import judge
from tests.analysis.made import NAMES, NET, of_accuracies, whole
from tests.analysis.test_sealed_verdicts import seal
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


def nine() -> ExperimentRecord:
    """Nine strategies on one network with sealed looks, as an experiment on CIFAR-10 could end, costs and all."""
    stream = np.random.default_rng(5)
    effects = dict(zip(NAMES, (0.0, -2.1, 0.01, -0.02, 0.05, 0.12, 0.2, 0.9, 0.6), strict=True))
    seeds = stream.normal(0, 0.15, 10)
    accuracies = {name: 91.2 + effect + seeds + stream.normal(0, 0.12, 10) for name, effect in effects.items()}
    sealed = seal(10, margin=0.5, baseline=NAMES[0], strategies=NAMES[1:])
    costs = []
    for place, name in enumerate(NAMES):
        ratio, half = 1 + 0.012 * place, 0.09 if name == "projection" else 0.008
        interval = None if place == 0 else (ratio - half, ratio + half)
        costs.append(CostRecord(
            NET, name, "H100", "bf16", 128, 269_722 + 9_000 * place, 40_551_040, None, 2**20 * (310 + 4 * place),
            41.2 * ratio, (41.0 * ratio, 41.4 * ratio), ratio, interval, NAMES[0], 0.01, 600.0,
            activation_bytes=2**20 * (150 + 4 * place), on_cpu=False,
        ))  # fmt: skip
    regime = Regime("cifar10", 50_000, 10_000, 6, batch_size=128, precision="bf16", name="CIFAR-10")
    command = "rsc train --config results/nine/config.yaml"
    lists: dict[str, list[float | None]] = {name: values.round(2).tolist() for name, values in accuracies.items()}
    return of_accuracies(lists, name="nine", regime=regime, seals=[sealed], costs=costs, command=command)


@pytest.mark.parametrize(
    ("name", "format_", "options"),
    [
        *((f"compare-{width}.txt", "table", {"width": width}) for width in (80, 100, 160)),
        *((f"details-{width}.txt", "table", {"width": width, "details": True}) for width in (80, 100, 160)),
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
    claims = [] if name.startswith("compare-") else judge_claims(made, VERIFY)
    text = comparison_text(
        judge(made), format_, claims=claims, publications=published(made), more="rsc compare made --details", **options  # type: ignore[arg-type]
    )  # fmt: skip
    compare_with_golden(name, text)


@pytest.mark.parametrize("width", [80, 100, 160])
def test_nine_strategies_on_one_network(width: int) -> None:
    text = comparison_text(judge(nine()), "table", width=width, more="rsc compare nine --details")
    compare_with_golden(f"nine-{width}.txt", text)


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
