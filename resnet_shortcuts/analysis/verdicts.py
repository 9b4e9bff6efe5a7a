"""Which differences are real: one rule, stated in advance, applied to every strategy against the baseline."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from resnet_shortcuts.analysis import statistics
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, RunRecord, in_order
from resnet_shortcuts.analysis.letters import letters
from resnet_shortcuts.analysis.procedure import INTERIM, TOO_FEW, Verdict
from resnet_shortcuts.analysis.sealed_verdicts import Sealed, footnotes, sealed_verdicts
from resnet_shortcuts.analysis.statistics import ALPHA, Paired
from resnet_shortcuts.analysis.summary import accuracies, cells_of
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.shortcuts.catalogue import label_meant
from resnet_shortcuts.suggestions import did_you_mean
from resnet_shortcuts.words import counted

BETTER, WORSE, EQUAL = "better", "worse", "equal within the margin"
NOT_SETTLED = "not settled"
WANTED = (0.1, 0.2, 0.5)
LEAST_SEEDS = 3
_DEFAULT_BASELINE = "stride-pad"
_NOT_ON_NEW_IMAGES = "holds on this test set; over new test images the interval includes 0"


@dataclass(frozen=True)
class Failures:
    """A strategy's failed runs: ``failed`` crashed or diverged, ``untrained`` ended above ``fail_above``."""

    runs: int
    failed: int
    untrained: int

    @property
    def count(self) -> int:
        """Failed and untrained runs together."""
        return self.failed + self.untrained

    def words(self) -> str:
        """'fails 2 of 10', or nothing."""
        return f"fails {self.count} of {self.runs}" if self.count else ""


@dataclass(frozen=True)
class Comparison:
    """A strategy against the baseline on one network. Differences in percentage points; NaN or None where not known.

    ``n`` counts common seeds. ``p_holm`` and ``p_equal_holm`` are adjusted over every comparison that was asked for.
    ``flip_blind`` says that the sign-flip test cannot get below the threshold with so few seeds. ``images`` is the
    interval for new seeds and new test images. ``detectable`` is at 80 % power and Holm's first step, its range from
    the sd's own 95 % interval; ``needed`` gives the seeds for differences of 0.1, 0.2 and 0.5 points.
    ``baseline_failed`` says that there are too few common seeds because runs of the baseline failed. ``sealed`` is
    where the verdict comes from if it was sealed; the p values beside it then carry none.
    """

    network: str
    shortcut: str
    baseline: str
    verdict: str
    n: int
    test: Paired
    p_holm: float
    p_equal_holm: float
    flip: statistics.SignFlip
    flip_blind: bool
    correlation: float | None
    images: statistics.Crossed | None
    detectable: float | None
    detectable_range: tuple[float, float] | None
    needed: Mapping[float, int | None]
    failures: Failures
    fisher_holm: float | None
    footnotes: Sequence[str] = ()
    baseline_failed: bool = False
    sealed: Verdict | None = None

    def words(self) -> str:
        """The verdict as printed: failures come first."""
        return "; ".join(part for part in (self.failures.words(), self.verdict) if part)


@dataclass(frozen=True, eq=False)
class Verdicts:
    """Everything that a comparison says of one (merged) experiment."""

    record: ExperimentRecord
    baseline: str
    margin: float
    comparisons: Sequence[Comparison]
    letters: Mapping[tuple[str, str], str] = field(default_factory=dict)
    failures: Mapping[tuple[str, str], Failures] = field(default_factory=dict)
    sealed: Sealed | None = None

    @cached_property
    def cells(self) -> Mapping[tuple[str, str], Sequence[RunRecord]]:
        """The runs of each network and strategy."""
        return cells_of(self.record)

    @property
    def family(self) -> int:
        """How many comparisons were tested, over which Holm's procedure goes."""
        return sum(not math.isnan(one.test.p) and one.n >= LEAST_SEEDS for one in self.comparisons)

    def find(self, network: str, shortcut: str) -> Comparison | None:
        """The comparison of this strategy on this network; None for the baseline itself."""
        return next((one for one in self.comparisons if (one.network, one.shortcut) == (network, shortcut)), None)


