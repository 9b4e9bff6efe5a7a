"""The renderings of a table as text: terminal, Markdown, CSV, LaTeX (booktabs) and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from resnet_shortcuts.analysis.table import NOTHING, PAIRS, Column, Table

FORMATS = ("table", "markdown", "csv", "latex", "json")
EXTENSIONS = {".txt": "table", ".md": "markdown", ".csv": "csv", ".tex": "latex", ".json": "json"}
_ASCII = str.maketrans({"–": "-", "−": "-", "±": "+-", "×": "x", "≥": ">=", "≤": "<=", "…": "...", "’": "'", "²": "2"})


def terminal(tables: Sequence[Table], *, width: int = 80, color: bool = False, unicode: bool = True) -> str:
    """Tables for a terminal of ``width`` columns; one that is wider is split, its first columns repeated.

    Without ``unicode`` the text is pure ASCII; without ``color`` it holds no escape sequences.
    """
    text = "\n".join(_one_terminal(table, width, color, unicode) for table in tables)
    return text if unicode else to_ascii(text)


def to_ascii(text: str) -> str:
    """The text for a terminal that knows ASCII only."""
    return text.translate(_ASCII).encode("ascii", "replace").decode()


def _one_terminal(table: Table, width: int, color: bool, unicode: bool) -> str:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=color, no_color=not color, color_system="standard" if color else None,
        highlight=False, markup=False, emoji=False, legacy_windows=False,
    )  # fmt: skip
    if table.title:
        console.print(Text(fill(table.title, width), style="bold"))
    cells = table.texts()
    if table.prose:
        console.print(Text("\n".join(_paragraph(table, row, width, unicode) for row in cells)))
    for part in () if table.prose else _parts(table, cells, width):
        rich_table = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for index in part:
            column = table.columns[index]
            rich_table.add_column(
                Text(_heading(column, unicode)), justify="right" if column.numeric else "left", no_wrap=True,
                overflow="ellipsis" if unicode else "crop",
            )  # fmt: skip
        for row in cells:
            rich_table.add_row(*(Text(row[index] if unicode else to_ascii(row[index])) for index in part))
        console.print(rich_table)
        console.print()
    for note in table.notes:
        console.print(Text(fill(note, width), style="dim"), soft_wrap=True)
    lines = [line.rstrip() for line in stream.getvalue().rstrip().splitlines()]
    return "\n".join(lines) + "\n"


def _paragraph(table: Table, row: Sequence[str], width: int, unicode: bool) -> str:
    """One row of a prose table: labels and first cell, then the other cells that say something, each with its name."""
    names = [cell for column, cell in zip(table.columns, row, strict=True) if column.label]
    rest = [
        (column, cell) for column, cell in zip(table.columns, row, strict=True) if not column.label and cell != NOTHING
    ]
    lines = [" ".join([*names, *(cell for _, cell in rest[:1])])]
    lines += [f"  {column.heading}: {cell}" for column, cell in rest[1:]]
    text = "\n".join(fill(line, width - 2) for line in lines)
    return text if unicode else to_ascii(text)


def _heading(column: Column, unicode: bool) -> str:
    """The heading with each of its parts (name, what of it, unit) on a line, so that columns stay narrow."""
    text = column.heading.replace(", ", "\n")
    return text if unicode else to_ascii(text)


def fill(text: str, width: int) -> str:
    """Each line of the text broken at ``width``, what follows indented; a command stays whole, to be copied."""
    broken = (
        [line]
        if line.startswith("rsc ")
        else textwrap.wrap(line, max(20, width), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for line in text.split("\n")
    )
    return "\n".join(part for lines in broken for part in lines)


def _parts(table: Table, cells: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """Column numbers of each part that fits into ``width``; label columns come first in every part."""
    needs = [
        max(*(len(line) for line in _heading(column, True).split("\n")), *(len(row[i]) for row in cells), 1) + 2
        for i, column in enumerate(table.columns)
    ]
    labels = [i for i, column in enumerate(table.columns) if column.label]
    start = sum(needs[i] for i in labels)
    parts: list[list[int]] = []
    current, used = list(labels), start
    for i in range(len(table.columns)):
        if i in labels:
            continue
        if used + needs[i] > width + 2 and len(current) > len(labels):
            parts.append(current)
            current, used = list(labels), start
        current.append(i)
        used += needs[i]
    return [*parts, current]


def markdown(tables: Sequence[Table], *, level: int = 3) -> str:
    """Tables in GitHub's Markdown: heading, table, notes."""
    return "\n".join(_one_markdown(table, level) for table in tables)


