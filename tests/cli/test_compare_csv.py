"""``rsc compare runs.csv``: runs that another tool trained, a row each."""

import json

import pytest
import scipy.stats

A, B = [91.0, 91.4, 91.2, 91.3, 91.1], [91.9, 92.5, 92.2, 92.1, 92.3]


def table(heading="strategy,seed,score"):
    rows = [f"{name},{seed},{score}" for name, scores in (("A", A), ("mine", B)) for seed, score in enumerate(scores)]
    return "\n".join([heading, *rows]) + "\n"


def test_runs_of_another_tool_are_judged(rsc):
    (rsc.folder / "runs.csv").write_text(table())
    done = rsc("compare", "runs.csv", "--baseline", "A", "--format", "json")
    assert done.returncode == 0, done.stderr
    row = next(row for row in json.loads(done.stdout)["rows"] if row["shortcut"] == "mine")
    assert row["verdict"] == "better"
    assert row["p_holm"] == pytest.approx(scipy.stats.ttest_rel(B, A).pvalue)


def test_columns_of_other_names(rsc):
    (rsc.folder / "runs.csv").write_text(table("arch,fold,top1"))
    done = rsc("compare", "runs.csv", "--columns", "arch,fold,top1", "--baseline", "A")
    assert done.returncode == 0, done.stderr
    assert "mine" in done.stdout
    assert "better" in done.stdout


@pytest.mark.parametrize(
    ("text", "arguments", "code", "words"),
    [
        ("arch,fold,top1\nA,0,1\n", [], 2, "no column for the strategy"),
        (table(), ["--columns", "arch"], 2, "does not name three columns"),
        (table(), ["other"], 2, "compared by itself"),
        (None, [], 3, "cannot be read as CSV: runs.csv"),
        ("", [], 3, "cannot be read as CSV: runs.csv"),
    ],
)
def test_files_that_cannot_be_compared_are_refused_in_one_line(rsc, text, arguments, code, words):
    if text is not None:
        (rsc.folder / "runs.csv").write_text(text)
    done = rsc("compare", "runs.csv", *arguments)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1)
    assert words in done.stderr
