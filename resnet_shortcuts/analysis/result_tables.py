"""Tables of what a comparison says: verdicts, their details, strategy by network, claims, published figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from resnet_shortcuts.analysis.claims import Claim
from resnet_shortcuts.analysis.experiment_records import in_order, pretty_network
from resnet_shortcuts.analysis.procedure import INTERIM, TOO_FEW
from resnet_shortcuts.analysis.published import Published
from resnet_shortcuts.analysis.sealed_verdicts import rule as sealed_rule
from resnet_shortcuts.analysis.sealed_verdicts import waiting
from resnet_shortcuts.analysis.statistics import Paired, mean_and_sd
from resnet_shortcuts.analysis.summary import COLUMNS, COST_KEYS, RUN_KEYS, accuracies, compare_table, rows_of
from resnet_shortcuts.analysis.verdicts import WANTED, Comparison, Verdicts, rule
from resnet_shortcuts.tables import MISSING, Column, Table
from resnet_shortcuts.tables.table_model import signed
from resnet_shortcuts.words import counted

VERDICT_COLUMNS = (
    Column("network", "network", label=True),
    Column("shortcut", "shortcut", label=True),
    Column("verdict", "verdict"),
    Column("seeds", "common, seeds", "count"),
    Column("accuracy_mean", "accuracy, %", "percent"),
    Column("letters", "letters"),
    Column("difference", "difference, points", "points"),
    Column("interval", "95 % interval, unadjusted, points", "interval"),
    Column("p_holm", "p, Holm", "p"),
    Column("p_equal_holm", "p equal, Holm", "p"),
    Column("interval_90", "90 % interval, unadjusted, points", "interval"),
    Column("sign_flip", "sign-flip p"),
    Column("sign_flip_p", "sign-flip p", "p"),
    Column("correlation", "seeds, correlate", "number"),
    Column("images_interval", "95 % interval, new images, unadjusted, points", "interval"),
    Column("detectable", "detectable, points", "percent"),
    Column("detectable_range", "its range, points", "range"),
    Column("seeds_for_0_1", "seeds for, 0.1", "count"),
    Column("seeds_for_0_2", "seeds for, 0.2", "count"),
    Column("seeds_for_0_5", "seeds for, 0.5", "count"),
    Column("runs", "runs", "count"),
    Column("failed", "failed", "count"),
    Column("untrained", "untrained", "count"),
    Column("fisher_p_holm", "failures, p, Holm", "p"),
    Column("footnotes", "footnotes"),
)
LOOK_COLUMNS = (
    Column("look_difference", "difference, points", "points"),
    Column("look_interval", "simultaneous interval, points", "interval"),
    Column("look_seeds", "seeds, of look", "count"),
    Column("final", "final"),
)
SEALED_ANSWER = ("shortcut", "verdict", "look_difference", "look_interval", "look_seeds")
BETWEEN_LOOKS = ("shortcut", "verdict", "difference", "interval", "seeds")
ANSWER = ("shortcut", "verdict", "difference", "interval", "p_holm", "seeds", "letters")
DETAIL = (
    "shortcut", "p_equal_holm", "interval_90", "sign_flip", "correlation", "images_interval", "detectable",
    "detectable_range", "seeds_for_0_1", "seeds_for_0_2", "seeds_for_0_5", "fisher_p_holm",
)  # fmt: skip


def verdict_rows(verdicts: Verdicts, network: str | None = None) -> list[dict[str, Any]]:
    """A row a network and strategy, the baseline's with only its accuracy and letters; None for what is not known."""
    keys = [key for key in verdicts.failures if network in (None, key[0])]
    networks = in_order(key[0] for key in keys)
    rows = []
    for where, shortcut in sorted(keys, key=lambda key: networks.index(key[0])):
        comparison = verdicts.find(where, shortcut)
        failures = verdicts.failures[where, shortcut]
        row: dict[str, Any] = {
            "network": where,
            "shortcut": shortcut,
            "verdict": "; ".join(filter(None, ("baseline", failures.words()))),
            "accuracy_mean": _mean(verdicts, where, shortcut),
            "letters": verdicts.letters.get((where, shortcut)) or None,
            "footnotes": [],
            **vars(failures),
        }
        rows.append(row if comparison is None else row | _comparison_fields(comparison))
    return rows


