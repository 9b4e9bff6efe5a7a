"""docs/answer.md: fresh, opens with five sentences, and its numbers can be had without this package."""

import csv
import io
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from resnet_shortcuts.analysis.experiment_records import RunRecord
from resnet_shortcuts.analysis.factorial import factorial_effects
from resnet_shortcuts.config.experiment_config import load_config
from resnet_shortcuts.experiments.plan import Plan, make_plan
from resnet_shortcuts.experiments.sealing import seal_of
from resnet_shortcuts.experiments.store import Experiment
from resnet_shortcuts.experiments.study import baseline_of
from resnet_shortcuts.shortcuts.catalogue import find
from tools.answer_document import PAGE, PROPERTIES, render
from tools.answer_power import contrast, main_effect
from tools.answer_regimes import ANSWER, REGIMES, RESULTS, Regime

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
SWEEP = Experiment(ROOT / RESULTS, ANSWER)
CONFIGS = [regime.config for regime in REGIMES if regime.config not in ("", ANSWER)]
SEALED = [name for name in CONFIGS if (ROOT / RESULTS / name / "plan.json").exists()]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def identity(plan: Plan) -> dict[str, object]:
    return {key: value for key, value in plan.shared["data"].items() if key not in ("normalize", "augment")}


def test_page_and_figures_are_fresh() -> None:
    stale = [path for path, content in render().items() if (ROOT / path).read_bytes() != content]
    assert stale == [], "python -m tools.answer_document"


def test_the_page_opens_with_five_sentences_of_which_four_have_numbers() -> None:
    opening = TEXT.partition("\n1. ")[2].partition("\n\n")[0].split("\n")
    assert [line.partition(". ")[0] for line in opening[1:]] == ["2", "3", "4", "5"]
    assert sum(bool(re.search(r"\d\.\d\d|\d+ runs", line)) for line in opening) >= 4
    for section in ("## The table", "## The ten claims", "## Still open", "## Published evidence", "4:2:0", "c72f135"):
        assert section in TEXT
    assert len(re.findall(r"^### \d+\. ", TEXT, re.MULTILINE)) == 10


def test_numpy_alone_recomputes_what_compare_prints() -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    imports = re.findall(r"^(?:import|from) (.*)$", snippet, re.MULTILINE)
    assert imports == ["json, pathlib", "numpy as np"]
    by_hand = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, check=True)
    code = "from resnet_shortcuts.cli import main; main()"
    arguments = ["compare", ANSWER, "--results", "results/reference", "--format", "csv"]
    ours = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    rows = {row["shortcut"]: row for row in csv.DictReader(io.StringIO(ours.stdout))}
    printed = [rows["stride-pad"]["accuracy_mean"], rows["avg-pad"]["accuracy_mean"], rows["avg-pad"]["difference"]]
    assert by_hand.stdout.split() == [
        f"{float(printed[0]):.2f}",
        f"{float(printed[1]):.2f}",
        f"{float(printed[2]):+.2f}",
    ]


def test_the_stored_properties_are_those_that_were_derived() -> None:
    rows = json.loads(PROPERTIES.read_bytes())["rows"]
    assert {row["seed"] for row in rows if "seed" in row} == {0, 1, 2, 3, 4}
    measured = {(row["strategy"], row["property"]): row["measured"] for row in rows if row["on"] == "random"}
    assert [measured[name, "rank / n"] for name in ("stride-pad", "avg-pad")] == [0.25, 0.25]
    assert [measured[name, "coverage"] for name in ("stride-pad", "avg-pad")] == [0.25, 1.0]
    assert [measured[name, "gradient gain"] for name in ("stride-pad", "avg-pad")] == [0.5, 0.125]


def test_a_main_effect_as_large_as_the_table_says_is_found_four_times_in_five() -> None:
    seeds, sd, stream = 7, 0.3, np.random.default_rng(0)
    grid = {name: (a, b) for (a, b), name in GRID.items()}
    effect = main_effect(sd, seeds, levels=3, family=15)
    found = 0
    for _ in range(300):
        runs = [
            RunRecord(
                "net", name, seed, test_accuracy=80 + effect * (a == "avg") + stream.normal(0, sd),
                built_of=({}, find(name).identity()),
            )
            for name, (a, _) in grid.items()
            for seed in range(seeds)
        ]  # fmt: skip
        effects = factorial_effects(runs, margin=0.5)
        assert effects is not None
        (ours,) = [e for e in effects.effects if e.within is None and (e.level, e.reference) == ("avg", "stride")]
        found += ours.interval.low > 0
    assert 0.73 <= found / 300 <= 0.87


