"""A whole comparison as one text: what ``rsc compare`` prints, in any of the formats."""

from __future__ import annotations

from collections.abc import Sequence

from resnet_shortcuts.analysis import render
from resnet_shortcuts.analysis.claims import Claim
from resnet_shortcuts.analysis.experiment_records import in_order, pretty_network
from resnet_shortcuts.analysis.published import Published
from resnet_shortcuts.analysis.result_tables import (
    DATA,
    answer_table,
    claims_table,
    detail_table,
    joined_table,
    network_table,
    published_table,
    verdict_table,
)
from resnet_shortcuts.analysis.summary import compare_table, terminal_view
from resnet_shortcuts.analysis.table import Table
from resnet_shortcuts.analysis.verdicts import BETTER, EQUAL, NOT_SETTLED, TOO_FEW, WORSE, Verdicts


def answer(verdicts: Verdicts) -> list[str]:
    """The comparison in plain words: a sentence a network, which names its regime and ranks nothing.

    Failures come before any verdict, the baseline's own first of all.
    """
    lines = []
    for network in in_order(key[0] for key in verdicts.failures):
        where = verdicts.record.regime.sentence(pretty_network(network))
        here = [one for one in verdicts.comparisons if one.network == network]
        base = verdicts.failures.get((network, verdicts.baseline))
        fails = base.words() if base else ""
        if not here:
            alone = f"{verdicts.baseline}, which {fails}," if fails else verdicts.baseline
            lines.append(f"{where}: only {alone} is there, so there is nothing to compare it with.")
            continue
        failing = [f"{verdicts.baseline}, the baseline, {fails}"] if fails else []
        others = [f"{one.shortcut} {one.failures.words()}" for one in here if one.failures.count]
        if others:
            failing.append(", ".join(others))
        said: dict[str, list[str]] = {word: [] for word in (BETTER, WORSE, EQUAL, NOT_SETTLED, TOO_FEW)}
        for one in here:
            words = f"{one.verdict} because the baseline failed" if one.baseline_failed else one.verdict
            said.setdefault(words, []).append(one.shortcut)
        parts = failing + [f"{words}: {', '.join(names)}" for words, names in said.items() if names]
        lines.append(f"{where}, against {verdicts.baseline}: {'; '.join(parts)}.")
    return lines


def sections(
    verdicts: Verdicts,
    notes: Sequence[str] = (),
    claims: Sequence[Claim] = (),
    publications: Sequence[Published] = (),
) -> list[Table]:
    """The tables of a comparison for people: claims, accuracy and cost, verdicts, details, published figures."""
    networks = in_order(key[0] for key in verdicts.failures)
    tables = [claims_table(claims)] if claims else []
    tables.append(compare_table(verdicts.record, notes))
    if verdicts.comparisons:
        if len(networks) > 1:
            tables.append(network_table(verdicts))
        for network in networks:
            first = network == networks[0]
            tables += [answer_table(verdicts, network, first), detail_table(verdicts, network, first)]
    if publications:
        tables.append(published_table(publications))
    return tables


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
    table = compare_table(verdicts.record, notes)
    if format_ == "csv":
        return render.csv_text(joined_table(verdicts, table))
    if format_ == "json":
        return _json(verdicts, table, claims, publications)
    tables = sections(verdicts, notes, claims, publications)
    words = answer(verdicts)
    if format_ == "markdown":
        return "\n".join([*words, ""]) + "\n" + render.markdown(tables)
    shown = [terminal_view(one) if one.kind == "compare" else one for one in tables]
    if format_ == "latex":
        return render.latex(shown)
    text = render.terminal(shown, width=width, color=color, unicode=unicode)
    told = render.fill("\n".join(words), width)
    return f"{text}\n{told if unicode else render.to_ascii(told)}\n"


def _json(verdicts: Verdicts, table: Table, claims: Sequence[Claim], publications: Sequence[Published]) -> str:
    judged = verdict_table(verdicts)
    more: dict[str, object] = {
        "regime": verdicts.record.regime.sentence(),
        "baseline": verdicts.baseline,
        "margin": verdicts.margin,
        "rule": judged.notes[0],
        "verdicts": [{key: row.get(key) for key in DATA} for row in judged.rows],
        "answer": answer(verdicts),
        "notes": list(table.notes),
    }
    if claims:
        more["claims"] = [vars(claim) for claim in claims]
    if publications:
        more["published"] = [vars(one) for one in publications]
    return render.json_text(table, **more)
