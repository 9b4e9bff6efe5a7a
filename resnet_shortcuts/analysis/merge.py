"""Several experiments as one: different data or recipes are refused, different hardware leaves the times out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from resnet_shortcuts.analysis.experiment_records import (
    CostRecord,
    ExperimentRecord,
    Regime,
    RunRecord,
    in_order,
    same_machine,
)
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.shortcuts.catalogue import find


def merge(
    experiments: Sequence[ExperimentRecord], baseline: str | None = None, margin: float | None = None
) -> tuple[ExperimentRecord, list[str]]:
    """One record of all experiments and the notes that must be printed with it.

    A run that several experiments hold (same network, strategy, seed) counts once, a finished one before a failed one.
    Raises UsageError where the experiments differ in data, recipe or precision, naming the first difference, give one
    name to different strategies or networks, or would be judged by different rules that neither ``baseline`` nor
    ``margin`` decides.
    """
    if not experiments:
        raise UsageError("nothing to compare", "rsc compare", "first: rsc train --config configs/benchmark.yaml")
    first = experiments[0]
    for other in experiments[1:]:
        _refuse_different(first, other, baseline, margin)
    _refuse_one_name_for_two(experiments)
    costs, sentences, notes = _costs_of_one_machine(experiments)
    merged = dataclasses.replace(
        first,
        cost_sentences=sentences,
        command=" && ".join(in_order(filter(None, (experiment.command for experiment in experiments)))),
        config_text="\n---\n".join(in_order(filter(None, (experiment.config_text for experiment in experiments)))),
        name="+".join(in_order(experiment.name for experiment in experiments)),
        runs=_once(run for experiment in experiments for run in experiment.runs),
        missing=_still_missing(experiments),
        left_over=[run for experiment in experiments for run in experiment.left_over],
        damaged=[run for experiment in experiments for run in experiment.damaged],
        costs=costs,
        seals=first.seals if all(other.seals == first.seals for other in experiments) else (),
    )
    if first.seals and not merged.seals:
        notes.append("The experiments were sealed differently, so together they are judged by compare.rule: paired-t.")
    return merged, notes


def _once(runs: Iterator[RunRecord]) -> list[RunRecord]:
    kept: dict[tuple[str, str, int], RunRecord] = {}
    for run in runs:
        key = (run.network, run.shortcut, run.seed)
        if key not in kept or (run.finished and not kept[key].finished):
            kept[key] = run
    return list(kept.values())


def _still_missing(experiments: Sequence[ExperimentRecord]) -> list[tuple[str, str, int]]:
    stored = {(run.network, run.shortcut, run.seed) for experiment in experiments for run in experiment.runs}
    missing = [key for experiment in experiments for key in experiment.missing]
    return [key for key in dict.fromkeys(missing) if key not in stored]


def _refuse_different(
    first: ExperimentRecord, other: ExperimentRecord, baseline: str | None, margin: float | None
) -> None:
    """Neither data nor recipe may differ, nor the rule: it must not depend on which experiment is named first."""
    apart = "compare them one at a time: accuracies from unlike data or recipes are not mixed"
    compared = [(*leaf, apart) for leaf in differences(_science(first.regime), _science(other.regime))]
    if baseline is None:
        compared.append(("compare.baseline", _baseline(first), _baseline(other), "name it: --baseline"))
    if margin is None:
        compared.append(("compare.margin", first.margin, other.margin, "name it: --margin"))
    compared.append(("compare.fail_above", first.fail_above, other.fail_above, "compare them one at a time"))
    for key, ours, theirs, todo in compared:
        if ours != theirs:
            what = f"experiments differ in {key}: {_short(ours)} in '{first.name}', {_short(theirs)} in '{other.name}'"
            raise UsageError(what, f"{first.name}, {other.name}", todo)


def _baseline(record: ExperimentRecord) -> str:
    """The baseline by its name; what no strategy is called stands for itself."""
    wanted = record.baseline or "A"
    try:
        return find(wanted).name
    except UsageError:  # a name of the config's own
        return wanted.casefold()


def _refuse_one_name_for_two(experiments: Sequence[ExperimentRecord]) -> None:
    named: dict[tuple[str, str], tuple[Any, str]] = {}
    for experiment in experiments:
        for run in experiment.runs:
            built_of, where = named.setdefault((run.network, run.shortcut), (run.built_of, experiment.name))
            if built_of != run.built_of:
                raise UsageError(
                    f"'{run.shortcut}' in {run.network} is not the same in '{where}' and in '{experiment.name}'",
                    f"{where}, {experiment.name}",
                    "give one of the two another name, or compare them one at a time",
                )


def _science(regime: Regime) -> dict[str, Any]:
    return {
        "data content": regime.content,
        "train images": regime.train_images,
        "test images": regime.test_images,
        "epochs": regime.epochs,
        "iterations": regime.iterations,
        "batch size": regime.batch_size,
        "precision": regime.precision,
        "augmentation": tuple(regime.augment),
        "normalisation": regime.normalize,
        "resolution": regime.resolution,
        "data": dict(regime.data),
        "recipe": dict(regime.recipe),
    }


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The leaves that differ, as (dotted path, value, value)."""
    for key in in_order([*ours, *theirs]):
        a, b = ours.get(key), theirs.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from differences(a, b, f"{path}{key}.")
        elif a != b:
            yield f"{path}{key}", a, b


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 24 else text[:21] + "..."


def _costs_of_one_machine(experiments: Sequence[ExperimentRecord]) -> tuple[list[CostRecord], list[str], list[str]]:
    """Costs, sentences on them, and notes: all of it if one kind of machine was measured on and against one
    baseline; otherwise what is the same everywhere, and why the rest is left out.

    What several experiments measured counts once, the first one's, and the others' sentences on it are not repeated.
    """
    kept: dict[tuple[str, str], CostRecord] = {}
    sentences: list[str] = []
    for experiment in experiments:
        costs = {(cost.network, cost.shortcut): cost for cost in experiment.costs}
        if not costs or costs.keys() - kept.keys():
            sentences += experiment.cost_sentences
        kept |= {**costs, **kept}
    measured = [cost for experiment in experiments for cost in experiment.costs]
    other_machine = next((cost for cost in measured if not same_machine(measured[0], cost)), None)
    bases = {cost.network: cost.ratio_baseline for cost in reversed(measured) if cost.ratio_baseline}
    other_bases = [cost.ratio_baseline for cost in measured if cost.ratio_baseline not in ("", bases.get(cost.network))]
    if other_machine is not None:
        why = "on unlike machines"
        names = in_order(cost.hardware or "an unnamed machine" for cost in measured)
        if len(names) == 1:  # what tells them apart is known, and in no name
            names = [str(measured[0].machine), str(other_machine.machine)]
    elif other_bases:
        why, names = "against unlike baselines", in_order([*bases.values(), *other_bases])
    else:
        return list(kept.values()), in_order(sentences), []
    bare = [
        dataclasses.replace(
            cost, hardware="", peak_memory_bytes=None, step_ms=None, step_ms_interval=None, step_ratio=None,
            step_ratio_interval=None, noise=None, train_seconds=None,
        )
        for cost in kept.values()
    ]  # fmt: skip
    return bare, [], [f"Times and peak memory are left out: they were measured {why} ({' and '.join(names)})."]
