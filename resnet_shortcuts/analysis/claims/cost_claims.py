"""Claims 9 and 10, about what B, C and the rest cost, from the measurements that belong to the experiment."""

from __future__ import annotations

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
from resnet_shortcuts.analysis.experiment_records import CostRecord, ExperimentRecord, pretty_network

MUCH_TIME = 0.05
NAMED = (ASKER, AVG, ANSWER, B, C)  # the strategies that the question weighs against A
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
    return verdict, "; ".join(figures), "exact counts", "cost: parameters, and bytes that autograd saves (fp32)"


def time(record: ExperimentRecord) -> Judged:
    """Claim 10: false where one strategy's step is outside MUCH_TIME of A's by its whole interval, and that one is
    shown; true where every strategy that the question names is inside by its whole interval.
    """
    timed = [
        (cost.step_ratio, cost.step_ratio_interval, network, name)
        for network, costs in _by_network(record).items()
        for name, cost in costs.items()
        if name not in ("plain", A) and cost.ratio_baseline == A and cost.step_ratio and cost.step_ratio_interval
    ]
    if not timed:
        return unmeasured(f"step times against {A}, with intervals, were not", _COST)
    outside = [one for one in timed if one[1][0] > 1 + MUCH_TIME or one[1][1] < 1 - MUCH_TIME]
    inside = all(low > 1 - MUCH_TIME and high < 1 + MUCH_TIME for _, (low, high), _, _ in timed)
    absent = [name for name in NAMED if name not in {name for *_, name in timed}]
    ratio, (low, high), network, name = max(outside or timed, key=lambda one: abs(one[0] - 1))
    figure = f"largest{' that is surely over' if outside else ''}: {name} on {pretty_network(network)}, "
    figure += f"{change(ratio - 1)} of a step of {A}, of {len(timed)} compared"
    if absent:
        figure += f"; not timed: {', '.join(absent)}"
    machine = next((cost.hardware for cost in record.costs if cost.hardware), "this machine")
    source = f"cost: interleaved steps on {machine}; 'much' is over {100 * MUCH_TIME:g} %"
    verdict = FALSE if outside else TRUE if inside and not absent else NOT_SETTLED
    return verdict, figure, f"{change(low - 1)} to {change(high - 1)}", source