GRID = dict(
    zip(
        itertools.product(("stride", "avg", "max"), ("pad", "duplicate", "conv-bn")),
        ("stride-pad", "stride-duplicate", "projection", "avg-pad", "avg-duplicate", "avg-projection", "max-pad",
         "max-duplicate", "max-projection"),
        strict=True,
    )
)  # fmt: skip


def test_a_sealed_contrast_needs_a_larger_difference_than_a_main_effect_of_its_family() -> None:
    seal = SWEEP.plan().verdicts.families[0]
    assert contrast(0.4, seal) == pytest.approx(2 * contrast(0.2, seal), rel=1e-3)
    assert contrast(0.3, seal) > main_effect(0.3, 7, levels=3, family=10)


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_of_open_regimes_are_of_the_size_that_the_table_says(name: str) -> None:
    config = load_config(Path(name))
    (regime,) = [each for each in REGIMES if each.config == name]
    assert len(config.seeds) * len(config.shortcuts) * len(config.networks) == regime.runs
    images = config.train.iterations * config.train.batch_size if config.train.iterations else config.train.epochs * 5e4
    assert images == regime.images
    assert config.compare.looks == (len(config.seeds),)
    assert config.compare.margin == load_config(SWEEP.folder / "config.yaml").compare.margin or name == "answer-he2015"


@pytest.mark.parametrize("name", SEALED)
def test_sealed_plans_are_those_of_the_configs(name: str) -> None:
    config, stored = load_config(Path(name)), Experiment(ROOT / RESULTS, name).plan()
    data = identity(SWEEP.plan())
    assert make_plan(config, data, "bf16").rows == stored.rows
    assert stored.verdicts.families == (seal_of(config, baseline_of(config), 10, 10_000),)
    assert Experiment(ROOT / RESULTS, name).config_text(stored) == config.to_yaml()


def test_five_regimes_are_sealed_and_more_seeds_share_the_runs_of_the_sweep() -> None:
    assert sorted(SEALED) == ["answer-long", "answer-lr-high", "answer-lr-low", "answer-resnet56", "answer-seeds"]
    more = Experiment(ROOT / RESULTS, "answer-seeds").plan()
    ours, theirs = ({run.run_id for run in plan.runs} for plan in (SWEEP.plan(), more))
    assert ours < theirs
    assert len(theirs - ours) == 33


def test_a_half_done_regime_is_said_to_be_unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.answer_regimes.RESULTS", tmp_path)
    regime = Regime("ResNet-20", "6 epochs", "0.2", 4, 1.0, "half", "?")
    assert regime.state() == "open"
    for number in range(4):
        (tmp_path / "half" / "runs" / str(number)).mkdir(parents=True)
        state = regime.state()
        assert state == (f"unfinished: {number + 1} of 4 runs, no verdict before all are done" if number < 3 else
                         "answered: 4 runs, half")  # fmt: skip


def test_another_seals_a_plan_before_any_run(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(
        "data: {source: digits, train_size: 60, test_size: 40}\nnetworks: [cifar-resnet-8]\nshortcuts: [A, B]\n"
        "seeds: 3\ntrain: {epochs: 1, batch_size: 20}\nrun: {precision: fp32}\ncost: {measure: false}\n"
    )
    code = "from resnet_shortcuts.cli import main; main()"

    def rsc(*arguments: str) -> str:
        command = [sys.executable, "-c", code, *arguments, "--results", str(tmp_path / "results")]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
        return done.stderr

    assert "sealed" not in rsc("plan", "mine.yaml")
    assert not (tmp_path / "results").exists()
    assert "commit it before the first run" in rsc("plan", "mine.yaml", "--seal")
    stored = Experiment(tmp_path / "results", "mine")
    sealed = (stored.folder / "plan.json").read_bytes()
    assert stored.plan().verdicts.families[0].seeds == (0, 1, 2)
    assert stored.finished_ids() == set()
    rsc("train", "mine.yaml", "--no-cost", "--jobs", "0")
    assert "verdicts stay as sealed" in rsc("plan", "mine.yaml", "--seal", "--set", "compare.margin=5")
    assert stored.plan().verdicts == Plan.from_json(sealed.decode()).verdicts
