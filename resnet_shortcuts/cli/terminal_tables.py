"""Comparisons and tables as text, fitted to where they go; what ``train`` leaves beside the runs."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from resnet_shortcuts.cli.output import columns, say

if TYPE_CHECKING:
    from resnet_shortcuts.analysis.claims import Claim
    from resnet_shortcuts.analysis.table import Table
    from resnet_shortcuts.analysis.verdicts import Verdicts

FIGURE_FORMATS: tuple[Literal["png", "svg"], ...] = ("png", "svg")


def comparison_as(
    verdicts: "Verdicts",
    format_: str,
    *,
    to_screen: bool,
    notes: Sequence[str] = (),
    claims: "Sequence[Claim]" = (),
) -> str:
    """A whole comparison as text in this format."""
    from resnet_shortcuts.analysis.published import published
    from resnet_shortcuts.analysis.result_text import comparison_text

    return comparison_text(
        verdicts,
        format_,
        notes=notes,
        claims=claims,
        publications=published(verdicts.record),
        **_screen(to_screen),
    )


def summary_as_text(verdicts: "Verdicts") -> str:
    """Accuracy and costs as a table for the screen, and the verdicts in a sentence a network."""
    from resnet_shortcuts.analysis.render import fill, to_ascii
    from resnet_shortcuts.analysis.result_text import answer
    from resnet_shortcuts.analysis.summary import compare_table, terminal_view

    place = _screen(True)
    words = fill("\n".join(answer(verdicts)), place["width"])
    table = tables_as([terminal_view(compare_table(verdicts.record))], "table", to_screen=True)
    return f"{table}\n{words if place['unicode'] else to_ascii(words)}"


def tables_as(tables: "Sequence[Table]", format_: str, *, to_screen: bool) -> str:
    """Tables as text in a format other than JSON."""
    from resnet_shortcuts.analysis import render

    if format_ == "csv":
        return "\n".join(render.csv_text(table) for table in tables)
    if format_ == "markdown":
        return render.markdown(tables)
    if format_ == "latex":
        return render.latex(tables)
    return render.terminal(tables, **_screen(to_screen))


def _screen(to_screen: bool) -> dict[str, Any]:
    """How wide, colourful and lettered the place is that the text goes to."""
    terminal = to_screen and sys.stdout.isatty()
    knows_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    return {
        "width": columns(to_screen),
        "color": terminal and "NO_COLOR" not in os.environ,
        "unicode": knows_unicode or not to_screen,
    }


def write_tables(verdicts: "Verdicts", folder: Path) -> None:
    """Write table.{md,csv,json} and the figure of accuracy against cost into the experiment's folder."""
    from resnet_shortcuts.analysis.cost_figure import cost_figure
    from resnet_shortcuts.durable import write_file

    written = []
    for name, format_ in (("table.md", "markdown"), ("table.csv", "csv"), ("table.json", "json")):
        write_file(folder / name, comparison_as(verdicts, format_, to_screen=False).encode())
        written.append(name)
    drawing = cost_figure(verdicts.record)
    if drawing is not None:
        for kind in FIGURE_FORMATS:
            write_file(folder / f"accuracy-vs-cost.{kind}", drawing.render(kind))
        written.append("accuracy-vs-cost.png")
    say(f"wrote {', '.join(str(folder / name) for name in written)}")