def _mean(verdicts: Verdicts, network: str, shortcut: str) -> float | None:
    return mean_and_sd(accuracies(verdicts.cells.get((network, shortcut), ())))[0]


def _comparison_fields(comparison: Comparison) -> dict[str, Any]:
    test, images = comparison.test, comparison.images
    return {
        "verdict": comparison.words(),
        "seeds": comparison.n,
        "difference": _known(test.mean),
        "interval": _interval(test, test.low, test.high),
        "interval_90": _interval(test, test.low90, test.high90),
        "p_holm": _known(comparison.p_holm),
        "p_equal_holm": _known(comparison.p_equal_holm),
        "sign_flip": _flip_words(comparison),
        "sign_flip_p": _known(comparison.flip.p),
        "correlation": comparison.correlation,
        "images_interval": None if images is None else (images.low, images.high),
        "detectable": comparison.detectable,
        "detectable_range": comparison.detectable_range,
        **{f"seeds_for_{want:g}".replace(".", "_"): comparison.needed.get(want) for want in WANTED},
        "fisher_p_holm": comparison.fisher_holm,
        "footnotes": list(comparison.footnotes),
        **_look_fields(comparison),
    }


def _look_fields(comparison: Comparison) -> dict[str, Any]:
    verdict = comparison.sealed
    if verdict is None:
        return {}
    interval = verdict.interval
    at = None if interval is None else (interval.low, interval.high)
    mean, seeds = (None, None) if interval is None else (interval.mean, interval.seeds)
    return {
        "look_difference": mean,
        "look_interval": at,
        "look_seeds": seeds,
        "final": "yes" if verdict.final else "no",
    }


def _interval(test: Paired, low: float, high: float) -> tuple[float, float] | None:
    """The interval; None where there is none: under two seeds, or no spread to take one from."""
    return None if math.isnan(low) or test.constant else (low, high)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _flip_words(comparison: Comparison) -> str:
    flip = comparison.flip
    if math.isnan(flip.p) or not comparison.n:
        return MISSING
    text = f"{'' if flip.exact else '~'}{flip.p:.3f}" if flip.p >= 0.001 else "< 0.001"
    return f"{text} (floor {flip.floor:.2g})" if comparison.flip_blind else text


def verdict_table(verdicts: Verdicts) -> Table:
    """Every field of every verdict, for CSV and JSON (kind 'verdicts')."""
    columns = [column for column in _columns(verdicts) if column.key != "sign_flip"]
    return Table("verdicts", columns, verdict_rows(verdicts), _title(verdicts), [_rule(verdicts)])


def _columns(verdicts: Verdicts) -> tuple[Column, ...]:
    return (*VERDICT_COLUMNS, *LOOK_COLUMNS) if verdicts.sealed else VERDICT_COLUMNS


def tidy_table(verdicts: Verdicts, notes: Sequence[str] = ()) -> Table:
    """One row a network, strategy and recipe with every figure: what CSV and JSON hold.

    The compare table's columns come first, then the verdict's fields, baseline and margin.
    """
    compared, judged = compare_table(verdicts.record, notes), verdict_table(verdicts)
    have = {column.key for column in compared.columns}
    added = [column for column in judged.columns if column.key not in have]
    constants = {"baseline": verdicts.baseline, "margin": verdicts.margin}
    by_key = {(row["network"], row["shortcut"]): row for row in judged.rows}
    rows = []
    for row in compared.rows:
        verdict = by_key[row["network"], row["shortcut"]]
        rows.append({**row, **{column.key: verdict.get(column.key) for column in added}, **constants})
    columns = [*compared.columns, *added, Column("baseline", "baseline"), Column("margin", "margin, points", "percent")]
    return replace(compared, columns=columns, rows=rows)


