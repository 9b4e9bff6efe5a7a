"""Suggesting what a user probably meant: typing errors, parts of names, and the words that other tools use."""

import difflib
from collections.abc import Iterable

SYNONYMS: dict[str, tuple[str, ...]] = {
    # strategies and what they are made of
    "maxpool": ("max-pad",), "max-pool": ("max-pad",), "avgpool": ("avg-pad",), "avg-pool": ("avg-pad",),
    "pool": ("max-pad", "avg-pad"), "average": ("avg-pad",), "1x1": ("projection",), "conv1x1": ("projection",),
    "conv": ("projection",), "downsample": ("projection",), "zero-padding": ("stride-pad",),
    "padding": ("stride-pad",), "subsample": ("stride-pad",), "none": ("plain",), "no-skip": ("plain",),
    "resnet-d": ("avg-projection",), "resnetd": ("avg-projection",),
    # data sources
    "imagefolder": ("image-folder",), "folder": ("image-folder",), "cifar": ("cifar10",), "mnist": ("digits",),
    # networks
    "resnet18": ("imagenet-resnet-18",), "resnet34": ("imagenet-resnet-34",), "resnet50": ("imagenet-resnet-50",),
    "resnet101": ("imagenet-resnet-101",), "resnet20": ("cifar-resnet-20",), "resnet56": ("cifar-resnet-56",),
    "resnet110": ("cifar-resnet-110",),
    # values of settings
    "multistep": ("step",), "multisteplr": ("step",), "cosineannealing": ("cosine",), "onecycle": ("one-cycle",),
    "onecyclelr": ("one-cycle",), "cosineannealinglr": ("cosine",), "float32": ("fp32",), "bfloat16": ("bf16",),
    "fp16": ("bf16",), "amp": ("bf16",), "gpu": ("cuda",),
}  # fmt: skip
"""Names that other tools and papers use, and ours."""

KEY_SYNONYMS: dict[str, str] = {
    "dataset": "data", "datasets": "data", "data_dir": "data.root", "data_root": "data.root", "path": "data.root",
    "img_size": "data.resolution", "image_size": "data.resolution", "input_size": "data.resolution",
    "num_classes": "data.classes", "nb_classes": "data.classes", "val_size": "data.validation",
    "val_split": "data.validation", "augmentation": "data.augment", "augmentations": "data.augment",
    "transforms": "data.augment", "aa": "data.augment", "aug": "data.augment",
    "model": "networks", "models": "networks", "arch": "networks", "architecture": "networks", "net": "networks",
    "backbone": "networks", "strategies": "shortcuts", "skip": "shortcuts", "skips": "shortcuts",
    "downsample": "shortcuts", "random_seed": "seeds", "manual_seed": "seeds",
    "training": "train", "recipe": "train", "hyperparameters": "train",
    "learning_rate": "train.lr", "base_lr": "train.lr", "initial_lr": "train.lr", "wd": "train.weight_decay",
    "bs": "train.batch_size", "batch": "train.batch_size", "steps": "train.iterations", "iters": "train.iterations",
    "max_iter": "train.iterations", "max_steps": "train.iterations", "max_iters": "train.iterations",
    "sched": "train.schedule", "scheduler": "train.schedule", "lr_scheduler": "train.schedule",
    "lr_schedule": "train.schedule", "smoothing": "train.label_smoothing", "mom": "train.momentum",
    "lr_steps": "train.schedule.milestones", "decay_epochs": "train.schedule.milestones",
    "step_size": "train.schedule.milestones", "lr_decay": "train.schedule.gamma", "decay_rate": "train.schedule.gamma",
    "warmup": "train.schedule.warmup_iterations", "warmup_epochs": "train.schedule.warmup_iterations",
    "warmup_steps": "train.schedule.warmup_iterations", "workers": "run.jobs", "num_workers": "run.jobs",
    "threads": "run.jobs", "gpu": "run.device", "gpus": "run.device", "cuda": "run.device", "accelerator": "run.device",
    "amp": "run.precision", "fp16": "run.precision", "bf16": "run.precision", "dtype": "run.precision",
    "mixed_precision": "run.precision", "eval_every": "run.evaluate_every", "eval_interval": "run.evaluate_every",
    "torchcompile": "run.compile", "control": "compare.baseline", "reference": "compare.baseline",
    "tolerance": "compare.margin", "epsilon": "compare.margin",
}  # fmt: skip
"""Keys that other tools use, and where a config has them."""

ABSENT_KEYS: dict[str, str] = dict.fromkeys(
    ("optimizer", "optim", "opt"),
    "the optimizer is SGD: its keys are train.lr, train.momentum, train.nesterov and train.weight_decay",
) | {
    **dict.fromkeys(("output", "output_dir", "out", "save_dir", "log_dir", "results"), "use the option --results"),
    **dict.fromkeys(("resume", "checkpoint"), "leave it out: the same command resumes"),
    **dict.fromkeys(("loss", "criterion"), "leave it out: the loss is cross-entropy (train.label_smoothing)"),
    **dict.fromkeys(("defaults", "hydra"), "leave it out: one file is one experiment, --set changes single keys"),
}  # fmt: skip
"""Keys that other tools have and a config does not, and what to do instead."""


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names closest to a mistyped one, nearest first: synonyms, typing errors, then names that contain it
    or that it contains.
    """
    known = list(dict.fromkeys(known))
    folded = {_folded(candidate): candidate for candidate in reversed(known)}
    wanted = _folded(name)
    synonyms = [key for word in (name.casefold(), wanted) for key in map(_folded, SYNONYMS.get(word, ()))]
    close = difflib.get_close_matches(wanted, list(folded), n=limit, cutoff=0.6)
    close = [key for key in close if _likeness(wanted, key) > _likeness(wanted, close[0]) - 0.2]
    parts = [key for key in folded if len(wanted) > 2 and (wanted in key or (len(key) > 2 and key in wanted))]
    ordered = dict.fromkeys([*synonyms, *close, *sorted(parts, key=len)])
    return [folded[key] for key in ordered if key in folded][:limit]


def _likeness(wanted: str, key: str) -> float:
    return difflib.SequenceMatcher(a=key, b=wanted).ratio()


def _folded(name: object) -> str:
    return str(name).casefold().replace("_", "-")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` or, with nothing close, the list of what is valid; empty where nothing is."""
    known = list(dict.fromkeys(known))
    close = nearest(name, known)
    if close:
        return "did you mean " + " or ".join(repr(candidate) for candidate in close) + "?"
    return "valid: " + ", ".join(known) if known else ""
