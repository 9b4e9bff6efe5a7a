"""``rsc slurm``: the batch script of a SLURM job array that trains the runs of a config in a shared folder."""

import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from resnet_shortcuts.cli.options import (
    DEFAULT_RESULTS,
    Config,
    ConfigFile,
    DataRoot,
    Debug,
    Override,
    Results,
    chosen_config,
)
from resnet_shortcuts.cli.output import deliver, say
from resnet_shortcuts.errors import UsageError

_TIME = re.compile(r"\d+(:\d\d){0,2}|\d+-\d+(:\d\d){0,2}")
_SAVE_SECONDS = 60
"""How long before the end of its time a task is asked to save its checkpoints."""

_SCRIPT = """\
#!/bin/bash
# Trains the runs of {name}, a share in each task. Submit it again at any time: finished runs are skipped and
# interrupted ones go on from their checkpoints. When all are done, one machine measures costs and shows the table:
#   {finish}
{directives}
set -e
cd {folder}
# exec: the signal that the time is nearly over goes to the process of this script.
exec {train}
"""


def slurm(
    file: ConfigFile = None,
    config: Config = None,
    overrides: Override = None,
    array: Annotated[int, typer.Option("--array", min=1, max=100_000, help="Tasks of the array: shares.")] = 1,
    time: Annotated[str, typer.Option("--time", help="Time limit of a task, as sbatch takes it.")] = "4:00:00",
    gpus: Annotated[int, typer.Option("--gpus", min=0, max=1, help="1: each task trains on a GPU; 0: on CPUs.")] = 0,
    cpus: Annotated[
        int | None, typer.Option("--cpus", min=1, max=1024, help="Cores of a task.", show_default="1, with GPUs 4")
    ] = None,
    partition: Annotated[str | None, typer.Option("--partition", help="Partition to submit to.")] = None,
    results: Results = DEFAULT_RESULTS,
    data_root: DataRoot = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the script to FILE.")] = None,
    debug: Debug = False,
) -> None:
    """Write the sbatch script of a job array for a cluster whose nodes share this folder."""
    from resnet_shortcuts.config.experiment_config import read_config

    if not _TIME.fullmatch(time):
        raise UsageError(f"'{time[:40]}' is not a time limit", "--time", "give MINUTES, H:MM:SS or DAYS-HOURS")
    chosen = chosen_config(file, config, "rsc slurm")
    loaded, _ = read_config(chosen, overrides or [])
    cores = cpus or (4 if gpus else 1)
    place = chosen.absolute() if chosen.exists() else chosen  # one that ships is known by its name
    train = [sys.executable, "-P", "-m", "resnet_shortcuts.cli", "train", "--config", str(place)]
    train += [word for each in overrides or [] for word in ("--set", each)] + ["--results", str(results.absolute())]
    train += [] if data_root is None else ["--data-root", str(data_root.absolute())]
    options = {
        "job-name": f"rsc-{Path(loaded.name).name}",
        "array": f"1-{array}",
        "time": time,
        "cpus-per-task": str(cores),
        **({"gres": f"gpu:{gpus}"} if gpus else {}),
        **({"partition": partition} if partition else {}),
        "signal": f"B:TERM@{_SAVE_SECONDS}",
        "open-mode": "append",
        "output": f"rsc-{Path(loaded.name).name}-%A-%a.log",
    }
    directives = [f"#SBATCH --{key}={value}" for key, value in options.items()] + ["#SBATCH --requeue"]
    jobs = 1 if gpus else cores
    share = f'{shlex.join(train)} --jobs {jobs} --only "$SLURM_ARRAY_TASK_ID/{array}" --no-cost'
    text = _SCRIPT.format(
        name=loaded.name,
        finish=f"srun --exclusive {shlex.join(train)}",
        directives="\n".join(directives),
        folder=shlex.quote(str(Path.cwd())),
        train=share,
    )
    deliver(text, output)
    if output is not None:
        say(f"submit it: sbatch {shlex.quote(str(output))}")
