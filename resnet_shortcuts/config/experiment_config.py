"""The config of one experiment: what is trained, on what, how, how often. Checked whole before anything is created.

Each room owns its section (`DataSpec`, `NetworkSpec`, `Strategy`, `TrainSpec`, `CostSpec`); the sections `run` and
`compare` are here. Values are checked in pydantic's strict mode: ``"3"`` or ``true`` is not a number, whatever a
section would accept. Reading a file is `load_config` here; YAML and lines are `yaml_lines`, words `config_errors`.
"""

import json
import operator
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SerializationInfo,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import core_schema

from resnet_shortcuts.config import yaml_lines
from resnet_shortcuts.config.config_errors import problems_of
from resnet_shortcuts.config.config_names import experiment_name, find_config, is_name
from resnet_shortcuts.config.stored_config import is_stored, with_data_found_here
from resnet_shortcuts.config.yaml_lines import Document, kind
from resnet_shortcuts.cost.cost_request import CostSpec
from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.errors import ManyErrors, RscError, SettingError, UsageError, raise_all
from resnet_shortcuts.models.network_config import NetworkSpec
from resnet_shortcuts.shortcuts.catalogue import Strategy, find
from resnet_shortcuts.suggestions import did_you_mean
from resnet_shortcuts.training.recipe import TrainSpec, whole_numbers
from resnet_shortcuts.words import printable

CONFIG_FORMAT: Literal[2] = 2
"""Of the meaning of a config file. In format 1 (stored configs without the key) whole milestones are iterations."""
MAX_SEEDS = 100_000
MAX_SEED = 2**32 - 1
MAX_LISTED = 10
_GPU = r"^cuda:\d{1,3}$"
_DEVICE = r"^(auto|cpu|cuda(:\d{1,3})?)$"
_SECTIONS = ("data", "train", "run", "cost", "compare")


def _strategy(value: Any, info: ValidationInfo) -> Strategy:
    if isinstance(value, Strategy):
        return value
    if not isinstance(value, str | dict):
        raise SettingError("", todo="give a name or a composition: see rsc shortcuts")
    return find(value, base=(info.context or {}).get("base"))


def _reference(strategy: Strategy, info: SerializationInfo) -> str | dict[str, Any]:
    return strategy.reference(stored=info.context is not None)


def _seeds(value: Any) -> Any:
    """A count of n stands for the seeds 0 to n - 1."""
    allowed = f"give a list of seeds, each from 0 to {MAX_SEED:,}, or how many: 1 to {MAX_SEEDS:,}"
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_SEEDS:
        return tuple(range(value))
    if not isinstance(value, list | tuple):
        raise SettingError("", todo=allowed)
    if not 1 <= len(value) <= MAX_SEEDS:
        raise SettingError(f"the list has {len(value)} seeds", todo=allowed)
    known: set[int] = set()
    problems: list[SettingError] = []
    for index, seed in enumerate(value):
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
            problems.append(SettingError("", str(index), allowed))
        elif seed in known:
            problems.append(SettingError(f"{seed} is listed twice", str(index), "keep one"))
        else:
            known.add(seed)
    more = len(problems) - MAX_LISTED
    if more > 0:
        problems[MAX_LISTED:] = [SettingError(f"{more:,} more {'is' if more == 1 else 'are'} wrong", todo=allowed)]
    if problems:
        raise ManyErrors(problems)
    return tuple(value)


def _device(value: Any) -> Any:
    """A word, or a list of GPUs."""
    allowed = "give auto, cpu, cuda (all GPUs), cuda:N, or a list of GPUs: [cuda:0, cuda:3]"
    names = value if isinstance(value, list | tuple) else [value]
    for index, name in enumerate(names):
        pattern = _GPU if names is value else _DEVICE
        if not isinstance(name, str) or not re.fullmatch(pattern, name):
            raise SettingError("", str(index) if names is value else "", allowed)
    if not names or len(set(names)) < len(names):
        raise SettingError("a device is listed twice" if names else "the list is empty", todo=allowed)
    return tuple(value) if names is value else value


