"""The answer of a comparison in sentences with numbers: what every output puts first.

What is better or worse, by how much and at what cost; what is equivalent or could not be told, and how small a
difference could have been seen; and for which conditions that holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resnet_shortcuts.analysis.cost_beside import Costs, all_alike, costs_beside, dearest, price
from resnet_shortcuts.analysis.experiment_records import CostRecord, ExperimentRecord, in_order, pretty_network
from resnet_shortcuts.analysis.procedure import EQUIVALENT, INCONCLUSIVE, INTERIM, TOO_FEW
from resnet_shortcuts.analysis.procedure import Interval as LookInterval
from resnet_shortcuts.analysis.sealed_verdicts import waiting
from resnet_shortcuts.analysis.verdicts import BETTER, EQUAL, NOT_SETTLED, WORSE, Comparison, Verdicts
from resnet_shortcuts.shortcuts.catalogue import strategies
from resnet_shortcuts.tables.table_model import signed
from resnet_shortcuts.words import counted

SHORT_TRAINING = 20_000
"""Optimizer steps; He et al. 2015 train 64,000 on CIFAR-10."""
_WITH_NUMBERS = 3  # strategies of one kind that a sentence gives numbers for
_NAMED = 4  # strategies that a sentence lists by name
_ALIKE = 1.5  # times the smallest detectable difference, under which one number stands for all


Strategies = list[tuple[str, list[Comparison]]]
"""Comparisons by strategy."""
CostTable = Mapping[tuple[str, str], CostRecord]
"""Costs by network and strategy."""


@dataclass(frozen=True)
class Answer:
    """What a comparison says at a glance.

    ``setting`` names networks, data, length, seeds, look and margin in one line. ``sentences`` are the answer: first
    what is better or worse with its cost, then what is equivalent or could not be told, last for what it holds.
    ``problems`` says which runs are unfinished, damaged or left over, ``data_warnings`` what is wrong with the data;
    both are empty where all is well. ``pending`` says what the next look waits for or what is missing, with the
    command on a line of its own.
    """

    setting: str
    sentences: tuple[str, ...]
    problems: str = ""
    data_warnings: str = ""
    pending: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Everything, in the order in which it is to be read."""
        said = (self.setting, self.problems, self.data_warnings, *self.pending, *self.sentences)
        return [line for line in said if line]


def answer(verdicts: Verdicts, costs: Sequence[CostRecord] | None = None) -> Answer:
    """The answer of a comparison; ``costs`` are those of its record unless others are given."""
    record = verdicts.record
    table = {(cost.network, cost.shortcut): cost for cost in (record.costs if costs is None else costs)}
    if not verdicts.comparisons:
        failures = [words.words() for words in verdicts.failures.values() if words.count]
        only = f"only {spoken(verdicts.baseline)}{f', which {failures[0]},' if failures else ''} is there"
        sentences: tuple[str, ...] = (f"There is nothing to compare: {only}.",)
    else:
        rest = " ".join(filter(None, (_rest(verdicts), _costliest(verdicts, table))))
        sentences = (_differences(verdicts, table), rest, _scope(verdicts))
    return Answer(
        setting=setting(verdicts),
        sentences=tuple(sentence for sentence in sentences if sentence),
        problems=problems(record),
        data_warnings=_data_warnings(record.data_warnings),
        pending=_pending(verdicts),
    )


def _pending(verdicts: Verdicts) -> tuple[str, ...]:
    """What the next look waits for, else the command that trains what is missing."""
    record = verdicts.record
    waits = tuple(waiting(verdicts.sealed, record)) if verdicts.sealed else ()
    if waits or not record.missing or not record.command:
        return waits
    return (f"Train what is missing:\n{record.command}",)


def letter(name: str) -> str:
    """What the literature calls a strategy, such as 'A' for 'stride-pad'; empty for one without a letter."""
    return next(
        (alias for strategy in strategies() if strategy.name == name for alias in strategy.aliases if len(alias) == 1),
        "",
    )


def spoken(name: str) -> str:
    """A strategy's name with its letter, where it has one: 'C (projection-all)'."""
    return f"{letter(name)} ({name})" if letter(name) else name


