"""docs/config.md, written from the models that check a config: ``python -m tools.config_document > docs/config.md``.

Types, ranges and defaults come from the models; the meanings stand here. A test keeps the page and this table complete.
"""

import json
import sys
from typing import Any

from resnet_shortcuts.config.config_schema import Schema, at, expected, schema_of, sections
from resnet_shortcuts.config.experiment_config import Config
from resnet_shortcuts.data.data_config import SOURCES
from resnet_shortcuts.models.network_config import network_names

MEANINGS: dict[str, str] = {
    "name": "the folder under `results/`: letters, digits, `-`, `_`, `.`; default: the config's file name, "
    "with `-` for other characters",
    "data": "what to train and test on",
    "data.source": "where images come from: " + ", ".join(f"`{source}`" for source in SOURCES),
    "data.root": "folder of the data, relative to `--data-root` where that is given; null: `--data-root` itself",
    "data.train_size": "images to train on, balanced over the classes, the same for every seed; null: all",
    "data.test_size": "images to test on, likewise; null: all",
    "data.validation": "training images held out: they are evaluated while training, the test images once, at the end",
    "data.resolution": "height and width in pixels that images are resized to; null: as in the data set",
    "data.normalize": "`channel`: subtract each channel's mean, divide by its standard deviation; `pixel`: subtract "
    "each pixel's mean (He et al. 2015), divide by 255; `none`: divide by 255",
    "data.augment": "`crop` (pad by an eighth, crop at random), `flip`, `random-resized-crop` (not with `crop`)",
    "data.classes": "how many classes, or which by name (sources that are folders); null: all",
    "data.images_per_class": "images of each class to use (sources that are folders); null: all",
    "data.test_fraction": "share of each class to test on, drawn by contents, where there are no test images",
    "data.name": "what titles call the data set; null: the source's proper name, or the folder's",
    "networks": "what is trained, each with every shortcut: names, or mappings with the keys below",
    "networks.name": "such as " + ", ".join(f"`{name}`" for name in network_names()),
    "networks.width": "channels of the first stage; null: the network's own",
    "networks.stem": "what comes before the first block: `cifar` (3x3), `imagenet` (7x7 and pool), `deep` (ResNet-D's)",
    "networks.alpha": "how many channels a PyramidNet gains in all; null: the network's own",
    "networks.zero_init": "start the last BN of each branch at 0; refused where channels stay dead, unless `force`",
    "shortcuts": "the strategies to compare: names or aliases (`rsc shortcuts`), compositions such as `{spatial: "
    "blur3, channels: pad, scope: transitions, scale: 2.0, name: mine}`, or a custom strategy as "
    "`./file.py:Class` (relative to the config; its code is run)",
    "seeds": "which seeds, or how many (10 stands for 0 to 9); every seed is a run of each network and shortcut",
    "train": "the recipe: SGD with momentum",
    "train.epochs": "passes through the training images; exactly one of `epochs` and `iterations`",
    "train.iterations": "optimizer steps; exactly one of `epochs` and `iterations`",
    "train.batch_size": "images in a training step; at most the number of training images",
    "train.lr": "learning rate (its peak with `one-cycle`)",
    "train.momentum": "of SGD",
    "train.nesterov": "Nesterov's form of momentum",
    "train.weight_decay": "on every parameter, as in He et al. 2015",
    "train.label_smoothing": "share of the target that is spread over all classes",
    "train.schedule": "how the learning rate changes",
    "train.schedule.kind": "`step` multiplies by `gamma` at milestones, `cosine` falls to 0, `one-cycle` rises and "
    "falls, `constant` keeps it",
    "train.schedule.milestones": "fractions of all steps (0.5), or whole numbers: epochs with `train.epochs`, "
    "iterations with `train.iterations`; in rising order and before the end; `step` only. `rsc plan` shows the rate",
    "train.schedule.milestones_in": "`iterations`: whole milestones are iterations also with `train.epochs`",
    "train.schedule.gamma": "factor at each milestone; `step` only",
    "train.schedule.warmup_iterations": "steps at `warmup_lr` before the schedule's own rate applies; "
    "fewer than the run has",
    "train.schedule.warmup_lr": "rate during these steps",
    "run": "how runs are executed; of a run's id only the resolved precision is part",
    "run.device": "`cuda`: all visible GPUs; `auto`: the same, or the CPU where torch can use none; "
    "a GPU that is asked for and not there is an error (exit 5)",
    "run.precision": "`auto`: bf16 autocast where the hardware multiplies bf16, else fp32; bf16 without such "
    "hardware is allowed, slow, and gives a warning; evaluation is always fp32",
    "run.jobs": "runs side by side, on GPUs as many on each; `auto`: one a core on a CPU, one on a GPU; "
    "0: one, in this process (for debuggers)",
    "run.tf32": "let GPUs round products of fp32 to 10 bits; recorded with each run",
    "run.compile": "compile the training step with torch.compile (last bits differ from eager mode)",
    "run.evaluate_every": "epochs between evaluations; the last epoch is always evaluated",
    "run.checkpoint_seconds": "seconds between two checkpoints of a run; at least 50 times what writing "
    "one takes (run.json: `checkpoints`)",
    "run.keep_weights": "whether the trained weights and a model card are stored with each result; auto: up to 50 MB a "
    "run",
    "cost": "the cost pass at the end of `rsc train`",
    "cost.measure": "whether costs are measured",
    "cost.seconds": "time budget for measuring step times",
    "compare": "defaults of `rsc compare`, overridden by its options; not part of a run's id",
    "compare.baseline": "the shortcut that others are compared with; null: A where it is among them, else the first",
    "compare.margin": "percentage points of accuracy within which two strategies count as equivalent",
    "compare.fail_above": "final training error in percent above which a run counts as collapsed; null: half-way "
    "between chance and the baseline's median (under `paired-t`: none does)",
    "compare.rule": "how verdicts are reached: `sequential` at looks that are sealed before the first, `paired-t` from "
    "all stored seeds; see comparison.md",
    "compare.max_seeds": "seeds that may carry a verdict, sealed before the first look; null: those of `seeds`",
    "compare.looks": "how many seeds each look uses, the last one all; null: 40, 70 and 100 % of them, one look "
    "under 7",
    "config_format": "which version's meaning the file has; `rsc train` writes it into stored configs, leave it out of "
    "yours. In stored configs without it (format 1) whole milestones are iterations",
}

