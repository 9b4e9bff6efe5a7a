"""From a config to the seal of its verdicts, and what becomes of a seal that is stored already."""

from collections.abc import Sequence

from pydantic import ValidationError

from resnet_shortcuts.config.experiment_config import MAX_SEED, CompareSpec, Config
from resnet_shortcuts.errors import IntegrityError, SettingError
from resnet_shortcuts.experiments.plan import Plan, SealedVerdicts
from resnet_shortcuts.experiments.run_record import DEFAULT_RECIPE
from resnet_shortcuts.experiments.store import Experiment
from resnet_shortcuts.experiments.verdict_seal import Cell, VerdictSeal, look_sizes
from resnet_shortcuts.shortcuts.catalogue import Strategy

RECORDED = "table.csv"
"""A training that ended left its verdicts here."""


def seal_of(config: Config, baseline: str, classes: int, test_images: int) -> VerdictSeal | None:
    """What a config fixes before the first look; None for the older rule, or where there is nothing to compare.

    A margin below the weight of one test image is raised to it. Raises SettingError for looks that do not fit.
    """
    compare = config.compare
    strategies = tuple(strategy.name for strategy in config.shortcuts if strategy.name != baseline)
    if compare.rule != "sequential" or not strategies or classes < 2:
        return None
    seeds = sealed_seeds(config.seeds, compare.max_seeds)
    try:
        return VerdictSeal(
            seeds=seeds,
            looks=compare.looks or look_sizes(len(seeds)),
            margin=max(compare.margin, 100 / test_images),
            baseline=baseline,
            networks=tuple(network.label for network in config.networks),
            strategies=strategies,
            own_variance=tuple(strategy.name for strategy in config.shortcuts if not _is_pooled(strategy)),
            fail_above=compare.fail_above,
            classes=classes,
            test_images=test_images,
        )
    except ValidationError as error:
        what = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise SettingError(f"compare.looks: {what}", "compare.looks", _looks_todo(compare, len(seeds))) from None


def _looks_todo(compare: CompareSpec, seeds: int) -> str:
    default = look_sizes(seeds)
    return f"leave it out, or end it with {seeds}: {list(default)}" if default else "leave it out"


def sealed_seeds(planned: Sequence[int], most: int | None) -> tuple[int, ...]:
    """The planned seeds, then the smallest that are not among them, up to ``most``."""
    if most is None or most <= len(planned):
        return tuple(planned[:most])
    known = set(planned)
    others = (seed for seed in range(MAX_SEED + 1) if seed not in known)
    return (*planned, *(next(others) for _ in range(most - len(planned))))


def _is_pooled(strategy: Strategy) -> bool:
    """Whether its variance is like that of the others: an addition of shortcut and branch.

    Plain networks, gates and custom classes may vary much more.
    """
    composition = strategy.composition
    return composition is not None and composition.join.adds and composition.spatial.name != "none"


def keep_seal(plan: Plan, experiment: Experiment) -> tuple[Plan, str]:
    """The plan with the seal under which its verdicts are read, and what to tell the user of it.

    Settings that differ from the stored ones count only until a look could be made; strategies that are new after that
    are a family of their own. An experiment of the older rule whose verdicts are recorded keeps that rule.
    """
    try:
        stored = experiment.plan()
    except IntegrityError:
        return plan, ""  # none, or one that is written anew or refused later
    asked = plan.verdicts
    if asked is None or stored.verdicts == asked:
        return plan, ""
    if stored.verdicts is None:
        if not (experiment.folder / RECORDED).is_file():
            return plan, ""
        note = (
            "verdicts of this experiment are recorded under compare.rule: paired-t, which it keeps; for the rule with "
            "sealed looks, train under another name"
        )
        return plan.model_copy(update={"verdicts": None}), note
    if not any(first_look_complete(stored, family, experiment) for family in stored.verdicts.families):
        return plan, ""
    families, note = _joined(stored.verdicts.families, asked.families[0])
    return plan.model_copy(update={"verdicts": SealedVerdicts(families=families)}), note


def _joined(families: Sequence[VerdictSeal], asked: VerdictSeal) -> tuple[tuple[VerdictSeal, ...], str]:
    """The stored families, and new ones for the comparisons that none of them has."""
    first = families[0]
    strategies, networks = dict.fromkeys(first.strategies), dict.fromkeys(first.networks)
    for family in families:
        strategies |= dict.fromkeys(family.strategies)
        networks |= dict.fromkeys(family.networks)
    new_strategies = [
        name for name in (asked.baseline, *asked.strategies) if name not in strategies and name != first.baseline
    ]
    new_networks = [name for name in asked.networks if name not in networks]
    added = [
        asked.model_copy(update={"baseline": first.baseline, "strategies": tuple(names), "networks": tuple(where)})
        for names, where in ((new_strategies, asked.networks), (strategies, new_networks))
        if names and where
    ]
    notes = []
    if _settings(asked) != _settings(first):
        notes.append(
            f"verdicts stay as sealed before the first look: up to {first.max_seeds} seeds, margin {first.margin:g}, "
            f"baseline {first.baseline}; further seeds only describe. For other settings train under another name"
        )
    if added:
        new = ", ".join([*new_strategies, *new_networks])
        notes.append(f"{new}: added after the first look, so judged as a family of its own")
    return (*families, *added), "; ".join(notes)


def _settings(seal: VerdictSeal) -> dict[str, object]:
    return seal.model_dump(exclude={"networks", "strategies", "own_variance"})


def first_look_complete(plan: Plan, seal: VerdictSeal, experiment: Experiment) -> bool:
    """Whether the stored runs allowed a first look at this family."""
    if not seal.looks:
        return False
    ids = {(Cell(run.network, DEFAULT_RECIPE, run.shortcut), run.seed): run.run_id for run in plan.runs}
    cells = {cell for own in seal.cells() for cell in (own, seal.baseline_of(own))}
    needed = [ids.get((cell, seed)) for seed in seal.seeds[: seal.looks[0]] for cell in cells]
    return all(run_id is not None and experiment.finished(run_id) for run_id in needed)
