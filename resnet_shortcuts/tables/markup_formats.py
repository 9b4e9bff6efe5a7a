"""Tables for documents: GitHub's Markdown, and LaTeX with booktabs rules."""

from __future__ import annotations

from collections.abc import Sequence

from resnet_shortcuts.tables.escaping import escape_latex, escape_markdown
from resnet_shortcuts.tables.table_model import NARROWEST, Column, Table, parts

_PAGE = 86  # characters of footnotesize that a line of LaTeX's `article` holds, space between columns included
_PAGE_ROWS = 45  # rows of footnotesize on a page; a longer table becomes a longtable


def markdown(tables: Sequence[Table], *, level: int = 3) -> str:
    """Tables in GitHub's Markdown: heading, table, notes."""
    return "\n".join(_markdown_table(table, level) for table in tables)


def _markdown_table(table: Table, level: int) -> str:
    lines = [f"{'#' * level} {escape_markdown(table.title)}", ""] if table.title else []
    rules = ["---:" if column.numeric else "---" for column in table.columns]
    heading = [escape_markdown(column.heading) for column in table.columns]
    for cells in (heading, rules, *([escape_markdown(cell) for cell in row] for row in table.texts())):
        lines.append(f"| {' | '.join(cells)} |")
    if table.notes:
        lines += ["", *(f"- {escape_markdown(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def latex(tables: Sequence[Table]) -> str:
    """Tables with booktabs rules, ready for ``\\input``, labelled ``tab:KIND-NUMBER``; notes follow in the float.

    A table wider than a page is split, its label columns repeated; one longer than a page becomes a longtable. Tables
    of sentences become lists: no float could hold them.
    """
    packages = "booktabs,longtable" if any(_is_long(table) for table in tables) else "booktabs"
    floats = [_latex_table(table, f"tab:{table.kind}-{place}") for place, table in enumerate(tables, start=1)]
    return f"% needs \\usepackage{{{packages}}}\n" + "\n".join(floats)


def _is_long(table: Table) -> bool:
    return len(table.rows) > _PAGE_ROWS and not table.prose


def _latex_table(table: Table, label: str) -> str:
    if table.prose:
        return _latex_list(table)
    small = [r"\footnotesize", r"\setlength{\tabcolsep}{3.5pt}"]
    lines = [r"\begingroup", *small] if _is_long(table) else [r"\begin{table}", r"\centering", *small]
    if table.title and not _is_long(table):
        lines += [rf"\caption{{{escape_latex(table.title)}}}", rf"\label{{{label}}}"]
    cells = table.texts()
    for place, part in enumerate(parts(table, cells, _PAGE)):
        columns, rows = [table.columns[i] for i in part], [[row[i] for i in part] for row in cells]
        if _is_long(table):
            lines += _rows(columns, rows, "longtable", table.title if place == 0 else "", label)
        else:
            lines += [r"\par\medskip"] * (place > 0) + _rows(columns, rows, "tabular")
    if table.notes:
        lines += [r"\par\smallskip\footnotesize", *(rf"{escape_latex(note)}\par" for note in table.notes)]
    return "\n".join([*lines, r"\endgroup" if _is_long(table) else r"\end{table}"]) + "\n"


def _rows(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], environment: str, title: str = "", label: str = ""
) -> list[str]:
    """The rows as a tabular, or as a longtable, which has its caption inside and repeats its heading on each page."""
    heading = [r"\toprule", _latex_heading(columns), r"\midrule"]
    if environment == "longtable":
        caption = [rf"\caption{{{escape_latex(title)}}}\label{{{label}}}\\"] if title else []
        heading = [*caption, *heading, r"\endhead"]
    begin, end = rf"\begin{{{environment}}}{{{_spec(columns, rows)}}}", rf"\end{{{environment}}}"
    return [begin, *heading, *map(_latex_row, rows), r"\bottomrule", end]


def _spec(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Column types: numbers right, text left, long text in a paragraph as wide as the page allows."""
    widths = [max(len(row[i]) for row in [[column.heading for column in columns], *rows]) for i in range(len(columns))]
    narrow = sum(width + 2 for column, width in zip(columns, widths, strict=True) if not column.wrap)
    long = sum(width + 2 for column, width in zip(columns, widths, strict=True) if column.wrap)
    specs = []
    for column, width in zip(columns, widths, strict=True):
        share = max(NARROWEST, (_PAGE - narrow) * (width + 2) / max(long, 1) - 2) / _PAGE
        paragraph = column.wrap and narrow + long > _PAGE
        specs.append(rf"p{{{share:.2f}\linewidth}}" if paragraph else "r" if column.numeric else "l")
    return "".join(specs)


def _latex_heading(columns: Sequence[Column]) -> str:
    """Headings with each of their parts (name, what of it, unit) on a line, so that columns stay narrow."""
    cells = []
    for column in columns:
        heading = [escape_latex(part) for part in column.heading.split(", ")]
        side = "r" if column.numeric else "l"
        cells.append(heading[0] if len(heading) == 1 else rf"\shortstack[{side}]{{" + r"\\".join(heading) + "}")
    return " & ".join(cells) + r" \\"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(escape_latex(cell) for cell in cells) + r" \\"


def _latex_list(table: Table) -> str:
    lines = [rf"\paragraph{{{escape_latex(table.title)}}}", r"\begin{description}"]
    for names, first, others in table.paragraphs():
        lines.append(rf"\item[{{{escape_latex(names)}}}] " + escape_latex(first))
        lines += [rf"\\ {escape_latex(heading)}: {escape_latex(cell)}" for heading, cell in others]
    lines += [r"\end{description}", *(rf"{escape_latex(note)}\par" for note in table.notes)]
    return "\n".join(lines) + "\n"