def difference(comparison: Comparison) -> LookInterval | None:
    """The difference to the baseline that the verdict rests on: of the look, or plain where there was none.

    None where there is no common seed; ends are NaN where there is no interval.
    """
    if comparison.sealed is not None and comparison.sealed.interval is not None:
        return comparison.sealed.interval
    test = comparison.test
    if not test.n:
        return None
    low, high = (math.nan, math.nan) if test.constant else (test.low, test.high)
    return LookInterval(test.n, test.mean, low, high, test.sd, test.n - 1.0)


def decimals(interval: LookInterval) -> int:
    """Decimals that say something of so uncertain a number; more where an end would read as 0 and is not."""
    width = interval.high - interval.low
    places = 0 if width >= 20 else 1 if width >= 2 else 2
    ends = (interval.low, interval.high)
    while places < 2 and interval.low * interval.high > 0 and not all(round(end, places) for end in ends):
        places += 1
    return places


def setting(verdicts: Verdicts) -> str:
    """Networks, data, length, seeds, look and margin in one line."""
    record = verdicts.record
    networks = in_order(pretty_network(network) for network, _ in verdicts.failures)
    named = ", ".join(networks) if len(networks) <= _NAMED else f"{len(networks)} networks"
    regime = record.regime
    images = "" if regime.train_images is None else counted(regime.train_images, "image")
    parts = [named, regime.name or regime.source, images, regime.length(), _seeds(verdicts), _look(verdicts)]
    margin = f"Margin ±{verdicts.margin:g}." if verdicts.comparisons else ""
    return f"{', '.join(part for part in parts if part)}. {margin}".strip()


def problems(record: ExperimentRecord) -> str:
    """Unfinished, damaged and left-over runs in one line; empty where there are none."""
    parts = []
    if record.missing:
        parts.append(f"{len(record.missing)} of {counted(len(record.missing) + len(record.runs), 'run')} not finished")
    if record.damaged:
        parts.append(f"{len(record.damaged)} damaged and left out")
    if record.left_over:
        parts.append(f"{len(record.left_over)} left over and not counted")
    return "; ".join(parts) + "." if parts else ""


def _data_warnings(warnings: Sequence[str]) -> str:
    more = f" (and {counted(len(warnings) - 1, 'warning')} more)" if len(warnings) > 1 else ""
    return f"Data: {warnings[0]}{more}." if warnings else ""


def _seeds(verdicts: Verdicts) -> str:
    counts = sorted({len(runs) for runs in verdicts.cells.values()})
    if not counts:
        return ""
    return counted(counts[-1], "seed") if len(counts) == 1 else f"{counts[0]} to {counted(counts[-1], 'seed')}"


def _look(verdicts: Verdicts) -> str:
    if verdicts.sealed is None:
        return "paired t"
    words = []
    for standing in verdicts.sealed.standings:
        looks = len(standing.seal.looks)
        if not standing.taken:
            words.append("interim" if looks else "too few for a verdict")
        elif standing.taken == looks:
            words.append("final look")
        else:
            decided = ", all decided" if standing.next_seeds is None else ""
            words.append(f"look {standing.taken} of {looks}{decided}")
    exploratory = ["exploratory"] if verdicts.sealed.exploratory else []
    return ", ".join([*in_order(words), *exploratory])


def _differences(verdicts: Verdicts, costs: CostTable) -> str:
    """Failures, then who is better and who is worse, by how much and at what cost."""
    better, worse = _by_strategy(verdicts, BETTER), _by_strategy(verdicts, WORSE)
    sentences = [_failures(verdicts)]
    if better:
        sentences.append(_decided(better, "gains", f" over {spoken(verdicts.baseline)}", verdicts, costs))
    else:
        sentences.append(_none_better(verdicts, any_worse=bool(worse)))
    if worse:
        sentences.append(_decided(worse, "loses", "", verdicts, costs))
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def _none_better(verdicts: Verdicts, *, any_worse: bool) -> str:
    words = {each.verdict for each in verdicts.comparisons}
    if words == {INTERIM}:
        return "Interim, no verdict: the next look is not complete"
    if words == {TOO_FEW}:
        return "No verdict: there are too few seeds"
    return f"No strategy is shown to be better {'' if any_worse else 'or worse '}than {spoken(verdicts.baseline)}"


