"""A whole comparison as one text: what ``rsc compare`` prints, in any of the formats."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from resnet_shortcuts import tables
from resnet_shortcuts.analysis.answer import answer
from resnet_shortcuts.analysis.claims import Claim
from resnet_shortcuts.analysis.experiment_records import in_order
from resnet_shortcuts.analysis.first_screen import first_screen
from resnet_shortcuts.analysis.published import Published
from resnet_shortcuts.analysis.result_tables import (
    answer_table,
    claims_table,
    detail_table,
    joined_table,
    network_table,
    published_table,
    verdict_table,
)
from resnet_shortcuts.analysis.summary import compare_table, terminal_view
from resnet_shortcuts.analysis.verdicts import Verdicts
from resnet_shortcuts.tables import Table
from resnet_shortcuts.tables.escaping import escape_markdown


def sections(
    verdicts: Verdicts,
    notes: Sequence[str] = (),
    claims: Sequence[Claim] = (),
    publications: Sequence[Published] = (),
) -> list[Table]:
    """The tables of a comparison for people: claims, accuracy and cost, verdicts, details, published figures."""
    compared = compare_table(verdicts.record, notes)
    shown = [claims_table(claims), compared] if claims else [compared]
    networks = in_order(key[0] for key in verdicts.failures)
    if verdicts.comparisons:
        if len(networks) > 1:
            shown.append(network_table(verdicts))
        for network in networks:
            first = network == networks[0]
            shown += [answer_table(verdicts, network, first), detail_table(verdicts, network, first)]
    return [*shown, published_table(publications)] if publications else shown


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
        return tables.csv_text(joined_table(verdicts, compare_table(verdicts.record, notes)))
    if format_ == "json":
        return tables.json_text(_data(verdicts, compare_table(verdicts.record, notes), claims, publications))
    if format_ == "table":
        text = first_screen(verdicts, notes, "" if details else more, width=width, color=color, unicode=unicode)
        shown = [claims_table(claims)] if claims else []
        if details:
            shown = [terminal_view(table) for table in sections(verdicts, notes, claims, publications)]
        return "\n".join([text, tables.terminal(shown, width=width, color=color, unicode=unicode)] if shown else [text])
    shown = sections(verdicts, notes, claims, publications)
    if format_ == "markdown":
        return "\n".join([*map(escape_markdown, _answers(verdicts)), ""]) + "\n" + tables.markdown(shown)
    return tables.render(shown, format_)


def _answers(verdicts: Verdicts) -> list[str]:
    found = answer(verdicts)
    return [*found.sentences, *found.pending]


def _data(verdicts: Verdicts, table: Table, claims: Sequence[Claim], publications: Sequence[Published]) -> Table:
    """The compare table with everything that its JSON holds beside the rows."""
    judged = verdict_table(verdicts)
    facts: dict[str, object] = {
        "regime": verdicts.record.regime.sentence(),
        "baseline": verdicts.baseline,
        "margin": verdicts.margin,
        "rule": judged.notes[0],
        "verdicts": [{column.key: row.get(column.key) for column in judged.columns} for row in judged.rows],
        "answer": _answers(verdicts),
        "notes": list(table.notes),
    }
    if claims:
        facts["claims"] = [vars(claim) for claim in claims]
    if publications:
        facts["published"] = [vars(publication) for publication in publications]
    return dataclasses.replace(table, facts=facts)