class _AsReference:
    """Reads and writes a strategy as a config names it; no schema is made of its operations, which are functions."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(_reference, info_arg=True)
        return core_schema.with_info_plain_validator_function(_strategy, serialization=written)


StrategyField = Annotated[
    Strategy,
    _AsReference(),
    WithJsonSchema({"type": "string", "what": "a shortcut: a name, an alias or a composition"}),
]
SeedsField = Annotated[
    tuple[int, ...],
    BeforeValidator(_seeds),
    WithJsonSchema({"type": "array", "what": f"a list of seeds (0 to {MAX_SEED:,}) or how many (1 to {MAX_SEEDS:,})"}),
]


DeviceField = Annotated[
    str | tuple[str, ...],
    BeforeValidator(_device),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": _DEVICE},
                {"type": "array", "items": {"type": "string", "pattern": _GPU}},
            ],
            "what": "one of auto, cpu, cuda[:N], or a list of cuda:N",
        }
    ),
]


class RunSpec(BaseModel):
    """The ``run`` section: how runs are executed. Of a run's id only the resolved precision is part.

    ``device`` ``cuda`` is all GPUs that the process may use, ``auto`` the same, or the CPU where there is none.
    ``jobs`` is how many runs go side by side (auto: one a core on a CPU; 0: one, in the process that asks), on GPUs how
    many on each. ``tf32`` lets a GPU round fp32 products to 10 bits.
    ``evaluate_every`` counts epochs; the last one is always evaluated. ``checkpoint_seconds`` is the time between two
    checkpoints of a run. ``keep_weights`` stores the trained weights with each result; 'auto': up to 50 MB a run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: DeviceField = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    jobs: Literal["auto"] | Annotated[int, Field(strict=True, ge=0, le=1024)] = "auto"
    compile: Annotated[bool, Field(strict=True)] = False
    tf32: Annotated[bool, Field(strict=True, exclude_if=operator.not_)] = False
    evaluate_every: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 1
    checkpoint_seconds: Annotated[float, Field(strict=True, gt=0, le=86_400)] = 30.0
    keep_weights: Literal["auto"] | Annotated[bool, Field(strict=True)] = "auto"


