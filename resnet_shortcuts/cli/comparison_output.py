"""Comparisons as text, fitted to where they go; the tables that ``train`` leaves beside the runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from resnet_shortcuts import tables
from resnet_shortcuts.cli.output import say, screen

if TYPE_CHECKING:
    from resnet_shortcuts.analysis.claims import Claim
    from resnet_shortcuts.analysis.verdicts import Verdicts

TABLE_FILES = {"table.md": "markdown", "table.csv": "csv", "table.json": "json"}
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

    publications = published(verdicts.record)
    return comparison_text(
        verdicts, format_, notes=notes, claims=claims, publications=publications, **screen(to_screen)
    )


def summary_as_text(verdicts: "Verdicts") -> str:
    """Accuracy and costs as a table for the screen, and the verdicts in a sentence a network."""
    from resnet_shortcuts.analysis.result_text import answer, filled
    from resnet_shortcuts.analysis.summary import compare_table, terminal_view

    place = screen()
    table = tables.terminal([terminal_view(compare_table(verdicts.record))], **place)
    return f"{table}\n{filled(answer(verdicts), place['width'], place['unicode'])}"


def write_tables(verdicts: "Verdicts", folder: Path) -> None:
    """Write table.{md,csv,json} and the figure of accuracy against cost into the experiment's folder."""
    from resnet_shortcuts.analysis.cost_figure import cost_figure
    from resnet_shortcuts.durable import write_file

    written = list(TABLE_FILES)
    for name, format_ in TABLE_FILES.items():
        write_file(folder / name, comparison_as(verdicts, format_, to_screen=False).encode())
    drawing = cost_figure(verdicts.record)
    if drawing is not None:
        for kind in FIGURE_FORMATS:
            write_file(folder / f"accuracy-vs-cost.{kind}", drawing.render(kind))
        written.append("accuracy-vs-cost.png")
    say(f"wrote {', '.join(str(folder / name) for name in written)}")
