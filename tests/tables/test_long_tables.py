"""A table of thousands of rows is a line a row, aligned, with the same cells as a short one."""

import re

import pytest

from resnet_shortcuts.tables import Column, Table, terminal

COLUMNS = (
    Column("name", "name", label=True),
    Column("seed", "seed", "count"),
    Column("state", "state"),
    Column("reason", "reason, in words", wrap=True),
)


def made(rows: int) -> Table:
    values = [
        {"name": f"run-{i:05}", "seed": i, "state": "done" if i % 2 else "failed\x1b[2J", "reason": "{}" * (i % 60)}
        for i in range(rows)
    ]
    return Table("runs", COLUMNS, values, "Many", ["a note"])


@pytest.mark.parametrize("rows", [20, 3000])
def test_every_row_is_a_line_with_all_its_cells(rows: int) -> None:
    lines = terminal([made(rows)], width=200).splitlines()
    body = [line.split() for line in lines if line.startswith("run-")]
    assert [cells[:3] for cells in body] == [
        [f"run-{i:05}", f"{i:,}", "done" if i % 2 else "failed\\x1b[2J"] for i in range(rows)
    ]
    assert [len(cells[3]) if len(cells) > 3 and i % 60 else 0 for i, cells in enumerate(body)] == [
        2 * (i % 60) for i in range(rows)
    ]
    assert (lines[0], lines[-1]) == ("Many", "a note")


def test_numbers_of_a_long_table_end_in_one_column() -> None:
    text = terminal([made(3000)], width=200)
    assert len({len(number[0]) for number in re.finditer(r"(?m)^run-\d+ +[\d,]+", text)}) == 1


def test_long_text_of_a_long_table_is_not_broken_and_ascii_is_ascii() -> None:
    table = Table("runs", COLUMNS, [{**row, "reason": "é" * 300} for row in made(600).rows])
    lines = [line for line in terminal([table], width=80, unicode=False).splitlines() if line.startswith("run-")]
    assert len(lines) == 600
    assert all(line.isascii() and line.endswith("?" * 300) for line in lines)
