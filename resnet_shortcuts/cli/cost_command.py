"""``rsc cost``: what strategies cost. Counts are exact; ``--measure`` adds memory and time, strategies interleaved."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resnet_shortcuts.cli.options import (
    DEFAULT_RESULTS,
    ConfigFile,
    DataRoot,
    Debug,
    Format,
    Output,
    Override,
    Results,
    chosen_config,
)
from resnet_shortcuts.cli.output import chosen_format, say, show
from resnet_shortcuts.cli.progress import StageProgress, say_waiting
from resnet_shortcuts.errors import Exit, UsageError

if TYPE_CHECKING:
    from resnet_shortcuts.cost.cost_request import CostReport, CostRequest
    from resnet_shortcuts.models.network_config import NetworkSpec

_OF_NETWORK = ("shortcut", "input_shape", "classes", "batch_size", "precision", "baseline")
_OF_CONFIG = ("overrides", "results", "data_root")
PRECISE, USUAL = 0.01, 0.02
SECONDS = 120.0


def cost(
    context: typer.Context,
    file: ConfigFile = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Networks, strategies and settings of a config.")
    ] = None,
    network: Annotated[list[str] | None, typer.Option("--network", help="A network by name. Repeatable.")] = None,
    shortcut: Annotated[
        list[str] | None, typer.Option("--shortcut", help="Without it, all strategies. Repeatable.")
    ] = None,
    input_shape: Annotated[
        str | None, typer.Option("--input", help="CHANNELSxHEIGHTxWIDTH of an image [default: the network's]")
    ] = None,
    classes: Annotated[
        int | None, typer.Option("--classes", min=2, help="Classes of the last layer [default: the network's]")
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1)] = 128,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure memory and time too; let nothing else run.")
    ] = False,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=1, max=86_400, help="Budget of --measure [default: 120]")
    ] = None,
    precise: Annotated[
        bool, typer.Option("--precise", help="Until every ratio is known within 1 % rather than 2 %.")
    ] = False,
    device: Annotated[str | None, typer.Option("--device", help="cpu, cuda or cuda:N [default: auto]")] = None,
    precision: Annotated[str | None, typer.Option("--precision", help="fp32 or bf16 [default: auto]")] = None,
    baseline: Annotated[str, typer.Option("--baseline", help="Strategy that ratios refer to.")] = "A",
    overrides: Override = None,
    format_: Format = None,
    output: Output = None,
    results: Results = DEFAULT_RESULTS,
    data_root: DataRoot = None,
    debug: Debug = False,
) -> int:
    """Show parameters, multiply-adds and activation memory; with --measure also peak memory, its parts, and time."""
    from resnet_shortcuts.analysis.cost_table import cost_data, cost_tables
    from resnet_shortcuts.experiments.study import measure as measure_request

    chosen = chosen_format(format_, output)
    if file is not None:
        config = chosen_config(file, config, "rsc cost")
    if (config is None) == (not network):
        raise UsageError(
            "--config and --network: exactly one is needed", "rsc cost", "name what to measure by one of them"
        )
    _refuse_unused(context, _OF_NETWORK if config is not None else _OF_CONFIG, config is not None)
    if not measure and (seconds is not None or precise):
        raise UsageError("--seconds and --precise go with --measure", "rsc cost", "add --measure or leave them out")
    changes = {
        "target": PRECISE if precise else USUAL,
        "passes": ("counts", "memory", "time") if measure else ("counts",),
    }
    if measure:
        changes["seconds"] = seconds or SECONDS
    if config is not None:
        report = _of_config(config, overrides or [], results, data_root, device, changes)
    else:
        request = _request(
            network or [], shortcut, input_shape, classes, batch_size, device, precision, baseline, changes
        )
        report = measure_request(request, StageProgress(), say_waiting)
    for warning in report.warnings:
        say(f"warning: {warning}")
    show(cost_tables(report), chosen, output, cost_data(report))
    return _failures(report) if config is not None or shortcut else Exit.OK


def _of_config(
    path: Path, overrides: list[str], results: Path, data_root: Path | None, device: str | None, changes: dict[str, Any]
) -> "CostReport":
    """The costs of a config's networks and strategies; a measured report is kept with its experiment."""
    from resnet_shortcuts.config.experiment_config import check_results_folder, read_config
    from resnet_shortcuts.experiments.store import Experiment
    from resnet_shortcuts.experiments.study import cost_request, measure, measure_costs, open_study

    loaded, document = read_config(path, [*overrides, *([f"run.device={device}"] if device else [])])
    check_results_folder(results, loaded.name)
    with document.locating_errors():
        study = open_study(loaded, data_root, StageProgress())
    request = cost_request(study, **changes)
    if "time" not in changes["passes"]:
        return measure(request, StageProgress(), say_waiting)
    return measure_costs(study, Experiment(results, loaded.name), request, StageProgress(), say_waiting)


