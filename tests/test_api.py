"""The Python API as a notebook uses it: what the documentation shows, run as it stands."""

import doctest
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import resnet_shortcuts as rs
from resnet_shortcuts.errors import IntegrityError, UsageError
from resnet_shortcuts.torchvision_import import import_torchvision

TINY = {
    "name": "tiny",
    "data": {"source": "digits", "train_size": 60, "test_size": 40},
    "networks": ["cifar-resnet-8"],
    "shortcuts": ["A", "max-pad", "B"],
    "seeds": 3,
    "train": {"epochs": 2, "batch_size": 20},
    "run": {"precision": "fp32", "device": "cpu"},
    "cost": {"measure": False},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    return rs.Experiment.from_config(TINY).train(results=results, jobs=0), results / "tiny"


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, resnet_shortcuts as rs\n"
        "assert 'convert' in dir(rs) and rs.__version__\n"
        "heavy = {'torch', 'pandas', 'numpy', 'scipy', 'yaml', 'pydantic', 'matplotlib', 'torchvision'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "import resnet_shortcuts.shortcuts, resnet_shortcuts.cost, resnet_shortcuts.properties\n"
        "assert 'torch' not in sys.modules\n"
        "assert len(rs.shortcuts()) > 30 and callable(rs.cost) and callable(rs.properties)\n"
        "assert rs.shortcuts.find('A').name == 'stride-pad'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["api", "experiment", "result", "models.convert"])
def test_the_examples_of_docstrings_run(module):
    results = doctest.testmod(
        importlib.import_module(f"resnet_shortcuts.{module}"),
        optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL,
    )
    assert results.attempted
    assert not results.failed


def test_the_example_of_register_runs_in_a_process_of_its_own():
    code = (
        "import doctest\n"
        "from resnet_shortcuts.shortcuts import registration\n"
        "results = doctest.testmod(registration)\n"
        "assert results.attempted and not results.failed, results\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_public_name_says_what_it_takes_gives_and_raises_with_an_example():
    import resnet_shortcuts.api as api

    for name in set(rs.__all__) - {"__version__"}:
        public = getattr(api, name)
        assert public.__doc__, name
        assert "Example:" in public.__doc__, name
        members = vars(public).items() if isinstance(public, type) else ()
        for method, value in members:
            if callable(value) and not method.startswith("_"):
                assert value.__doc__, f"{name}.{method}"


def test_the_example_of_the_documentation(tmp_path):
    torchvision = import_torchvision()
    assert list(rs.shortcuts().columns) == ["name", "aliases", "summary", "source"]
    net = rs.network("cifar-resnet-20", "avg-duplicate", classes=10, seed=0)
    x, branch = torch.rand(1, 256, 8, 8), torch.rand(1, 512, 4, 4)
    assert net(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    y = rs.shortcut("max-pad", 256, 512, stride=2)(x, branch)
    expected = branch.clone()
    expected[:, :256] += torch.nn.functional.max_pool2d(x, 3, 2, padding=1)
    assert torch.equal(y, expected)
    skip = rs.shortcut("avg-projection", 256, 512, stride=2).as_module()
    assert skip(x).shape == branch.shape
    r50d = rs.convert(torchvision.models.resnet50(weights=None), "D")
    assert r50d.untrained_weights == ()
    exp = rs.Experiment.from_config(
        "configs/cifar10-quick.yaml",
        data={"source": "digits", "root": None, "train_size": 60, "test_size": 700, "augment": []},
        shortcuts=["A", "max-pad"],
        networks=["cifar-resnet-8"],
        seeds=5,
        train={"epochs": 1, "batch_size": 20, "schedule": {"kind": "constant"}},
        run={"precision": "fp32", "device": "cpu"},
        cost={"measure": False},
    )
    exp.train(results=tmp_path, jobs=2)
    assert len(exp.runs()) == 10
    assert len(exp.history()) == 10
    assert len(exp.costs()) == 2
    result = exp.compare(baseline="A", margin=0.2)
    assert result.baseline == "stride-pad"
    assert set(result.verdicts().shortcut) == {"stride-pad", "max-pad"}
    assert "max-pad" in result._repr_html_()
    assert "<table" in result._repr_html_()
    assert result.figure("accuracy").get_axes()
    result.to_latex(tmp_path / "table.tex")
    assert r"\toprule" in (tmp_path / "table.tex").read_text()
    assert len(rs.load(tmp_path / exp.name).runs()) == 10
    model = rs.load(tmp_path / exp.name).model("max-pad", seed=3)
    assert not model.training


def test_frames_have_the_documented_columns_and_types(trained):
    exp, _ = trained
    runs, history, costs = exp.runs(), exp.history(), exp.costs()
    for frame, method in ((runs, exp.runs), (history, exp.history), (costs, exp.costs)):
        assert all(f"``{column}``" in method.__doc__ for column in frame.columns)
    assert runs.status.eq("done").all()
    assert runs.test_accuracy.between(0, 100).all()
    assert len(history) == 9 * 2
    last = history[history.epoch == 2].set_index("run_id").test_accuracy
    assert (last - runs.set_index("run_id").test_accuracy).abs().max() == 0
    assert costs.set_index("shortcut").parameters["projection"] > costs.set_index("shortcut").parameters["max-pad"]


def test_a_second_training_trains_nothing_and_missing_runs_are_rows(trained):
    _, folder = trained
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("run.json")}
    more = rs.Experiment.from_config(TINY)
    with pytest.raises(UsageError, match="'tiny' is not trained"):
        more.runs()
    more.train(results=folder.parent, jobs=0)
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("run.json")} == before


def test_a_model_comes_back_with_the_weights_that_were_tested(trained):
    exp, folder = trained
    runs = exp.runs().set_index(["shortcut", "seed"])
    model = rs.load(folder).model("B", seed=1)
    run = folder / "runs" / runs.run_id["projection", 1]
    record = json.loads((run / "run.json").read_text())
    assert record["weights"]["bytes"] == sum(t.numel() * t.element_size() for t in model.state_dict().values())
    assert {"weights.safetensors", "model-card.md"} <= set(record["files"])
    stored = load_file(run / "weights.safetensors")
    assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())
    card = (run / "model-card.md").read_text()
    assert "projection" in card
    assert f"{record['test_accuracy']:.2f} %" in card
    from resnet_shortcuts.data.batches import test_batches
    from resnet_shortcuts.data.dataset import load
    from resnet_shortcuts.experiments.study import open_study

    study = open_study(exp.config, None)
    data = load(study.folder, exp.config.data)
    batches = test_batches(data.test, data, exp.config.data, 20, torch.device("cpu"))
    with torch.inference_mode():
        right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in batches)
    assert 100 * right / 40 == pytest.approx(runs.test_accuracy["projection", 1])


