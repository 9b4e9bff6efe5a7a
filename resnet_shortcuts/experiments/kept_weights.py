"""The trained weights of a run: kept beside its result, and loaded into its network again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from resnet_shortcuts.errors import IntegrityError, UsageError
from resnet_shortcuts.experiments.plan import PlannedRun
from resnet_shortcuts.experiments.run_record import RunRecord
from resnet_shortcuts.experiments.sealed_files import LEFT_OUT
from resnet_shortcuts.experiments.store import WEIGHTS, Experiment, StoredRun
from resnet_shortcuts.shortcuts.catalogue import label_meant
from resnet_shortcuts.suggestions import did_you_mean
from resnet_shortcuts.tables.escaping import escape_markdown
from resnet_shortcuts.words import counted

if TYPE_CHECKING:
    from torch import Tensor, nn

    from resnet_shortcuts.config.experiment_config import Config
    from resnet_shortcuts.data.dataset import Dataset

CARD = "model-card.md"
"""The file beside the weights that says what they are."""
MOST_BYTES = 50 * 10**6
"""Weights of at most this size are kept where the config does not say."""


def weight_bytes(model: nn.Module) -> int:
    """Bytes of the weights and buffers of a network, as stored."""
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())


def are_kept(keep: bool | str, size: int) -> bool:
    """Whether weights of ``size`` bytes are kept: as the config says, or, where it is 'auto', if they are small."""
    return size <= MOST_BYTES if keep == "auto" else bool(keep)


def kept_bytes(keep: bool | str, model: nn.Module) -> int:
    """Bytes of weights that a run of this network stores; 0 where they are not kept."""
    size = weight_bytes(model)
    return size if are_kept(keep, size) else 0


def kept_facts(status: str, keep: bool | str, model: nn.Module, dataset: Dataset) -> dict[str, Any]:
    """What the record of a run says of its weights; nothing where they are not kept, as of a diverged run."""
    size = kept_bytes(keep, model)
    if status != "done" or not size:
        return {}
    return {"weights": {"bytes": size, **_inputs(dataset)}}


def _inputs(dataset: Dataset) -> dict[str, int]:
    return {"in_channels": dataset.channels, "classes": len(dataset.classes), "resolution": dataset.resolution}


def weight_files(record: RunRecord, model: nn.Module) -> dict[str, bytes]:
    """The files of a run whose weights are kept: its state dict as safetensors, and the model card."""
    from safetensors.torch import save

    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    return {WEIGHTS: save(state), CARD: model_card(record).encode()}


def model_card(record: RunRecord) -> str:
    """What the weights are, in Markdown: network, strategy, data, recipe, accuracy, and how to load them."""
    science = record.science
    facts = {
        "network": record.network,
        "shortcut": record.shortcut,
        "seed": record.seed,
        "test accuracy": f"{record.test_accuracy:.2f} % (last epoch)",
        "data": json.dumps(science.get("data"), sort_keys=True),
        "recipe": json.dumps(science.get("recipe"), sort_keys=True),
        "precision": science.get("precision"),
        "run": record.run_id,
    }
    lines = [f"- {name}: {escape_markdown(str(value))}" for name, value in facts.items()]
    code = (
        "```python\nimport resnet_shortcuts as rs\n"
        f'model = rs.load("FOLDER OF THE EXPERIMENT").model({record.shortcut!r}, seed={record.seed}, '
        f"network={record.network!r})\n```"
    )
    return "\n".join(
        [
            f"# {escape_markdown(record.network)} with {escape_markdown(record.shortcut)}",
            "",
            *lines,
            "",
            "Images are normalised as in training (`data.normalize`). To load:",
            "",
            code,
            "",
        ]
    )


def weights_of(run: StoredRun) -> dict[str, Tensor]:
    """The state dict of a run. Raises UsageError where it was not kept, IntegrityError where it is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    if WEIGHTS not in run.files:
        what = f"the weights of run {run.run_id} ({run.shortcut}, seed {run.seed}) were not kept"
        raise UsageError(
            what, str(run.folder), "train it again with run.keep_weights: true, into another results folder"
        )
    try:
        return load(run.content(WEIGHTS))
    except SafetensorError as error:
        raise IntegrityError("damaged weights", str(run.folder / WEIGHTS), LEFT_OUT) from error


def find_run(
    experiment: Experiment, strategy: str, seed: int, network: str | None = None, recipe: str | None = None
) -> PlannedRun:
    """The planned run of this strategy (name or alias) and seed. Raises UsageError with what there is."""
    plan = experiment.plan()
    label = label_meant(strategy, plan.shortcuts)
    if label is None:
        what = f"no shortcut {strategy!r} in experiment {experiment.name!r}"
        raise UsageError(what, "strategy", did_you_mean(strategy, plan.shortcuts))
    where = _one_of("network", network, list(plan.networks))
    by = _one_of("recipe", recipe, list(plan.recipes))
    runs = [run for run in plan.runs if (run.network, run.shortcut, run.recipe) == (where, label, by)]
    run = next((run for run in runs if run.seed == seed), None)
    if run is None:
        seeds = sorted(run.seed for run in runs)
        raise UsageError(f"no seed {seed} in experiment {experiment.name!r}", "seed", f"seeds: {_listed(seeds)}")
    return run


def trained_network(
    experiment: Experiment, config: Config, strategy: str, seed: int, network: str | None, recipe: str | None
) -> nn.Module:
    """The network of one run with its trained weights, in evaluation mode. Raises UsageError, IntegrityError."""
    from resnet_shortcuts.models.library_networks import build_model

    planned = find_run(experiment, strategy, seed, network, recipe)
    if not experiment.finished(planned.run_id):
        what = f"{planned.shortcut}, seed {seed} on {planned.network} is not finished"
        raise UsageError(what, str(experiment.folder), "train it first: the same rsc train again")
    run = experiment.run(planned.run_id, planned.science)
    weights = weights_of(run)
    spec = next(each for each in config.networks if each.label == planned.network)
    shortcut = next(each for each in config.shortcuts if each.name == planned.shortcut)
    about = run.weights or {}
    model = build_model(
        spec, shortcut, in_channels=int(about["in_channels"]), num_classes=int(about["classes"]), seed=planned.seed
    )
    model.load_state_dict(weights)
    return model.eval()


def input_shape(experiment: Experiment, run: PlannedRun) -> tuple[int, int, int]:
    """(C, H, W) of the images that a run was trained on. Raises UsageError where its weights were not kept."""
    stored = experiment.run(run.run_id, run.science)
    weights_of(stored)
    about = stored.weights or {}
    return int(about["in_channels"]), int(about["resolution"]), int(about["resolution"])


def _one_of(axis: str, wanted: str | None, labels: list[str]) -> str:
    if wanted in labels:
        return wanted
    if wanted is not None:
        raise UsageError(f"no {axis} {wanted!r} in the experiment", axis, did_you_mean(wanted, labels))
    if len(labels) > 1:
        raise UsageError(f"the experiment has {counted(len(labels), axis)}", axis, f"name one: {', '.join(labels)}")
    return labels[0]


def _listed(seeds: list[int]) -> str:
    shown = ", ".join(map(str, seeds[:10]))
    return f"{shown}, ... {seeds[-1]}" if len(seeds) > 10 else shown
