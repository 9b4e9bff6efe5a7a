"""How long the runs that are left would take: from a few timed steps, so an estimate and called one."""

from dataclasses import dataclass
from typing import Any

from resnet_shortcuts.cost.cost_launch import run_cost_pass
from resnet_shortcuts.cost.cost_request import train_seconds
from resnet_shortcuts.experiments import processes
from resnet_shortcuts.experiments.study import Study, baseline_of, cost_request, jobs_of

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
    jobs = jobs_of(study, None)
    baseline = baseline_of(study.config)
    for row in rows:
        row["seconds"] = None
    to_do = any(row["runs_to_do"] for row in rows)
    if to_do:
        probe = cost_request(study, passes=("time",), seconds=PROBE_SECONDS, min_rounds=1, max_rounds=4)
        probe = probe.model_copy(update={"shortcuts": {baseline: probe.shortcuts[baseline]}})
        report = run_cost_pass(probe, environ=processes.environment(1))
        for row in rows:
            timed = report.row(row["network"], baseline)
            seconds = timed and train_seconds(
                timed,
                steps=study.steps,
                evaluation_images=study.evaluation_images,
                evaluation_batch_size=study.config.train.batch_size,
            )
            of_baseline = next(
                other for other in rows if (other["network"], other["shortcut"]) == (row["network"], baseline)
            )
            if seconds:
                scale = row["multiply_adds"] / of_baseline["multiply_adds"]
                row["seconds"] = (seconds * scale + A_RUN_SECONDS) * row["runs_to_do"] / max(1, jobs)
    return Estimate(f"estimated from {PROBE_SECONDS:.0f} s of timing" if to_do else None, jobs)