class CompareSpec(BaseModel):
    """The ``compare`` section: defaults of `rsc compare`, overridden by its options. Not part of a run's id.

    ``baseline`` is one of the shortcuts (default: A where it is among them, else the first). ``margin`` is in
    percentage points of accuracy. A run whose final training error in percent is above ``fail_above`` counts as
    untrained. ``rule`` is how verdicts are reached: 'sequential' seals ``max_seeds`` (default: the seeds planned) and
    ``looks`` (how many seeds each look uses; default: 40, 70 and 100 % of them) before the first look; 'paired-t' tests
    all stored seeds, as if at the first look.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    baseline: str | None = None
    margin: Annotated[float, Field(strict=True, gt=0, le=100)] = 0.2
    fail_above: Annotated[float, Field(strict=True, gt=0, le=100)] | None = None
    rule: Literal["sequential", "paired-t"] = "sequential"
    max_seeds: Annotated[int, Field(strict=True, ge=1, le=MAX_SEEDS)] | None = None
    looks: tuple[Annotated[int, Field(strict=True, ge=3, le=MAX_SEEDS)], ...] | None = None


class Config(BaseModel):
    """One experiment: every shortcut x network x seed is a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(strict=True)]
    data: DataSpec
    networks: Annotated[
        tuple[NetworkSpec, ...],
        Field(min_length=1, json_schema_extra={"what": "a list of networks, such as [cifar-resnet-20]"}),
    ]
    shortcuts: Annotated[
        tuple[StrategyField, ...],
        Field(min_length=1, json_schema_extra={"what": "a list of shortcuts, such as [A, max-pad]: see rsc shortcuts"}),
    ]
    seeds: SeedsField
    train: TrainSpec
    run: RunSpec = RunSpec()
    cost: CostSpec = CostSpec()
    compare: CompareSpec = CompareSpec()
    config_format: Literal[2] = CONFIG_FORMAT

    @field_validator("name")
    @classmethod
    def _name_of_a_folder(cls, name: str) -> str:
        if not is_name(name):
            todo = "use letters, digits, '-', '_' and '.', beginning with a letter or digit, at most 100"
            raise SettingError(f"{ascii(name[:60])[1:-1]!r} cannot be a folder under results", todo=todo)
        return name

    @field_validator("networks")
    @classmethod
    def _different_networks(cls, networks: tuple[NetworkSpec, ...]) -> tuple[NetworkSpec, ...]:
        for index, network in enumerate(networks):
            if any(network.identity() == earlier.identity() for earlier in networks[:index]):
                raise SettingError(f"network {network.label} is listed twice", str(index), "keep one")
        return networks

    @field_validator("shortcuts")
    @classmethod
    def _different_shortcuts(cls, shortcuts: tuple[Strategy, ...]) -> tuple[Strategy, ...]:
        for index, strategy in enumerate(shortcuts):
            for earlier in shortcuts[:index]:
                if strategy.identity() == earlier.identity():
                    what = f"shortcut {strategy.name!r} is listed twice (aliases count)"
                    raise SettingError(what, str(index), "keep one")
                if strategy.name == earlier.name:
                    what = f"two shortcuts are called {strategy.name!r}"
                    raise SettingError(what, str(index), "give one of them another name")
        return shortcuts

    @field_validator("train")
    @classmethod
    def _batch_fits_data(cls, train: TrainSpec, info: ValidationInfo) -> TrainSpec:
        data = info.data.get("data")
        if data is not None and data.train_size is not None and train.batch_size > data.train_size:
            what = f"{train.batch_size} is more than data.train_size {data.train_size}"
            raise SettingError(what, "batch_size", f"at most {data.train_size}")
        return train

    @field_validator("compare")
    @classmethod
    def _baseline_is_compared(cls, compare: CompareSpec, info: ValidationInfo) -> CompareSpec:
        shortcuts = info.data.get("shortcuts")
        if compare.baseline is not None and shortcuts is not None:
            named = compare.baseline.casefold()
            words = [word for strategy in shortcuts for word in (strategy.name, *strategy.aliases)]
            if named not in {word.casefold() for word in words}:
                what = f"{compare.baseline[:80]!r} is not among the shortcuts"
                raise SettingError(what, "baseline", did_you_mean(named, words))
        return compare

    def to_yaml(self) -> str:
        """The whole config, defaults written out, as YAML that `load_config` reads as this config again.

        Custom strategies are named by their sources as an experiment stores them, relative to its folder.
        """
        plain = self.model_dump(mode="json", exclude_none=True, context={"stored": True})
        text: str = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
        return text


class _Dumper(yaml.SafeDumper):
    """Quotes what either YAML 1.1 or our reader would take for something other than text (``no``, ``1e3``)."""


for _first, _resolvers in yaml_lines.implicit_resolvers().items():
    for _tag, _pattern in _resolvers:
        _Dumper.add_implicit_resolver(_tag, _pattern, [_first])


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """The config in a YAML file, as `read_config` reads it."""
    return read_config(path, overrides)[0]


