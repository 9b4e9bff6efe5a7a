"""The ten claims of the question that started this project, each judged from what was measured.

Costs and runs come from an experiment, what operators do from rows as ``rsc verify`` prints them. What was not measured
leaves a claim not settled, and the claim says what would measure it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resnet_shortcuts.analysis.claims import cost_claims, operator_claims
from resnet_shortcuts.analysis.claims.accuracy_claims import FromRuns
from resnet_shortcuts.analysis.claims.judged import ANSWER, ASKER, AVG, A, B, C
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord

CLAIMED, FITTED = operator_claims.CLAIMED, operator_claims.FITTED
TEXTS = {
    1: "Option A's identity is a 1x1 max-pool of stride 2.",
    2: "Option A throws 3/4 of the pixels away.",
    3: "A 3x3 max-pool encodes more information than option A.",
    4: "A 2x2 average-pool loses no information.",
    5: "A 2x2 average-pool does not hinder the gradient.",
    6: "Concatenating the average with itself helps.",
    7: "The non-linearity of max-pool hurts.",
    8: "Options B and C hardly raise accuracy.",
    9: "Options B and C raise parameters and memory.",
    10: "None of it affects training time much.",
}


@dataclass(frozen=True)
class Claim:
    """One claim, judged: 'true', 'false' or 'not settled', the figure that decides, its interval, its origin."""

    number: int
    text: str
    verdict: str
    figure: str
    interval: str
    source: str


def are_compared(record: ExperimentRecord) -> bool:
    """Whether an experiment is about the claims: it compares every strategy that they name."""
    return {A, B, C, ASKER, AVG, ANSWER} <= {run.shortcut for run in record.runs}


def judge_claims(
    record: ExperimentRecord, verify: Sequence[Mapping[str, Any]] = (), margin: float | None = None
) -> list[Claim]:
    """The ten claims in order, from one (merged) experiment, its costs, and the rows of ``rsc verify``."""
    facts = operator_claims.Facts(verify)
    from_runs = FromRuns(record, record.margin if margin is None else margin)
    judged = [
        operator_claims.is_max_pool(facts), operator_claims.discards(facts), operator_claims.encodes(facts),
        operator_claims.lossless(facts), operator_claims.passes_gradient(facts),
        from_runs.concatenating_helps(), from_runs.maximum_hurts(), from_runs.hardly_raises(),
        cost_claims.memory(record), cost_claims.time(record),
    ]  # fmt: skip
    return [Claim(number, TEXTS[number], *rest) for number, rest in enumerate(judged, start=1)]
