"""The verdict procedure on a stored experiment, and what is printed with its verdicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from resnet_shortcuts.analysis import procedure
from resnet_shortcuts.analysis.experiment_records import DIVERGED, FAILED, ExperimentRecord, RunRecord, in_order
from resnet_shortcuts.analysis.planning import Design, Spread, seeds_for
from resnet_shortcuts.analysis.procedure import Outcome, Standing, Verdict
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.experiments.run_record import DEFAULT_RECIPE
from resnet_shortcuts.experiments.verdict_seal import Cell
from resnet_shortcuts.words import counted


@dataclasses.dataclass(frozen=True)
class Sealed:
    """The standing of every sealed family of an experiment.

    ``exploratory``: baseline or margin were chosen afterwards, so the error is shared by all pairs of strategies.
    """

    standings: Sequence[Standing]
    exploratory: bool = False

    @property
    def baseline(self) -> str:
        """The strategy that the others are compared with."""
        return self.standings[0].seal.baseline

    @property
    def margin(self) -> float:
        """The margin in points."""
        return self.standings[0].seal.margin

    def find(self, network: str, shortcut: str) -> Verdict | None:
        """The verdict on this strategy, None for the baseline."""
        cell = Cell(network, DEFAULT_RECIPE, shortcut)
        return next((verdict for standing in self.standings if (verdict := standing.find(cell))), None)

    def standing(self, verdict: Verdict) -> Standing:
        """The family of this verdict."""
        return next(each for each in self.standings if each.find(verdict.cell) is verdict)

    def planned(self, verdict: Verdict, wanted: Sequence[float]) -> tuple[float | None, dict[float, int | None]]:
        """The difference that the sealed seeds can show, and the seeds for each wanted one; None without a verdict."""
        interval, standing = verdict.interval, self.standing(verdict)
        if interval is None or interval.sd == 0:
            return None, dict.fromkeys(wanted)
        spread, pooled = Spread(interval.sd, interval.df), interval.df > interval.seeds - 1
        design = Design(standing.comparisons, standing.seal.max_seeds, pooled, standing.seal.looks)
        needed = {difference: seeds_for(difference, spread, design.family, pooled) for difference in wanted}
        return design.detectable(spread), needed


def sealed_verdicts(record: ExperimentRecord, baseline: str, margin: float | None) -> Sealed:
    """What the sealed families say; with another baseline or margin than the sealed ones, exploratory.

    Raises UsageError for a margin below the weight of one test image.
    """
    results = results_of(record.runs)
    first = record.seals[0]
    wanted = first.margin if margin is None else margin
    if (baseline, wanted) == (first.baseline, first.margin):
        return Sealed([procedure.standing_of(seal, results) for seal in record.seals])
    if wanted < first.image_weight:
        raise UsageError(
            f"a margin of {wanted:g} points is less than one of {first.test_images:,} test images counts",
            "--margin", f"give at least {first.image_weight:.3g}",
        )  # fmt: skip
    names = in_order(name for seal in record.seals for name in (seal.baseline, *seal.strategies))
    networks = in_order(network for seal in record.seals for network in seal.networks)
    others = tuple(name for name in names if name != baseline)
    own = tuple(in_order(name for seal in record.seals for name in seal.own_variance))
    changes = {"baseline": baseline, "margin": wanted, "strategies": others, "networks": tuple(networks)}
    seal = first.model_copy(update={**changes, "own_variance": others if baseline in own else own})
    pairs = len(networks) * len(seal.recipes) * len(names) * (len(names) - 1) // 2
    return Sealed([procedure.standing_of(seal, results, pairs)], exploratory=True)


def results_of(runs: Sequence[RunRecord]) -> dict[Cell, dict[int, Outcome]]:
    """How each run ended, as the procedure reads it."""
    results: dict[Cell, dict[int, Outcome]] = {}
    for run in runs:
        cell = Cell(run.network, run.recipe, run.shortcut)
        ended = Outcome("diverged") if run.status == DIVERGED else Outcome("lost", reason=run.reason or FAILED)
        if run.finished:
            ended = Outcome("finished", run.test_accuracy, run.train_error, run.predictions)
        results.setdefault(cell, {})[run.seed] = ended
    return results


def rule(sealed: Sealed) -> str:
    """The rule of the verdicts, to be printed with them."""
    seal = sealed.standings[0].seal
    if not seal.looks:
        return f"Rule: sealed looks; {counted(seal.max_seeds, 'seed')} can give no verdict, at least 3 are needed."
    sizes = _listed([f"{size}" for size in seal.looks])
    family = _listed([f"{standing.comparisons}" for standing in sealed.standings])
    promise = (
        f"all {family} verdicts together are wrong at most 5 % of the time, however often one looks"
        if len(sealed.standings) == 1
        else f"the verdicts of each family ({family} comparisons) are wrong at most 5 % of the time"
    )
    text = (
        f"Rule: verdicts against {seal.baseline} at {'looks' if len(seal.looks) > 1 else 'a look'} of {sizes} seeds, "
        f"sealed before the first; {promise}. The interval of a look is simultaneous: without 0, better or worse; "
        f"inside ±{counted(seal.margin, 'point')}, equivalent; else inconclusive. A verdict is final. Runs that "
        "diverge or collapse enter at chance accuracy. Intervals hold for this training set and this test set."
    )
    if sealed.exploratory:
        text += (
            f" Exploratory: baseline or margin were chosen after the runs, so the 5 % are shared by all "
            f"{sealed.standings[0].comparisons} pairs."
        )
    return text


def waiting(sealed: Sealed, record: ExperimentRecord) -> list[str]:
    """A sentence a family that still has a look to come: what it waits for, and the command."""
    return [sentence for standing in sealed.standings if (sentence := _waiting(standing, record))]


def _waiting(standing: Standing, record: ExperimentRecord) -> str:
    if standing.next_seeds is None:
        return ""
    sizes = standing.seal.looks
    parts = [f"Look {standing.taken + 1} of {len(sizes)} is at {standing.next_seeds} seeds"]
    if standing.lost:
        names = [f"{cell.network} {cell.shortcut} seed {seed} ({why})" for cell, seed, why in standing.lost[:3]]
        more = f" and {len(standing.lost) - 3} more" if len(standing.lost) > 3 else ""
        parts.append(f"it waits for {', '.join(names)}{more}, lost with their machine")
    if standing.missing:
        parts.append(f"it needs {counted(len(standing.missing), 'run')} that have not ended")
    command = _command(standing, record)
    todo = f" Next:\n{command}" if command else ""
    return f"{'; '.join(parts)}.{todo}"


def _command(standing: Standing, record: ExperimentRecord) -> str:
    """The command that completes the next look."""
    planned = set(record.missing) | {(run.network, run.shortcut, run.seed) for run in record.runs}
    needed = [(cell, seed) for cell, seed in standing.missing]
    if not record.command or all((cell.network, cell.shortcut, seed) in planned for cell, seed in needed):
        return record.command
    seeds = standing.seal.seeds[: standing.next_seeds]
    count = len(seeds)
    return f"{record.command} --set seeds={count if seeds == tuple(range(count)) else list(seeds)}".replace(", ", ",")


def footnotes(verdict: Verdict, sealed: Sealed) -> Iterator[str]:
    """What must be said beside one verdict."""
    looks = len(sealed.standing(verdict).seal.looks)
    if verdict.interval is not None:
        seeds = counted(verdict.interval.seeds, "seed")
        state = "final" if verdict.final else "not final"
        yield f"{state}: of look {verdict.look} of {looks}, {seeds}"
    if verdict.failures:
        yield "failed runs enter at chance accuracy; the plain difference is of the others and carries no verdict"
    if verdict.interval is not None and verdict.interval.sd == 0:
        yield "identical predictions at every seed"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