def read_config(path: Path, overrides: Sequence[str] = ()) -> tuple[Config, Document]:
    """The config in a YAML file, changed by ``KEY=VALUE`` overrides (the last of two equal keys counts), and its lines.

    ``path`` may be the name of a config that ships with the package. Raises UsageError, or ManyErrors with every
    problem at once, each with its file and line (or its ``--set``); EnvironmentFault where the file may not be read.
    Touches nothing on disk.
    """
    path = find_config(path)
    document = _in_current_format(yaml_lines.load(path), path)
    problems: list[RscError] = []
    for override in overrides:
        try:
            document = _override(document, override)
        except UsageError as error:
            problems.append(error)
    raise_all(problems)
    data = with_data_found_here(document)
    if "name" not in data:
        name = experiment_name(path)
        if not name:
            what = f"the file name {path.name[:60]!a} cannot be a name for the experiment"
            problems = [UsageError(what, str(path), "set name: in the config")]
        data = {"name": name or "unnamed", **data}
    for section in _SECTIONS:  # a section whose every line is commented out
        if section in data and data[section] is None:
            data = {**data, section: {}}
    document = Document(data, document.places)
    try:
        config = Config.model_validate_json(json.dumps(data), strict=True, context={"base": path.parent})
    except ValidationError as error:
        problems += problems_of(error, document, Config)
    tidy = [UsageError(*map(printable, (p.what, p.where, p.todo))) for p in problems]
    raise_all(sorted(tidy, key=_line))
    return config, document


def _line(problem: RscError) -> tuple[int, str]:
    """Sorts errors as they stand in the file, those of overrides behind."""
    line = problem.where.rpartition(":")[2]
    return (int(line) if line.isdecimal() else 10**9, problem.where)


def _in_current_format(document: Document, path: Path) -> Document:
    """The document with what an older format means spelled in today's.

    A config without ``config_format`` is of today's format, except where it is stored with an experiment: those were
    written before the key was.
    """
    written = document.data.get("config_format", 1 if is_stored(path) else CONFIG_FORMAT)
    if isinstance(written, int) and written > CONFIG_FORMAT:
        what = f"config_format {written} was written by a newer version"
        raise UsageError(what, document.where(("config_format",)), "upgrade resnet-shortcuts")
    if written != 1 or isinstance(written, bool):
        return document
    changes: dict[str, Any] = {"config_format": CONFIG_FORMAT}
    milestones = document.value(("train", "schedule", "milestones"))
    in_epochs = document.value(("train", "epochs")) is not None
    if isinstance(milestones, list) and whole_numbers(milestones) and in_epochs:
        train = document.data["train"]
        changes["train"] = {**train, "schedule": {**train["schedule"], "milestones_in": "iterations"}}
    return Document({**document.data, **changes}, document.places)


def _override(document: Document, override: str) -> Document:
    """The document with one ``KEY=VALUE`` set; VALUE is YAML and replaces what stands there whole."""
    label = printable(f"--set {override if len(override) <= 80 else override[:77] + '...'}")
    key, equals, text = override.partition("=")
    path = tuple(key.strip().split("."))
    if not equals or not all(path):
        raise UsageError("an override needs a key and a value", label, "write --set train.epochs=3")
    value = yaml_lines.parse(text, lambda line, column: label).data
    places = {place: where for place, where in document.places.items() if place[: len(path)] != path}
    for length in range(1, len(path)):  # a section that stands nowhere else comes from this override
        places.setdefault(path[:length], label)
    return Document(_set(document.data, path, value, label), {**places, path: label})


def _set(data: Any, path: tuple[str, ...], value: Any, label: str) -> Any:
    if not path:
        return value
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise UsageError(f"{kind(data)} has no key {path[0][:60]!r}", label, "replace it whole")
    return {**data, path[0]: _set(data.get(path[0]), path[1:], value, label)}


def check_batch_size(config: Config, train_images: int) -> None:
    """Raises SettingError where a batch is larger than the training set (known once the data are prepared)."""
    if config.train.batch_size > train_images:
        raise SettingError(
            f"train.batch_size {config.train.batch_size} is more than the {train_images} training images",
            "train.batch_size",
            f"at most {train_images}: --set train.batch_size={max(1, min(train_images, 128))}",
        )


def check_results_folder(results: Path, name: str) -> None:
    """Raises UsageError where the output folder, or one that it would stand in, is a file. Creates nothing."""
    target = results / name
    for folder in (target, *target.parents):
        if folder.is_dir():
            return
        if folder.exists() or folder.is_symlink():
            raise UsageError("the output folder is a file", str(folder), "move it away, or choose another --results")
