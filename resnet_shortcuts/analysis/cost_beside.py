"""What a strategy costs beside the baseline, as changes and in the words of a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from resnet_shortcuts.analysis.experiment_records import CostRecord, in_order
from resnet_shortcuts.cost.cost_change import Change, count_change, peak_change, time_change


@dataclass(frozen=True)
class Costs:
    """What a strategy costs on one network beside the baseline; None for what was not measured."""

    time: Change | None = None
    peak: Change | None = None
    activations: Change | None = None
    parameters: Change | None = None
    reliable: bool = True


def costs_beside(baseline: CostRecord | None, cost: CostRecord | None) -> Costs:
    """The costs of a strategy as changes from the baseline's."""
    if cost is None or baseline is None:
        return Costs()
    return Costs(
        _time_beside(baseline, cost),
        peak_change(cost.peak_memory_bytes, baseline.peak_memory_bytes, on_cpu=cost.on_cpu),
        count_change(cost.activation_bytes, baseline.activation_bytes),
        count_change(cost.parameters, baseline.parameters),
        reliable=not cost.disturbed,
    )


def _time_beside(baseline: CostRecord, cost: CostRecord) -> Change | None:
    """The change of a step's time; without an interval where the race had another baseline than the comparison."""
    if cost.ratio_baseline in ("", baseline.shortcut):
        return time_change(cost.step_ratio, cost.step_ratio_interval, cost.noise)
    ratio = cost.step_ms / baseline.step_ms if cost.step_ms and baseline.step_ms else None
    return time_change(ratio, None, None)


def price(costs: Sequence[Costs]) -> str:
    """'+10 % time (8 to 12), +13 % memory'; memory is the peak of training."""
    parts = [_change([each.time for each in costs], "time")]
    if not all(each.reliable for each in costs):
        parts = [f"{part} (not reliable)" for part in parts if part]
    peaks = [each.peak for each in costs]
    known = any(peak is not None for peak in peaks)
    parts.append(_change(peaks, "memory") if known else _change([e.activations for e in costs], "activation memory"))
    if not any(parts):
        parts.append(_change([each.parameters for each in costs], "parameters"))
    return ", ".join(filter(None, parts))


def _change(changes: Iterable[Change | None], what: str) -> str:
    known = [change for change in changes if change is not None]
    if not known:
        return ""
    if all(change.standing == "same" for change in known):
        return f"the same {what}"
    if len(known) > 1:
        ends = sorted(known, key=lambda change: change.share)
        return f"{' to '.join(in_order((ends[0].percent(), ends[-1].percent())))} {what}"
    (change,) = known
    if change.standing == "uncertain" and change.interval is not None:
        return f"{change.ends()} % {what}"
    return f"{change.percent()} {what}{f' ({change.ends()})' if change.interval is not None else ''}"


def dearest(beside: Mapping[str, Sequence[Costs]]) -> str:
    """The strategy that costs most beyond the noise, by time where that is known, else by memory, else by parameters.

    Empty where no strategy costs more than the baseline. ``beside``: its costs by strategy, one a network.
    """
    for kind in ("time", "peak", "activations", "parameters"):
        known = {
            name: [change for costs in of_name if (change := getattr(costs, kind)) is not None]
            for name, of_name in beside.items()
        }
        if any(known.values()):
            most = {
                name: max((change.share for change in changes if change.standing == "differs"), default=0.0)
                for name, changes in known.items()
            }
            name = max(most, key=lambda name: most[name])
            return name if most[name] > 0 else ""
    return ""


def all_alike(beside: Mapping[str, Sequence[Costs]]) -> bool:
    """Whether every strategy takes the baseline's time and peak memory, within the noise of reliable measurements."""
    each = [costs for of_name in beside.values() for costs in of_name]
    changes = [change for costs in each for change in (costs.time, costs.peak)]
    return all(costs.reliable for costs in each) and all(c is not None and c.standing == "same" for c in changes)
