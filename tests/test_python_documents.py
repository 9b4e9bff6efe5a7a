"""docs/python.md and docs/quickstart.ipynb: executed, and what they show is what is stored in them."""

import doctest
import json
from pathlib import Path

from tools.run_notebook import run

DOCS = Path(__file__).parents[1] / "docs"


def test_the_examples_of_the_python_page_run():
    results = doctest.testfile(str(DOCS / "python.md"), module_relative=False)
    assert results.attempted > 10
    assert not results.failed


def test_the_notebook_runs_and_shows_what_is_stored_in_it():
    stored = json.loads((DOCS / "quickstart.ipynb").read_text())
    executed = run(stored)
    texts = {}
    for ours, theirs in zip(executed["cells"], stored["cells"], strict=True):
        if ours["cell_type"] != "code":
            continue
        shown = [output["data"]["text/plain"] for output in ours["outputs"]]
        assert bool(shown) == bool(theirs["outputs"])
        texts["".join(ours["source"])] = "".join(shown[0])
        if "depends-on-machine" not in ours["metadata"].get("tags", ()):
            assert ours["outputs"] == theirs["outputs"]
    assert any("269722" in text for text in texts.values()), "parameters of ResNet-20 with option A"
    assert "((), 30)" in texts.values(), "D reuses B's kernels, C brings 30 tensors"
    assert "Experiment 'quickstart': 9 of 9 runs finished" in texts.values()
    assert any("better" in text for text in texts.values())