def rule(baseline: str, margin: float, family: int) -> str:
    """The rule of the verdict, to be printed with it."""
    over = f"the {counted(family, 'comparison')} here" if family else "all comparisons (none here could be tested)"
    return (
        f"Rule: paired t test over common seeds against {baseline}, two-sided 5 %, Holm over {over}; "
        f"equal within the margin: two one-sided tests against ±{counted(margin, 'point')}, 5 %, Holm over the same; "
        f"under {LEAST_SEEDS} common seeds: too few seeds. Intervals are of one comparison each, not adjusted for the "
        "others: one that excludes 0 is no verdict, the p after Holm is. This is compare.rule: paired-t; its 5 % hold "
        "for one look."
    )


def resolve_baseline(record: ExperimentRecord, wanted: str | None) -> str:
    """The strategy to compare with: the one asked for (name or alias), else the config's, else A, else the first.

    Raises UsageError, with the nearest names, where the one asked for is not among the runs.
    """
    names = in_order([run.shortcut for run in record.runs] + [shortcut for _, shortcut, _ in record.missing])
    if not names:
        raise UsageError("no runs to compare", record.name, record.command or "train first: rsc train --config ...")
    asked = wanted or (record.seals[0].baseline if record.seals else record.baseline)
    if asked is None:
        return _DEFAULT_BASELINE if _DEFAULT_BASELINE in names else names[0]
    found = label_meant(asked, names)
    if found is None and wanted is None:
        return _DEFAULT_BASELINE if _DEFAULT_BASELINE in names else names[0]
    if found is None:
        raise UsageError(f"the baseline '{asked}' is not among the runs of '{record.name}'", "--baseline",
                         did_you_mean(asked, names))  # fmt: skip
    return found


def judge(record: ExperimentRecord, baseline: str | None = None, margin: float | None = None) -> Verdicts:
    """Every strategy against the baseline on every network of one (merged) experiment.

    Raises UsageError for a baseline that is not there or a margin that is not above 0.
    """
    base = resolve_baseline(record, baseline)
    agreed = record.seals[0].margin if record.seals else record.margin
    width = agreed if margin is None else margin
    if not (width > 0 and math.isfinite(width)):
        raise UsageError(f"a margin of {width:g} points", "--margin", "give a number above 0, such as 0.2")
    cells = cells_of(record)
    failures = {key: count_failures(runs, record.fail_above) for key, runs in cells.items()}
    keys = [key for key in cells if key[1] != base]
    finished = {key: finished_by_seed(runs) for key, runs in cells.items()}
    pairs = [Pair(finished[key], finished.get((key[0], base), {})) for key in keys]
    tests = [statistics.paired(pair.differences, width) for pair in pairs]
    enough = [test.n >= LEAST_SEEDS for test in tests]
    flips = statistics.sign_flips([pair.differences for pair in pairs])
    flip_holm = statistics.holm([flip.p if ok else math.nan for flip, ok in zip(flips, enough, strict=True)])
    holm = statistics.holm([test.p if ok else math.nan for test, ok in zip(tests, enough, strict=True)])
    equal = statistics.holm([test.p_equal if ok else math.nan for test, ok in zip(tests, enough, strict=True)])
    fisher = _fisher(failures, keys, base)
    comparisons = [
        _comparison(key, base, pair, test, (p, q), (flip, flip_p), max(1, sum(enough)), failures[key], odds)
        for key, pair, test, p, q, flip, flip_p, odds in zip(
            keys, pairs, tests, holm, equal, flips, flip_holm, fisher, strict=True
        )
    ]
    comparisons = [
        _explained(one, finished[one.network, one.shortcut], cells.get((one.network, base), ())) for one in comparisons
    ]
    if not record.seals:
        return Verdicts(record, base, width, comparisons, _letters(finished), failures)
    sealed = sealed_verdicts(record, base, width)
    comparisons = [_sealed(one, sealed) for one in comparisons]
    return Verdicts(record, base, width, comparisons, _letters(finished), failures, sealed)


def _sealed(one: Comparison, sealed: Sealed) -> Comparison:
    """The comparison with the verdict of the sealed family."""
    verdict = sealed.find(one.network, one.shortcut)
    if verdict is None:
        return dataclasses.replace(one, verdict=INTERIM, detectable=None, needed=dict.fromkeys(WANTED))
    detect, needed = sealed.planned(verdict, WANTED)
    failures = dataclasses.replace(one.failures, untrained=verdict.collapsed)
    notes = [*footnotes(verdict, sealed), *_image_notes(verdict, one.images)]
    return dataclasses.replace(
        one, verdict=verdict.word, sealed=verdict, detectable=detect, detectable_range=None, needed=needed,
        footnotes=notes, baseline_failed=False, failures=failures,
    )  # fmt: skip


