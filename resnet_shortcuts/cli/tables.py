"""The tables of a comparison, in every format; what ``compare`` prints and ``train`` leaves beside the runs."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from resnet_shortcuts.cli.output import say

if TYPE_CHECKING:
    from resnet_shortcuts.analysis.records import ExperimentRecord
    from resnet_shortcuts.analysis.table import Table

PIPED_WIDTH = 100
FIGURE_FORMATS: tuple[Literal["png", "svg"], ...] = ("png", "svg")


def render_comparison(record: "ExperimentRecord", format_: str, *, to_screen: bool, notes: Sequence[str] = ()) -> str:
    """The compare table of a (merged) experiment as text in this format."""
    from resnet_shortcuts.analysis import render
    from resnet_shortcuts.analysis.summary import compare_table, terminal_view

    table = compare_table(record, notes)
    if format_ == "json":
        return render.json_text(table)
    return render_tables([terminal_view(table) if format_ == "table" else table], format_, to_screen=to_screen)


def render_tables(tables: "Sequence[Table]", format_: str, *, to_screen: bool) -> str:
    """Tables as text in a format other than JSON; for the screen as wide as it is, in its colours and letters."""
    from resnet_shortcuts.analysis import render

    if format_ == "csv":
        return "\n".join(render.csv_text(table) for table in tables)
    if format_ == "markdown":
        return render.markdown(tables)
    if format_ == "latex":
        return render.latex(tables)
    terminal = to_screen and sys.stdout.isatty()
    width = os.get_terminal_size().columns if terminal else PIPED_WIDTH
    color = terminal and "NO_COLOR" not in os.environ
    return render.terminal(tables, width=width, color=color, unicode=_unicode() or not to_screen)


def _unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


def write_tables(record: "ExperimentRecord", folder: Path) -> None:
    """Write table.{md,csv,json} and the figure of accuracy against cost into the experiment's folder."""
    from resnet_shortcuts.analysis.costfigure import cost_figure
    from resnet_shortcuts.durable import write_file

    for name, format_ in (("table.md", "markdown"), ("table.csv", "csv"), ("table.json", "json")):
        write_file(folder / name, render_comparison(record, format_, to_screen=False).encode())
    drawing = cost_figure(record)
    written = ["table.md", "table.csv", "table.json"]
    if drawing is not None:
        for kind in FIGURE_FORMATS:
            write_file(folder / f"accuracy-vs-cost.{kind}", drawing.render(kind))
        written.append("accuracy-vs-cost.png")
    say(f"wrote {', '.join(str(folder / name) for name in written)}")
