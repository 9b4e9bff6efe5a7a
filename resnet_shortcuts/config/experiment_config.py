"""The config of one experiment: what is trained, on what, how, how often. Checked whole before anything is created.

Each room owns its section (`DataSpec`, `NetworkSpec`, `Strategy`, `TrainSpec`, `CostSpec`); the sections `run` and
`compare` are here. Values are checked in pydantic's strict mode: ``"3"`` or ``true`` is no number, whatever a section
would accept.
"""

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
    PlainSerializer,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    WrapValidator,
    field_validator,
)
from pydantic_core import PydanticCustomError

from resnet_shortcuts.config import yaml_lines
from resnet_shortcuts.config.config_errors import explain, prepared
from resnet_shortcuts.config.yaml_lines import Document
from resnet_shortcuts.cost.cost_request import CostSpec
from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.errors import ManyErrors, RscError, SettingError, UsageError
from resnet_shortcuts.models.network_config import NetworkSpec
from resnet_shortcuts.shortcuts.catalogue import Strategy, find
from resnet_shortcuts.suggestions import did_you_mean
from resnet_shortcuts.training.recipe import TrainSpec

MAX_SEEDS = 100_000
MAX_SEED = 2**32 - 1
MAX_TOLD = 10
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SECTIONS = ("data", "train", "run", "cost", "compare")


def _wrong(what: str, todo: str, *at: str | int) -> PydanticCustomError:
    """A problem in our own words; `at` leads from the value being checked to the part of it that is wrong."""
    return PydanticCustomError("rsc", "{what}", {"what": what, "todo": todo, "at": at})


def _wrong_here(sentence: str, todo: str) -> PydanticCustomError:
    """A problem of a value that does not know its own path: what the user reads is that path and the sentence."""
    return PydanticCustomError("rsc", "{what}", {"what": sentence, "todo": todo, "named": True})


def _in_our_words(value: Any, handler: Any) -> Any:
    """Lets an RscError of a section's own validator be collected with all the others."""
    try:
        return handler(value)
    except RscError as error:
        raise _wrong(error.what, error.todo) from None


def _strategy(value: Any, info: ValidationInfo) -> Strategy:
    if isinstance(value, Strategy):
        return value
    if not isinstance(value, str | dict):
        raise _wrong_here(f" is {yaml_lines.kind(value)}", "give a name or a composition: see rsc shortcuts")
    try:
        return find(value, base=(info.context or {}).get("base"))
    except RscError as error:
        file = f" ({error.where})" if error.where not in ("", "shortcuts") else ""
        raise _wrong_here(f": {error.what}{file}", error.todo) from None


def _seeds(value: Any) -> Any:
    """A count of n stands for the seeds 0 to n - 1."""
    allowed = f"give a list of seeds, each from 0 to {MAX_SEED:,}, or how many: 1 to {MAX_SEEDS:,}"
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MAX_SEEDS:
            raise _wrong(f"seeds is {yaml_lines.kind(value)}", allowed)
        return tuple(range(value))
    if not isinstance(value, list | tuple):
        raise _wrong(f"seeds is {yaml_lines.kind(value)}", allowed)
    if not 1 <= len(value) <= MAX_SEEDS:
        raise _wrong(f"seeds lists {len(value)}", allowed)
    known: set[int] = set()
    problems: list[dict[str, Any]] = []
    for index, seed in enumerate(value):
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
            problems.append({"what": f"seeds.{index} is {yaml_lines.kind(seed)}", "todo": allowed, "at": (index,)})
        elif seed in known:
            problems.append({"what": f"seed {seed} stands twice", "todo": "keep one", "at": (index,)})
        else:
            known.add(seed)
    if problems:
        told, untold = problems[:MAX_TOLD], len(problems) - MAX_TOLD
        if untold > 0:
            told.append(
                {"what": f"seeds: {untold:,} more {'is' if untold == 1 else 'are'} wrong", "todo": allowed, "at": ()}
            )
        raise PydanticCustomError("rsc", "{what}", {**told[0], "more": told[1:]})
    return tuple(value)


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or value.endswith("."):
        raise _wrong(
            f"name {ascii(value[:60])[1:-1]!r} cannot be a folder under results",
            "use letters, digits, '-', '_' and '.', beginning with a letter or digit, at most 100",
        )
    return value


