"""The README's answer from the reference sweep, or how far the sweep is: ``python -m tools.answer_line`` rewrites it.

No verdict stands there before all runs are done: they were fixed in advance, and so was the one look at them.
"""

import json
import re
from pathlib import Path

from resnet_shortcuts.analysis.answer import answer
from resnet_shortcuts.analysis.judging import judged
from resnet_shortcuts.durable import write_file
from resnet_shortcuts.experiments.store import Experiment
from tools.answer_document import grid_of
from tools.answer_sentences import five_sentences

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RUNS = ROOT / "results/reference/answer-resnet20/runs"
PLANNED = 77
_BLOCK = re.compile(r"(?<=<!-- answer -->\n).*?(?=\n<!-- end of answer -->)", re.DOTALL)


def done(runs: Path = RUNS) -> int:
    """How many runs of the sweep are finished and stored here; 0 where the folder is not there yet."""
    records = (json.loads(path.read_text(encoding="utf-8")) for path in runs.glob("*/run.json"))
    return sum(record["status"] == "done" for record in records)


def line(number: int) -> str:
    """What stands on the first screen: effects of the grid, then sealed verdicts; none before every run is done."""
    if number < PLANNED:
        return f"**{number} of {PLANNED} runs done.** No verdict is computed before all {PLANNED} are."
    experiment = Experiment(RUNS.parents[1], RUNS.parent.name)
    verdicts, _ = judged([experiment], None, None)
    space, channels, *_ = five_sentences(verdicts, grid_of(verdicts))
    command = f"rsc compare {experiment.name} --results results/reference"
    sealed = f"**{' '.join(answer(verdicts).sentences)}** (`{command}`)"
    return "\n".join([f"- {space}", f"- {channels}", f"- {sealed}"])


def updated(readme: str, number: int) -> str:
    """The README with the line of this number of runs."""
    return _BLOCK.sub(lambda _: line(number), readme)


if __name__ == "__main__":
    write_file(README, updated(README.read_text(encoding="utf-8"), done()).encode())