def _one_markdown(table: Table, level: int) -> str:
    lines = [f"{'#' * level} {_escape(table.title)}", ""] if table.title else []
    lines.append("| " + " | ".join(_escape(column.heading) for column in table.columns) + " |")
    lines.append("| " + " | ".join("---:" if column.numeric else "---" for column in table.columns) + " |")
    lines += ["| " + " | ".join(_escape(cell) for cell in row) + " |" for row in table.texts()]
    if table.notes:
        lines += ["", *(f"- {_escape(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    for mark in "\\|*_<>`":
        text = text.replace(mark, "\\" + mark) if mark != "_" else text
    return " ".join(text.split())


def csv_text(table: Table) -> str:
    """One table as CSV (RFC 4180, LF): keys as heading, values in the units of the JSON schema, nothing for None."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    heading: list[str] = []
    for column in table.columns:
        heading += [f"{column.key}_low", f"{column.key}_high"] if column.kind in PAIRS else [column.key]
    writer.writerow(heading)
    for row in table.rows:
        values: list[Any] = []
        for column in table.columns:
            value = plain(row.get(column.key))
            values += (value or [None, None]) if column.kind in PAIRS else [value]
        writer.writerow(["" if value is None else value for value in values])
    return stream.getvalue()


def plain(value: Any) -> Any:
    """The value as JSON knows it: no NumPy scalars, no tuples, None for NaN and infinities."""
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def json_text(table: Table, **more: Any) -> str:
    """``{"schema": 1, "kind": ..., "rows": [...]}`` with the table's keys, and what else the kind's schema lists."""
    rows = [{column.key: plain(row.get(column.key)) for column in table.columns} for row in table.rows]
    body = {"schema": 1, "kind": table.kind, "rows": rows, **{key: plain(value) for key, value in more.items()}}
    return json.dumps(body, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "–": "--", "±": r"$\pm$", "×": r"$\times$",
    "<": "$<$", ">": "$>$", "≥": r"$\ge$", "≤": r"$\le$", "…": r"\ldots{}", "’": "'", "²": "$^2$",
}  # fmt: skip
_PAGE = 86  # characters of footnotesize that a line of LaTeX's `article` holds, space between columns included
_LAST_LETTER = "\u024f"  # pdflatex's fonts know Latin letters; what lies beyond would stop it


def latex(tables: Sequence[Table]) -> str:
    """Tables with booktabs rules, ready for ``\\input``; the notes follow each as footnotes in its float.

    A table wider than a page is split, its first columns repeated. Tables of sentences become lists: no float could
    hold them.
    """
    head = "% needs \\usepackage{booktabs}\n"
    return head + "\n".join(_one_latex(table) for table in tables)


def _one_latex(table: Table) -> str:
    if table.prose:
        return _latex_list(table)
    lines = [r"\begin{table}", r"\centering", r"\footnotesize", r"\setlength{\tabcolsep}{3.5pt}"]
    if table.title:
        lines.append(rf"\caption{{{_tex(table.title)}}}")
    cells = table.texts()
    for place, part in enumerate(_parts(table, cells, _PAGE)):
        lines += [r"\par\medskip"] * (place > 0) + _tabular(
            [table.columns[i] for i in part], [[row[i] for i in part] for row in cells]
        )
    if table.notes:
        lines += [r"\par\smallskip\footnotesize", *(rf"{_tex(note)}\par" for note in table.notes)]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _tabular(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    spec = "".join("r" if column.numeric else "l" for column in columns)
    lines = [rf"\begin{{tabular}}{{{spec}}}", r"\toprule"]
    lines += [" & ".join(_tex_heading(column) for column in columns) + r" \\", r"\midrule"]
    lines += [" & ".join(_tex(cell) for cell in row) + r" \\" for row in rows]
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _latex_list(table: Table) -> str:
    """A prose table as a list: labels and first cell, then the other cells that say something, each with its name."""
    lines = [rf"\paragraph{{{_tex(table.title)}}}", r"\begin{description}"]
    for row in table.texts():
        cells = list(zip(table.columns, row, strict=True))
        names = " ".join(cell for column, cell in cells if column.label)
        rest = [(column, cell) for column, cell in cells if not column.label and cell != NOTHING]
        lines.append(rf"\item[{{{_tex(names)}}}] " + "; ".join(_tex(cell) for _, cell in rest[:1]))
        lines += [rf"\\ {_tex(column.heading)}: {_tex(cell)}" for column, cell in rest[1:]]
    lines += [r"\end{description}", *(rf"{_tex(note)}\par" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _tex_heading(column: Column) -> str:
    """The heading with each of its parts (name, what of it, unit) on a line, so that columns stay narrow."""
    parts = [_tex(part) for part in column.heading.split(", ")]
    if len(parts) == 1:
        return parts[0]
    return rf"\shortstack[{'r' if column.numeric else 'l'}]{{" + r"\\".join(parts) + "}"


def _tex(text: str) -> str:
    parts = text.split("--")  # of a command's option; TeX would make a dash of it
    return "-{}-".join(
        "".join(_LATEX.get(mark, mark if mark <= _LAST_LETTER else "?") for mark in one) for one in parts
    )
