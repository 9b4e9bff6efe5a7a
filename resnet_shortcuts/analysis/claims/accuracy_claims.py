"""Claims 6 to 8, about accuracy, from paired runs on every network that has both strategies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from resnet_shortcuts.analysis import statistics
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
    ends,
    signed,
)
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, RunRecord, in_order, pretty_network
from resnet_shortcuts.analysis.statistics import ALPHA, Paired
from resnet_shortcuts.analysis.verdicts import LEAST_SEEDS, Pair, count_failures, finished_by_seed
from resnet_shortcuts.words import counted


class FromRuns:
    """Claims about accuracy, from paired runs on every network that has both strategies."""

    def __init__(self, record: ExperimentRecord, margin: float) -> None:
        self._record, self._margin = record, margin
        self._networks = in_order(run.network for run in record.runs)
        compared = [(AVG, ASKER), (ANSWER, AVG)]
        tests = {(net, *pair): self._test(net, *pair) for pair in compared for net in self._networks}
        ready = {key: test for key, test in tests.items() if test.n >= LEAST_SEEDS}
        adjusted = statistics.holm([test.p for test in ready.values()])
        equal = statistics.holm([test.p_equal for test in ready.values()])
        self._judged = {
            key: (test, p, q) for (key, test), p, q in zip(ready.items(), adjusted, equal, strict=True)
        }  # fmt: skip

    def helps(self, ours: str, theirs: str, caveat: str = "") -> Judged:
        """Whether ``ours`` is better than ``theirs``: false if it is worse, or equal within the margin."""
        verdicts, figures, intervals = [], [], []
        for network in self._networks:
            if (network, ours, theirs) not in self._judged:
                continue
            test, p, q = self._judged[network, ours, theirs]
            settled = p < ALPHA
            verdicts.append((TRUE if test.mean > 0 else FALSE) if settled else FALSE if q < ALPHA else NOT_SETTLED)
            figures.append(self._figure(network, ours, theirs, test))
            intervals.append(_interval(test))
        if not verdicts:
            return self._too_few([(ours, theirs)])
        verdict = verdicts[0] if len(set(verdicts)) == 1 else NOT_SETTLED
        source = self._source(f"margin {self._margin:g}, Holm{f'; {caveat}' if caveat else ''}")
        return verdict, "; ".join(figures), "; ".join(intervals), source

    def hardly(self) -> Judged:
        """Whether the gain of B and C over A stays under the margin: each of them, on every network."""
        tests = [(net, name, self._test(net, name, A)) for net in self._networks for name in (B, C)]
        ready = [(net, name, test) for net, name, test in tests if test.n >= LEAST_SEEDS]
        if {name for _, name, _ in ready} != {B, C}:
            return self._too_few([(B, A), (C, A)])
        above = statistics.holm([self._beyond(net, name, "greater") for net, name, _ in ready])
        below = [self._beyond(net, name, "less") for net, name, _ in ready]
        verdict = NOT_SETTLED
        if any(p < ALPHA for p in above):
            verdict = FALSE
        elif all(p < ALPHA for p in below):
            verdict = TRUE
        figures = [self._figure(net, name, A, test) for net, name, test in ready]
        intervals = [_interval(test) for _, _, test in ready]
        source = self._source(f"'hardly' is under {self._margin:g} points")
        return verdict, "; ".join(figures), "; ".join(intervals), source

    def _beyond(self, network: str, name: str, side: Literal["less", "greater"]) -> float:
        """One-sided p that the gain over A is greater or less than the margin."""
        return statistics.beyond(self._pair(network, name, A).differences, self._margin, side)

    def _pair(self, network: str, ours: str, theirs: str) -> Pair:
        return Pair(*(finished_by_seed(self._runs(network, name)) for name in (ours, theirs)))

    def _test(self, network: str, ours: str, theirs: str) -> Paired:
        return statistics.paired(self._pair(network, ours, theirs).differences, self._margin)

    def _figure(self, network: str, ours: str, theirs: str, test: Paired) -> str:
        """The mean difference; failures, which no mean of finished runs shows, come before it."""
        where = f"{pretty_network(network)}: " if len(self._networks) > 1 else ""
        failed = [(name, self._failures(network, name)) for name in (ours, theirs)]
        told = "".join(f"{name} {words}, " for name, words in failed if words)
        return f"{where}{told}{ours} − {theirs} = {signed(test.mean)} points, {counted(test.n, 'seed')}"

    def _failures(self, network: str, name: str) -> str:
        return count_failures(self._runs(network, name), self._record.fail_above).words()

    def _runs(self, network: str, name: str) -> list[RunRecord]:
        return [run for run in self._record.runs if (run.network, run.shortcut) == (network, name)]

    def _too_few(self, pairs: Sequence[tuple[str, str]]) -> Judged:
        tests = [(net, *pair, self._test(net, *pair).n) for net in self._networks for pair in pairs]
        figures = [f"{pretty_network(net)}: {a} and {b} have {counted(n, 'common seed')}" for net, a, b, n in tests]
        todo = f"train: {LEAST_SEEDS} common seeds or more of " + ", ".join(
            in_order(name for pair in pairs for name in pair)
        )
        return NOT_SETTLED, "; ".join(figures), "", todo

    def _source(self, how: str) -> str:
        networks = ", ".join(pretty_network(name) for name in self._networks)
        return f"runs: {self._record.regime.sentence(networks)}; {how}"


def _interval(test: Paired) -> str:
    return "none: every seed gave the same" if test.constant else ends(test.low, test.high)