def _name_from(path: Path) -> str:
    """The name of an experiment whose config gives none: the file's, with '-' for what no name may hold, or ''."""
    if _NAME.fullmatch(path.stem) and not path.stem.endswith("."):
        return path.stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:100].rstrip("-._")


Section = WrapValidator(_in_our_words)
StrategyField = Annotated[
    Strategy,
    PlainValidator(_strategy),
    PlainSerializer(Strategy.reference),
    WithJsonSchema({"type": "string", "what": "a shortcut: a name, an alias or a composition"}),
]
SeedsField = Annotated[
    tuple[int, ...],
    BeforeValidator(_seeds),
    WithJsonSchema({"type": "array", "what": f"a list of seeds (0 to {MAX_SEED:,}) or how many (1 to {MAX_SEEDS:,})"}),
]


class RunSpec(BaseModel):
    """The ``run`` section: how runs are executed. Of a run's id only the resolved precision is part.

    ``jobs`` is how many runs go side by side (auto: one a core on a CPU; 0: one, in the process that asks).
    ``evaluate_every`` counts epochs; the last one is always evaluated. ``checkpoint_seconds`` is the time between two
    checkpoints of a run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$")] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    jobs: Literal["auto"] | Annotated[int, Field(strict=True, ge=0, le=1024)] = "auto"
    compile: Annotated[bool, Field(strict=True)] = False
    evaluate_every: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 1
    checkpoint_seconds: Annotated[float, Field(strict=True, gt=0, le=86_400)] = 30.0


class CompareSpec(BaseModel):
    """The ``compare`` section: what `rsc compare` starts from; its options go first. Not part of a run's id.

    ``baseline`` is one of the shortcuts (default: A where it is among them, else the first). ``margin`` is in
    percentage points of accuracy. A run whose final training error in percent is above ``fail_above`` counts as
    untrained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    baseline: str | None = None
    margin: Annotated[float, Field(strict=True, gt=0, le=100)] = 0.2
    fail_above: Annotated[float, Field(strict=True, gt=0, le=100)] | None = None


