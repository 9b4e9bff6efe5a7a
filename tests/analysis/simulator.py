"""The verdict procedure against experiments with a known truth, many at once.

``python -m tests.analysis.simulator [EXPERIMENTS]`` prints the tables that docs/comparison.md holds (20,000 by
default). Accuracies are normal: an effect, a part that all runs of a seed share, and a part of each run; the unit is
the standard deviation of one run.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from resnet_shortcuts.analysis import sequential
from resnet_shortcuts.analysis.sequential import Decisions, LookData
from resnet_shortcuts.experiments.verdict_seal import look_sizes

Floats = NDArray[np.float64]
FULL = 20_000
BLOCK = 5_000

Noise = Callable[[np.random.Generator, tuple[int, ...]], Floats]


def normal(stream: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return stream.standard_normal(shape)


def heavy(stream: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Student's t with three degrees of freedom, scaled to a variance of 1."""
    return stream.standard_t(3, shape) / math.sqrt(3)


def left_skewed(stream: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """A negated exponential with mean 0 and variance 1: skewness -2."""
    return 1 - stream.standard_exponential(shape)


@dataclass(frozen=True)
class Scenario:
    """One truth. ``sds`` and ``effects`` have one value a strategy; the baseline has its own sd and effect 0.

    ``groups`` independent networks have the same strategies each. ``margin`` is in units of one run's sd.
    ``failing`` is the chance that a run ends at ``collapse`` instead (of every strategy, or of the baseline too).
    """

    strategies: int = 8
    groups: int = 1
    seeds: int = 10
    correlation: float = 0.2
    baseline_sd: float = 1.0
    sds: tuple[float, ...] | None = None
    effects: tuple[float, ...] | None = None
    margin: float = 1.0
    noise: Noise = normal
    failing: float = 0.0
    baseline_failing: float = 0.0
    collapse: float = -80.0
    outlier: float = 0.0
    looks: tuple[int, ...] | None = None
    name: str = field(default="", compare=False)

    def sizes(self) -> tuple[int, ...]:
        return look_sizes(self.seeds) if self.looks is None else self.looks

    def truth(self) -> Floats:
        """The true mean difference of each comparison, failures included at what they count."""
        effects = np.zeros(self.strategies) if self.effects is None else np.asarray(self.effects, dtype=np.float64)
        ours = effects + self.failing * (self.collapse - effects)
        return np.tile(ours - self.baseline_failing * self.collapse, self.groups)


def simulate(scenario: Scenario, experiments: int, stream: np.random.Generator) -> Decisions:
    """What the procedure decides in that many experiments."""
    differences, failed = draw(scenario, experiments, stream)
    pools = np.repeat(np.arange(scenario.groups), scenario.strategies)
    never = np.zeros(differences.shape[:2], dtype=np.bool_)

    def data_at(seeds: int) -> LookData:
        return LookData(differences[:, :, :seeds], failed[:, :, :seeds].any(axis=-1), never, pools)

    family = scenario.strategies * scenario.groups
    return sequential.decide(scenario.sizes(), scenario.margin, family, data_at)


def draw(scenario: Scenario, experiments: int, stream: np.random.Generator) -> tuple[Floats, NDArray[np.bool_]]:
    m, groups, n = scenario.strategies, scenario.groups, scenario.seeds
    sds = np.array([scenario.baseline_sd, *(scenario.sds or (1.0,) * m)])
    effects = np.array([0.0, *(scenario.effects or (0.0,) * m)])
    shared = scenario.noise(stream, (experiments, groups, 1, n))
    own = scenario.noise(stream, (experiments, groups, m + 1, n))
    mixed = math.sqrt(scenario.correlation) * shared + math.sqrt(1 - scenario.correlation) * own
    runs = effects[:, None] + sds[:, None] * mixed
    if scenario.outlier:
        runs[:, :, 1, 0] -= scenario.outlier
    failed = stream.random(runs.shape) < scenario.failing
    failed[:, :, 0] = stream.random(failed[:, :, 0].shape) < scenario.baseline_failing
    runs = np.where(failed, scenario.collapse, runs)
    shape = (experiments, groups * m, n)
    return (runs[:, :, 1:] - runs[:, :, :1]).reshape(shape), (failed[:, :, 1:] | failed[:, :, :1]).reshape(shape)


@dataclass(frozen=True)
class Rates:
    """Shares of experiments (``wrong``) and of comparisons; ``seeds`` is the mean number used by a comparison."""

    wrong: float
    better: float
    worse: float
    equivalent: float
    decided: float
    seeds: float


def wrong_verdicts(scenario: Scenario, decisions: Decisions) -> NDArray[np.bool_]:
    """Which verdicts contradict the truth, (experiments, comparisons): a wrong sign, or a wrong 'within the margin'."""
    truth = scenario.truth()
    wrong_sign = ((decisions.sign > 0) & (truth <= 0)) | ((decisions.sign < 0) & (truth >= 0))
    return wrong_sign | (decisions.within & (np.abs(truth) >= scenario.margin))


def rates(scenario: Scenario, experiments: int, seed: Sequence[int]) -> Rates:
    """How often the procedure is wrong, and what it says, over that many experiments."""
    totals = np.zeros(6)
    sizes = np.array([scenario.seeds, *scenario.sizes()])
    for block, start in enumerate(range(0, experiments, BLOCK)):
        count = min(BLOCK, experiments - start)
        decisions = simulate(scenario, count, np.random.default_rng([*seed, block]))
        totals += count * np.array([
            wrong_verdicts(scenario, decisions).any(axis=1).mean(),
            (decisions.sign > 0).mean(), (decisions.sign < 0).mean(),
            ((decisions.sign == 0) & decisions.within).mean(), (decisions.look > 0).mean(),
            sizes[decisions.look].mean(),
        ])  # fmt: skip
    return Rates(*(totals / experiments).tolist())


SPREADS = ("equal", "baseline 1.5", "baseline 1/1.5", "one 1.5", "half 1.5", "1 to 1.5")
TRUTHS = ("no difference", "all at the margin", "mixed")
SIZES = ((3, 1), (4, 1), (8, 1), (4, 3))
"""Strategies, and networks."""


def spread(kind: str, strategies: int) -> dict[str, object]:
    """Standard deviations with ratios up to 1.5 (variances up to 2.25)."""
    ones = [1.0] * strategies
    return {
        "equal": {},
        "baseline 1.5": {"baseline_sd": 1.5},
        "baseline 1/1.5": {"baseline_sd": 1 / 1.5},
        "one 1.5": {"sds": (1.5, *ones[1:])},
        "half 1.5": {"sds": tuple(1.5 if place < strategies // 2 else 1.0 for place in range(strategies))},
        "1 to 1.5": {"sds": tuple(np.linspace(1, 1.5, strategies).tolist())},
    }[kind]


def effects(kind: str, strategies: int, margin: float) -> tuple[float, ...]:
    """True differences in sds of one run."""
    cycle = {"no difference": [0.0], "all at the margin": [margin], "mixed": [0.0, margin, -margin, 4.0]}[kind]
    return tuple(itertools.islice(itertools.cycle(cycle), strategies))


def core() -> Iterator[Scenario]:
    """The core grid: every scenario in which the procedure must keep its promise."""
    for (strategies, groups), seeds, correlation in itertools.product(SIZES, (3, 5, 7, 10, 20), (0.0, 0.2, 0.5, 0.8)):
        for kind, truth in itertools.product(SPREADS, TRUTHS):
            margin = 2.0 if seeds > 5 else 4.0  # so that 'equivalent' is within reach
            looks = (3, 4, 5) if seeds == 5 else None  # the default is one look
            yield Scenario(
                strategies, groups, seeds, correlation, effects=effects(truth, strategies, margin), margin=margin,
                looks=looks, name=f"{kind}; {truth}", **spread(kind, strategies),
            )  # fmt: skip


def stress() -> Iterator[Scenario]:
    """What lies outside the promise, reported as it is."""
    for seeds in (5, 10, 20):
        base = Scenario(seeds=seeds)
        twice = {"sds": (2.0,) * 8}
        changes: dict[str, dict[str, object]] = {
            "left-skewed strategies, sd twice the baseline's": {"noise": left_skewed, **twice},
            "left-skewed, equal sds": {"noise": left_skewed},
            "heavy tails (t, 3 df)": {"noise": heavy},
            "baseline with 3 times the sd": {"baseline_sd": 3.0},
            "one strategy with 3 times the sd": {"sds": (3.0, *(1.0,) * 7)},
            "one run 10 sds low": {"outlier": 10.0},
            "10 % of the strategies' runs fail, none of the baseline's": {"failing": 0.1},
            "30 % of the strategies' runs fail, none of the baseline's": {"failing": 0.3},
            "10 % of all runs fail, the baseline's too": {"failing": 0.1, "baseline_failing": 0.1},
            "30 % of all runs fail, the baseline's too": {"failing": 0.3, "baseline_failing": 0.3},
        }
        for name, change in changes.items():
            yield dataclasses.replace(base, name=name, **change)


def core_table(experiments: int) -> str:
    """The worst rates of the core grid by family and number of seeds, as Markdown."""
    worst: dict[tuple[int, int, int], tuple[float, Scenario]] = {}
    above = total = 0
    for place, scenario in enumerate(core()):
        wrong = rates(scenario, experiments, (1, place)).wrong
        key = (scenario.groups, scenario.strategies, scenario.seeds)
        worst[key] = max(worst.get(key, (-1.0, scenario)), (wrong, scenario), key=lambda pair: pair[0])
        above, total = above + (wrong > 0.055), total + 1
    lines = ["| networks x strategies | max seeds | most wrong, % | where |", "| --- | ---: | ---: | --- |"]
    for (groups, strategies, seeds), (wrong, scenario) in worst.items():
        where = f"{scenario.name}, correlation {scenario.correlation:g}"
        lines.append(f"| {groups} x {strategies} | {seeds} | {100 * wrong:.1f} | {where} |")
    return "\n".join([*lines, "", f"{total} scenarios, {above} above 5.5 %."])


def stress_table(experiments: int) -> str:
    """Any-wrong-verdict rates outside the promise, as Markdown."""
    found: dict[str, list[str]] = {}
    for place, scenario in enumerate(stress()):
        wrong = rates(scenario, experiments, (2, place)).wrong
        found.setdefault(scenario.name, []).append(f"{100 * wrong:.1f}")
    head = ["| case | 5 seeds | 10 seeds | 20 seeds |", "| --- | ---: | ---: | ---: |"]
    return "\n".join([*head, *(f"| {name} | {' | '.join(cells)} |" for name, cells in found.items())])


def holm_rejections(differences: Floats) -> NDArray[np.bool_]:
    """Paired t with Holm at 5 % over (experiments, comparisons, seeds), all seeds at once: the older rule."""
    from scipy import stats

    p = np.asarray(stats.ttest_1samp(differences, 0.0, axis=-1).pvalue)
    m = p.shape[1]
    ascending = np.sort(p, axis=1)
    passed = np.logical_and.accumulate(ascending <= 0.05 / (m - np.arange(m)), axis=1)
    largest = np.where(passed, ascending, -1.0).max(axis=1, keepdims=True)
    return p <= largest


def power_table(experiments: int) -> str:
    """Power at a difference of 1.9 sd of one run, 8 comparisons, correlation 0.2, against paired t with Holm."""
    lines = [
        "| seeds | paired t, Holm | one look | looks at 40, 70, 100 % | mean seeds of the one that differs |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for seeds in (3, 5, 7, 10, 15, 20):
        scenario = Scenario(seeds=seeds, effects=(1.9, *(0.0,) * 7), margin=0.01)
        stream = np.random.default_rng([3, seeds])
        paired = holm_rejections(draw(scenario, experiments, stream)[0])[:, 0].mean()
        single = simulate(dataclasses.replace(scenario, looks=(seeds,)), experiments, stream)
        looks = simulate(scenario, experiments, stream)
        used = np.array([seeds, *scenario.sizes()])[looks.look[:, 0]].mean()
        powers = [paired, (single.sign[:, 0] > 0).mean(), (looks.sign[:, 0] > 0).mean()]
        lines.append(f"| {seeds} | {' | '.join(f'{power:.2f}' for power in powers)} | {used:.1f} |")
    return "\n".join(lines)


def main(experiments: int) -> None:
    """Print all tables."""
    for title, table in (("core", core_table), ("stress", stress_table), ("power", power_table)):
        sys.stdout.write(f"## {title}, {experiments:,} experiments a case\n\n{table(experiments)}\n\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else FULL)
