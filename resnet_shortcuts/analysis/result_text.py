"""A whole comparison as one text: what ``rsc compare`` prints, in any of the formats."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from resnet_shortcuts import tables
from resnet_shortcuts.analysis.answer import answer
from resnet_shortcuts.analysis.claims import Claim
from resnet_shortcuts.analysis.experiment_records import in_order
from resnet_shortcuts.analysis.first_screen import first_screen, first_tables
from resnet_shortcuts.analysis.paper_tables import paper_tables
from resnet_shortcuts.analysis.published import Published
from resnet_shortcuts.analysis.result_tables import (
    accuracy_table,
    answer_table,
    claims_table,
    cost_details,
    detail_table,
    published_table,
    tidy_table,
    verdict_table,
)
from resnet_shortcuts.analysis.summary import cost_notes, run_notes, terminal_view
from resnet_shortcuts.analysis.verdicts import Verdicts
from resnet_shortcuts.tables import Table
from resnet_shortcuts.tables.escaping import escape_markdown


def sections(
    verdicts: Verdicts,
    notes: Sequence[str] = (),
    claims: Sequence[Claim] = (),
    publications: Sequence[Published] = (),
) -> list[Table]:
    """Every table of a comparison for people, network by network: accuracy, verdicts, what is beside them, costs."""
    record = verdicts.record
    shown = [claims_table(claims)] if claims else []
    networks = in_order(key[0] for key in verdicts.failures)
    for network in networks:
        first = network == networks[0]
        about = [*run_notes(record), *([] if record.costs else cost_notes(record)), *notes] if first else ()
        shown.append(accuracy_table(verdicts, network, about))
        if any(comparison.network == network for comparison in verdicts.comparisons):
            shown += [answer_table(verdicts, network, first), detail_table(verdicts, network, first)]
        if record.costs:
            shown.append(cost_details(verdicts, network, cost_notes(record) if first else ()))
    shown += [published_table(publications)] if publications else []
    return [terminal_view(table) if table.kind == "compare" else table for table in shown]


def comparison_text(
    verdicts: Verdicts,
    format_: str,
    *,
    notes: Sequence[str] = (),
    claims: Sequence[Claim] = (),
    publications: Sequence[Published] = (),
    details: bool = False,
    more: str = "",
    width: int = 80,
    color: bool = False,
    unicode: bool = True,
) -> str:
    """The comparison as table (for a terminal), markdown, csv, latex or json.

    A terminal gets the answer and one table, with ``details`` every other table too; ``more`` is the command
    that prints them.
    CSV is one table: the compare table with the verdict's fields in each row, baseline and margin. JSON is
    ``{"schema": 1, "kind": "compare", "rows": [...]}`` with ``verdicts``, ``rule``, ``notes`` and, where asked for,
    ``claims`` and ``published`` beside it; ``schema.json`` documents it.
    """
    if format_ == "csv":
        return tables.csv_text(tidy_table(verdicts, notes))
    if format_ == "json":
        return tables.json_text(_data(verdicts, tidy_table(verdicts, notes), claims, publications))
    if format_ == "latex":
        return paper_tables(verdicts, notes, claims)
    place: dict[str, Any] = {"width": width, "color": color, "unicode": unicode}
    shown = [claims_table(claims)] if claims and not details else []
    if details:
        shown = sections(verdicts, notes, claims, publications)
    if format_ == "table":
        text = first_screen(verdicts, notes, "" if details else more, **place)
        return "\n".join([text, tables.terminal(shown, **place)] if shown else [text])
    lines = [escape_markdown(line) for line in answer(verdicts).lines()]
    return "\n\n".join(lines) + "\n\n" + tables.markdown([*first_tables(verdicts), *shown])


def _data(verdicts: Verdicts, table: Table, claims: Sequence[Claim], publications: Sequence[Published]) -> Table:
    """The compare table with everything that its JSON holds beside the rows."""
    judged, found = verdict_table(verdicts), answer(verdicts)
    facts: dict[str, object] = {
        "regime": verdicts.record.regime.sentence(),
        "baseline": verdicts.baseline,
        "margin": verdicts.margin,
        "rule": judged.notes[0],
        "verdicts": [{column.key: row.get(column.key) for column in judged.columns} for row in judged.rows],
        "answer": [*found.sentences, *found.pending],
        "notes": list(table.notes),
    }
    if claims:
        facts["claims"] = [vars(claim) for claim in claims]
    if publications:
        facts["published"] = [vars(publication) for publication in publications]
    return dataclasses.replace(table, facts=facts)