class Config(BaseModel):
    """One experiment: every shortcut x network x seed is a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(strict=True)]
    data: Annotated[DataSpec, Section]
    networks: Annotated[
        tuple[Annotated[NetworkSpec, Section], ...],
        Field(min_length=1, json_schema_extra={"what": "a list of networks, such as [cifar-resnet-20]"}),
    ]
    shortcuts: Annotated[
        tuple[StrategyField, ...],
        Field(min_length=1, json_schema_extra={"what": "a list of shortcuts, such as [A, max-pad]: see rsc shortcuts"}),
    ]
    seeds: SeedsField
    train: Annotated[TrainSpec, Section]
    run: RunSpec = RunSpec()
    cost: CostSpec = CostSpec()
    compare: CompareSpec = CompareSpec()

    _checked_name = field_validator("name")(_name)

    @field_validator("networks")
    @classmethod
    def _different_networks(cls, networks: tuple[NetworkSpec, ...]) -> tuple[NetworkSpec, ...]:
        for index, network in enumerate(networks):
            if any(network.identity() == earlier.identity() for earlier in networks[:index]):
                raise _wrong(f"network {network.label} stands twice", "keep one", index)
        return networks

    @field_validator("shortcuts")
    @classmethod
    def _different_shortcuts(cls, shortcuts: tuple[Strategy, ...]) -> tuple[Strategy, ...]:
        for index, strategy in enumerate(shortcuts):
            for earlier in shortcuts[:index]:
                if strategy.identity() == earlier.identity():
                    raise _wrong(f"shortcut {strategy.name!r} stands twice (aliases count)", "keep one", index)
                if strategy.name == earlier.name:
                    raise _wrong(f"two shortcuts are called {strategy.name!r}", "give one of them another name", index)
        return shortcuts

    @field_validator("train")
    @classmethod
    def _batch_fits_data(cls, train: TrainSpec, info: ValidationInfo) -> TrainSpec:
        data = info.data.get("data")
        if data is not None and data.train_size is not None and train.batch_size > data.train_size:
            what = f"train.batch_size {train.batch_size} is more than data.train_size {data.train_size}"
            raise _wrong(what, f"at most {data.train_size}", "batch_size")
        return train

    @field_validator("compare")
    @classmethod
    def _baseline_is_compared(cls, compare: CompareSpec, info: ValidationInfo) -> CompareSpec:
        shortcuts = info.data.get("shortcuts")
        if compare.baseline is not None and shortcuts is not None:
            named = compare.baseline.casefold()
            words = [word for strategy in shortcuts for word in (strategy.name, *strategy.aliases)]
            if named not in {word.casefold() for word in words}:
                raise _wrong(
                    f"baseline {compare.baseline!r} is not among the shortcuts", did_you_mean(named, words), "baseline"
                )
        return compare

    def to_yaml(self) -> str:
        """The whole config, defaults spelled out, as YAML that `load_config` reads as this config again."""
        plain = self.model_dump(mode="json", exclude_none=True)
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

    Raises UsageError, or ManyErrors with every problem at once, each with its file and line (or its ``--set``);
    EnvironmentFault where the file may not be read. Touches nothing on disk.
    """
    document = yaml_lines.load(path)
    problems: list[RscError] = []
    for override in overrides:
        try:
            document = _override(document, override)
        except UsageError as error:
            problems.append(error)
    if problems:
        raise ManyErrors(problems) if len(problems) > 1 else problems[0]
    data = document.data
    unnamed: dict[yaml_lines.ValuePath, RscError] = {}
    if "name" not in data:
        name = _name_from(path)
        if not name:
            what = f"the file's name {path.name[:60]!a} makes no name for the experiment"
            unnamed = {("name",): UsageError(what, str(path), "set name: in the config")}
        data = {"name": name or "unnamed", **data}
    for section in _SECTIONS:  # a section whose every line is commented out
        if section in data and data[section] is None:
            data[section] = {}
    document = Document(data, document.places)
    return _validate(document, path.parent, unnamed), document


def _validate(document: Document, base: Path, known: dict[yaml_lines.ValuePath, RscError]) -> Config:
    finite, problems = prepared(document, Config)
    problems |= known
    try:
        config = Config.model_validate(finite, strict=True, context={"base": base})
    except ValidationError as error:
        problems = {**explain(error.errors(include_url=False), document, Config), **problems}
    else:
        if not problems:
            return config
    tidy = [UsageError(*map(yaml_lines.printable, (p.what, p.where, p.todo))) for p in problems.values()]
    listed = sorted(tidy, key=_line)
    raise ManyErrors(listed) if len(listed) > 1 else listed[0]


def _line(problem: RscError) -> tuple[int, str]:
    """Sorts problems as they stand in the file, those of overrides behind them."""
    line = problem.where.rpartition(":")[2]
    return (int(line) if line.isdecimal() else 10**9, problem.where)


def _override(document: Document, override: str) -> Document:
    """The document with one ``KEY=VALUE`` set; VALUE is YAML and replaces what stands there whole."""
    label = yaml_lines.printable(f"--set {override if len(override) <= 80 else override[:77] + '...'}")
    key, equals, text = override.partition("=")
    path = tuple(key.strip().split("."))
    if not equals or not all(path):
        raise UsageError("an override needs a key and a value", label, "write --set train.epochs=3")
    value = yaml_lines.parse(text, lambda line, column: label).data
    places = {place: where for place, where in document.places.items() if place[: len(path)] != path}
    for length in range(1, len(path)):  # a section that stands nowhere else is this override's doing
        places.setdefault(path[:length], label)
    return Document(_set(document.data, path, value, label), {**places, path: label})


def _set(data: Any, path: tuple[str, ...], value: Any, label: str) -> Any:
    if not path:
        return value
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise UsageError(f"{yaml_lines.kind(data)} has no key {path[0][:60]!r}", label, "replace it whole")
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
