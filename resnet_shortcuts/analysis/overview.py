"""The one table that a terminal shows first: accuracy, difference, verdict and cost of each strategy, best first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resnet_shortcuts.analysis.answer import decimals, difference, letter
from resnet_shortcuts.analysis.cost_beside import Costs, costs_beside
from resnet_shortcuts.analysis.experiment_records import CostRecord, in_order, pretty_network
from resnet_shortcuts.analysis.procedure import INCONCLUSIVE, INTERIM, SMALL, TOO_FEW, Interval
from resnet_shortcuts.analysis.statistics import mean_and_sd
from resnet_shortcuts.analysis.summary import accuracies
from resnet_shortcuts.analysis.verdicts import EQUAL, NOT_SETTLED, Verdicts
from resnet_shortcuts.cost.cost_change import Change
from resnet_shortcuts.tables import MISSING, Column, Table
from resnet_shortcuts.tables.table_model import signed

UNRELIABLE, PARTIAL = "?", "*"
"""Marks on numbers: a time that noise or other programs may have made; a number without the runs that failed, or
without a complete look."""
_WORDS = {EQUAL: "equivalent", NOT_SETTLED: INCONCLUSIVE, INTERIM: "interim", TOO_FEW: "few seeds"}
_TONES = {"better": "green", "worse": "red", "equivalent": "cyan", "few seeds": "yellow", "interim": "yellow"}
SIGNS = {"better": "▲", "worse": "▼", "equivalent": "="}
"""Of verdicts, where there is no room for words; 'inconclusive' is no sign."""
_SIGNS = {**SIGNS, INCONCLUSIVE: ""}
_WIDE, _WIDEST = 100, 132
_LONGEST_IN_HEADING = 10
COST_HEADINGS = {"parameters": "par.", "activations": "act. mem", "peak": "mem", "time": "time"}


@dataclass(frozen=True)
class Layout:
    """What a table has room for: spaces within cells, times with their interval, every cost, decimals of accuracy."""

    spaced: bool
    intervals: bool = False
    every_cost: bool = False
    parameters: bool = True
    decimals: int = 2


def layouts(width: int) -> list[Layout]:
    """The layouts to try at this width, the most telling first."""
    wide = [Layout(True, intervals=True, every_cost=True)] * (width >= _WIDEST)
    wide += [Layout(True, intervals=True)] * (width >= _WIDE)
    return [
        *wide,
        Layout(True),
        Layout(False),
        Layout(False, parameters=False),
        Layout(False, parameters=False, decimals=1),
    ]


def overview_tables(verdicts: Verdicts, network: str) -> Callable[[int], list[Table]]:
    """A function of the width that gives the tables of one network to try, the most telling first."""
    rows = _rows(verdicts, network)
    return lambda width: [_table(verdicts, rows, layout) for layout in layouts(width)]


def _rows(verdicts: Verdicts, network: str) -> list[dict[str, Any]]:
    costs = {cost.shortcut: cost for cost in verdicts.record.costs if cost.network == network}
    rows = []
    for where, shortcut in verdicts.failures:
        if where == network:
            own = costs.get(shortcut)
            rows.append(_row(verdicts, network, shortcut, own, costs_beside(costs.get(verdicts.baseline), own)))
    return sorted(rows, key=lambda row: -math.inf if row["mean"] is None else row["mean"], reverse=True)


def _row(verdicts: Verdicts, network: str, shortcut: str, own: CostRecord | None, beside: Costs) -> dict[str, Any]:
    mean, sd = mean_and_sd(accuracies(verdicts.cells.get((network, shortcut), ())))
    comparison = verdicts.find(network, shortcut)
    failures = verdicts.failures[network, shortcut] if comparison is None else comparison.failures
    word = "baseline" if comparison is None else comparison.verdict
    interval = None if comparison is None else difference(comparison)
    survivors = failures.failed > 0 and comparison is not None and comparison.sealed is None
    return {
        "letter": letter(shortcut),
        "shortcut": shortcut,
        "mean": mean,
        "accuracy": None if mean is None else (mean, sd, PARTIAL if failures.failed else ""),
        "difference": interval and (interval, PARTIAL if survivors or word in (INTERIM, TOO_FEW) else ""),
        "verdict": _short(word, verdicts.margin),
        "failed": f"{failures.count}/{failures.runs}" if failures.count else None,
        **_cost_cells(own, beside, is_baseline=comparison is None),
    }


def _short(word: str, margin: float) -> str:
    """The verdict in a dozen characters; 'better <0.5' is better by less than the margin."""
    return f"{word.removesuffix(SMALL)} <{margin:g}" if word.endswith(SMALL) else _WORDS.get(word, word)


def _cost_cells(own: CostRecord | None, beside: Costs, *, is_baseline: bool) -> dict[str, Any]:
    """A cell is the baseline's own figure as text, another strategy's change with its mark, or None."""
    if own is None:
        return {}
    amounts = {
        "parameters": own.parameters and _amount(own.parameters, 1000, ("", "k", "M", "G")),
        "activations": own.activation_bytes and _amount(own.activation_bytes / 2**20, 1024, ("M", "G", "T")),
        "peak": own.peak_memory_bytes and _amount(own.peak_memory_bytes / 2**20, 1024, ("M", "G", "T")),
        "time": own.step_ms and _amount(own.step_ms, 1000, ("ms", "s")),
    }
    if is_baseline:
        shaken = UNRELIABLE if own.disturbed and own.step_ms else ""
        return {key: value and (value, shaken if key == "time" else "") for key, value in amounts.items()}
    changes = {key: getattr(beside, key) for key in amounts}
    uncertain = beside.time is not None and (beside.time.standing == "uncertain" or not beside.reliable)
    return {
        key: change and (change, UNRELIABLE if key == "time" and uncertain else "") for key, change in changes.items()
    }


def _amount(value: float, step: int, units: Sequence[str]) -> str:
    place = 0
    while value >= step and place < len(units) - 1:
        value, place = value / step, place + 1
    return f"{value:.1f}{units[place]}" if value < 10 and value != round(value) else f"{value:.0f}{units[place]}"


def _table(verdicts: Verdicts, rows: Sequence[Mapping[str, Any]], layout: Layout) -> Table:
    base = letter(verdicts.baseline) or verdicts.baseline
    base = base if len(base) <= _LONGEST_IN_HEADING else "baseline"
    known = _known(rows)

    def cost(cell: tuple[str | Change, str]) -> str:
        return _cost(*cell, layout)

    columns = [
        Column("letter", "", label=True),
        Column("shortcut", "strategy", label=True),
        Column("accuracy", "accuracy, %", "number", formatter=lambda cell: _accuracy(cell, layout)),
        Column("difference", f"vs {base}, points", formatter=_difference),
        Column("verdict", "verdict", tone=_tone),
        Column("failed", "failed" if layout.spaced else "fail", "number", formatter=str, tone=_failed_tone),
        *(Column(key, heading, "number", formatter=cost) for key, heading in COST_HEADINGS.items()),
    ]
    left_out = set() if layout.parameters else {"parameters"}
    if "peak" in known and not layout.every_cost:
        left_out.add("activations")
    keep = [each for each in columns if each.key in known - left_out]
    return Table("overview", keep, rows, dense=True)


def _known(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """The keys that hold something in some row."""
    return {key for row in rows for key, value in row.items() if value not in (None, "")}


def _tone(text: str) -> str:
    """The colour of a verdict, wherever in the cell it stands."""
    return next((tone for word, tone in _TONES.items() if word in text or SIGNS.get(word, word) in text.split()), "")


def _failed_tone(text: str) -> str:
    return "" if text == MISSING else "red"


def _accuracy(cell: tuple[float, float | None, str], layout: Layout) -> str:
    mean, sd, mark = cell
    places = layout.decimals
    plus = " ± " if layout.spaced else "±"
    return f"{mean:.{places}f}{'' if sd is None else f'{plus}{sd:.{places}f}'}{mark}"


def _difference(cell: tuple[Interval, str]) -> str:
    interval, mark = cell
    places = decimals(interval)
    ends = "" if math.isnan(interval.low) else f" ({_end(interval.low, places)}, {_end(interval.high, places)})"
    return f"{signed(interval.mean, places)}{ends}{mark}"


def _end(value: float, places: int) -> str:
    return signed(value, places).lstrip("+")


def _cost(value: str | Change, mark: str, layout: Layout) -> str:
    if isinstance(value, str):
        return f"{value}{mark}"
    text = value.percent() if layout.spaced else value.percent().replace(" ", "")
    ends = f" ({value.ends()})" if layout.intervals and value.interval is not None else ""
    return f"{text}{ends}{mark}"


def matrix_tables(verdicts: Verdicts) -> Callable[[int], list[Table]]:
    """A function of the width that gives tables of strategy by network to try, the most telling first."""

    def to_try(width: int) -> list[Table]:
        full, short = _matrix(verdicts), _matrix(verdicts, short=True)
        return [
            table.only([c.key for c in table.columns if c.key not in left_out])
            for table in (full, short)
            for left_out in ((), ("activations",), ("activations", "parameters"))
        ]

    return to_try


def _matrix(verdicts: Verdicts, *, short: bool = False) -> Table:
    """Difference to the baseline and verdict (``short``: as a sign), with the range of costs over the networks."""
    networks = in_order(network for network, _ in verdicts.failures)
    by_network = {network: {row["shortcut"]: row for row in _rows(verdicts, network)} for network in networks}
    rows: list[dict[str, Any]] = []
    for shortcut in in_order(name for _, name in verdicts.failures):
        own = {network: by_network[network][shortcut] for network in networks if shortcut in by_network[network]}
        rows.append({
            "letter": letter(shortcut), "shortcut": shortcut,
            **{network: _cell(row, short=short) for network, row in own.items()},
            **{key: _spread([row.get(key) for row in own.values()]) for key in COST_HEADINGS},
            "order": math.fsum(row["mean"] or 0.0 for row in own.values()),
        })  # fmt: skip
    rows.sort(key=lambda row: row["order"], reverse=True)
    known = _known(rows)
    columns = [
        Column("letter", "", label=True),
        Column("shortcut", "strategy", label=True),
        *(Column(network, pretty_network(network), tone=_tone) for network in networks),
        *(Column(key, heading, "number", formatter=str) for key, heading in COST_HEADINGS.items()),
    ]
    keep = [column for column in columns if column.key in known]
    return Table("matrix", keep, rows, dense=True)


def _cell(row: Mapping[str, Any], *, short: bool) -> str:
    failed = f"fails {row['failed']}, " if row["failed"] else ""
    if row["verdict"] == "baseline":
        return f"{failed}{MISSING if row['mean'] is None else format(row['mean'], '.2f')} %"
    if row["difference"] is None:
        return f"{failed}{row['verdict']}"
    interval, mark = row["difference"]
    verdict = " ".join(_SIGNS.get(word, word) for word in row["verdict"].split()) if short else row["verdict"]
    return f"{signed(interval.mean)}{mark} {failed}{verdict}".strip()


def _spread(cells: Sequence[Any]) -> str | None:
    """'+8 to +10 %' of a cost over the networks; the mark stands if any of them has it."""
    known = [(value, mark) for value, mark in filter(None, cells)]
    changes = sorted((value for value, _ in known if isinstance(value, Change)), key=lambda change: change.share)
    if not changes:
        return None
    ends = in_order((changes[0].percent(), changes[-1].percent()))
    if len(ends) == 2 and "same" not in ends:
        ends[0] = ends[0].removesuffix(" %")
    return " to ".join(ends) + max((mark for _, mark in known), default="")
