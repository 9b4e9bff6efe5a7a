"""``rsc export``: the trained weights of one run as a file, in the names of this package, torchvision or timm."""

from pathlib import Path
from typing import Annotated

import typer

from resnet_shortcuts.cli.options import DEFAULT_RESULTS, Debug, Results
from resnet_shortcuts.cli.output import say
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.paths import expand
from resnet_shortcuts.suggestions import did_you_mean


def export(
    name: Annotated[str, typer.Argument(metavar="NAME|DIR", help="An experiment.")],
    strategy: Annotated[str, typer.Option("--strategy", help="The strategy of the run, by name or alias.")],
    output: Annotated[Path, typer.Option("--output", "-o", callback=expand, help="The file to write.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="The seed of the run.")] = 0,
    network: Annotated[str | None, typer.Option("--network", help="Needed where there are several.")] = None,
    recipe: Annotated[str | None, typer.Option("--recipe", help="Needed where there are several.")] = None,
    form: Annotated[str, typer.Option("--as", help="safetensors, torchvision, timm or onnx.")] = "safetensors",
    results: Results = DEFAULT_RESULTS,
    debug: Debug = False,
) -> None:
    """Write the trained weights of one run: as safetensors in our, torchvision's or timm's names, or as ONNX."""
    from resnet_shortcuts.cli.compare_command import find_experiments
    from resnet_shortcuts.config.experiment_config import read_config
    from resnet_shortcuts.durable import write_file
    from resnet_shortcuts.experiments.kept_weights import find_run, input_shape, trained_network
    from resnet_shortcuts.experiments.store import CONFIG
    from resnet_shortcuts.experiments.weight_export import FORMS, check_form, exported

    chosen = next((known for known in FORMS if known == form), None)
    if chosen is None:
        raise UsageError(f"unknown form {form!r}", "--as", did_you_mean(form, FORMS))
    experiment = find_experiments(results, [name])[0]
    config, _ = read_config(experiment.folder / CONFIG)
    run = find_run(experiment, strategy, seed, network, recipe)
    check_form(chosen, next(each for each in config.networks if each.label == run.network))
    shortcut = next(each for each in config.shortcuts if each.name == run.shortcut)
    model = trained_network(experiment, config, strategy, seed, network, recipe)
    write_file(output, exported(model, shortcut, chosen, input_shape(experiment, run)))
    say(f"wrote {output}: {run.network} with {run.shortcut}, seed {run.seed}")
    if chosen in ("torchvision", "timm") and run.shortcut not in ("projection", "avg-projection"):
        say(f"to load it: rs.convert({chosen}'s model, {run.shortcut!r}).load_state_dict(...)")
