"""What a table does where there is too little room, and what each format holds."""

import csv
import io
import json

import pytest

from resnet_shortcuts.tables import Column, Table, render

COLUMNS = (
    Column("run_id", "run", priority=2),
    Column("shortcut", "shortcut", label=True),
    Column("seed", "seed", "count", priority=1),
    Column("reason", "reason", wrap=True),
)
REASON = "the loss is not a number at step 17 of 120, and at every step after it"
ROWS = [{"run_id": f"{i:016x}", "shortcut": "stride-pad", "seed": i, "reason": REASON, "hidden": i} for i in range(3)]
TABLE = Table("runs", COLUMNS, ROWS, notes=["3 runs"], facts={"name": "made"})


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (60, ["run", "shortcut", "seed", "reason"]),
        (42, ["shortcut", "seed", "reason"]),
        (28, ["shortcut", "reason"]),
        (24, ["shortcut", "reason"]),
    ],
)
def test_a_narrow_terminal_leaves_out_columns_by_priority_and_says_so(width: int, columns: list[str]) -> None:
    lines = render([TABLE], "table", width=width).splitlines()
    assert lines[0].split() == columns
    assert max(map(len, lines)) <= max(width, 28)
    note = " ".join(" ".join(lines).split("3 runs")[1].split())
    dropped = [name for name in ("run", "seed") if name not in columns]
    assert note == (f"Too narrow for: {', '.join(dropped)}. Every column: --format csv." if dropped else "")


@pytest.mark.parametrize("width", [30, 40, 60, 200])
def test_long_text_is_broken_over_lines_and_keeps_every_word(width: int) -> None:
    table = Table("t", COLUMNS[1:2] + COLUMNS[3:], ROWS[:1])
    text = render([table], "table", width=width)
    assert max(map(len, text.splitlines())) <= width
    words = [word for line in text.splitlines()[1:] for word in line.removeprefix("stride-pad").split()]
    assert " ".join(words) == REASON


@pytest.mark.parametrize("width", range(30, 60))
def test_no_line_break_parts_a_number_from_its_percent_sign(width: int) -> None:
    text = "projection-all costs 25 % (22 to 27) more time and 8 % more memory; the others are within the noise of 3 %"
    note = render([Table("t", COLUMNS[1:2], ROWS[:1], notes=[text])], "table", width=width)
    assert not [line for line in note.splitlines() if line.strip().startswith("%")]
    assert text in " ".join(note.split())


def test_a_latex_table_longer_than_a_page_goes_over_pages() -> None:
    text = render([Table("runs", COLUMNS, ROWS * 20, title="all runs")], "latex")
    assert r"\usepackage{booktabs,longtable}" in text
    assert text.count(r"\begin{longtable}") == text.count(r"\end{longtable}") == text.count(r"\endhead") >= 1
    assert r"\begin{table}" not in text
    assert text.count("stride-pad") >= 60
    assert "longtable" not in render([TABLE], "latex")


def test_long_text_is_a_paragraph_column_in_latex_where_the_page_is_too_narrow() -> None:
    wide = Table("t", COLUMNS[1:2] + COLUMNS[3:], [{"shortcut": "A", "reason": REASON * 3}])
    assert r"\linewidth}}" in render([wide], "latex")
    assert r"\begin{tabular}{ll}" in render([Table("t", wide.columns, [{"shortcut": "A", "reason": "x"}])], "latex")


def test_json_holds_every_key_and_csv_every_column() -> None:
    document = json.loads(render([TABLE], "json"))
    assert document == {"schema": 1, "kind": "runs", "rows": ROWS, "name": "made"}
    (first, *_) = csv.DictReader(io.StringIO(render([TABLE], "csv")))
    assert first == {"run_id": ROWS[0]["run_id"], "shortcut": "stride-pad", "seed": "0", "reason": REASON}
