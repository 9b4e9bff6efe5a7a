"""What a config means to train: one run a seed, network, shortcut and recipe, each named by a hash of its science.

The science of a run is all that its result follows from: strategy, network, data content and preparation, recipe,
seed, precision, format version. How it was executed (device, threads, jobs, versions) is recorded, not hashed.

``plan.json`` holds what runs share once, then one row a run, and is sealed like the records of runs. Plans of formats
1 and 2, which spell out the science of each run, are read as well; format 1 has no seal, so that each run is checked.
"""

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, Strict

from resnet_shortcuts.config.experiment_config import MAX_SEEDS, Config, check_batch_size
from resnet_shortcuts.data.data_config import steps_per_epoch
from resnet_shortcuts.errors import IntegrityError, SettingError
from resnet_shortcuts.experiments import sealed_files
from resnet_shortcuts.experiments.run_record import DEFAULT_RECIPE, RunId, Sha256, Stored
from resnet_shortcuts.experiments.verdict_seal import VerdictSeal
from resnet_shortcuts.hashing import canonical, sha256
from resnet_shortcuts.shortcuts.catalogue import Strategy
from resnet_shortcuts.training.recipe import schedule_problem, total_steps

SCIENCE_FORMAT = 1
FORMAT, SEALED, UNSEALED = sealed_files.FORMAT, 2, 1
"""The format that is written, and the older ones that are still read."""
ID_LENGTH = 16
MAX_RUNS = MAX_SEEDS
"""As many runs as a config may list seeds."""
AXES = ("network", "shortcut", "recipe", "seed")
"""The keys of a run's science in which the runs of a plan differ."""


class _Data(Stored):
    """What run ids hash of the data, where something is computed with it."""

    content: str
    train_size: int | None = None
    test_size: int | None = None
    validation: int | None = None
    resolution: int | None = None
    normalize: str | None = None
    augment: list[str] = Field(default_factory=list)


class _Shared(Stored):
    """What every run has in common: the science without the axes."""

    format: int
    precision: str
    data: _Data


class _Recipe(Stored):
    """What run ids hash of the recipe, where something is computed with it."""

    batch_size: Annotated[int, Field(gt=0)]
    epochs: Annotated[float, Field(gt=0, le=1e9)] | None = None
    iterations: Annotated[int, Field(gt=0)] | None = None


def _like(model: type[Stored]) -> AfterValidator:
    """Checks the shape of a mapping that is hashed as it stands."""

    def check(value: dict[str, Any]) -> dict[str, Any]:
        model.model_validate(value)
        return value

    return AfterValidator(check)


class Level(Stored):
    """A network or shortcut of the plan: what the run ids hash of it, and what a config calls it.

    ``reference`` builds it again where it is more than the label.
    """

    identity: dict[str, Any]
    reference: str | dict[str, Any] | None = None


class RecipeLevel(Level):
    """A recipe of the plan; ``values`` are its values in a grid of recipes."""

    identity: Annotated[dict[str, Any], _like(_Recipe)]
    values: dict[str, Any] | None = None