def _image_notes(verdict: Verdict, images: statistics.Crossed | None) -> list[str]:
    if images is None or verdict.interval is None:
        return []
    decided = verdict.interval.low > 0 or verdict.interval.high < 0
    return [_NOT_ON_NEW_IMAGES] if decided and images.low <= 0 <= images.high else []


def finished_by_seed(runs: Sequence[RunRecord]) -> dict[int, RunRecord]:
    """A cell's finished runs by seed."""
    return {run.seed: run for run in runs if run.finished}


def count_failures(runs: Sequence[RunRecord], fail_above: float | None) -> Failures:
    """A cell's failed and untrained runs."""
    untrained = 0
    if fail_above is not None:
        untrained = sum(run.finished and run.train_error is not None and run.train_error > fail_above for run in runs)
    return Failures(len(runs), sum(not run.finished for run in runs), untrained)


def _fisher(
    failures: Mapping[tuple[str, str], Failures], keys: Sequence[tuple[str, str]], base: str
) -> list[float | None]:
    """Fisher's exact p of failure counts against the baseline's, Holm over those that could be tested."""
    raw = []
    for key in keys:
        ours, theirs = failures[key], failures.get((key[0], base), Failures(0, 0, 0))
        raw.append(statistics.fisher(ours.count, ours.runs, theirs.count, theirs.runs))
    adjusted = statistics.holm([math.nan if p is None else p for p in raw])
    return [None if math.isnan(p) else p for p in adjusted]


class Pair:
    """Two strategies' finished runs over the seeds that both have, in seed order."""

    def __init__(self, ours: Mapping[int, RunRecord], theirs: Mapping[int, RunRecord]) -> None:
        self.seeds = sorted(ours.keys() & theirs.keys())
        self.runs = [(ours[seed], theirs[seed]) for seed in self.seeds]
        self.ours = [one.test_accuracy or 0.0 for one, _ in self.runs]
        self.theirs = [other.test_accuracy or 0.0 for _, other in self.runs]
        self.differences = [x - y for x, y in zip(self.ours, self.theirs, strict=True)]

    def images(self) -> statistics.Crossed | None:
        """The interval for new test images too, in points; None where predictions are not all there or do not match."""
        rows = []
        for one, other in self.runs:
            if one.correct is None or other.correct is None or one.correct.shape != other.correct.shape:
                return None
            rows.append(one.correct.astype(np.int8) - other.correct.astype(np.int8))
        if len(rows) < 2 or len({row.shape for row in rows}) != 1:
            return None
        found = statistics.crossed(np.stack(rows))
        if found is None:
            return None
        low, high = max(100 * found.low, -100.0), min(100 * found.high, 100.0)
        return statistics.Crossed(100 * found.mean, low, high, found.df)


def _comparison(
    key: tuple[str, str], base: str, pair: Pair, test: Paired, holm: tuple[float, float],
    flips: tuple[statistics.SignFlip, float], family: int, failures: Failures, fisher: float | None,
) -> Comparison:  # fmt: skip
    threshold = ALPHA / family
    flip, flip_holm = flips
    images = pair.images()
    blind = flip.floor > threshold
    detect, between = None, None
    needed: dict[float, int | None] = dict.fromkeys(WANTED)
    if test.n >= 2 and test.sd > 0:
        detect = statistics.detectable(test.sd, test.n, threshold)
        low, high = statistics.sd_interval(test.sd, test.n)
        between = (detect * low / test.sd, detect * high / test.sd) if detect else None
        needed = {want: statistics.seeds_needed(want, test.sd, threshold) for want in WANTED}
    verdict = _verdict(test, *holm)
    return Comparison(
        key[0], key[1], base, verdict, test.n, test, *holm, flip, blind, statistics.correlation(pair.ours, pair.theirs),
        images, detect, between, needed, failures, fisher,
        _footnotes(verdict, test, holm, math.nan if blind else flip_holm, images),
    )  # fmt: skip