def _request(
    networks: list[str],
    shortcuts: list[str] | None,
    input_shape: str | None,
    classes: int | None,
    batch_size: int,
    device: str | None,
    precision: str | None,
    baseline: str,
    changes: dict[str, Any],
) -> "CostRequest":
    from pydantic import ValidationError

    from resnet_shortcuts import machine
    from resnet_shortcuts.cost.cost_request import CostRequest
    from resnet_shortcuts.models.network_config import NetworkSpec
    from resnet_shortcuts.shortcuts.catalogue import find, strategies
    from resnet_shortcuts.training.step_settings import engine_for

    specs = []
    for name in dict.fromkeys(networks):
        try:
            specs.append(NetworkSpec.model_validate(name))
        except ValidationError as error:
            reason: UsageError = error.errors()[0]["ctx"]["error"]
            raise UsageError(reason.what, "--network", reason.todo) from None
    shape, usual_classes = _usual_data(specs, unless=bool(input_shape and classes))
    if input_shape is not None:
        shape = _parsed_shape(input_shape)
    chosen = [find(name) for name in dict.fromkeys(shortcuts)] if shortcuts else list(strategies())
    if "time" in changes["passes"] and find(baseline) not in chosen:
        chosen.insert(0, find(baseline))  # ratios to it are asked for
    resolved = machine.resolve_device(device or "auto")
    if precision not in {None, "auto", "fp32", "bf16"}:
        raise UsageError(f"'{precision}' is not a valid precision", "--precision", "use auto, fp32 or bf16")
    return CostRequest(
        networks={spec.label: spec.model_dump(mode="json", exclude_none=True) for spec in specs},
        shortcuts={strategy.name: strategy.reference() for strategy in chosen},
        identities={strategy.name: strategy.identity() for strategy in chosen},
        baseline=find(baseline).name,
        input_shape=shape,
        num_classes=classes or usual_classes,
        batch_size=batch_size,
        precision=machine.resolve_precision(precision or "auto", resolved),
        device=resolved,
        engine=engine_for(resolved),
        **changes,
    )


def _usual_data(specs: "Sequence[NetworkSpec]", unless: bool) -> tuple[tuple[int, int, int], int]:
    """Image shape and classes that these networks were designed for. Raises UsageError where they differ, `unless`."""
    from resnet_shortcuts.models.network_config import usual_data

    usual = {usual_data(spec.name) for spec in specs}
    if len(usual) > 1 and not unless:
        raise UsageError("the networks were designed for different images", "--network", "give --input and --classes")
    return next(iter(usual))


def _parsed_shape(text: str) -> tuple[int, int, int]:
    match = re.fullmatch(r"(\d{1,4})x(\d{1,4})x(\d{1,4})", text)
    if match is None or "0" in match.groups():
        todo = "write CHANNELSxHEIGHTxWIDTH, such as 3x32x32"
        raise UsageError(f"'{text}' is not a valid image shape", "--input", todo)
    return int(match[1]), int(match[2]), int(match[3])


def _refuse_unused(context: typer.Context, names: Sequence[str], with_config: bool) -> None:
    """Refuse options that would change nothing: the figures would not be those that were asked for."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            flag = "--" + {"input_shape": "input", "overrides": "set"}.get(name, name).replace("_", "-")
            todo = "the config says it: use --set" if with_config else "it goes with --config"
            raise UsageError(f"{flag} does nothing here", "rsc cost", todo)


def _failures(report: "CostReport") -> int:
    """Strategies that were asked for by name and cannot serve are errors, not notes."""
    failed = [row for row in report.rows if row.error]
    for row in failed:
        say(f"error: {row.network}: {row.error}")
    return Exit.RUN_FAILED if failed else Exit.OK
