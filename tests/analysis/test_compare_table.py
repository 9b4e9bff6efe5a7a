"""The compare table: contract keys, counting rules, and renderings that parse as what they claim to be."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_shortcuts.analysis.experiment_records import CostRecord, ExperimentRecord, Regime, RunRecord
from resnet_shortcuts.analysis.merge import merge
from resnet_shortcuts.analysis.result_text import sections
from resnet_shortcuts.analysis.summary import compare_table, rows_of, terminal_view
from resnet_shortcuts.analysis.verdicts import judge
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.tables import Column, Table, csv_text, json_text, latex, markdown, terminal
from tests.analysis.made import of_accuracies, whole

unhurried = settings(deadline=None, max_examples=60)  # the machine is shared

KEYS = [
    "network", "shortcut", "recipe", "runs", "failed", "accuracy_mean", "accuracy_sd", "parameters", "multiply_adds",
    "saved_bytes", "activation_bytes", "peak_memory_bytes", "step_ms", "step_ms_interval", "step_ratio",
    "step_ratio_interval", "inference_ms", "inference_ms_interval", "inference_ratio", "inference_ratio_interval",
    "train_seconds", "disturbed",
]  # fmt: skip
PAIRS = [key for key in KEYS if key.endswith("_interval")]
NET = "cifar-resnet-20"


def record(**changes: object) -> ExperimentRecord:
    runs = [RunRecord(NET, "A", seed, test_accuracy=value) for seed, value in enumerate([90.0, 91.0, 95.0])]
    runs += [
        RunRecord(NET, "B|x", 0, test_accuracy=80.0),
        RunRecord(NET, "B|x", 1, status="diverged", test_accuracy=12.0, reason="loss is NaN at step 3"),
        RunRecord(NET, "C", 0, status="failed", reason="out of memory"),
    ]
    given = {
        "name": "bench",
        "regime": Regime("digits", 1000, 797, 30),
        "runs": runs,
        "missing": [(NET, "C", 1), (NET, "D", 0)],
        "costs": [CostRecord(NET, "A", "cpu", "fp32", 64, 269_722, 40_551_040, 194_000_000, None, 41.2, None)],
    }
    return ExperimentRecord(**{**given, **changes})  # type: ignore[arg-type]


def test_rows_count_failures_and_average_the_finished_runs() -> None:
    a, b, c, d = rows_of(record())
    assert (a.runs, a.failed, a.accuracy_mean) == (3, 0, 92.0)
    assert a.accuracy_sd == pytest.approx(np.std([90, 91, 95], ddof=1))
    assert (b.runs, b.failed, b.accuracy_mean, b.accuracy_sd) == (2, 1, 80.0, None)
    assert (c.runs, c.failed, c.accuracy_mean, c.accuracy_sd) == (1, 1, None, None)
    assert (d.shortcut, d.runs, d.failed, d.accuracy_mean) == ("D", 0, 0, None)
    assert a.parameters == 269_722
    assert a.peak_memory_bytes is None
    assert b.step_ms is None


def test_json_has_exactly_the_contract_keys_and_null_for_what_was_not_measured() -> None:
    document = json.loads(json_text(compare_table(record())))
    assert document["schema"] == 1
    assert document["kind"] == "compare"
    assert [list(row) for row in document["rows"]] == [KEYS] * 4
    assert document["rows"][0]["peak_memory_bytes"] is None
    assert document["rows"][2]["accuracy_mean"] is None


def test_csv_reads_back_to_the_same_numbers() -> None:
    back = list(csv.DictReader(io.StringIO(csv_text(compare_table(record())))))
    ends = {key: [f"{key}_low", f"{key}_high"] for key in PAIRS}
    assert list(back[0]) == [name for key in KEYS for name in ends.get(key, [key])]
    assert float(back[0]["accuracy_mean"]) == 92.0
    assert back[1]["shortcut"] == "B|x"
    assert back[1]["accuracy_sd"] == ""


@pytest.mark.parametrize("width", [20, 40, 80, 132, 200])
@pytest.mark.parametrize("unicode", [True, False])
def test_terminal_keeps_to_its_width_and_loses_no_value(width: int, unicode: bool) -> None:
    table = terminal_view(compare_table(record()))
    text = terminal([table], width=width, unicode=unicode)
    assert "\x1b" not in text
    assert unicode or text.isascii()
    if width >= 40:
        assert max(map(len, text.splitlines())) <= width
        assert all(value in text for value in ("92.00", "269,722", "40.55 M", "185.0", "41.2"))


def test_terminal_leaves_out_columns_that_say_nothing() -> None:
    plain = record(runs=[RunRecord(NET, "A", 0, test_accuracy=90.0)], missing=[], costs=[])
    keys = [column.key for column in terminal_view(compare_table(plain)).columns]
    assert keys == ["shortcut", "runs", "accuracy_mean"]


def test_colour_only_on_demand() -> None:
    table = compare_table(record())
    assert "\x1b[" in terminal([table], color=True)


def test_markdown_escapes_what_would_break_a_table() -> None:
    lines = markdown([compare_table(record())]).splitlines()
    body = [line for line in lines if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in body} == {len(KEYS) + 1}


def test_latex_is_balanced_and_escaped() -> None:
    text = latex([compare_table(record())])
    assert text.count(r"\begin") == text.count(r"\end")
    assert r"\shortstack[r]{accuracy\\\%}" in text
    assert r"\toprule" in text


def test_notes_name_failures_missing_runs_and_how_to_train_them() -> None:
    text = "\n".join(compare_table(record(command="rsc train --config x.yaml")).notes)
    assert "B|x on cifar-resnet-20 fails 1 of 2 (loss is NaN at step 3)" in text
    assert f"Missing runs (2): {NET} C seed 1, {NET} D seed 0. Train them:\nrsc train --config x.yaml" in text


def test_two_names_of_one_network_are_called_that_and_no_others() -> None:
    names = ("stride-pad", "stride-pad-both", "projection-2x2", "avg-pad", "s2d-projection")
    notes = compare_table(of_accuracies({name: [90.0, 91.0] for name in names})).notes
    assert [note for note in notes if "noise" in note] == [
        "stride-pad and stride-pad-both are one network under two names: a difference between them is noise.",
        "projection-2x2 and s2d-projection are one network under two names: a difference between them is noise.",
    ]
    assert not any("noise" in note for note in compare_table(of_accuracies({"stride-pad-both": [90.0]})).notes)


def test_unlike_recipes_are_not_mixed_and_the_difference_is_named() -> None:
    other = record(name="other", regime=Regime("digits", 1000, 797, 30, recipe={"schedule": {"kind": "cosine"}}))
    mine = record(regime=Regime("digits", 1000, 797, 30, recipe={"schedule": {"kind": "step"}}))
    with pytest.raises(UsageError, match=r"recipe\.schedule\.kind.*step in 'bench', cosine in 'other'") as caught:
        merge([mine, other])
    assert caught.value.exit_code == 2


def test_one_name_for_two_strategies_is_refused() -> None:
    def named(experiment: str, bias: int, seed: int) -> ExperimentRecord:
        run = RunRecord("cifar-resnet-20", "gate", seed, test_accuracy=90.0, built_of=({}, {"bias": bias}))
        return record(name=experiment, runs=[run])

    merge([named("one", -3, 0), named("two", -3, 1)])
    with pytest.raises(UsageError, match=r"'gate' in cifar-resnet-20 is not the same in 'one' and in 'two'"):
        merge([named("one", -3, 0), named("two", 3, 1)])


def test_nothing_to_compare_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        merge([])


def test_costs_of_unlike_machines_are_refused_by_name_but_counts_stay() -> None:
    there = CostRecord(NET, "B|x", "gpu", parameters=5, step_ms=3.0, peak_memory_bytes=7)
    merged, notes = merge([record(), record(name="two", costs=[there])])
    assert "cpu and gpu" in notes[0]
    assert [cost.step_ms for cost in merged.costs] == [None, None]
    assert [cost.parameters for cost in merged.costs] == [269_722, 5]


def test_costs_of_the_same_strategies_on_unlike_machines_are_refused_too() -> None:
    here, there = (
        record(name=name, costs=[CostRecord(NET, "A", name, step_ms=ms, ratio_baseline="A")], cost_sentences=[name])
        for name, ms in (("epyc", 600.0), ("xeon", 1800.0))
    )
    merged, notes = merge([here, there])
    assert "epyc and xeon" in notes[0]
    assert [cost.step_ms for cost in merged.costs] == [None]
    assert merged.cost_sentences == []


def test_what_two_experiments_measured_on_one_machine_is_said_once() -> None:
    one, two = (
        record(name=name, costs=[CostRecord(NET, "A", "epyc", step_ms=ms, ratio_baseline="A")], cost_sentences=[name])
        for name, ms in (("one", 600.0), ("two", 700.0))
    )
    merged, notes = merge([one, two])
    assert ([cost.step_ms for cost in merged.costs], merged.cost_sentences, notes) == ([600.0], ["one"], [])
    other = record(name="two", costs=[CostRecord(NET, "B", "epyc", step_ms=9.0, ratio_baseline="B")])
    assert "unlike baselines (A and B)" in merge([one, other])[1][0]


@pytest.mark.parametrize(
    ("key", "theirs", "told", "decided"),
    [
        ("margin", 3.0, r"compare\.margin: 0\.2 in 'bench', 3\.0 in 'other'.*--margin", {"margin": 0.5}),
        (
            "baseline",
            "B",
            r"compare\.baseline: stride-pad in 'bench', projection in 'other'.*--baseline",
            {"baseline": "A"},
        ),
        ("fail_above", 10.0, r"compare\.fail_above: none in 'bench', 10\.0 in 'other'", None),
    ],
)
def test_unlike_rules_are_refused_whichever_is_named_first(key, theirs, told, decided) -> None:  # type: ignore[no-untyped-def]
    mine, other = record(baseline="A", margin=0.2), record(name="other", **{"baseline": "stride-pad", key: theirs})
    with pytest.raises(UsageError, match=told):
        merge([mine, other])
    with pytest.raises(UsageError, match="experiments differ in"):
        merge([other, mine])
    if decided:
        merge([mine, other], **decided)


def test_a_run_in_two_experiments_counts_once_and_the_finished_one_wins() -> None:
    again = record(name="two", runs=[RunRecord(NET, "C", 0, test_accuracy=70.0)], missing=[])
    merged, _ = merge([record(command="train one"), again])
    assert merged.command == "train one"
    assert merge([record(command="train one"), record(command="train two")])[0].command == "train one && train two"
    (c,) = [row for row in rows_of(merged) if row.shortcut == "C"]
    assert (c.runs, c.failed, c.accuracy_mean) == (1, 0, 70.0)
    assert merged.missing == [(NET, "C", 1), (NET, "D", 0)]


@unhurried
@given(st.lists(st.floats(0, 100), min_size=2, max_size=30))
def test_mean_and_sd_equal_numpy(values: list[float]) -> None:
    runs = [RunRecord(NET, "A", seed, test_accuracy=value) for seed, value in enumerate(values)]
    (row,) = rows_of(record(runs=runs, missing=[]))
    assert row.accuracy_mean == pytest.approx(np.mean(values))
    assert row.accuracy_sd == pytest.approx(np.std(values, ddof=1), abs=1e-9)


def test_importing_the_room_brings_no_torch_pandas_or_matplotlib() -> None:
    code = (
        "import sys, importlib, pkgutil, resnet_shortcuts.analysis as a\n"
        "[importlib.import_module(f'{a.__name__}.{m.name}') for m in pkgutil.iter_modules(a.__path__)]\n"
        "heavy = ('torch', 'torchvision', 'pandas', 'matplotlib', 'scipy', 'statsmodels')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_latex_holds_no_mark_that_stops_tex_and_no_dash_made_of_an_option() -> None:
    table = Table(
        "t", [Column("a", "what, points")], [{"a": "50 % of my_net, x ≥ 2, 雪: run --all & {go}"}], prose=False
    )
    text = latex([table])
    assert r"50 \% of my\_net, x $\ge$ 2, ?: run -{}-all \& \{go\}" in text
    assert r"\shortstack[l]{what\\points}" in text
    assert max(text) < "\u0250"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_no_latex_table_runs_over_the_edge_of_the_page(tmp_path: Path) -> None:
    verdicts = judge(whole(names=("stride-pad", "stride-duplicate", "projection-all"), seeds=3))
    body = latex(sections(verdicts))
    page = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n" + body + "\n\\end{document}\n"
    (tmp_path / "page.tex").write_text(page)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Overfull" not in done.stdout


def test_a_wide_latex_table_is_split_and_loses_nothing() -> None:
    table = Table("t", [Column("a", "name", label=True), *(Column(f"c{i}", f"column {i}") for i in range(9))],
                  [{"a": "row", **{f"c{i}": f"value number {i}" for i in range(9)}}])  # fmt: skip
    text = latex([table])
    assert text.count(r"\begin{tabular}") == text.count("row & ") > 1
    assert text.count(r"\begin{table}") == 1
    assert all(f"value number {i}" in text and f"column {i}" in text for i in range(9))
    assert max(len(line) for line in text.splitlines() if line.startswith("row & ")) < 100
