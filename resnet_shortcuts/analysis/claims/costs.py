"""Claims 9 and 10, about what B, C and the rest cost, from the measurements that belong to the experiment."""

from __future__ import annotations

from resnet_shortcuts.analysis.claims.judged import FALSE, NOT_SETTLED, TRUE, A, B, C, Judged, change, unmeasured
from resnet_shortcuts.analysis.records import CostRecord, ExperimentRecord, pretty_network

MUCH_TIME = 0.05
_COST = "run: rsc cost --measure, or train with cost.measure"


def _by_network(record: ExperimentRecord) -> dict[str, dict[str, CostRecord]]:
    found: dict[str, dict[str, CostRecord]] = {}
    for cost in record.costs:
        found.setdefault(cost.network, {})[cost.shortcut] = cost
    return found


def memory(record: ExperimentRecord) -> Judged:
    """Claim 9: parameters, and the bytes that autograd saves, of B and of C over A on every network: counted."""
    raised: list[bool] = []
    figures: list[str] = []
    for network, costs in _by_network(record).items():
        for name in (B, C):
            ours, base = costs.get(name), costs.get(A)
            if not (ours and base and ours.parameters and base.parameters and ours.saved_bytes and base.saved_bytes):
                continue
            parameters, saved = ours.parameters / base.parameters - 1, ours.saved_bytes / base.saved_bytes - 1
            raised += [parameters > 0, saved > 0]
            figures.append(
                f"{pretty_network(network)}, {name}: {change(parameters)} parameters, {change(saved)} saved bytes"
            )
    if not raised:
        return unmeasured("parameters and memory of A, B and C were", _COST)
    verdict = TRUE if all(raised) else FALSE if not any(raised) else NOT_SETTLED
    return verdict, "; ".join(figures), "exact counts", "cost: parameters, and bytes that autograd saves (fp32)"


def time(record: ExperimentRecord) -> Judged:
    """Claim 10: every strategy's step within MUCH_TIME of A's by its whole interval; false if one is outside."""
    ratios: list[tuple[str, str, tuple[float, float], float]] = []
    for network, costs in _by_network(record).items():
        for name, cost in costs.items():
            if name not in ("plain", cost.ratio_baseline) and cost.step_ratio and cost.step_ratio_interval:
                ratios.append((network, name, cost.step_ratio_interval, cost.step_ratio))
    if not ratios:
        return unmeasured("step times with intervals were", _COST)
    inside = all(low > 1 - MUCH_TIME and high < 1 + MUCH_TIME for _, _, (low, high), _ in ratios)
    outside = any(low > 1 + MUCH_TIME or high < 1 - MUCH_TIME for _, _, (low, high), _ in ratios)
    network, name, (low, high), ratio = max(ratios, key=lambda one: abs(one[3] - 1))
    figure = f"largest: {name} on {pretty_network(network)}, {change(ratio - 1)} of a step, of {len(ratios)} compared"
    machine = next((cost.hardware for cost in record.costs if cost.hardware), "this machine")
    source = f"cost: interleaved steps on {machine}; 'much' is over {100 * MUCH_TIME:g} %"
    verdict = TRUE if inside else FALSE if outside else NOT_SETTLED
    return verdict, figure, f"{change(low - 1)} to {change(high - 1)}", source
