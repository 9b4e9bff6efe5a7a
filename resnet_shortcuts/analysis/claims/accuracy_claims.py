"""Claims 6 to 8, about accuracy, from runs on every network of the experiment."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from resnet_shortcuts.analysis import published
from resnet_shortcuts.analysis.claims.contrasts import Contrast, contrasts, runs_of
from resnet_shortcuts.analysis.claims.judged import (
    ANSWER,
    ASKER,
    AVG,
    FALSE,
    MAX2,
    NOT_SETTLED,
    TRUE,
    A,
    B,
    C,
    Judged,
    ends,
    signed,
)
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, in_order, pretty_network
from resnet_shortcuts.analysis.verdicts import count_failures
from resnet_shortcuts.data.data_config import NAMES
from resnet_shortcuts.experiments.verdict_seal import LEAST_SEEDS
from resnet_shortcuts.words import counted

CONTRASTS = ((ANSWER, AVG), (MAX2, AVG), (MAX2, A), (B, A), (C, A))
"""Of claim 6, of claim 7 (its window, its coverage and gradient gain held fixed) and of claim 8."""
DRAWN = ("digits",)
"""Sources of images that are no photographs: what holds on them is no evidence for real images."""


class FromRuns:
    """Claims about accuracy, from paired runs on every network that has both strategies."""

    def __init__(self, record: ExperimentRecord, margin: float) -> None:
        self._record, self._margin = record, margin
        self._networks = in_order(run.network for run in record.runs)
        trained = {run.shortcut for run in record.runs}
        pairs = [pair for pair in CONTRASTS if trained.issuperset(pair)]
        self._contrasts = contrasts(record, pairs, self._networks)

    def concatenating_helps(self) -> Judged:
        """Claim 6: false if it is worse, or equal within the margin."""
        return self._judge([(ANSWER, AVG)], self._helps)

    def maximum_hurts(self) -> Judged:
        """Claim 7: true only if the 2x2 maximum is worse than the average of its window and than the stride.

        Option A has its coverage and gradient gain; a 3x3 maximum against a 2x2 average would compare windows, too.
        """
        lacking = [name for name in (MAX2, AVG, A) if not any(run.shortcut == name for run in self._record.runs)]
        if lacking and any(run.shortcut == ASKER for run in self._record.runs):
            what = f"{ASKER} and {AVG} differ in their windows, 3x3 and 2x2, too: {MAX2} is the control"
            return NOT_SETTLED, f"not trained: {', '.join(lacking)}; {what}", "", self._todo([MAX2, AVG, A])
        return self._judge([(MAX2, AVG), (MAX2, A)], self._hurts)

    def hardly_raises(self) -> Judged:
        """Claim 8: whether the gain of B and C over A stays under the margin, each of them, on every network."""
        verdict, figure, interval, source = self._judge([(B, A), (C, A)], self._hardly, each=False)
        if interval:
            source += f"; 'hardly' is under {self._margin:g} points"
            if self._record.regime.source in DRAWN:
                verdict, figure = NOT_SETTLED, f"drawn digits are no evidence for real images; {figure}"
        quoted = _published_gains()
        return verdict, f"{figure}; published: {quoted}", interval, source

    def _judge(
        self, pairs: Sequence[tuple[str, str]], holds: Callable[[Sequence[Contrast]], str], *, each: bool = True
    ) -> Judged:
        """Judged on ``each`` network, all of which must agree, or over all of them at once."""
        mine = [one for one in self._contrasts if (one.ours, one.theirs) in pairs]
        ready = [one for one in mine if not one.waits_for]
        if {(one.ours, one.theirs) for one in ready} != set(pairs):
            return self._too_few(pairs, mine)
        networks = in_order(one.network for one in ready)
        groups = [[one for one in ready if one.network == network] for network in networks] if each else [ready]
        verdicts = {holds(group) if len(group) >= len(pairs) else NOT_SETTLED for group in groups}
        verdict = verdicts.pop() if len(verdicts) == 1 else NOT_SETTLED
        figures, intervals = [self._figure(one) for one in ready], [_interval(one) for one in ready]
        together = ", ".join(pretty_network(name) for name in networks)
        most = max(one.seeds for one in ready)
        source = f"runs: {self._record.regime.sentence(together)}, {counted(most, 'seed')}; margin {self._margin:g}, "
        source += f"{counted(len(self._contrasts), 'interval')} that hold together at 95 %"
        return verdict, "; ".join(figures), "; ".join(intervals), source

    def _helps(self, found: Sequence[Contrast]) -> str:
        (one,) = found
        if one.low > 0:
            return TRUE
        return FALSE if one.high < 0 or one.within(self._margin) else NOT_SETTLED

    def _hurts(self, found: Sequence[Contrast]) -> str:
        if all(one.high < 0 for one in found):
            return TRUE
        not_worse = [one.low > 0 or (one.within(self._margin) and one.high >= 0) for one in found]
        return FALSE if any(not_worse) else NOT_SETTLED

    def _hardly(self, found: Sequence[Contrast]) -> str:
        if any(one.low > self._margin for one in found):
            return FALSE
        return TRUE if all(one.high < self._margin for one in found) else NOT_SETTLED

    def _figure(self, one: Contrast) -> str:
        """The mean difference; failures, which no mean of finished runs shows, come before it."""
        where = f"{pretty_network(one.network)}: " if len(self._networks) > 1 else ""
        failed = [(name, self._failures(one.network, name)) for name in (one.ours, one.theirs)]
        before = "".join(f"{name} {words}, " for name, words in failed if words)
        lowers = f"{one.ours} lowers accuracy: " if one.high < 0 and one.theirs == A and one.ours in (B, C) else ""
        difference = f"{one.ours} − {one.theirs} = {signed(one.mean)} points"
        return f"{where}{before}{lowers}{difference}, {counted(one.seeds, 'seed')}"

    def _failures(self, network: str, name: str) -> str:
        return count_failures(runs_of(self._record, network, name), self._record.fail_above).words()

    def _too_few(self, pairs: Sequence[tuple[str, str]], mine: Sequence[Contrast]) -> Judged:
        sealed = bool(self._record.seals)
        waiting = [
            f"{pretty_network(one.network)}: {one.ours} and {one.theirs} "
            + (f"wait for the look at {one.waits_for} seeds" if sealed else f"have {counted(one.seeds, 'common seed')}")
            for one in mine
            if one.waits_for
        ]
        names = in_order(name for pair in pairs for name in pair)
        absent = [name for name in names if not any(run.shortcut == name for run in self._record.runs)]
        figure = "; ".join([*waiting, *([f"not trained: {', '.join(absent)}"] if absent else [])])
        return NOT_SETTLED, figure, "", self._todo(names)

    def _todo(self, names: Sequence[str]) -> str:
        return f"train: {LEAST_SEEDS} common seeds or more of {', '.join(names)}"


def _interval(one: Contrast) -> str:
    return "none: every seed gave the same" if math.isnan(one.low) else ends(one.low, one.high)


def _published_gains() -> str:
    """What is published of B and C over A in the same network: differences of the errors, in points."""
    parts = []
    for entry in published.data()["sets"]:
        errors = {(row["network"], row["shortcut"]): row["error"] for row in entry["rows"]}
        for network in in_order(network for network, _ in errors):
            gains = [
                f"{name} {signed(errors[network, A] - errors[network, name])}"
                for name in (B, C)
                if (network, A) in errors and (network, name) in errors
            ]
            if gains:
                data = NAMES[entry["data"]["source"]]
                parts.append(f"{entry['source']}, {pretty_network(network)} on {data}: {', '.join(gains)}")
    return "; ".join(parts)
