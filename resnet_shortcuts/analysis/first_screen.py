"""What a terminal shows first: conditions, what is wrong, the answer, and one table; 24 lines for nine strategies."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from resnet_shortcuts.analysis.answer import answer
from resnet_shortcuts.analysis.experiment_records import in_order, pretty_network
from resnet_shortcuts.analysis.overview import PARTIAL, SIGNS, UNRELIABLE, matrix_tables, overview_tables
from resnet_shortcuts.analysis.procedure import INTERIM, TOO_FEW
from resnet_shortcuts.analysis.summary import twins
from resnet_shortcuts.analysis.verdicts import Verdicts
from resnet_shortcuts.tables import Table
from resnet_shortcuts.tables.terminal_format import first_that_fits, paragraph, terminal


def first_screen(
    verdicts: Verdicts,
    notes: Sequence[str] = (),
    more: str = "",
    *,
    width: int = 80,
    color: bool = False,
    unicode: bool = True,
) -> str:
    """The answer and its table: of one network a row a strategy, of several a matrix of strategies and networks.

    ``notes`` come from merging experiments; ``more`` is the command that shows everything else.
    """
    found = answer(verdicts)

    def told(text: str, style: str = "") -> str:
        return paragraph(text, style, width=width, color=color, unicode=unicode)

    table = _table(verdicts, width, unicode)
    twin_notes = twins(in_order(shortcut for _, shortcut in verdicts.failures))
    parts = [
        told(found.setting, "bold"),
        told(found.problems, "bold red" if verdicts.record.damaged else "yellow"),
        told(found.data_warnings, "yellow"),
        *(told(text, "yellow") for text in (*found.pending, *notes, *twin_notes)),
        told(" ".join(found.sentences)),
        "\n" + terminal([table], width=width, color=color, unicode=unicode),
        told(" ".join(legend(verdicts, table)), "dim"),
        told(f"More: {more}" if more else "", "dim"),
    ]
    return "".join(parts)


def first_tables(verdicts: Verdicts) -> list[Table]:
    """The matrix of several networks, and the table of each network, where width is no matter."""
    networks = in_order(network for network, _ in verdicts.failures)
    tables = matrix_tables(verdicts)(sys.maxsize)[:1] * (len(networks) > 1)
    for network in networks:
        table = overview_tables(verdicts, network)(sys.maxsize)[0]
        tables.append(replace(table, title=pretty_network(network) if len(networks) > 1 else ""))
    return [replace(table, notes=[*legend(verdicts, table)] if table is tables[-1] else ()) for table in tables]


def _table(verdicts: Verdicts, width: int, unicode: bool) -> Table:
    networks = in_order(network for network, _ in verdicts.failures)
    tables = matrix_tables(verdicts) if len(networks) > 1 else overview_tables(verdicts, networks[0])
    return first_that_fits(tables(width), width, unicode)


def legend(verdicts: Verdicts, table: Table) -> Iterator[str]:
    """A line on how to read the table, and one on the marks that are in it."""
    keys = {column.key for column in table.columns}
    words = ["±: sd of seeds"] if "accuracy" in keys else []
    if verdicts.sealed is None:
        words.append("intervals: 95 % each, unadjusted")
    elif any(each.sealed is not None and each.sealed.interval is not None for each in verdicts.comparisons):
        words.append("intervals hold together at 95 %")
    costs = {"activations": "act. mem: kept for backward", "peak": "mem: training peak", "time": "time: step"}
    yield "; ".join([*words, *(text for key, text in costs.items() if key in keys)]) + "."
    cells = [cell for row in table.texts() for cell in row]
    signs = [f"{sign} {word}" for word, sign in SIGNS.items() if any(sign in cell.split() for cell in cells)]
    if signs:
        yield f"{', '.join(signs)}, no mark: inconclusive."
    verdict_words = {each.verdict for each in verdicts.comparisons}
    reasons = ["unadjusted, the look is not complete"] * (INTERIM in verdict_words)
    reasons += ["too few seeds"] * (TOO_FEW in verdict_words)
    reasons += ["finished runs only"] * any(each.count for each in verdicts.failures.values())
    marks = {UNRELIABLE: "uncertain (noise or other programs)", PARTIAL: " or ".join(reasons)}
    used = [f"{mark}: {text}" for mark, text in marks.items() if any(mark in cell for cell in cells)]
    if used:
        yield "; ".join(used) + "."
