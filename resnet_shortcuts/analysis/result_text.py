"""A whole comparison as one text: what ``rsc compare`` prints, in any of the formats."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from resnet_shortcuts import tables
from resnet_shortcuts.analysis.claims import Claim
from resnet_shortcuts.analysis.experiment_records import in_order, pretty_network
from resnet_shortcuts.analysis.paper_tables import paper_tables
from resnet_shortcuts.analysis.procedure import TOO_FEW
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
from resnet_shortcuts.analysis.sealed_verdicts import waiting
from resnet_shortcuts.analysis.summary import compare_table, terminal_view
from resnet_shortcuts.analysis.verdicts import BETTER, EQUAL, NOT_SETTLED, WORSE, Verdicts
from resnet_shortcuts.tables import Table
from resnet_shortcuts.tables.escaping import escape_markdown
from resnet_shortcuts.tables.terminal_format import fill, to_ascii


def answer(verdicts: Verdicts) -> list[str]:
    """The comparison in plain words: a sentence a network, which names its regime and ranks nothing.

    Where a look is to come, a sentence says what it waits for.
    """
    sentences = [_sentence(verdicts, network) for network in in_order(key[0] for key in verdicts.failures)]
    return [*sentences, *(waiting(verdicts.sealed, verdicts.record) if verdicts.sealed else ())]


def _sentence(verdicts: Verdicts, network: str) -> str:
    """What holds on one network. Failures come before any verdict, the baseline's own first of all."""
    regime = verdicts.record.regime.sentence(pretty_network(network))
    baseline = verdicts.baseline
    comparisons = [comparison for comparison in verdicts.comparisons if comparison.network == network]
    failures = verdicts.failures.get((network, baseline))
    baseline_fails = failures.words() if failures else ""
    if not comparisons:
        only = f"{baseline}, which {baseline_fails}," if baseline_fails else baseline
        return f"{regime}: only {only} is there, so there is nothing to compare it with."
    parts = [f"{baseline}, the baseline, {baseline_fails}"] if baseline_fails else []
    failing = [f"{each.shortcut} {each.failures.words()}" for each in comparisons if each.failures.count]
    parts += [", ".join(failing)] if failing else []
    shortcuts: dict[str, list[str]] = {word: [] for word in (BETTER, WORSE, EQUAL, NOT_SETTLED, TOO_FEW)}
    for each in comparisons:
        words = f"{each.verdict} because the baseline failed" if each.baseline_failed else each.verdict
        shortcuts.setdefault(words, []).append(each.shortcut)
    parts += [f"{words}: {', '.join(names)}" for words, names in shortcuts.items() if names]
    return f"{regime}, against {baseline}: {'; '.join(parts)}."


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
    width: int = 80,
    color: bool = False,
    unicode: bool = True,
) -> str:
    """The comparison as table (for a terminal), markdown, csv, latex or json.

    CSV is one table: the compare table with the verdict's fields in each row, baseline and margin. JSON is
    ``{"schema": 1, "kind": "compare", "rows": [...]}`` with ``verdicts``, ``rule``, ``notes`` and, where asked for,
    ``claims`` and ``published`` beside it; ``schema.json`` documents it.
    """
    if format_ == "csv":
        return tables.csv_text(joined_table(verdicts, compare_table(verdicts.record, notes)))
    if format_ == "json":
        return tables.json_text(_data(verdicts, compare_table(verdicts.record, notes), claims, publications))
    if format_ == "latex":
        return paper_tables(verdicts, notes, claims)
    shown = sections(verdicts, notes, claims, publications)
    sentences = answer(verdicts)
    if format_ == "markdown":
        return "\n".join([*map(escape_markdown, sentences), ""]) + "\n" + tables.markdown(shown)
    shown = [terminal_view(table) if table.kind == "compare" else table for table in shown]
    text = tables.render(shown, format_, width=width, color=color, unicode=unicode)
    return f"{text}\n{filled(sentences, width, unicode)}\n"


def filled(sentences: Sequence[str], width: int, unicode: bool) -> str:
    """Sentences for a terminal, a paragraph each."""
    text = fill("\n".join(sentences), width)
    return text if unicode else to_ascii(text)


def _data(verdicts: Verdicts, table: Table, claims: Sequence[Claim], publications: Sequence[Published]) -> Table:
    """The compare table with everything that its JSON holds beside the rows."""
    judged = verdict_table(verdicts)
    facts: dict[str, object] = {
        "regime": verdicts.record.regime.sentence(),
        "baseline": verdicts.baseline,
        "margin": verdicts.margin,
        "rule": judged.notes[0],
        "verdicts": [{column.key: row.get(column.key) for column in judged.columns} for row in judged.rows],
        "answer": answer(verdicts),
        "notes": list(table.notes),
    }
    if claims:
        facts["claims"] = [vars(claim) for claim in claims]
    if publications:
        facts["published"] = [vars(publication) for publication in publications]
    return dataclasses.replace(table, facts=facts)
