"""A comparison as LaTeX tables that go into a paper as they are: networks as columns, notes with protocol and n."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from resnet_shortcuts.analysis.claims import Claim
from resnet_shortcuts.analysis.experiment_records import CostRecord, in_order, pretty_network
from resnet_shortcuts.analysis.procedure import EQUIVALENT
from resnet_shortcuts.analysis.protocol import (
    data_sentence,
    failures_sentence,
    footnote_sentences,
    missing_sentence,
    networks_of,
    recipe_sentence,
    rule_sentence,
    seeds_sentence,
)
from resnet_shortcuts.analysis.result_tables import claims_table, verdict_rows
from resnet_shortcuts.analysis.statistics import mean_and_sd
from resnet_shortcuts.analysis.summary import accuracies
from resnet_shortcuts.analysis.verdicts import BETTER, EQUAL, WORSE, Verdicts
from resnet_shortcuts.shortcuts.catalogue import strategies
from resnet_shortcuts.tables import latex
from resnet_shortcuts.tables.escaping import escape_latex
from resnet_shortcuts.tables.table_model import Column, Kind, signed

SIDE_BY_SIDE = 4  # networks; more of them stand in a second tabular below
PAGE_ROWS = 44  # of a table of costs; more networks stand in another float
MARKS = {BETTER: r"$^{\uparrow}$", WORSE: r"$^{\downarrow}$", EQUIVALENT: "$^{=}$", EQUAL: "$^{=}$"}
NOTHING = "--"


@dataclass(frozen=True)
class Grid:
    """One tabular: column types, heading cells and rows of cells, all in LaTeX."""

    spec: str
    heading: Sequence[str]
    rows: Sequence[Sequence[str]]

    def latex(self) -> list[str]:
        """The tabular with booktabs rules."""
        lines = [" & ".join(cells) + r" \\" for cells in (self.heading, *self.rows)]
        head = [rf"\begin{{tabular}}{{{self.spec}}}", r"\toprule", lines[0], r"\midrule"]
        return [*head, *lines[1:], r"\bottomrule", r"\end{tabular}"]


def paper_tables(
    verdicts: Verdicts, notes: Sequence[str] = (), claims: Sequence[Claim] = (), *, packages: bool = True
) -> str:
    """Accuracy with verdicts, the differences where there are several networks, costs, and claims where asked for.

    ``notes`` on how the record was put together stand above the tables as comments.
    """
    floats = [accuracy_table(verdicts)]
    if len(networks_of(verdicts)) > 1 and verdicts.comparisons:
        floats.append(difference_table(verdicts))
    floats += cost_tables(verdicts)
    needs = ["% needs \\usepackage{booktabs}"] if packages else []
    comments = [f"% {' '.join(escape_latex(note).split())}" for note in notes]
    judged = [latex([claims_table(claims)]).split("\n", 1)[1]] if claims else []
    return "\n".join([*needs, *comments, *floats, *judged])


def accuracy_table(verdicts: Verdicts) -> str:
    """Mean ± sd of each strategy: on one network with difference, interval and verdict, else a column a network."""
    networks = networks_of(verdicts)
    caption = f"Test accuracy (%) by shortcut strategy: {verdicts.record.regime.sentence(_names(networks))}."
    notes = [*_protocol(verdicts), _bold_note(verdicts)]
    if len(networks) == 1 and verdicts.comparisons:
        return _float(verdicts, "accuracy", caption, [_one_network(verdicts, networks[0])], notes)
    if verdicts.comparisons:
        notes.append("Against the baseline: ↑ better, ↓ worse, = equivalent, no mark inconclusive or not tested.")
    grids = []
    for group in _groups(networks):
        cells = {network: _cells(verdicts, network) for network in group}
        names = in_order(name for network in group for name in cells[network])
        rows = [[_name(name), *(cells[network].get(name, NOTHING) for network in group)] for name in names]
        grids.append(Grid("l" + "r" * len(group), ["Shortcut", *_headings(group)], rows))
    return _float(verdicts, "accuracy", caption, grids, notes)


def difference_table(verdicts: Verdicts) -> str:
    """The difference to the baseline in points with the interval that its verdict rests on, a column a network."""
    grids = []
    for group in _groups(networks_of(verdicts), 2):
        rows_of = {network: {row["shortcut"]: row for row in verdict_rows(verdicts, network)} for network in group}
        names = [name for name in in_order(n for rows in rows_of.values() for n in rows) if name != verdicts.baseline]
        rows = [
            [_name(name), *(cell for network in group for cell in _difference(verdicts, rows_of[network].get(name)))]
            for name in names
        ]
        heading = ["Shortcut", *(rf"\multicolumn{{2}}{{c}}{{{head}}}" for head in _headings(group))]
        grids.append(Grid("l" + r"r@{\;}l" * len(group), heading, rows))
    caption = f"Difference in test accuracy to {verdicts.baseline} in points, with intervals ({_level(verdicts)})."
    return _float(verdicts, "differences", caption, grids, [rule_sentence(verdicts)])


def _one_network(verdicts: Verdicts, network: str) -> Grid:
    cells = _cells(verdicts, network, marked=False)
    rows = []
    for row in verdict_rows(verdicts, network):
        name = row["shortcut"]
        comparison = verdicts.find(network, name)
        verdict = "baseline" if comparison is None else comparison.verdict
        rows.append([_name(name), cells[name], *_difference(verdicts, row), escape_latex(verdict)])
    heading = [
        "Shortcut", "Accuracy", rf"\multicolumn{{2}}{{c}}{{Difference ({escape_latex(_level(verdicts))})}}", "Verdict",
    ]  # fmt: skip
    return Grid(r"lrr@{\;}ll", heading, rows)


def _cells(verdicts: Verdicts, network: str, *, marked: bool = True) -> dict[str, str]:
    """Of each strategy on a network: its mean ± sd, bold where it is the best and the verdicts carry that."""
    bold = best(verdicts, network)
    cells = {}
    for where, name in verdicts.failures:
        if where != network:
            continue
        mean, sd = mean_and_sd(accuracies(verdicts.cells.get((network, name), ())))
        comparison = verdicts.find(network, name)
        mark = "" if comparison is None or not marked else _mark(comparison.verdict)
        if mean is None:
            cells[name] = NOTHING
            continue
        text = rf"\textbf{{{mean:.2f}}}" if name == bold else f"{mean:.2f}"
        cells[name] = text + ("" if sd is None else rf" $\pm$ {sd:.2f}") + (rf"\rlap{{{mark}}}" if mark else "")
    return cells


def best(verdicts: Verdicts, network: str) -> str | None:
    """The strategy of the highest mean on a network, if the verdicts carry that it is ahead; else None.

    They do where it is better than the baseline, or is the baseline and every other strategy is worse.
    """
    means = {
        name: mean
        for where, name in verdicts.failures
        if where == network and (mean := mean_and_sd(accuracies(verdicts.cells.get((where, name), ())))[0]) is not None
    }
    if not means:
        return None
    top = max(means, key=lambda name: means[name])
    here = [comparison for comparison in verdicts.comparisons if comparison.network == network]
    if verdicts.failures[network, top].count or not here:
        return None
    if top == verdicts.baseline:
        return top if all(each.verdict.startswith(WORSE) for each in here) else None
    return top if any(each.shortcut == top and each.verdict.startswith(BETTER) for each in here) else None


def _mark(verdict: str) -> str:
    return next((mark for word, mark in MARKS.items() if verdict.startswith(word)), "")


def _difference(verdicts: Verdicts, row: dict[str, Any] | None) -> tuple[str, str]:
    """Difference and interval that the verdict rests on: of the look where looks were sealed."""
    look = "look_" if verdicts.sealed else ""
    value, interval = (None, None) if row is None else (row.get(f"{look}difference"), row.get(f"{look}interval"))
    if value is None:
        return NOTHING, ""
    between = f"({signed(interval[0])}, {signed(interval[1])})" if interval else ""
    return escape_latex(signed(value)), escape_latex(between)


def _level(verdicts: Verdicts) -> str:
    return "95 %, simultaneous" if verdicts.sealed else "95 %, unadjusted"


COSTS: tuple[tuple[str, str, Kind], ...] = (
    ("parameters", "Parameters", "count"),
    ("multiply_adds", "Mult.-adds", "large"),
    ("activation_bytes", r"\shortstack[r]{Activations\\MiB}", "mebibytes"),
    ("saved_bytes", r"\shortstack[r]{Activations\\fp32, MiB}", "mebibytes"),
    ("peak_memory_bytes", r"\shortstack[r]{Peak\\MiB}", "mebibytes"),
    ("step_ms", r"\shortstack[r]{Step\\ms}", "milliseconds"),
)


def cost_tables(verdicts: Verdicts) -> Iterator[str]:
    """What each strategy costs, network by network, as many as a page holds; a time without an interval is left out."""
    costs = verdicts.record.costs
    networks = in_order(cost.network for cost in costs)
    strategies = len(in_order(cost.shortcut for cost in costs))
    for place, group in enumerate(_groups(networks, max(1, PAGE_ROWS // (strategies + 1)))):
        caption = f"Cost of a training step by shortcut strategy: {_names(group)}."
        what = "cost" if place == 0 else f"cost-{place + 1}"
        yield _float(verdicts, what, caption, [_cost_grid(costs, group)], _cost_notes(costs))


def _cost_grid(costs: Sequence[CostRecord], networks: Sequence[str]) -> Grid:
    shown = [entry for entry in COSTS if any(_cost(cost, entry[0]) is not None for cost in costs)]
    if any(key == "activation_bytes" for key, _, _ in shown):
        shown = [entry for entry in shown if entry[0] != "saved_bytes"]
    timed = any(_is_timed(cost) for cost in costs)
    heading = ["Shortcut", *(name for _, name, _ in shown)]
    heading += [r"\multicolumn{2}{c}{\shortstack{Step, ratio\\(95 \%)}}"] if timed else []
    rows: list[list[str]] = []
    for network in networks:
        rows += [[rf"\emph{{{escape_latex(pretty_network(network))}}}"]] if len(networks) > 1 else []
        for cost in (cost for cost in costs if cost.network == network):
            cells = [escape_latex(Column(key, "", kind).text(_cost(cost, key))) for key, _, kind in shown]
            rows.append([_name(cost.shortcut), *cells, *(_ratio(cost) if timed else ())])
    return Grid("l" + "r" * len(shown) + (r"r@{\;}l" if timed else ""), heading, rows)


def _is_timed(cost: CostRecord) -> bool:
    """Whether its time may be printed: with an interval, and taken with nothing else running."""
    return cost.step_ratio_interval is not None and not cost.disturbed


def _cost(cost: CostRecord, key: str) -> Any:
    """The value under this key; a time that may not be printed is none."""
    return None if key == "step_ms" and not _is_timed(cost) else getattr(cost, key)


def _ratio(cost: CostRecord) -> tuple[str, str]:
    if cost.step_ratio is None or cost.step_ratio_interval is None or cost.disturbed:
        return NOTHING, ""
    low, high = cost.step_ratio_interval
    return f"{cost.step_ratio:.2f}", f"({low:.2f}, {high:.2f})"


def _cost_notes(costs: Sequence[CostRecord]) -> list[str]:
    first = costs[0]
    place = [f"batch size {first.batch_size}" if first.batch_size else "", first.precision, first.hardware]
    noise = max((cost.noise for cost in costs if cost.noise is not None and _is_timed(cost)), default=None)
    return [
        "Multiply-adds: a forward pass of one image; pooling, padding and additions count as zero. Activations: what "
        "autograd keeps for the backward pass, without parameters. Peak: the most memory in use at any time of "
        "training.",
        _time_note(costs),
        f"Two timings of {first.ratio_baseline} itself agree within {100 * noise:.1f} %." if noise is not None else "",
        f"Measured at {', '.join(part for part in place if part)}." if any(place) else "",
    ]


def _time_note(costs: Sequence[CostRecord]) -> str:
    if any(_is_timed(cost) for cost in costs):
        baseline = costs[0].ratio_baseline
        return f"Step: median time of a training step, strategies interleaved; ratio to {baseline}."
    if any(cost.disturbed for cost in costs):
        return "Step times are not shown: other programs ran while they were taken."
    return "Step times are not shown: they were not measured, or in too few rounds for an interval."


def _protocol(verdicts: Verdicts) -> list[str]:
    record = verdicts.record
    return [
        seeds_sentence(verdicts),
        rule_sentence(verdicts) if verdicts.comparisons else "",
        data_sentence(record.regime),
        recipe_sentence(record.regime),
        failures_sentence(verdicts),
        missing_sentence(record),
        *footnote_sentences(verdicts),
        *(f"{warning}." for warning in record.data_warnings),
    ]


def _bold_note(verdicts: Verdicts) -> str:
    if not any(best(verdicts, network) for network in networks_of(verdicts)):
        return ""
    return "Bold: the highest mean, where its verdict carries it; only comparisons with the baseline were tested."


def _float(verdicts: Verdicts, what: str, caption: str, grids: Sequence[Grid], notes: Sequence[str]) -> str:
    small = [r"\footnotesize", r"\setlength{\tabcolsep}{3pt}"]
    label = rf"\label{{tab:{label_of(verdicts.record.name)}-{what}}}"
    lines = [r"\begin{table}", r"\centering", *small, rf"\caption{{{escape_latex(caption)}}}", label]
    for place, grid in enumerate(grids):
        lines += [r"\par\medskip"] * (place > 0) + grid.latex()
    lines += [r"\par\smallskip", r"\begin{minipage}{\linewidth}", r"\scriptsize"]
    lines += [escape_latex(note) for note in notes if note]
    return "\n".join([*lines, r"\end{minipage}", r"\end{table}"]) + "\n"


def label_of(name: str) -> str:
    """An experiment's name as a part of a label: letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or "experiment"


def _name(name: str) -> str:
    """The strategy with its letter, such as 'stride-pad (A)'."""
    letters = {each.name: alias for each in strategies() for alias in each.aliases if len(alias) == 1}
    return escape_latex(f"{name} ({letters[name]})" if name in letters else name)


def _names(networks: Sequence[str]) -> str:
    return ", ".join(pretty_network(name) for name in networks)


def _headings(networks: Sequence[str]) -> list[str]:
    return [escape_latex(pretty_network(name)) for name in networks]


def _groups(networks: Sequence[str], size: int = SIDE_BY_SIDE) -> Iterator[Sequence[str]]:
    for start in range(0, len(networks), size):
        yield networks[start : start + size]