def accuracy_table(verdicts: Verdicts, network: str, notes: Sequence[str]) -> Table:
    """Runs and accuracy of every strategy on one network, best first."""
    rows = [
        row | {"letters": verdicts.letters.get((network, row["shortcut"])) or None}
        for row in _compared(verdicts, network)
    ]
    title = f"{pretty_network(network)}: test accuracy of each strategy, best first."
    return Table("compare", [*COLUMNS, Column("letters", "letters")], rows, title, notes).only((*RUN_KEYS, "letters"))


def cost_details(verdicts: Verdicts, network: str, notes: Sequence[str]) -> Table:
    """What every strategy costs on one network, in units and beside the baseline, inference included."""
    title = f"{pretty_network(network)}: what each strategy costs in training and in inference."
    rows = _compared(verdicts, network)
    as_trained = any(row["activation_bytes"] is not None for row in rows)
    keys = [key for key in COST_KEYS if key not in ("disturbed", "saved_bytes" if as_trained else "activation_bytes")]
    if any(row["disturbed"] == "yes" for row in rows):
        title += " Its times are not reliable: other programs ran."
    return Table("compare", COLUMNS, rows, title, notes).only(("shortcut", *keys))


def _compared(verdicts: Verdicts, network: str) -> list[dict[str, Any]]:
    return _best_first([vars(row) for row in rows_of(verdicts.record) if row.network == network])


