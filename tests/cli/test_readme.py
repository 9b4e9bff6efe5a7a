"""The README is short, fresh and true: its line on the sweep, its links, and its commands word for word."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from resnet_shortcuts.config.experiment_config import read_config
from resnet_shortcuts.shortcuts.catalogue import find
from tests.cli.conftest import Rsc
from tools.answer_line import PLANNED, done, line, updated
from tools.screenshot import svg

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BENCHMARK = """\
name: benchmark
data: {source: digits, train_size: 60, test_size: 40}
networks: [cifar-resnet-8]
shortcuts: [A, B]
seeds: 3
train: {epochs: 1, batch_size: 20}
run: {jobs: 0}
cost: {measure: false}
"""
PAGES = ["README.md", "CONTRIBUTING.md", "results/README.md", *(f"docs/{path.name}" for path in ROOT.glob("docs/*.md"))]
OFFLINE = [line for line in re.findall(r"^    (rsc.*?)(?=  +#|$)", README, re.MULTILINE) if "rsc train" not in line]


def test_the_readme_is_short_and_the_answer_stands_on_its_first_screen() -> None:
    lines = README.splitlines()
    assert len(lines) <= 120
    assert lines.index("<!-- answer -->") < 24


def test_the_line_on_the_sweep_is_fresh() -> None:
    assert updated(README, done()) == README, "python -m tools.answer_line"


def test_runs_are_counted_once_they_are_done_and_a_missing_folder_is_none(tmp_path: Path) -> None:
    assert done(tmp_path / "nowhere") == 0
    for number, status in enumerate(["done", "done", "diverged"]):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "run.json").write_text(json.dumps({"status": status}))
    (tmp_path / "unfinished").mkdir()
    assert done(tmp_path) == 2
    assert "**2 of 77 runs done.**" in updated(README, 2)
    assert "No verdict" in line(PLANNED - 1)
    assert "No verdict" not in line(PLANNED)
    assert updated(updated(README, 3), done()) == README


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page: str) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", (ROOT / page).read_text(encoding="utf-8"))
    assert [name for name in targets if not ((ROOT / page).parent / name).exists()] == []


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Rsc:
    rsc = Rsc(tmp_path_factory.mktemp("readme"), shared_cache)
    trained = rsc("train", rsc.config(BENCHMARK))
    assert trained.returncode == 0, trained.stderr
    return rsc


@pytest.mark.parametrize("command", OFFLINE)
def test_every_command_runs_word_for_word(benchmark: Rsc, command: str) -> None:
    ended = benchmark(*shlex.split(command)[1:])
    assert ended.returncode in ({0, 5} if command == "rsc doctor" else {0}), ended.stderr
    assert ended.stdout or "wrote" in ended.stderr


def test_the_command_on_real_images_names_a_config_that_ships() -> None:
    (command,) = re.findall(r"^    rsc train (\S+) --set (\S+)", README, re.MULTILINE)
    config, _ = read_config(Path(command[0]), [command[1]])
    assert list(config.seeds) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("command", re.findall(r"^    (make \w+)$", README, re.MULTILINE))
def test_make_knows_its_targets(command: str) -> None:
    done_ = subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done_.returncode == 0, done_.stderr


def test_the_strategies_of_the_example_are_found() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    *built_in, custom = yaml.safe_load(block)["shortcuts"]
    assert [find(reference).name for reference in built_in] == ["stride-pad", "blur-duplicate"]
    assert custom == "./my_shortcut.py:Mine"


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    seeds = 'shortcuts=["A", "max-pad"], seeds=5'
    assert seeds in block
    assert len(block.strip().splitlines()) <= 10
    quick = block.replace(seeds, f'{seeds}, train={{"epochs": 1}}, run={{"jobs": 0}}, cost={{"measure": False}}')
    checks = (
        "assert net(__import__('torch').zeros(2, 3, 32, 32)).shape == (2, 10)\n"
        "assert r50d.untrained_weights == ()\n"
        "assert exp.runs().status.tolist() == ['done'] * 10\n"
        "assert set(result.verdicts().shortcut) == {'stride-pad', 'max-pad'}\n"
        "assert not model.training\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}"}
    command = [sys.executable, "-c", quick + checks]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_screenshot_shows_the_text_and_loads_nothing_from_elsewhere() -> None:
    picture = svg(["rsc", "compare", "x"], "\x1b[1mbold\x1b[0m and <plain>")
    assert "and&#160;&lt;plain&gt;" in picture
    for text in (picture, (ROOT / "docs/benchmark.svg").read_text(encoding="utf-8")):
        assert "url(http" not in text
        assert "rsc&#160;compare" in text
    assert picture == svg(["rsc", "compare", "x"], "\x1b[1mbold\x1b[0m and <plain>")


def test_the_screenshot_tool_shows_what_a_terminal_shows(benchmark: Rsc) -> None:
    target = benchmark.folder / "shot.svg"
    command = [sys.executable, "-m", "tools.screenshot", str(target), "rsc", "compare", "benchmark"]
    environment = {**benchmark.environment, "PYTHONPATH": f"{ROOT}", "RSC_RESULTS": str(benchmark.folder / "results")}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    assert "stride-pad" in target.read_text(encoding="utf-8")
