"""Claims 9 and 10, about what B, C and the rest cost, from the measurements that belong to the experiment."""

from __future__ import annotations

import math
from collections.abc import Sequence

from resnet_shortcuts.analysis.claims.judged import (
    ANSWER,
    ASKER,
    AVG,
    FALSE,
    NOT_SETTLED,
    TRUE,
    A,
    B,
    C,
    Judged,
    change,
    unmeasured,
)
from resnet_shortcuts.analysis.experiment_records import CostRecord, ExperimentRecord, in_order, pretty_network

MUCH_TIME = 0.05
WEIGHED = (ASKER, AVG, ANSWER)
"""The shortcuts without parameters that the question weighs against A."""
_COST = "run: rsc cost --measure, or train with cost.measure"


def _by_network(record: ExperimentRecord) -> dict[str, dict[str, CostRecord]]:
    found: dict[str, dict[str, CostRecord]] = {}
    for cost in record.costs:
        found.setdefault(cost.network, {})[cost.shortcut] = cost
    return found


def memory(record: ExperimentRecord) -> Judged:
    """Claim 9: parameters, and the bytes that autograd saves, of B and of C over A on every network: counted."""
    raised: dict[str, list[bool]] = {B: [], C: []}
    figures: list[str] = []
    for network, costs in _by_network(record).items():
        for name, found in raised.items():
            ours, base = costs.get(name), costs.get(A)
            if not (ours and base and ours.parameters and base.parameters and ours.saved_bytes and base.saved_bytes):
                continue
            parameters, saved = ours.parameters / base.parameters - 1, ours.saved_bytes / base.saved_bytes - 1
            found += [parameters > 0, saved > 0]
            where = f"{pretty_network(network)}, {name}"
            figures.append(f"{where}: {change(parameters)} parameters, {change(saved)} activation memory")
    if not all(raised.values()):
        return unmeasured(f"parameters and memory of {B}, {C} and {A} were not all", _COST)
    held = [one for found in raised.values() for one in found]
    verdict = TRUE if all(held) else FALSE if not any(held) else NOT_SETTLED
    source = (
        f"{_source(record, record.costs)}: parameters, and bytes that autograd saves (fp32), counted: no seed in it"
    )
    return verdict, "; ".join(figures), "exact counts", source


def time(record: ExperimentRecord) -> Judged:
    """Claim 10, about the shortcuts without parameters that the question weighs: their step against that of A.

    False where one is outside MUCH_TIME of A's by its whole interval, and that one is shown; true where all of them are
    inside by their whole intervals. Projections have parameters: they are told beside it and decide nothing.
    """
    timed = [
        cost
        for costs in _by_network(record).values()
        for cost in costs.values()
        if cost.shortcut in (*WEIGHED, B, C)
        and cost.ratio_baseline == A
        and cost.step_ratio
        and cost.step_ratio_interval
    ]
    judged = [cost for cost in timed if cost.shortcut in WEIGHED]
    if not judged:
        return unmeasured(f"step times of {', '.join(WEIGHED)} against {A}, with intervals, were not", _COST)
    outside = [cost for cost in judged if _ends(cost)[0] > 1 + MUCH_TIME or _ends(cost)[1] < 1 - MUCH_TIME]
    inside = all(_ends(cost)[0] > 1 - MUCH_TIME and _ends(cost)[1] < 1 + MUCH_TIME for cost in judged)
    absent = [name for name in WEIGHED if name not in {cost.shortcut for cost in judged}]
    shown = max(outside or judged, key=lambda cost: abs(_ratio(cost) - 1))
    figure = (
        f"largest{' that is surely over' if outside else ''}: {shown.shortcut} on {pretty_network(shown.network)}, "
    )
    figure += f"{change(_ratio(shown) - 1)} of a step of {A}, of {len(judged)} compared"
    if absent:
        figure += f"; not timed: {', '.join(absent)}"
    apart = [
        f"{one.shortcut} on {pretty_network(one.network)} {change(_ratio(one) - 1)}"
        for one in timed
        if one not in judged
    ]
    if apart:
        figure += f"; with parameters, not judged: {', '.join(apart)}"
    verdict = FALSE if outside else TRUE if inside and not absent else NOT_SETTLED
    low, high = _ends(shown)
    source = f"{_source(record, judged)}: interleaved steps on {shown.hardware or 'an unnamed device'}, the same for "
    source += f"every seed; 'much' is over {100 * MUCH_TIME:g} %"
    return verdict, figure, f"{change(low - 1)} to {change(high - 1)}", source


def _ratio(cost: CostRecord) -> float:
    return cost.step_ratio or math.nan


def _ends(cost: CostRecord) -> tuple[float, float]:
    return cost.step_ratio_interval or (math.nan, math.nan)


def _source(record: ExperimentRecord, costs: Sequence[CostRecord]) -> str:
    """Networks and data that costs are of."""
    networks = ", ".join(in_order(pretty_network(cost.network) for cost in costs))
    return f"cost of {record.regime.sentence(networks)}"