def _best_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows by accuracy, those without any last."""
    return sorted(
        rows, key=lambda row: -math.inf if row["accuracy_mean"] is None else row["accuracy_mean"], reverse=True
    )


def answer_table(verdicts: Verdicts, network: str, explain: bool = True) -> Table:
    """The verdicts on one network, for people: verdict, difference with interval, p, letters; footnotes below.

    ``explain`` adds the rule and how to read the table.
    """
    rows, notes = _numbered(_best_first(verdict_rows(verdicts, network)))
    letters = "Rows that share a letter are not shown to differ (all pairs, paired t, Holm, a family of its own)."
    untrained = sum(row["untrained"] for row in rows)
    means = [f"Accuracy: mean over finished runs, the {untrained} untrained included."] if untrained else []
    waits = waiting(verdicts.sealed, verdicts.record) if verdicts.sealed else [letters]
    explanation = [_rule(verdicts), *waits, *means] if explain else []
    title = f"{pretty_network(network)}: difference of each strategy to {verdicts.baseline}, and the verdict on it."
    table = Table("verdicts", _columns(verdicts), rows, title, [*explanation, *notes])
    if verdicts.sealed is None:
        return table.only(ANSWER)
    between = any(row["verdict"].startswith((INTERIM, TOO_FEW)) for row in verdict_rows(verdicts, network))
    return table.only(tuple(dict.fromkeys((*SEALED_ANSWER, *BETWEEN_LOOKS))) if between else SEALED_ANSWER)


def detail_table(verdicts: Verdicts, network: str, explain: bool = True) -> Table:
    """What stands beside the verdicts on one network: other tests, intervals for new images, what could be seen."""
    rows = [row for row in _best_first(verdict_rows(verdicts, network)) if not row["verdict"].startswith("baseline")]
    unsealed = ("p_equal_holm", "interval_90") if verdicts.sealed else ()
    keys = [key for key in DETAIL if key not in unsealed and any(row.get(key) is not None for row in rows)]
    title = f"{pretty_network(network)}: how sure that is: other tests, new test images, and what the seeds could show."
    table = Table("verdicts", VERDICT_COLUMNS, rows, title, _detail_notes(verdicts) if explain else [])
    return table.only(keys)


def _detail_notes(verdicts: Verdicts) -> list[str]:
    beside = (
        "Sign-flip p: exact to 14 seeds, then (~) 100,000 seeded flips; 'floor' where so few seeds cannot give a p "
        "under the threshold. New images: two-way crossed random effects (seed x image), unadjusted, 95 %; it does not "
        "change the verdict."
    )
    if verdicts.sealed:
        plans = (
            "Detectable: the difference that all sealed seeds show with 80 % power; seeds for: what a difference of "
            "0.1, 0.2, 0.5 points takes. Both use the upper 80 % bound of the sd. Nothing in this table is a verdict."
        )
        return [beside, plans]
    return [
        "90 % interval: what 'equal within the margin' rests on, paired t. It lies inside "
        f"±{counted(verdicts.margin, 'point')} where both one-sided tests pass at 5 % before Holm; the verdict asks it "
        "after Holm (p equal).",
        beside,
        "Detectable: the difference that this many seeds show with 80 % power at Holm's first step, from the observed "
        "sd of the paired differences; its range is what that sd's own 95 % interval implies. Seeds for: what a "
        "difference of 0.1, 0.2, 0.5 points takes.",
    ]


def network_table(verdicts: Verdicts) -> Table:
    """Strategy by network: difference to the baseline in points and the verdict; for two networks and more."""
    networks = in_order(key[0] for key in verdicts.failures)
    columns = [Column("shortcut", "shortcut", label=True)]
    columns += [Column(name, f"{pretty_network(name)}, points") for name in networks]
    rows = [
        {"shortcut": shortcut, **{name: _cell(verdicts, name, shortcut) for name in networks}}
        for shortcut in in_order(key[1] for key in verdicts.failures)
    ]
    title = f"Difference to {verdicts.baseline} by network: {verdicts.record.regime.sentence()}"
    return Table("networks", columns, rows, title, [])


def _cell(verdicts: Verdicts, network: str, shortcut: str) -> str | None:
    if shortcut == verdicts.baseline:
        mean = _mean(verdicts, network, shortcut)
        return None if mean is None else f"baseline ({mean:.2f} %)"
    comparison = verdicts.find(network, shortcut)
    if comparison is None:
        return None
    return f"{signed(comparison.test.mean)} {comparison.words()}" if comparison.n else comparison.words()


def claims_table(claims: Sequence[Claim]) -> Table:
    """The ten claims, judged."""
    columns = [
        Column("number", "claim", "count", label=True),
        Column("text", "what is claimed"),
        Column("verdict", "verdict"),
        Column("figure", "figure"),
        Column("interval", "95 % interval"),
        Column("source", "where it comes from"),
    ]
    rows = [{**vars(claim), "interval": claim.interval or None} for claim in claims]
    return Table("claims", columns, rows, "The claims of the question, judged", [], prose=True)


def published_table(publications: Sequence[Published]) -> Table:
    """Published test errors for the networks and strategies here with ours beside them, or the reason why not."""
    columns = [
        Column("network", "network", label=True),
        Column("shortcut", "shortcut", label=True),
        Column("figure", "published error, %"),
        Column("ours", "our error, %"),
        Column("protocol", "protocol"),
        Column("source", "source"),
        Column("reason", "why it is not shown"),
    ]
    rows = [
        {**vars(each), "network": pretty_network(each.network), "ours": each.ours, "reason": None}
        for each in publications
        if each.figure
    ]
    unfit: dict[tuple[str, str, str], list[Published]] = {}  # of one source and protocol, for one reason: one row
    for each in publications:
        if not each.figure:
            unfit.setdefault((each.source, each.protocol, each.reason), []).append(each)
    for group in unfit.values():
        networks = ", ".join(in_order(pretty_network(each.network) for each in group))
        shortcuts = ", ".join(in_order(each.shortcut for each in group))
        rows.append({**vars(group[0]), "network": networks, "shortcut": shortcuts, "figure": None})
    return Table("published", columns, rows, "Published figures", [], prose=True)


def _title(verdicts: Verdicts, network: str | None = None) -> str:
    names = [network] if network else in_order(key[0] for key in verdicts.failures)
    return verdicts.record.regime.sentence(", ".join(pretty_network(name) for name in names))


def _rule(verdicts: Verdicts) -> str:
    if verdicts.sealed is not None:
        return sealed_rule(verdicts.sealed)
    return rule(verdicts.baseline, verdicts.margin, verdicts.family)


def _numbered(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows whose verdicts carry the numbers of their footnotes, and the footnotes."""
    numbers: dict[str, int] = {}
    marked = []
    for row in rows:
        marks = [numbers.setdefault(note, len(numbers) + 1) for note in row["footnotes"]]
        text = row["verdict"] + "".join(f" [{mark}]" for mark in marks)
        marked.append({**row, "verdict": text})
    return marked, [f"[{number}] {note}." for note, number in numbers.items()]
