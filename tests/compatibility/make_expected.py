"""Writes expected.json: what `rsc runs` and `rsc compare` of the package that PYTHONPATH leads to say of the results
(see README.md). Done once, with c72f135; a test that fails is no reason to do it again."""

import json
import tempfile
from pathlib import Path

from tests.compatibility.internals import HERE, hardware, rsc

FORMATS = (1, 2)
EXPERIMENTS = ("finished", "diverged", "interrupted", "failed")
COMPARISONS = {**{name: [name] for name in EXPERIMENTS}, "wide margin": ["finished", "--margin", "60"]}
RUNS = ("run_id", "network", "shortcut", "seed", "state", "reason", "test_accuracy")
ROWS = ("network", "shortcut", "runs", "failed", "accuracy_mean", "accuracy_sd", "parameters", "multiply_adds")
VERDICTS = ("network", "shortcut", "runs", "failed", "seeds", "accuracy_mean", "difference", "verdict")


def results(number: int) -> Path:
    return HERE / f"results-format-{number}"


def runs_of(folder: Path, name: str):
    """Exit code, and what `rsc runs` says of each run of an experiment."""
    code, out, _ = rsc(folder, "runs", name, "--format", "json")
    return code, [{key: row[key] for key in RUNS} for row in json.loads(out)["rows"]]


def comparison(folder: Path, *words: str):
    """Exit code, and what `rsc compare` says that does not depend on the libraries that compute it."""
    code, out, _ = rsc(folder, "compare", *words, "--format", "json")
    said = json.loads(out)
    rows = [{key: row[key] for key in ROWS} for row in said["rows"]]
    return code, {"rows": rows, "verdicts": [{key: row[key] for key in VERDICTS} for row in said["verdicts"]]}


def expected(number: int):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "results").symlink_to(results(number))
        return {
            "runs": {name: runs_of(Path(folder), name)[1] for name in EXPERIMENTS},
            "comparisons": {name: comparison(Path(folder), *words)[1] for name, words in COMPARISONS.items()},
        }


if __name__ == "__main__":
    document = {"written on": hardware(), **{f"format {number}": expected(number) for number in FORMATS}}
    (HERE / "expected.json").write_text(json.dumps(document, indent=1) + "\n")
