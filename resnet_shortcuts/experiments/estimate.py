"""How long the runs that are left would take: from a few timed steps, so an estimate and called one."""

from dataclasses import dataclass
from typing import Any

from resnet_shortcuts.cost.cost_launch import run_cost_pass
from resnet_shortcuts.cost.cost_request import train_seconds
from resnet_shortcuts.experiments import processes
from resnet_shortcuts.experiments.study import Study, baseline_of, cost_request, evaluation_size, jobs_of

PROBE_SECONDS = 4.0
START_SECONDS, A_RUN_SECONDS = 3.0, 0.2
"""What workers take to import torch, and a run to be set up and published, on two ordinary cores."""


@dataclass(frozen=True)
class Estimate:
    """Where the estimated times come from, and for how many runs side by side."""

    source: str | None
    jobs: int


def estimate(study: Study, rows: list[dict[str, Any]]) -> Estimate:
    """Add to each row ``seconds``: elapsed time of its runs to do, from a short timing of the baseline."""
    jobs, baseline = jobs_of(study, None), baseline_of(study.config)
    to_do = any(row["runs_to_do"] for row in rows)
    seconds = _seconds_of_baseline(study, baseline) if to_do else {}
    multiply_adds = {row["network"]: row["multiply_adds"] for row in rows if row["shortcut"] == baseline}
    for row in rows:
        of_baseline = seconds.get(row["network"])
        if of_baseline:
            of_this = of_baseline * row["multiply_adds"] / multiply_adds[row["network"]]
            row["seconds"] = (of_this + A_RUN_SECONDS) * row["runs_to_do"] / max(1, jobs)
        else:
            row["seconds"] = None
    return Estimate(f"estimated from {PROBE_SECONDS:.0f} s of timing" if to_do else None, jobs)


def _seconds_of_baseline(study: Study, baseline: str) -> dict[str, float | None]:
    """Seconds of one run of the baseline on each network, from a few timed steps."""
    probe = cost_request(study, passes=("time",), seconds=PROBE_SECONDS, min_rounds=1, max_rounds=4)
    probe = probe.model_copy(update={"shortcuts": {baseline: probe.shortcuts[baseline]}})
    return {
        row.network: train_seconds(
            row,
            steps=study.steps,
            evaluation_images=study.evaluation_images,
            evaluation_batch_size=evaluation_size(study) or study.config.train.batch_size,
        )
        for row in run_cost_pass(probe, environ=processes.environment(1)).rows
    }
