"""LaTeX tables for a paper: they compile, fit the page, and set in bold only what the verdicts carry."""

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, Regime
from resnet_shortcuts.analysis.paper_tables import best, paper_tables
from resnet_shortcuts.analysis.result_text import comparison_text
from resnet_shortcuts.analysis.verdicts import judge
from tests.analysis.made import NET, of_accuracies, whole
from tests.tables.test_hostile_names import HOSTILE, experiment

NETWORKS = ("cifar-resnet-20", "cifar-resnet-32", "cifar-resnet-44", "cifar-resnet-56", "cifar-resnet-110")
BASE = [90.0, 90.4, 89.8, 90.1, 90.3]
JITTER = [0.03, -0.02, 0.01, -0.03, 0.01]
LOW = [value - 5 + noise for value, noise in zip(BASE, JITTER, strict=True)]
HIGH = [value + 5.1 + noise for value, noise in zip(BASE, JITTER, strict=True)]


def compiled(text: str, folder: Path) -> str:
    """The log of pdflatex on a page that inputs these tables; fails where it fails."""
    (folder / "tables.tex").write_text(text)
    page = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n\\input{tables}\n\\end{document}\n"
    (folder / "page.tex").write_text(page)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    return (folder / "page.log").read_text(encoding="latin-1")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize(
    "record",
    [whole(), whole(NETWORKS[:2], seeds=3), whole(NETWORKS, seeds=3), of_accuracies({"A": [90.0], "x": [None]})],
    ids=["nine strategies", "two networks", "five networks", "nothing to test"],
)
def test_tables_compile_and_fit_the_page_of_an_article(record: ExperimentRecord, tmp_path: Path) -> None:
    log = compiled(paper_tables(judge(record)), tmp_path)
    assert "Overfull" not in log
    assert "Float too large" not in log
    assert "multiply" not in log


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_tables_of_hostile_names_compile(tmp_path: Path) -> None:
    compiled(paper_tables(judge(experiment(*HOSTILE)), notes=HOSTILE), tmp_path)


@pytest.mark.parametrize(
    ("accuracies", "bold"),
    [
        ({"A": BASE, "x": HIGH, "y": LOW}, "x"),
        ({"A": BASE, "x": LOW, "y": LOW}, "A"),
        ({"A": BASE, "x": [90.5, 90.1, 90.3, 89.9, 90.4]}, None),  # the highest mean, and nothing is shown
        ({"A": BASE, "x": LOW, "y": [90.1, 90.2, 89.9, 90.0, 90.2]}, None),  # ahead of all that is worse, not of y
        ({"A": BASE, "x": [*HIGH[:4], None]}, None),  # a mean without its failure
        ({"A": BASE}, None),
    ],
)
def test_the_best_is_bold_only_where_the_verdicts_carry_it(accuracies: dict[str, list[float]], bold: str) -> None:
    verdicts = judge(of_accuracies(accuracies, baseline="A"), margin=0.5)
    assert best(verdicts, NET) == bold
    text = paper_tables(verdicts)
    rows = [line for line in text.splitlines() if r"\textbf" in line]
    assert [row.split(" ")[0] for row in rows] == ([bold] if bold else [])
    assert ("Bold:" in text) is (bold is not None)


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.removesuffix(r"\\").split("&")]


@pytest.mark.parametrize("networks", [NETWORKS[:1], NETWORKS[:2], NETWORKS])
def test_every_accuracy_is_mean_and_sd_over_the_runs_under_its_network(networks: tuple[str, ...]) -> None:
    verdicts = judge(whole(networks))
    text = paper_tables(verdicts).split(r"\end{table}")[0]
    headings = [cells_of(line) for line in text.splitlines() if line.startswith("Shortcut &")]
    shown = [heading[1:] for heading in headings]
    if len(networks) > 1:
        assert [name for group in shown for name in group] == [f"ResNet-{name.split('-')[-1]}" for name in networks]
    for network, heading in zip(networks[::4], headings, strict=True):
        row = next(cells_of(line) for line in _rows(text, heading) if line.startswith("max-pad &"))
        values = [run.test_accuracy or 0.0 for run in verdicts.cells[network, "max-pad"]]
        mean = sum(values) / len(values)
        sd = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
        assert re.sub(r"\\rlap.*|\\textbf|[{}]", "", row[1]) == rf"{mean:.2f} $\pm$ {sd:.2f}"


def _rows(text: str, heading: list[str]) -> list[str]:
    start = text.index(" & ".join(heading))
    return text[start : text.index(r"\end{tabular}", start)].splitlines()


def no_shell_advice(text: str) -> bool:
    return not re.search(r"\brsc\b|--set|config\.yaml|compare\.rule", text.replace("-{}-", "--"))


def test_tables_hold_protocol_and_n_and_no_shell_advice() -> None:
    regime = Regime(
        "cifar10", 50_000, 10_000, 6, batch_size=128, precision="bf16", augment=("crop", "flip"), name="CIFAR-10",
        recipe={"lr": 0.2, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4, "schedule": {"kind": "one-cycle"}},
    )  # fmt: skip
    made = of_accuracies(
        {"A": BASE, "x": [*HIGH[:4], None]}, regime=regime, command="rsc train x.yaml", missing=[(NET, "x", 7)]
    )
    text = comparison_text(judge(made), "latex")
    assert no_shell_advice(text)
    for part in (
        "n = 5 seeds (finished: x on ResNet-20 4 of 5)", "50,000 training images and 10,000 test images of CIFAR-10",
        "6 epochs, batch size 128, learning rate 0.2 (one-cycle), Nesterov momentum 0.9, weight decay 0.0005",
        "Unfinished: 1 of 11 planned runs missing", r"\label{tab:made-accuracy}",
        "x on ResNet-20 fails 1 of 5",
    ):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"step_ratio_interval": None}, "too few rounds"), ({"disturbed": True}, "other programs ran while")],
)
def test_a_time_that_is_not_reliable_is_not_printed(changes: dict[str, Any], reason: str) -> None:
    made = whole()
    assert "40.4" in paper_tables(judge(made))
    costs = [dataclasses.replace(cost, **changes) for cost in made.costs]
    text = paper_tables(judge(dataclasses.replace(made, costs=costs)))
    assert reason in text
    assert "40.4" not in text
    assert "1.01" not in text
    assert "Two timings" not in text


def test_each_row_holds_the_difference_with_its_interval_and_the_verdict() -> None:
    verdicts = judge(of_accuracies({"A": BASE, "x": HIGH, "y": LOW}, baseline="A"))
    rows = {cells_of(line)[0]: cells_of(line) for line in paper_tables(verdicts).splitlines() if line[1:4] == " & "}
    assert [rows[name][-1] for name in "Axy"] == ["baseline", "better", "worse"]
    interval = stats.t.interval(0.95, 4, np.mean(np.subtract(HIGH, BASE)), stats.sem(np.subtract(HIGH, BASE)))
    assert rows["x"][2:4] == ["+5.10", f"({interval[0]:+.2f}, {interval[1]:+.2f})"]
