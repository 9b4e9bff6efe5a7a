"""The protocol of an experiment in words for a paper: data, recipe, seeds, the rule of the verdicts. Plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, Regime, in_order, pretty_network
from resnet_shortcuts.analysis.statistics import ALPHA
from resnet_shortcuts.analysis.verdicts import LEAST_SEEDS, Verdicts
from resnet_shortcuts.experiments.verdict_seal import VerdictSeal
from resnet_shortcuts.words import counted

AUGMENTATIONS = {
    "crop": "random crops after padding by an eighth",
    "flip": "horizontal flips",
    "random-resized-crop": "random resized crops",
}


def networks_of(verdicts: Verdicts) -> list[str]:
    """The networks compared, in the order of the plan."""
    return in_order(network for network, _ in verdicts.failures)


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def data_sentence(regime: Regime) -> str:
    """Which images were learnt from and tested on."""
    if regime.train_images is None or regime.test_images is None:
        return f"Data: {regime.name or regime.source or 'unknown'}."
    name = regime.name or regime.source
    images = f"{counted(regime.train_images, 'training image')} and {counted(regime.test_images, 'test image')}"
    size = f", {regime.resolution}x{regime.resolution} pixels" if regime.resolution else ""
    return f"Data: {images}{f' of {name}' if name else ''}{size}."


def recipe_sentence(regime: Regime) -> str:
    """How the networks were trained, as far as the record tells."""
    recipe = regime.recipe
    parts = ["SGD" if recipe else "", regime.length()]
    parts.append(f"batch size {regime.batch_size}" if regime.batch_size else "")
    if "lr" in recipe:
        parts.append(f"learning rate {recipe['lr']:g} ({_schedule(recipe.get('schedule') or {})})")
    if recipe.get("momentum"):
        parts.append(f"{'Nesterov ' if recipe.get('nesterov') else ''}momentum {recipe['momentum']:g}")
    parts += [
        f"{name.replace('_', ' ')} {recipe[name]:g}" for name in ("weight_decay", "label_smoothing") if recipe.get(name)
    ]
    augmentation = listed([AUGMENTATIONS.get(name, name) for name in regime.augment] or ["none"])
    parts += [f"augmentation: {augmentation}" if recipe else "", regime.precision]
    return f"Training: {', '.join(part for part in parts if part)}."


def _schedule(schedule: Mapping[str, Any]) -> str:
    kind = str(schedule.get("kind", "unknown schedule"))
    if kind != "step":
        return kind
    milestones = schedule.get("milestones") or schedule.get("milestone_epochs") or []
    unit = " epochs" if schedule.get("milestone_epochs") else ""
    return (
        f"times {schedule.get('gamma', 0.1):g} at {listed([f'{place:g}' for place in milestones] or ['no time'])}{unit}"
    )


def seeds_sentence(verdicts: Verdicts) -> str:
    """How many finished runs each mean rests on, with every exception."""
    finished = {key: sum(run.finished for run in runs) for key, runs in verdicts.cells.items()}
    usual = max(finished.values(), default=0)
    exceptions = [
        f"{shortcut} on {pretty_network(network)} {count} of {len(verdicts.cells[network, shortcut])}"
        for (network, shortcut), count in finished.items()
        if count != usual
    ]
    text = f"Accuracy after the last epoch, mean ± standard deviation over n = {counted(usual, 'seed')}"
    return f"{text}{f' (finished: {listed(exceptions)})' if exceptions else ''}."


def failures_sentence(verdicts: Verdicts) -> str:
    """Which strategies had failing runs; empty where none had."""
    judged = {(each.network, each.shortcut): each.failures for each in verdicts.comparisons}
    failing = [
        f"{key[1]} on {pretty_network(key[0])} {failures.words()}"
        for key, failures in {**verdicts.failures, **judged}.items()
        if failures.count
    ]
    return f"Failed or collapsed runs: {'; '.join(failing)}." if failing else ""


def missing_sentence(record: ExperimentRecord) -> str:
    """How many planned runs are not there; empty where all are."""
    planned = len(record.missing) + len(record.runs)
    return f"Unfinished: {len(record.missing)} of {counted(planned, 'planned run')} missing." if record.missing else ""


def footnote_sentences(verdicts: Verdicts) -> list[str]:
    """What must be said beside single verdicts, a sentence a remark, with the strategies that it concerns."""
    several = len(networks_of(verdicts)) > 1
    concerned: dict[str, list[str]] = {}
    for each in verdicts.comparisons:
        name = f"{each.shortcut} on {pretty_network(each.network)}" if several else each.shortcut
        for note in each.footnotes:
            concerned.setdefault(note, []).append(name)
    return [
        f"{'All' if len(names) == len(verdicts.comparisons) else listed(names)}: {note}."
        for note, names in concerned.items()
    ]


def rule_sentence(verdicts: Verdicts) -> str:
    """The rule of the verdicts, without a word on commands or configs."""
    if verdicts.sealed is None:
        family = verdicts.family
        over = f"the {counted(family, 'comparison')} here" if family else "all comparisons (none here could be tested)"
        return (
            f"Verdicts: paired t tests over common seeds against {verdicts.baseline} at 5 %, Holm's adjustment over "
            f"{over}; equivalent: two one-sided tests against ±{counted(verdicts.margin, 'point')}, adjusted likewise; "
            f"none under {LEAST_SEEDS} common seeds. Intervals are 95 %, not adjusted for the others."
        )
    standings = verdicts.sealed.standings
    seal = standings[0].seal
    if not seal.looks:
        return f"Verdicts: none; {counted(seal.max_seeds, 'seed')} are too few."
    family = sum(standing.comparisons for standing in standings)
    return " ".join(filter(None, [_looks(seal, family, len(standings)), _exploratory(verdicts)]))


def _looks(seal: VerdictSeal, family: int, families: int) -> str:
    looks = "one look" if len(seal.looks) == 1 else "looks"
    together = "together" if families == 1 else "together in each family"
    return (
        f"Verdicts against {seal.baseline}, fixed before the first look: {looks} at "
        f"{listed([str(size) for size in seal.looks])} seeds; simultaneous intervals of "
        f"{counted(family, 'comparison')} that hold {together} at {100 * (1 - ALPHA):.0f} %. Better or worse: the "
        f"interval excludes 0; equivalent: it lies within ±{counted(seal.margin, 'point')}; else inconclusive. Runs "
        "that diverge or collapse enter at chance accuracy."
    )


def _exploratory(verdicts: Verdicts) -> str:
    exploratory = verdicts.sealed is not None and verdicts.sealed.exploratory
    return "Exploratory: baseline or margin were chosen after the runs." if exploratory else ""
