"""Results that older versions wrote: listed, compared, planned and gone on with through the user's command."""

import json
import shutil

import pytest

from tests.compatibility.internals import HERE, config_of, hardware, planned, rsc
from tests.compatibility.make_expected import COMPARISONS, EXPERIMENTS, FORMATS, comparison, results, runs_of

EXPECTED = json.loads((HERE / "expected.json").read_text())
IDS = {
    "finished": [
        "cf4c593b954c3487",
        "872530c0cf4ddec8",
        "b3d156ddca62af4e",
        "c5183c226a55a632",
        "841927ff2372402c",
        "a39fd158251bb8b9",
        "7283e1796a883c20",
        "8675d80054cded0e",
        "b55fdcb47ffcb3e4",
        "6019592c97245d26",
        "25444915b49cd36e",
        "6df8d6b20ffedf28",
        "d306c95f0202037f",
        "928f99e308eca446",
        "be830354f078ae5a",
    ],
    "diverged": ["0578486a03aee00a", "04bd95ce0af19046"],
    "interrupted": ["0dd4559e4ae8a9e0", "2535d2311774f6c4"],
    "failed": ["c588588d589b3ab8", "8bad673c0f69952d"],
}


@pytest.fixture(params=FORMATS, ids="format {}".format)
def old(request, tmp_path):
    """A folder with the configs and a copy of the results of one format, and what is expected of them."""
    shutil.copytree(results(request.param), tmp_path / "results")
    shutil.copytree(HERE / "configs", tmp_path / "configs")
    return tmp_path, EXPECTED[f"format {request.param}"]


def records(folder, name):
    found = (folder / "results" / name).glob("runs/*/run.json")
    return {path.parent.name: json.loads(path.read_text()) for path in found}


def stored_files(folder, name):
    return {path: path.read_bytes() for path in (folder / "results" / name).glob("runs/*/*")}


def again(folder, name, *words):
    return rsc(folder, "train", "--config", f"configs/{name}.yaml", "--set", "cost.measure=false", *words)


def near(said):
    """The same document, its numbers compared as numbers."""
    if isinstance(said, dict):
        return {key: near(value) for key, value in said.items()}
    if isinstance(said, list):
        return [near(value) for value in said]
    return pytest.approx(said, rel=1e-9) if isinstance(said, float) else said


def test_they_are_of_the_formats_that_their_folders_name():
    for number in FORMATS:
        plans = [json.loads(path.read_text()) for path in results(number).glob("*/plan.json")]
        runs = [json.loads(path.read_text()) for path in results(number).glob("*/runs/*/run.json")]
        assert len(plans) == len(EXPERIMENTS)
        assert {document["format"] for document in plans + runs} == {number}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_they_are_listed_as_before(old, name):
    folder, expected = old
    assert runs_of(folder, name) == (0, near(expected["runs"][name]))


@pytest.mark.parametrize("name", COMPARISONS)
def test_they_compare_as_before(old, name):
    folder, expected = old
    assert comparison(folder, *COMPARISONS[name]) == (0, near(expected["comparisons"][name]))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_their_configs_plan_the_runs_that_are_stored(old, name):
    folder, expected = old
    stored = [(row["network"], row["shortcut"], row["seed"], row["run_id"]) for row in expected["runs"][name]]
    assert [run_id for *_, run_id in stored] == IDS[name]
    own, kept = folder / "configs" / f"{name}.yaml", folder / "results" / name / "config.yaml"
    assert planned(own) == planned(kept) == stored
    assert config_of(own) == config_of(kept)


@pytest.mark.parametrize(("name", "code"), [("finished", 0), ("diverged", 1)])
def test_training_again_trains_nothing_that_has_ended(old, name, code):
    folder, expected = old
    before = stored_files(folder, name)
    ended, _, said = again(folder, name)
    assert ended == code
    assert f"{len(expected['runs'][name])} runs, 0 to train" in said
    assert stored_files(folder, name) == before
    assert runs_of(folder, name) == (0, near(expected["runs"][name]))


def history(folder, run_id):
    return json.loads((folder / "results" / "interrupted" / "runs" / run_id / "history.json").read_text())


EVERY_EPOCH = ("--set", "run.evaluate_every=1")
"""No part of a run's science: the old session looked at the validation images every 20 epochs, a new one always does,
and so the history tells which epochs were trained anew."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Trains the interrupted run without an interruption, once: its record and its history."""
    made = []

    def train(run_id):
        if not made:
            folder = tmp_path_factory.mktemp("undisturbed")
            shutil.copytree(HERE / "configs", folder / "configs")
            code, _, said = again(folder, "interrupted", *EVERY_EPOCH, "--set", "shortcuts=[dropout]")
            assert code == 0, said
            made.extend([records(folder, "interrupted")[run_id], history(folder, run_id)])
        return made

    return train


def test_an_interrupted_run_goes_on_from_its_checkpoint(old, undisturbed):
    folder, _ = old
    _, interrupted = IDS["interrupted"]
    work = folder / "results" / "interrupted" / "work" / interrupted
    step, epochs = max(tuple(map(int, path.stem.split("-")[1:])) for path in work.glob("checkpoint-*.json"))
    before = stored_files(folder, "interrupted")
    code, _, said = again(folder, "interrupted", *EVERY_EPOCH)
    assert code == 0, said
    assert "2 runs, 1 to train" in said
    assert before.items() <= stored_files(folder, "interrupted").items()
    run, told = records(folder, "interrupted")[interrupted], history(folder, interrupted)
    assert [at["step"] for at in run["resumed"]] == [step]
    assert 0 < step < run["steps"] == 320
    assert [entry["epoch"] for entry in told] == list(range(1, 81))
    evaluated = [entry["epoch"] for entry in told if entry["validation_accuracy"] is not None]
    assert evaluated == [20, 40, *range(epochs + 1, 81)]
    assert not work.exists()
    if hardware() == EXPECTED["written on"]:  # elsewhere the first half has other last bits
        alone, its_history = undisturbed(interrupted)
        assert alone["resumed"] == []
        assert (run["digests"], run["test_accuracy"]) == (alone["digests"], alone["test_accuracy"])
        assert told[epochs:] == its_history[epochs:]
        ours, theirs = ([entry["train_loss"] for entry in entries] for entries in (told, its_history))
        assert ours == theirs


def test_a_run_whose_worker_was_killed_goes_on_from_its_checkpoint(old):
    folder, _ = old
    before = stored_files(folder, "failed")
    code, _, said = again(folder, "failed")
    assert code == 0, said
    assert "2 runs, 1 to train" in said
    assert before.items() <= stored_files(folder, "failed").items()
    run = records(folder, "failed")[IDS["failed"][0]]
    assert (run["status"], [at["step"] for at in run["resumed"]]) == ("done", [1])
    assert [row["state"] for row in runs_of(folder, "failed")[1]] == ["done", "done"]
