"""The configs that are shipped, and the page that describes every key."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_shortcuts.config.config_schema import schema_of, sections
from resnet_shortcuts.config.experiment_config import Config, load_config
from tools.config_document import MEANINGS, markdown

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "configs").glob("*.yaml"))
NINE = {"plain", "stride-pad", "stride-duplicate", "max-pad", "avg-pad", "avg-duplicate"}
NINE |= {"projection", "projection-all", "avg-projection"}


def config(name: str) -> Config:
    return load_config(ROOT / "configs" / f"{name}.yaml")


def test_all_are_there() -> None:
    names = {path.stem for path in SHIPPED}
    assert names >= {
        "benchmark", "cifar10-fast", "cifar10-folder", "cifar10-he2015", "cifar10-quick", "imagenette", "tiny-imagenet",
    }  # fmt: skip


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_each_loads_and_opens_with_what_it_is_for(path: Path, tmp_path: Path) -> None:
    loaded = load_config(path)
    assert loaded.name == path.stem
    (tmp_path / "again.yaml").write_text(loaded.to_yaml())
    assert load_config(tmp_path / "again.yaml") == loaded
    comment = "".join(line for line in path.read_text().splitlines(keepends=True) if line.startswith("#"))
    assert path.read_text().startswith(comment)
    for heading in ("Question:", "Source:", "Command:", "Time:", "Result:"):
        assert re.search(rf"^# {heading} +\S", comment, re.MULTILINE), heading
    assert f"configs/{path.name}" in comment


def test_benchmark_compares_nine_strategies_over_ten_seeds() -> None:
    loaded = config("benchmark")
    assert {strategy.name for strategy in loaded.shortcuts} == NINE
    assert len(loaded.seeds) == 10
    assert loaded.data.source == "digits"


def test_he2015_is_the_papers_recipe() -> None:
    loaded = config("cifar10-he2015")
    assert [network.name for network in loaded.networks] == [f"cifar-resnet-{n}" for n in (20, 32, 44, 56, 110)]
    assert [strategy.aliases[0] for strategy in loaded.shortcuts] == ["A", "B", "C"]
    train, schedule = loaded.train, loaded.train.schedule
    assert (train.iterations, train.batch_size, train.lr, train.momentum, train.weight_decay) == (
        64000,
        128,
        0.1,
        0.9,
        1e-4,
    )
    assert (train.nesterov, train.label_smoothing) == (False, 0)
    assert (schedule.kind, schedule.milestones, schedule.gamma) == ("step", (32000, 48000), 0.1)
    assert (schedule.warmup_iterations, schedule.warmup_lr) == (400, 0.01)
    assert (loaded.data.source, loaded.data.normalize, set(loaded.data.augment)) == (
        "cifar10",
        "pixel",
        {"crop", "flip"},
    )
    assert (loaded.data.train_size, loaded.data.test_size, loaded.data.validation) == (None, None, 0)
    assert loaded.run.precision == "fp32"


def test_the_folder_config_is_the_one_of_the_readme() -> None:
    loaded = config("cifar10-folder")
    assert {strategy.name for strategy in loaded.shortcuts} == NINE
    assert (loaded.data.source, loaded.data.root, loaded.data.train_size) == ("image-folder", None, 5000)
    assert (loaded.train.epochs, len(loaded.seeds)) == (3, 3)
    assert [network.name for network in loaded.networks] == ["cifar-resnet-20"]


def test_a_shortcut_in_a_file_is_found_beside_the_config_and_again_beside_the_stored_source(tmp_path: Path) -> None:
    beside = tmp_path / "here"
    beside.mkdir()
    (beside / "mine.py").write_text(
        "from resnet_shortcuts.shortcuts import Shortcut\n\n\nclass Mine(Shortcut):\n    reads = 'raw'\n"
    )
    path = beside / "c.yaml"
    path.write_text((ROOT / "configs" / "benchmark.yaml").read_text())
    loaded = load_config(path, ["shortcuts=[A, './mine.py:Mine']"])
    (tmp_path / "c.yaml").write_text(loaded.to_yaml())
    source = loaded.shortcuts[1].sources[0]
    (tmp_path / source.stored_path).parent.mkdir(parents=True)
    (beside / "mine.py").rename(tmp_path / source.stored_path)
    again = load_config(tmp_path / "c.yaml")
    assert [strategy.identity() for strategy in again.shortcuts] == [s.identity() for s in loaded.shortcuts]


def test_the_page_of_keys_is_fresh() -> None:
    command = "python -m tools.config_document > docs/config.md"
    assert (ROOT / "docs" / "config.md").read_text() == markdown(), f"write it anew: {command}"


def test_every_key_has_a_meaning_and_every_meaning_a_key() -> None:
    every = sections(schema_of(Config))
    assert {".".join((*place, key)) for place, keys in every.items() for key in keys} == set(MEANINGS)


def test_the_command_that_writes_the_page_prints_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.config_document"],
        capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.stdout == markdown()


def test_a_stored_config_asks_for_the_data_root_where_its_folder_is_not_there(tmp_path, capsys) -> None:
    text = "data: {source: image-folder, root: %s}\nnetworks: [cifar-resnet-8]\nshortcuts: [A]\n"
    text += "seeds: 1\ntrain: {epochs: 1}\n"
    path, elsewhere = tmp_path / "pets.yaml", str(tmp_path / "another machine")
    path.write_text(text % elsewhere)
    by_hand = load_config(path)
    assert by_hand.data.root == elsewhere, "as it is written"
    path.write_text(by_hand.to_yaml())
    assert load_config(path).data.root is None
    assert capsys.readouterr().err.count(f"is not here ({elsewhere}): --data-root or RSC_DATA_ROOT names it") == 1
    assert load_config(path, ["data.root=/somewhere"]).data.root == "/somewhere"
    Path(elsewhere).mkdir()
    assert load_config(path) == by_hand
    assert capsys.readouterr().err == ""
