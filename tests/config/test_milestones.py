"""Milestones: epochs in a recipe of epochs, iterations in one of iterations, and what they meant in stored configs."""

import json
from pathlib import Path

import pytest

from resnet_shortcuts.config.experiment_config import load_config
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.experiments.plan import make_plan
from resnet_shortcuts.training.recipe import learning_rate, total_steps

from .conftest import GOOD, Complaints, Load

EPOCHS = GOOD.replace("epochs: 30", "epochs: 200") + "  schedule: {kind: step, milestones: [100, 150], gamma: 0.1}\n"
DATA = {"content": "x", "train_size": 1000}
STEPS_PER_EPOCH = 16  # 1000 images in batches of 64: fifteen whole ones and one of 40


def test_whole_numbers_beside_epochs_are_epochs(load: Load) -> None:
    train = load(EPOCHS).train
    total = total_steps(train, STEPS_PER_EPOCH)
    rates = [learning_rate(train, epoch * STEPS_PER_EPOCH + last, total) for epoch, last in
             ((0, 0), (99, 15), (100, 0), (149, 15), (150, 0), (199, 15))]  # fmt: skip
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_whole_numbers_beside_iterations_are_iterations(load: Load) -> None:
    train = load(EPOCHS.replace("epochs: 200", "iterations: 200")).train
    assert [learning_rate(train, step, 200) for step in (99, 100, 149, 150)] == pytest.approx([0.1, 0.01, 0.01, 0.001])
    assert train.identity()["schedule"] == {"kind": "step", "milestones": [100, 150], "gamma": 0.1}


@pytest.mark.parametrize(("epochs", "milestones", "wrong"), [(200, "[32000, 48000]", 48000), (100, "[80, 150]", 150)])
def test_what_fits_no_epoch_is_refused_with_both_readings(
    complaints: Complaints, epochs: int, milestones: str, wrong: int
) -> None:
    text = EPOCHS.replace("epochs: 200", f"epochs: {epochs}").replace("[100, 150]", milestones)
    assert complaints(text) == [
        f"train.schedule.milestones: read as epochs, {wrong} is not before the end of the run ({epochs} epochs): "
        "FILE:9: give earlier epochs or fractions; if iterations are meant, set schedule.milestones_in: iterations"
    ]


def test_epochs_are_hashed_under_a_key_of_their_own_and_iterations_as_ever(load: Load) -> None:
    in_epochs, in_iterations = load(EPOCHS), load(EPOCHS, "train.schedule.milestones_in=iterations")
    assert in_epochs.train.identity()["schedule"] == {"kind": "step", "milestone_epochs": [100, 150], "gamma": 0.1}
    assert in_iterations.train.identity()["schedule"] == {"kind": "step", "milestones": [100, 150], "gamma": 0.1}
    ids = [{run.run_id for run in make_plan(config, DATA, "fp32").runs} for config in (in_epochs, in_iterations)]
    assert not ids[0] & ids[1]


def stored(folder: Path, text: str) -> Path:
    """A config as it lies in the folder of an experiment."""
    (folder / "plan.json").write_text(json.dumps({"format": 2}))
    (folder / "config.yaml").write_text("name: mine\n" + text)
    return folder / "config.yaml"


def test_a_stored_config_of_before_keeps_iterations(load: Load, tmp_path: Path) -> None:
    as_iterations = load(EPOCHS, "train.schedule.milestones_in=iterations")
    (tmp_path / "mine.yaml").unlink()
    old = load_config(stored(tmp_path, EPOCHS))
    assert old == as_iterations
    assert make_plan(old, DATA, "fp32") == make_plan(as_iterations, DATA, "fp32")
    assert load_config(stored(tmp_path, EPOCHS.replace("[100, 150]", "[1000, 2000]"))).train.epochs == 200
    assert load_config(stored(tmp_path, EPOCHS.replace("[100, 150]", "[0.5]"))).train.schedule.milestones_in is None


@pytest.mark.parametrize("overrides", [[], ["train.schedule.milestones_in=iterations"]], ids=["epochs", "iterations"])
def test_a_stored_config_of_today_says_what_it_means(load: Load, tmp_path: Path, overrides: list[str]) -> None:
    config = load(EPOCHS, *overrides)
    (tmp_path / "mine.yaml").unlink()
    written = config.to_yaml()
    assert "config_format: 2" in written
    path = stored(tmp_path, "")
    path.write_text(written)
    assert load_config(path) == config
    (tmp_path / "plan.json").unlink()
    assert load_config(path) == config, "wherever it is copied to"


def test_a_config_of_a_newer_version_asks_for_an_upgrade(tmp_path: Path) -> None:
    path = stored(tmp_path, EPOCHS + "config_format: 3\n")
    with pytest.raises(UsageError, match=r"config_format 3 was written by a newer version: .*:11: upgrade"):
        load_config(path)


@pytest.mark.parametrize("value", ["1", "true", "two", "-1", "null"])
def test_other_formats_are_refused_or_read_as_written(load: Load, complaints: Complaints, value: str) -> None:
    if value == "1":
        assert load(EPOCHS + "config_format: 1\n").train.schedule.milestones_in == "iterations"
    else:
        assert complaints(EPOCHS + f"config_format: {value}\n")[0].startswith("config_format is ")