def _verdict(test: Paired, p_holm: float, p_equal_holm: float) -> str:
    if test.n < LEAST_SEEDS:
        return TOO_FEW
    if p_holm < ALPHA:
        return BETTER if test.mean > 0 else WORSE
    return EQUAL if p_equal_holm < ALPHA else NOT_SETTLED


def _explained(one: Comparison, ours: Mapping[int, RunRecord], base: Sequence[RunRecord]) -> Comparison:
    """A comparison with too few seeds says how many are in common, none as distinct from few, and what took them."""
    if one.verdict != TOO_FEW:
        return one
    theirs = finished_by_seed(base)
    lost = len(ours.keys() & {run.seed for run in base} - theirs.keys())
    note = f"{counted(one.n, 'seed')} in common with {one.baseline}, {LEAST_SEEDS} are needed"
    if lost:
        note += f": {one.baseline}, the baseline, failed at {lost} that would be in common"
    elif not one.n and ours and theirs:
        note += ": their finished runs are of different seeds"
    elif not one.n:
        without = [name for name, runs in ((one.shortcut, ours), (one.baseline, theirs)) if not runs]
        note += f": no run of {' or '.join(without)} has finished"
    blamed = lost > 0 and one.n + lost >= LEAST_SEEDS
    return dataclasses.replace(one, footnotes=[*one.footnotes, note], baseline_failed=blamed)


def _footnotes(
    verdict: str, test: Paired, holm: tuple[float, float], flip_holm: float, images: statistics.Crossed | None
) -> list[str]:  # fmt: skip
    notes = []
    settled = verdict in (BETTER, WORSE)
    if verdict in (EQUAL, NOT_SETTLED) and test.p < ALPHA and not test.constant:
        notes.append("the unadjusted interval excludes 0; after Holm the p is not under 5 %")
    if test.constant:
        notes.append("every seed gave the same difference: t is not defined, the p is the exact sign test's"
                     if test.mean else "identical results at every seed")  # fmt: skip
    if settled and holm[1] < ALPHA:
        notes.append("the difference is real and lies within the margin")
    if not test.constant and (flip_holm >= ALPHA if settled else flip_holm < ALPHA):
        notes.append(f"the sign-flip test disagrees (p = {flip_holm:.3g} after Holm)")
    if images is not None and test.n >= LEAST_SEEDS:
        excludes = images.low > 0 or images.high < 0
        if settled and not excludes:
            notes.append(_NOT_ON_NEW_IMAGES)
        if not settled and excludes and test.low <= 0 <= test.high and not test.constant:
            notes.append("the interval for new test images excludes 0, the one for this test set does not")
    return notes


def _letters(cells: Mapping[tuple[str, str], Mapping[int, RunRecord]]) -> dict[tuple[str, str], str]:
    """Compact letter display on each network, all pairs tested, Holm over all pairs of all networks.

    ``cells`` holds the finished runs by seed. Strategies with fewer than three of them get no letter; pairs with fewer
    than three common seeds count as not shown to differ.
    """
    pairs: list[tuple[str, str, str]] = []
    for network in in_order(key[0] for key in cells):
        names = _ranked(cells, network)
        pairs += [(network, a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    p_values = []
    for network, a, b in pairs:
        test = statistics.paired(Pair(cells[network, a], cells[network, b]).differences, 1.0)
        p_values.append(test.p if test.n >= LEAST_SEEDS else math.nan)
    apart = [pair for pair, p in zip(pairs, statistics.holm(p_values), strict=True) if p < ALPHA]
    found: dict[tuple[str, str], str] = {}
    for network in in_order(key[0] for key in cells):
        names = _ranked(cells, network)
        for name, marks in letters(names, [(a, b) for where, a, b in apart if where == network]).items():
            found[network, name] = marks
    return found


def _ranked(cells: Mapping[tuple[str, str], Mapping[int, RunRecord]], network: str) -> list[str]:
    """Strategies with three finished runs or more, best mean first."""
    means = {
        shortcut: statistics.mean_and_sd(accuracies(list(runs.values())))[0] or 0.0
        for (where, shortcut), runs in cells.items()
        if where == network and len(runs) >= LEAST_SEEDS
    }
    return sorted(means, key=lambda name: (-means[name], name))