class SealedVerdicts(Stored):
    """The families of comparisons, in the order in which they were sealed; each has an error of 5 % of its own."""

    families: Annotated[tuple[VerdictSeal, ...], Field(min_length=1), Strict(False)]


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run: `network`, `shortcut` and `recipe` are the labels that tables show."""

    run_id: str
    network: str
    shortcut: str
    recipe: str
    seed: int
    plan: "Plan" = field(repr=False, compare=False)

    @property
    def science(self) -> dict[str, Any]:
        """What the id hashes. The parts are shared between runs: not to be changed."""
        plan = self.plan
        own = {"network": plan.networks[self.network].identity, "shortcut": plan.shortcuts[self.shortcut].identity}
        return {**plan.shared, **own, "recipe": plan.recipes[self.recipe].identity, "seed": self.seed}


class Plan(Stored):
    """The runs of an experiment. Seeds are outermost: a sweep that is stopped has compared all strategies so far.

    ``shared`` is what the science of all runs has in common, ``rows`` has id, network, shortcut, recipe and seed of
    each run. ``config_sha256`` seals the config stored beside the plan, ``verdicts`` are the settings of the comparison
    that are fixed in advance (None: the older rule).
    """

    format: int = FORMAT
    name: str
    shared: Annotated[dict[str, Any], _like(_Shared)]
    networks: dict[str, Level]
    shortcuts: dict[str, Level]
    recipes: dict[str, RecipeLevel]
    rows: Annotated[
        list[Annotated[tuple[RunId, str, str, str, int], Strict(False)]], Field(alias="runs", max_length=MAX_RUNS)
    ]
    config_sha256: Sha256 | None = None
    verdicts: SealedVerdicts | None = None

    @property
    def precision(self) -> str:
        """The resolved precision of every run: fp32 or bf16."""
        return str(self.shared["precision"])

    @cached_property
    def runs(self) -> tuple[PlannedRun, ...]:
        """The runs in their order."""
        return tuple(PlannedRun(*row, plan=self) for row in self.rows)

    def to_json(self) -> str:
        """JSON for ``plan.json``; the same plan is always the same text."""
        return sealed_files.render(self.model_dump(mode="json", by_alias=True, exclude_none=True)).decode()

    @classmethod
    def from_json(cls, text: str, where: Path | str = "plan.json") -> Self:
        """The plan that `to_json` wrote, or an older one. Raises IntegrityError, NewerFormatError."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _damaged("not JSON", where) from error
        written = document.get("format") if isinstance(document, dict) else None
        sealed_files.check_format(written, "plan", where)
        if written not in (FORMAT, SEALED, UNSEALED):
            raise _damaged(f"of format {ascii(written)[:40]}" if written else "not a plan", where)
        seal = document.pop(sealed_files.SEAL, None)
        if (written != UNSEALED or seal is not None) and not sealed_files.seal_holds(text.encode()):
            raise _damaged("its hash does not fit its content", where)
        if written != FORMAT:
            document = _as_format_3(document, where)
        plan = sealed_files.shaped(document, cls, where)
        for _, network, shortcut, recipe, _ in plan.rows:
            if network not in plan.networks or shortcut not in plan.shortcuts or recipe not in plan.recipes:
                raise _damaged("a run names what the plan does not hold", where)
        if written == UNSEALED:
            _check_ids(plan.runs, where)
        return plan


def _damaged(reason: str, where: Path | str) -> IntegrityError:
    return IntegrityError(reason, str(where), "it is left out")


def _as_format_3(document: Mapping[str, Any], where: Path | str) -> dict[str, Any]:
    """A plan of format 1 or 2, whose runs each spell out their science, with what they share taken out."""
    shared: dict[str, Any] = {}
    levels: dict[str, dict[str, Any]] = {"network": {}, "shortcut": {}, "recipe": {}}
    rows: list[list[Any]] = []
    try:
        for run in document["runs"]:
            science = run["science"]
            labels = {"network": run["network"], "shortcut": run["shortcut"], "recipe": DEFAULT_RECIPE}
            if not rows:
                shared = {key: value for key, value in science.items() if key not in AXES}
            own = {axis: levels[axis].setdefault(label, {"identity": science[axis]}) for axis, label in labels.items()}
            if science != {**shared, **{axis: own[axis]["identity"] for axis in own}, "seed": run["seed"]}:
                raise _damaged(f"run {ascii(run['run_id'])[:40]} is not what its science says", where)
            rows.append([run["run_id"], *labels.values(), run["seed"]])
        networks, shortcuts, recipes = levels.values()
        axes = {"networks": networks, "shortcuts": shortcuts, "recipes": recipes}
        return {"name": document["name"], "shared": shared, **axes, "runs": rows}
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged("something is missing", where) from error


