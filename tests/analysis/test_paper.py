"""``rsc paper``: it compiles, every citation has its entry, every number is that of compare's JSON."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from resnet_shortcuts.analysis.claims import judge_claims
from resnet_shortcuts.analysis.figures import figures
from resnet_shortcuts.analysis.paper import cited, methods_text, paper_files, references
from resnet_shortcuts.analysis.result_text import comparison_text
from resnet_shortcuts.analysis.verdicts import judge
from resnet_shortcuts.shortcuts.catalogue import CATALOGUE
from tests.analysis.made import NAMES, of_accuracies, whole
from tests.analysis.verified import VERIFY
from tests.tables.test_hostile_names import HOSTILE, experiment

LATEX = ("pdflatex", "bibtex")
needs_latex = pytest.mark.skipif(not all(map(shutil.which, LATEX)), reason="pdflatex or bibtex is not installed")


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paper")
    (folder / "figures").mkdir()
    verdicts = judge(whole(("cifar-resnet-20", "cifar-preresnet-20")))
    for name, content in paper_files(verdicts, figures(verdicts)[:2], ["rsc compare made"]):
        (folder / name).write_bytes(content)
    return folder


@needs_latex
def test_the_page_compiles_with_every_citation_and_figure(written: Path) -> None:
    latex = ("pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex")
    run(written, *latex)
    assert "Warning" not in run(written, "bibtex", "paper")
    run(written, *latex)
    run(written, *latex)
    log = (written / "paper.log").read_text(encoding="latin-1")
    assert "undefined" not in log
    assert "Overfull" not in log
    assert "multiply" not in log


def test_every_cited_key_has_its_entry_and_every_entry_is_cited(written: Path) -> None:
    keys = cited((written / "methods.tex").read_text())
    entries = re.findall(r"^@\w+\{([^,]+),", (written / "references.bib").read_text(), re.MULTILINE)
    assert entries == keys
    assert {"he2016deep", "he2016identity", "he2019bag", "dimensionqa", "holm1979", "paszke2019"} <= set(keys)


def test_every_strategy_is_in_the_methods_with_the_references_of_its_entry() -> None:
    text = methods_text(judge(whole()))
    for strategy in (each for each in CATALOGUE if each.name in NAMES):
        (words,) = re.findall(rf"(?<=[:;] ){re.escape(strategy.name)} \(([^()]*(?:\([^()]*\))?[^()]*)\)(.*?)[;.]", text)
        assert words[0].endswith(strategy.summary)
        assert cited(words[1]) == list(strategy.references), strategy.name


def test_every_reference_of_the_catalogue_is_in_the_bibliography() -> None:
    known = references()
    for strategy in CATALOGUE:
        assert set(strategy.references) <= known.keys(), strategy.name
    ours = [each.name for each in CATALOGUE if not each.references]
    assert ours == [
        "stride-duplicate", "avg3-pad", "max-duplicate", "max2-pad", "haar-pad", "projection-nobn", "projection-2x2",
    ]  # fmt: skip  # controls, and code without an author


def test_numbers_are_those_of_compares_json(written: Path) -> None:
    stored = json.loads((written / "compare.json").read_text())
    assert stored == json.loads(comparison_text(judge(whole(("cifar-resnet-20", "cifar-preresnet-20"))), "json"))
    tables = (written / "tables.tex").read_text()
    shown = {}
    for line in tables.split(r"\end{table}")[0].splitlines():
        cells = re.sub(r"\\rlap\{.*?\}\}\$\}|\\rlap\{[^}]*\}|\\textbf|[{}]", "", line).removesuffix(r" \\").split(" & ")
        if r"\pm" in line and len(cells) == 3:
            shown[cells[0].split(" ")[0]] = [float(cell.split(" ")[0]) for cell in cells[1:]]
    expected: dict[str, list[float]] = {}
    for row in stored["rows"]:
        expected.setdefault(row["shortcut"], []).append(round(row["accuracy_mean"], 2))
    assert shown.keys() == expected.keys()
    assert all(shown[name] == pytest.approx(means, abs=0.0051) for name, means in expected.items())
    for verdict in stored["verdicts"]:
        if verdict["difference"] is not None:
            low, high = (f"{end:+.2f}".replace("-", "$-$") for end in verdict["interval"])
            assert f"({low}, {high})" in tables


@needs_latex
def test_a_paper_with_claims_compiles_and_has_them_in_its_tables_and_numbers(tmp_path: Path) -> None:
    verdicts = judge(whole())
    claims = judge_claims(verdicts.record, VERIFY)
    for name, content in paper_files(verdicts, [], [], claims=claims):
        (tmp_path / name).write_bytes(content)
    run(tmp_path, "pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex")
    assert len(json.loads((tmp_path / "compare.json").read_text())["claims"]) == len(claims) == 10


@needs_latex
def test_a_paper_of_hostile_names_compiles(tmp_path: Path) -> None:
    for name, content in paper_files(judge(experiment(*HOSTILE)), [], HOSTILE):
        (tmp_path / name).write_bytes(content)
    run(tmp_path, "pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex")


def test_a_custom_strategy_has_no_reference_and_one_strategy_no_verdict() -> None:
    text = methods_text(judge(of_accuracies({"stride-pad": [90.0, 91.0], "mine": [91.0, 91.5]})))
    assert "mine (custom)." in text
    assert "Verdicts" not in methods_text(judge(of_accuracies({"mine": [90.0, 91.0, 92.0]})))
