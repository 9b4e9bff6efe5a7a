"""The answer in five sentences, made of the verdicts and the effects of the grid: no number stands here by hand."""

from collections.abc import Iterator, Sequence

from resnet_shortcuts.analysis.answer import spoken
from resnet_shortcuts.analysis.experiment_records import CostRecord, pretty_network
from resnet_shortcuts.analysis.factorial import Effect, Factorial
from resnet_shortcuts.analysis.procedure import INCONCLUSIVE
from resnet_shortcuts.analysis.verdicts import Comparison, Verdicts
from resnet_shortcuts.cost.cost_change import Change, peak_change, time_change

OPERATIONS = {
    "stride": "taking every second pixel", "avg": "a 2x2 average", "max": "a 3x3 maximum", "pad": "zeros",
    "duplicate": "copies", "conv-bn": "a projection",
}  # fmt: skip


def five_sentences(verdicts: Verdicts, grid: Factorial) -> list[str]:
    """How space is reduced; how channels are filled; the sealed contrasts; costs; for what it holds."""
    return [
        _factor(grid, "spatial", "How space is reduced"),
        _factor(grid, "channels", "How the new channels are filled"),
        _contrasts(verdicts),
        _costs(verdicts),
        _scope(verdicts),
    ]


def _factor(grid: Factorial, factor: str, what: str) -> str:
    effects = [effect for effect in grid.effects if effect.factor == factor]
    decided = [effect for effect in effects if effect.word.startswith(("better", "worse"))]
    rest = [effect for effect in effects if effect not in decided]
    told = [_decided(effect) for effect in sorted(decided, key=lambda effect: -abs(effect.interval.mean))]
    if told:
        of = len(grid.seeds) * len(grid.strategies)
        begins = f"{what} matters ({of} runs, a grid of {len(grid.strategies)} strategies): {'; '.join(told)}"
    else:
        begins = f"{what} is not shown to matter"
    open_ = [effect for effect in rest if effect.word == INCONCLUSIVE]
    equal = [effect for effect in rest if effect.word != INCONCLUSIVE]
    parts = [begins]
    parts += [f"equivalent are {_listed(equal)}"] * bool(equal)
    parts += [f"{'not told apart' if told else 'inconclusive'}: {_listed(open_)}"] * bool(open_)
    return f"{'; '.join(parts)}."


def _decided(effect: Effect) -> str:
    verb = "gains" if effect.interval.mean > 0 else "loses"
    sign = 1 if effect.interval.mean > 0 else -1
    low, high = sorted((sign * effect.interval.low, sign * effect.interval.high))
    amount = f"{sign * effect.interval.mean:.2f} points ({low:.2f} to {high:.2f})"
    return f"{OPERATIONS[effect.level]} {verb} {amount} over {OPERATIONS[effect.reference]}"


def _listed(effects: Sequence[Effect]) -> str:
    return ", ".join(
        f"{OPERATIONS[effect.level]} over {OPERATIONS[effect.reference]} {signed(effect.interval.mean)} "
        f"({signed(effect.interval.low)} to {signed(effect.interval.high)})"
        for effect in effects
    )


def signed(value: float) -> str:
    """A number of points with its sign, typeset."""
    return f"{value:+.2f}".replace("-", "−")


def _contrasts(verdicts: Verdicts) -> str:
    """The sealed comparisons with the baseline."""
    decided = [each for each in verdicts.comparisons if each.verdict.startswith(("better", "worse"))]
    open_ = [each for each in verdicts.comparisons if each.verdict == INCONCLUSIVE]
    equal = len(verdicts.comparisons) - len(decided) - len(open_)
    told = "; ".join(_amount(each) for each in sorted(decided, key=_mean, reverse=True)) or "none is better or worse"
    begins = f"Against {spoken(verdicts.baseline)}, strategy by strategy: {told}"
    seen = max((each.detectable for each in open_ if each.detectable is not None), default=None)
    if not open_:
        return f"{begins}; {equal} are equivalent."
    missed = "" if seen is None else f", where a difference of {seen:.2f} points would be missed 1 time in 5"
    also = f"; {equal} are equivalent" if equal else ""
    return f"{begins}{also}; the other {len(open_)} are inconclusive{missed}."


def _mean(comparison: Comparison) -> float:
    return comparison.test.mean


def _amount(comparison: Comparison) -> str:
    interval = comparison.sealed.interval if comparison.sealed else None
    if interval is None:
        return f"{spoken(comparison.shortcut)} is {comparison.verdict}"
    ends = f"{signed(interval.low)} to {signed(interval.high)}"
    return f"{spoken(comparison.shortcut)} {signed(interval.mean)} ({ends}), {comparison.verdict}"


def _costs(verdicts: Verdicts) -> str:
    """Parameters, memory and time of what was decided; what was not measured is said to be so."""
    costs = {cost.shortcut: cost for cost in verdicts.record.costs}
    base = costs.get(verdicts.baseline)
    decided = [each.shortcut for each in verdicts.comparisons if each.verdict.startswith(("better", "worse"))]
    if base is None or base.step_ms is None:
        return "What they cost in memory and time was not measured with these runs yet."
    told = "; ".join(f"{spoken(name)} {', '.join(_cost(base, costs[name]))}" for name in decided if name in costs)
    shaken = " (not reliable: other programs ran)" if base.disturbed else ""
    return f"Costs over {spoken(verdicts.baseline)}, a training step of {base.hardware}: {told}{shaken}."


def _cost(base: CostRecord, cost: CostRecord) -> Iterator[str]:
    parameters = (cost.parameters or 0) / (base.parameters or 1) - 1
    yield "no more parameters" if not parameters else f"{100 * parameters:+.1f} % parameters".replace("-", "−")
    peak = peak_change(cost.peak_memory_bytes, base.peak_memory_bytes, on_cpu=cost.on_cpu)
    yield _change(peak, "peak memory")
    yield _change(time_change(cost.step_ratio, cost.step_ratio_interval, cost.noise), "time")


def _change(change: Change | None, what: str) -> str:
    if change is None:
        return f"{what} not measured"
    if change.standing == "same":
        return f"the same {what}"
    ends = f" ({change.ends()})" if change.interval is not None else ""
    return f"{change.percent()} {what}{ends}"


def _scope(verdicts: Verdicts) -> str:
    regime = verdicts.record.regime
    network = pretty_network(next(iter(verdicts.failures))[0])
    return (
        f"All of it rests on {len(verdicts.record.runs)} runs of one network ({network}), one recipe and short "
        f"training ({regime.length()}) on {regime.train_images:,} images of {regime.name}, whose colour the files had "
        "averaged 2x2 before any network saw it; depth, long training, other learning rates and ImageNet are open."
    )