def test_damaged_weights_are_refused(trained, tmp_path):
    import shutil

    _, folder = trained
    shutil.copytree(folder, tmp_path / "tiny")
    path = next((tmp_path / "tiny" / "runs").rglob("weights.safetensors"))
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    labels = json.loads((path.parent / "run.json").read_text())["labels"]
    with pytest.raises(IntegrityError):
        rs.load(tmp_path / "tiny").model(labels["shortcut"], labels["seed"])


def test_what_is_not_there_is_said_in_one_line(trained):
    _, folder = trained
    with pytest.raises(UsageError, match=r"no experiment 'tin'.*did you mean 'tiny'"):
        rs.load(folder.parent / "tin")
    with pytest.raises(UsageError, match="seeds: 0, 1, 2"):
        rs.load(folder).model("A", seed=7)
    with pytest.raises(UsageError, match="no shortcut 'C'"):
        rs.load(folder).model("C", seed=0)
    with pytest.raises(UsageError, match="did you mean 'accuracy'"):
        rs.load(folder).compare(margin=5).figure("acuracy")
    with pytest.raises(UsageError, match="did you mean 'seeds'"):
        rs.Experiment.from_config(TINY, seds=3)


def test_weights_are_left_out_where_they_are_not_wanted(tmp_path):
    exp = rs.Experiment.from_config(TINY, shortcuts=["A"], seeds=1, run={"keep_weights": False})
    exp.train(results=tmp_path, jobs=0)
    assert not list(tmp_path.rglob("weights.safetensors"))
    with pytest.raises(UsageError, match=r"were not kept: .*keep_weights: true"):
        exp.model("A", 0)


