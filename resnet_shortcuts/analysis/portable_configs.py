"""The configs of an experiment as another machine can use them: what a report and a paper hand on."""

from __future__ import annotations

import re
from pathlib import PurePath

from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, in_order

_ROOT = re.compile(r"(?m)^(\s*root: ['\"]?)([/~][^'\"\n]*)")
_CUSTOM = re.compile(r"(?<=[\s'\"\[,])[^\s'\"\[,]*/([^/\s'\"]+\.py)(?=:\w)")


def portable_configs(record: ExperimentRecord) -> dict[str, str]:
    """File name and text of each config of the (merged) record.

    Its data folder is there by name only, and the files of custom strategies are looked for beside the config.
    """
    configs = {}
    texts = record.config_text.split("\n---\n") if record.config_text else []
    names = record.name.split("+") if len(texts) == len(record.name.split("+")) else [record.name] * len(texts)
    for place, (name, text) in enumerate(zip(names, texts, strict=True)):
        known = re.sub(r"[^\w.-]+", "-", name) + (f"-{place + 1}" if names.count(name) > 1 else "")
        text = _ROOT.sub(lambda match: match[1] + PurePath(match[2]).name, text)
        configs[f"{known}.yaml"] = _CUSTOM.sub(r"./\1", text)
    return configs


def custom_files(config: str) -> list[str]:
    """The files of custom strategies that a portable config needs beside it."""
    return in_order(re.findall(r"\./([^/\s'\"]+\.py):\w", config))


def training_commands(record: ExperimentRecord) -> list[str]:
    """The commands that train the record's runs from its portable configs."""
    return [f"rsc train --config {name}" for name in portable_configs(record)]