def _check_ids(runs: Iterable[PlannedRun], where: Path | str) -> None:
    """Raises IntegrityError where a run is not the one that its id says: what an unsealed plan can be checked for."""
    for run in runs:
        if run_id(run.science) != run.run_id:
            raise _damaged(f"run {run.run_id} is not what its science says", where)


def run_id(science: Mapping[str, Any]) -> str:
    """Sixteen hex digits of the SHA-256 of the canonical JSON of a run's science."""
    return sha256(canonical(science))[:ID_LENGTH]


def make_plan(config: Config, data_identity: Mapping[str, Any], precision: str) -> Plan:
    """The runs of a config on data of this identity (`Dataset.identity`), at this resolved precision (fp32 or bf16).

    Raises SettingError for more runs than `MAX_RUNS`, a batch that is larger than the training set, or a schedule part
    of which lies past a run's end.
    """
    if isinstance(data_identity.get("train_size"), int):
        check_batch_size(config, data_identity["train_size"])
        _check_schedule(config, data_identity["train_size"])
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision {precision!r} is not resolved")
    count = len(config.seeds) * len(config.networks) * len(config.shortcuts)
    if count > MAX_RUNS:
        what = f"{count:,} runs are planned (seeds x networks x shortcuts), and {MAX_RUNS:,} are the most"
        raise SettingError(what, "seeds", "use fewer seeds, networks or shortcuts, or several experiments")
    shared = {
        "format": SCIENCE_FORMAT,
        "data": {**data_identity, "normalize": config.data.normalize, "augment": sorted(config.data.augment)},
        "precision": precision,
    }
    axes = {
        "networks": {network.label: {"identity": network.identity()} for network in config.networks},
        "shortcuts": {shortcut.name: _level_of(shortcut) for shortcut in config.shortcuts},
        "recipes": {DEFAULT_RECIPE: {"identity": config.train.identity()}},
    }
    plain = json.loads(canonical({"shared": shared, **axes}))
    in_order = {axis: {label: plain[axis][label] for label in levels} for axis, levels in axes.items()}
    rows = _rows(plain["shared"], in_order, config.seeds)
    return Plan.model_validate({"name": config.name, "shared": plain["shared"], **in_order, "runs": rows})


def _level_of(shortcut: Strategy) -> dict[str, Any]:
    reference = shortcut.reference(stored=True)
    return {"identity": shortcut.identity(), **({} if reference == shortcut.name else {"reference": reference})}


def _rows(
    shared: Mapping[str, Any], axes: Mapping[str, Mapping[str, Any]], seeds: Iterable[int]
) -> list[tuple[str, str, str, str, int]]:
    """The rows of a plan. What runs have in common is encoded once: `run_id` of each would take ten times as long.

    The canonical JSON of a mapping is that of its values under their sorted keys.
    """
    parts = {key: canonical(value) for key, value in shared.items()}
    keys = [(key, canonical(key)) for key in sorted({*shared, *AXES})]
    levels = [[(label, canonical(level["identity"])) for label, level in axis.items()] for axis in axes.values()]
    rows = []
    for seed, (network, shortcut, recipe) in itertools.product(seeds, list(itertools.product(*levels))):
        parts |= zip(AXES, (network[1], shortcut[1], recipe[1], canonical(seed)), strict=True)
        science = b"{%s}" % b",".join([b"%s:%s" % (encoded, parts[key]) for key, encoded in keys])
        rows.append((sha256(science)[:ID_LENGTH], network[0], shortcut[0], recipe[0], seed))
    return rows


def _check_schedule(config: Config, train_images: int) -> None:
    """Raises SettingError for a setting of the schedule that takes no effect in runs of this length."""
    steps = total_steps(config.train, steps_per_epoch(train_images, config.train.batch_size))
    problem = schedule_problem(config.train, steps)
    if problem is not None:
        raise problem.within("train")