def _decided(groups: Strategies, verb: str, against: str, verdicts: Verdicts, costs: CostTable) -> str:
    """'C gains 0.42 points (0.18 to 0.66) over A and costs +10 % time; D gains 0.30 points (0.10 to 0.50)'."""
    strongest = _strongest(groups)
    parts: list[str] = []
    for name, comparisons in strongest[:_WITH_NUMBERS]:
        prices = "" if parts else price([_costs_of(each, costs) for each in comparisons])
        amount = f"{spoken(name)} {verb} {_amounts(comparisons, verdicts)}{'' if parts else against}"
        parts.append(f"{amount}{f' and costs {prices}' if prices else ''}")
    if others := [name for name, _ in strongest[_WITH_NUMBERS:]]:
        parts.append(f"{_listed(others)} {verb if len(others) == 1 else verb.removesuffix('s')} less")
    return "; ".join(parts)


def _strongest(groups: Strategies) -> Strategies:
    return sorted(groups, key=lambda group: -max(abs(_mean(each)) for each in group[1]))


def _failures(verdicts: Verdicts) -> str:
    """'A, the baseline, fails 1 of 10; x fails 2 of 10 on ResNet-20', or nothing."""
    several = len({network for network, _ in verdicts.failures}) > 1
    failing = {
        (network, f"{name}, the baseline,"): failures
        for (network, name), failures in verdicts.failures.items()
        if name == verdicts.baseline
    } | {(each.network, each.shortcut): each.failures for each in verdicts.comparisons}
    failing = {key: failures for key, failures in failing.items() if failures.count}
    if len(failing) > _NAMED:
        most = max(failing.values(), key=lambda failures: failures.count / failures.runs)
        return f"{len(failing)} strategies fail, up to {most.count} of {most.runs} runs"
    return "; ".join(
        f"{who} {failures.words()}{f' on {pretty_network(network)}' if several else ''}"
        for (network, who), failures in failing.items()
    )


def _rest(verdicts: Verdicts) -> str:
    """What is equivalent, what could not be told, and how small a difference could have been seen."""
    base = letter(verdicts.baseline) or verdicts.baseline
    sentences = []
    if equal := _by_strategy(verdicts, EQUIVALENT, EQUAL):
        sentences.append(f"Equivalent to {base} within ±{verdicts.margin:g}: {_places(equal, verdicts)}.")
    interim = _by_strategy(verdicts, INTERIM)
    if inconclusive := _by_strategy(verdicts, INCONCLUSIVE, NOT_SETTLED):
        seen = _seen([each for _, group in inconclusive for each in group])
        sentences.append(f"Inconclusive: {_places(inconclusive, verdicts, rest=not interim)}{seen}.")
    if interim and any(each.verdict != INTERIM for each in verdicts.comparisons):
        sentences.append(f"Interim, no verdict: {_places(interim, verdicts, rest=True)}.")
    few = _by_strategy(verdicts, TOO_FEW)
    if all(each.verdict == TOO_FEW and not each.baseline_failed for each in verdicts.comparisons):
        few = []  # the first sentence says so
    for failed, reason in ((False, ""), (True, " because the baseline failed")):
        blamed = [(name, group) for name, group in few if group[0].baseline_failed is failed]
        if blamed:
            sentences.append(f"Too few seeds{reason}: {_places(blamed, verdicts)}.")
    return " ".join(sentences)


def _costliest(verdicts: Verdicts, costs: CostTable) -> str:
    """'C (projection-all) costs most: +10 % time (8 to 12), +13 % memory.', unless a sentence said so already."""
    beside: dict[str, list[Costs]] = {}
    for comparison in verdicts.comparisons:
        beside.setdefault(comparison.shortcut, []).append(_costs_of(comparison, costs))
    if all_alike(beside):
        return f"All cost the time and memory of {letter(verdicts.baseline) or verdicts.baseline}, within the noise."
    name = dearest(beside)
    priced = [groups[0][0] for word in (BETTER, WORSE) if (groups := _strongest(_by_strategy(verdicts, word)))]
    return f"{spoken(name)} costs most: {price(beside[name])}." if name and name not in priced else ""


