"""``rsc reproduce``: stored runs trained again come out the same, and what differs is told, with the reason."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from resnet_shortcuts.experiments import sealed_files
from resnet_shortcuts.experiments.store import Experiment
from tests.cli.conftest import Rsc

CONFIG = """\
name: stored
data: {source: digits, train_size: 60, test_size: 40}
networks: [cifar-resnet-8]
shortcuts: [A, B]
seeds: 3
train: {epochs: 1, batch_size: 20}
run: {jobs: 0, precision: fp32}
cost: {measure: false}
"""


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Rsc:
    rsc = Rsc(tmp_path_factory.mktemp("stored"), shared_cache)
    trained = rsc("train", rsc.config(CONFIG), "--results", "results/reference")
    assert trained.returncode == 0, trained.stderr
    return rsc


@pytest.fixture
def stored(origin: Rsc, tmp_path: Path) -> Rsc:
    shutil.copytree(origin.folder / "results/reference", tmp_path / "results/reference")
    return Rsc(tmp_path, Path(origin.environment["RSC_CACHE"]))


def rewrite(rsc: Rsc, run_id: str, answers: np.ndarray, **changes: object) -> None:
    """A stored run as another training would have left it: other predictions, other weights, sealed all the same."""
    folder = rsc.folder / "results/reference/stored/runs" / run_id
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "run.json"}
    labels = load(files["predictions.safetensors"])["labels"]
    files["predictions.safetensors"] = save({"predictions": answers.astype(np.int32), "labels": labels})
    record = json.loads((folder / "run.json").read_text())
    record.pop("sha256")
    record |= {"files": sealed_files.listing(files), "test_accuracy": 100 * float((answers == labels).mean())}
    record |= {"digests": {**record["digests"], "weights": "0" * 64}, **changes}
    for name, content in {**files, "run.json": sealed_files.render(record)}.items():
        (folder / name).write_bytes(content)


def answers_of(rsc: Rsc, run_id: str) -> tuple[np.ndarray, np.ndarray]:
    run = Experiment(rsc.folder / "results/reference", "stored").run(run_id)
    kept = load(run.content("predictions.safetensors"))
    return kept["predictions"], kept["labels"]


def test_runs_come_out_bit_identical_and_the_stored_ones_are_left_alone(stored: Rsc) -> None:
    before = {path: path.read_bytes() for path in (stored.folder / "results/reference").rglob("*") if path.is_file()}
    done = stored("reproduce", "stored", "--runs", 3)
    assert done.returncode == 0, done.stderr
    assert "3 runs trained again: 3 bit-identical." in done.stdout
    assert "3 to train again" in done.stderr
    assert before == {path: path.read_bytes() for path in before}
    kept = stored("reproduce", "stored", "--runs", 4, "--format", "json")  # the first three are there already
    rows = json.loads(kept.stdout)["rows"]
    assert [row["verdict"] for row in rows] == ["bit-identical"] * 4
    assert "1 to train again" in kept.stderr
    assert len({row["run_id"] for row in rows}) == 4


def test_other_bits_are_within_seeds_or_differ_by_more_than_seeds_do(stored: Rsc) -> None:
    first, second = sorted(Experiment(stored.folder / "results/reference", "stored").finished_ids())[:2]
    answers, labels = answers_of(stored, first)
    wrong = int(np.flatnonzero(answers != labels)[0])
    changed = answers.copy()
    changed[wrong] = labels[wrong]
    rewrite(stored, first, changed)
    done = stored("reproduce", "stored", "--run", first, "--format", "json")
    (row,) = json.loads(done.stdout)["rows"]
    assert (done.returncode, row["verdict"]) == (0, "within seeds")
    assert row["again"] == pytest.approx(row["stored"] - 2.5)
    assert row["same_answers"] == 97.5
    _, labels = answers_of(stored, second)
    rewrite(stored, second, labels.copy())  # all right: no seed of one epoch comes near
    done = stored("reproduce", "stored", "--run", second)
    assert done.returncode == 1, done.stderr
    assert "1 run trained again: 1 different." in done.stdout


def test_other_data_are_told_before_anything_is_trained(stored: Rsc) -> None:
    folder = stored.folder / "results/reference/stored"
    plan = json.loads((folder / "plan.json").read_text())
    plan["shared"]["data"]["content"] = "f" * 64
    plan.pop("sha256")
    (folder / "plan.json").write_bytes(sealed_files.render(plan))
    done = stored("reproduce", "stored")
    assert done.returncode == 3
    assert "the data here are not those of the stored runs (content: ffffffffffff there" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (stored.folder / "results/reproduced").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["nowhere"], 2, "no experiment 'nowhere'"),
        (["stored", "--runs", 9], 2, "only 6 runs stored"),
        (["stored", "--run", "0" * 16], 2, "no stored run '0000000000000000'"),
        (["stored", "--again", "results/reference"], 2, "the stored runs are there"),
    ],
)
def test_what_cannot_be_reproduced_is_told_in_a_line(stored: Rsc, arguments: list[str], code: int, told: str) -> None:
    done = stored("reproduce", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_missing_data_and_a_damaged_run_have_their_exit_codes(stored: Rsc) -> None:
    folder = stored.folder / "results/reference/stored"
    moved = (folder / "config.yaml").read_text().replace("source: digits", "source: image-folder\n  root: /nowhere")
    (folder / "config.yaml").write_text(moved)
    done = stored("reproduce", "stored")
    assert done.returncode == 4, done.stderr
    assert "not the one of the plan" in done.stderr
    plan = json.loads((folder / "plan.json").read_text())
    for key in ("sha256", "config_sha256"):
        plan.pop(key)
    (folder / "plan.json").write_bytes(sealed_files.render(plan))
    done = stored("reproduce", "stored")
    assert done.returncode == 3, done.stderr
    for path in (folder / "runs").glob("*/predictions.safetensors"):
        path.write_bytes(b"damaged")
    assert stored("reproduce", "stored").returncode == 4
