"""A whole sweep in a process of its own, as ``rsc train`` runs it: ``python -m tests.faults.sweep FOLDER CACHE [...]``.

Prints one JSON line an event; exits as the command line does. ``--no-wait``, ``--jobs=N``, ``--set=KEY=VALUE``.
"""

import json
import sys
from pathlib import Path

from resnet_shortcuts.errors import RscError
from resnet_shortcuts.experiments.runner import SweepEvent, run_plan
from tests.faults.rig import YAML, make_rig


def main(folder: str, cache: str, *options: str) -> int:
    overrides = [option.removeprefix("--set=") for option in options if option.startswith("--set=")]
    jobs = [int(option.removeprefix("--jobs=")) for option in options if option.startswith("--jobs=")]

    def tell(event: SweepEvent) -> None:
        name = f"{event.run.shortcut}/{event.run.seed}"
        print(json.dumps({"kind": event.kind, "run": name, "text": event.text, "step": event.step}), flush=True)

    rig = make_rig(Path(folder), Path(cache), YAML, *overrides)
    try:
        summary = run_plan(
            rig.plan,
            rig.config,
            rig.dataset,
            rig.experiment,
            jobs=(jobs or [2])[0],
            progress=tell,
            wait="--no-wait" not in options,
        )
    except RscError as error:
        print(json.dumps({"kind": "error", "run": None, "text": error.lines[0]}), flush=True)
        return int(error.exit_code)
    return int(summary.exit_code)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
