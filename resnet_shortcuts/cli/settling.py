"""``rsc train --until-settled``: trains look by look and leaves out strategies whose verdict is final."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from resnet_shortcuts.cli.output import say
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.words import counted

if TYPE_CHECKING:
    from resnet_shortcuts.analysis.sealed_verdicts import Sealed
    from resnet_shortcuts.config.experiment_config import Config
    from resnet_shortcuts.experiments.plan import Plan
    from resnet_shortcuts.experiments.runner import Summary
    from resnet_shortcuts.experiments.store import Experiment


def with_all_seeds(config: "Config") -> "Config":
    """The config with every seed that may carry a verdict. Raises UsageError under the older rule."""
    from resnet_shortcuts.experiments.sealing import sealed_seeds

    if config.compare.rule != "sequential":
        todo = "leave out one of the two"
        raise UsageError("looks are not sealed under compare.rule: paired-t", "--until-settled", todo)
    return config.model_copy(update={"seeds": sealed_seeds(config.seeds, config.compare.max_seeds)})


def train_until_settled(
    plan: "Plan", experiment: "Experiment", train: Callable[["Plan"], "Summary"], keep: bool
) -> "Summary":
    """Train to the next look, again and again, until every verdict is final or no run that a look needs is left.

    ``train`` trains the runs of a part of the plan. With ``keep`` decided strategies are trained on.
    """
    from resnet_shortcuts.experiments.runner import Summary

    together, tried = Summary(), set[str]()
    while True:
        sealed = _standing(experiment)
        wanted = _next_runs(plan, sealed, keep)
        todo = [run_id for run_id in wanted if run_id not in tried]
        if not todo:
            break
        sizes = sorted({standing.next_seeds for standing in sealed.standings if standing.next_seeds})
        say(f"to the look at {' and '.join(map(str, sizes))} seeds: {counted(len(todo), 'run')}")
        summary = train(_part(plan, set(todo)))
        tried |= set(todo)
        together = _added(together, summary)
    say(_saved(plan, experiment, sealed))
    return together


def _standing(experiment: "Experiment") -> "Sealed":
    from resnet_shortcuts.analysis.reading import read_experiment
    from resnet_shortcuts.analysis.sealed_verdicts import sealed_verdicts

    record = read_experiment(experiment, images=False, history=False)
    if not record.seals:
        raise UsageError("this experiment has no sealed looks", experiment.name, "train it under another name")
    return sealed_verdicts(record, record.seals[0].baseline, record.seals[0].margin)


def _next_runs(plan: "Plan", sealed: "Sealed", keep: bool) -> list[str]:
    """The runs of the plan that the next look needs and that have no result, those that were lost among them."""
    needed = set()
    for standing in sealed.standings:
        needed |= {(cell.network, cell.shortcut, seed) for cell, seed in standing.missing}
        needed |= {(cell.network, cell.shortcut, seed) for cell, seed, _ in standing.lost}
        if keep and standing.next_seeds:
            seeds = standing.seal.seeds[: standing.next_seeds]
            needed |= {(cell.network, cell.shortcut, seed) for cell in standing.seal.cells() for seed in seeds}
    return [run.run_id for run in plan.runs if (run.network, run.shortcut, run.seed) in needed]


def _part(plan: "Plan", run_ids: set[str]) -> "Plan":
    return type(plan).model_validate({**dict(plan), "runs": [row for row in plan.rows if row[0] in run_ids]})


def _added(first: "Summary", second: "Summary") -> "Summary":
    return replace(
        first,
        done=[*first.done, *second.done],
        skipped=[*first.skipped, *second.skipped],
        diverged={**first.diverged, **second.diverged},
        failed={**first.failed, **second.failed},
        damaged={**first.damaged, **second.damaged},
    )


def _saved(plan: "Plan", experiment: "Experiment", sealed: "Sealed") -> str:
    """How many runs the looks made unnecessary."""
    left = sum(not experiment.finished(run.run_id) for run in plan.runs)
    waiting = [standing for standing in sealed.standings if standing.next_seeds is not None]
    state = "a look still waits for runs" if waiting else "every verdict is final"
    return f"{state}; {left} of {counted(len(plan.runs), 'planned run')} not trained"