HEAD = """\
# The config, key by key

Written by `python -m tools.config_document`; a test compares this page with the models that check a config.

A config is YAML: one experiment, in which every shortcut is trained in every network with every seed. Unknown keys,
duplicate keys and values out of range are refused, all at once, each with its line. `--set KEY=VALUE` replaces one
value, with dotted keys and VALUE read as YAML: `--set train.epochs=3 --set "shortcuts=[A, max-pad]"`; a list is
replaced whole, and of two equal keys the last counts.

Scalars follow YAML 1.2: `1e-3` is a number, `012` is twelve, only `true` and `false` are booleans (`no` and `off` are
text), quoted values are text. Tags are refused, `<<` has no special meaning, a file has at most 1 MiB of UTF-8.
"""


def markdown() -> str:
    """The page."""
    root = schema_of(Config)
    parts = [HEAD]
    for place, keys in sections(root).items():
        title = f"`{'.'.join(place)}`: {MEANINGS['.'.join(place)]}" if place else "Top of the config"
        rows = [_row((*place, key), root) for key in keys]
        head = ["| key | type and range | default | meaning |", "| --- | --- | --- | --- |"]
        parts.append("\n".join([f"## {title}", "", *head, *rows]))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _row(path: tuple[str, ...], root: Schema) -> str:
    schema = at(path, root)
    kind = expected(schema, root).replace("|", "\\|")
    if kind.startswith("a mapping"):
        kind = "a mapping, below"
    return f"| `{path[-1]}` | {kind} | {_default(path, schema, root)} | {MEANINGS['.'.join(path)]} |"


def _default(path: tuple[str, ...], schema: Any, root: Schema) -> str:
    if path == ("name",):
        return "the file's name"
    if "default" not in schema:
        return "required"
    return "below" if isinstance(schema["default"], dict) else f"`{json.dumps(schema['default'])}`"


if __name__ == "__main__":
    sys.stdout.write(markdown())