def test_keeping_weights_does_not_change_run_ids(trained):
    from resnet_shortcuts.experiments.study import open_study

    for keep in (True, False, "auto"):
        config = rs.Experiment.from_config(TINY, run={"keep_weights": keep}).config
        ids = [run.run_id for run in open_study(config, None).plan.runs]
        assert ids == [run.run_id for run in trained[0]._experiment.plan().runs]


def runs_of(**scores):
    rows = [(name, seed, value) for name, values in scores.items() for seed, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["strategy", "seed", "score"])


def test_results_of_other_tools_are_judged_by_the_paired_test():
    import scipy.stats

    a, b = [91.0, 91.4, 91.2, 91.3, 91.1], [91.9, 92.5, 92.2, 92.1, 92.3]
    row = rs.compare(runs_of(A=a, mine=b), baseline="A").verdicts().set_index("shortcut").loc["mine"]
    assert row.verdict == "better"
    assert row.p_holm == pytest.approx(scipy.stats.ttest_rel(b, a).pvalue)
    assert row.difference == pytest.approx(sum(b) / 5 - sum(a) / 5)
    named = runs_of(A=a, mine=b).rename(columns={"strategy": "arch", "seed": "split", "score": "top1"})
    named["split"] = named["split"].map("fold-{}".format)
    again = rs.compare(named, strategy="arch", seed="split", score="top1", baseline="A")
    assert again.verdicts().equals(rs.compare(runs_of(A=a, mine=b), baseline="A").verdicts())
    assert "mine" in again.summary()


def test_frames_that_cannot_be_judged_are_refused():
    frame = runs_of(A=[90.0, 91.0], B=[92.0, 93.0])
    with pytest.raises(UsageError, match="no column 'scor': score: did you mean 'score'"):
        rs.compare(frame, score="scor")
    with pytest.raises(UsageError, match="strategy 'A' has seed 0 twice"):
        rs.compare(pd.concat([frame, frame.iloc[:1]]))
    with pytest.raises(UsageError, match="'score' is not numeric"):
        rs.compare(frame.assign(score="high"))
    with pytest.raises(UsageError, match="baseline 'Z' is not among"):
        rs.compare(frame, baseline="Z")
    with pytest.raises(UsageError, match="no rows"):
        rs.compare(frame.iloc[:0])


def test_a_run_without_score_is_a_failed_run():
    frame = runs_of(A=[90.0, 91.0, 90.5], B=[92.0, float("nan"), 93.0])
    row = rs.compare(frame, baseline="A").verdicts().set_index("shortcut").loc["B"]
    assert row.failed == 1


def test_cost_counts_a_convolution_by_hand_and_leaves_the_module_alone():
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1, bias=False), torch.nn.BatchNorm2d(8)).eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    counts = rs.cost(module, (2, 3, 5, 5))
    assert counts["parameters"] == 3 * 8 * 9 + 2 * 8
    assert counts["multiply_adds"] == 2 * 25 * 3 * 8 * 9
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not module.training
    join = rs.cost(rs.shortcut("B", 8, 16, stride=2), (1, 8, 4, 4), (1, 16, 2, 2))
    assert join["parameters"] == 8 * 16 + 2 * 16
    assert rs.cost(rs.network("cifar-resnet-20", "A"), (1, 3, 32, 32))["multiply_adds"] == 40_551_040


def test_a_strategy_that_is_registered_here_is_trained_in_this_process(tmp_path):
    path = Path(tmp_path) / "mine.py"
    path.write_text(
        "import resnet_shortcuts as rs, torch\n"
        "from resnet_shortcuts.shortcuts import Shortcut\n"
        "@rs.register('nothing-of-mine', summary='the branch alone')\n"
        "class Mine(Shortcut):\n"
        "    def __init__(self, site):\n"
        "        super().__init__()\n"
        "    def forward(self, x, residual):\n"
        "        return residual + 0 * x.mean()\n"
        f"config = {TINY!r}\n"
        "config.update(shortcuts=['A', 'nothing-of-mine'], seeds=1)\n"
        "exp = rs.Experiment.from_config(config)\n"
        f"assert exp.train(results={str(tmp_path / 'results')!r}, jobs=0).runs().status.eq('done').all()\n"
        "assert 'nothing-of-mine' in set(rs.shortcuts().name)\n"
    )
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