def _seen(comparisons: Sequence[Comparison]) -> str:
    """How small a difference could have been seen."""
    known = sorted(each.detectable for each in comparisons if each.detectable is not None)
    if not known:
        return ""
    what = f"differences of {known[0]:.2g} to {known[-1]:.2g} points"
    if known[-1] < _ALIKE * known[0]:
        what = f"a difference of {known[-1]:.2g} points"
    final = all(each.sealed is None or each.sealed.final for each in comparisons)
    return f"; {what} would be missed 1 time in 5{'' if final else ', even with all seeds'}"


def _scope(verdicts: Verdicts) -> str:
    regime = verdicts.record.regime
    networks = len({network for network, _ in verdicts.failures})
    steps = regime.iterations
    if steps is None and regime.epochs is not None and regime.steps_per_epoch is not None:
        steps = round(regime.epochs * regime.steps_per_epoch)
    short = ", short training" if steps is not None and steps < SHORT_TRAINING else ""
    return f"Holds for {'one network' if networks == 1 else f'{networks} networks'}, one recipe{short}."


def _by_strategy(verdicts: Verdicts, *words: str) -> Strategies:
    """The comparisons whose verdict is one of these words."""
    groups: dict[str, list[Comparison]] = {}
    for comparison in verdicts.comparisons:
        if comparison.verdict.startswith(words):
            groups.setdefault(comparison.shortcut, []).append(comparison)
    return list(groups.items())


def _where(name: str, comparisons: Sequence[Comparison], verdicts: Verdicts) -> str:
    """' on ResNet-20', or nothing where this is every network of the strategy."""
    everywhere = [each.network for each in verdicts.comparisons if each.shortcut == name]
    if len(everywhere) == len(comparisons):
        return ""
    return f" on {', '.join(pretty_network(each.network) for each in comparisons)}"


def _places(groups: Strategies, verdicts: Verdicts, *, rest: bool = False) -> str:
    """The strategies by name, each with its networks where it is on some of them only; ``rest``: how many will do."""
    if rest and len(groups) > _NAMED and not any(_where(name, found, verdicts) for name, found in groups):
        compared = {each.shortcut for each in verdicts.comparisons}
        return f"{'all' if len(groups) == len(compared) else 'the other'} {len(groups)}"
    return _listed([f"{name}{_where(name, found, verdicts)}" for name, found in groups])


def _listed(names: Sequence[str]) -> str:
    """Names in a sentence; of many only the first, and how many more."""
    if len(names) > _NAMED + 1:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _mean(comparison: Comparison) -> float:
    interval = difference(comparison)
    return 0.0 if interval is None else interval.mean


def _amounts(comparisons: Sequence[Comparison], verdicts: Verdicts) -> str:
    """'0.42 points (0.18 to 0.66)', or over several networks '0.42 to 0.60 points on all 3 networks'."""
    where = _where(comparisons[0].shortcut, comparisons, verdicts)
    if len(comparisons) > 1:
        means = sorted(abs(_mean(each)) for each in comparisons)
        return f"{means[0]:.2f} to {means[-1]:.2f} points{where or f' on {_all_of(len(comparisons))} networks'}"
    interval = difference(comparisons[0])
    places = 2 if interval is None else decimals(interval)
    amount = f"{abs(_mean(comparisons[0])):.{places}f} points"
    if interval is None or math.isnan(interval.low):
        return f"{amount}{where}"
    sign = -1 if interval.mean < 0 else 1
    ends = sorted((sign * interval.low, sign * interval.high))
    low, high = (signed(end, places).lstrip("+") for end in ends)
    return f"{amount} ({low} to {high}){where}"


def _all_of(number: int) -> str:
    return "both" if number == 2 else f"all {number}"


def _costs_of(comparison: Comparison, costs: CostTable) -> Costs:
    baseline = costs.get((comparison.network, comparison.baseline))
    return costs_beside(baseline, costs.get((comparison.network, comparison.shortcut)))
