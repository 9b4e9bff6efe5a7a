"""From a real results folder to records: what is done, missing, failed, damaged, left over, and what it costs."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from resnet_shortcuts.analysis.reading import read_experiment
from resnet_shortcuts.analysis.report import report_html
from resnet_shortcuts.analysis.result_text import comparison_text
from resnet_shortcuts.analysis.summary import rows_of
from resnet_shortcuts.analysis.verdicts import judge
from resnet_shortcuts.config.experiment_config import load_config
from resnet_shortcuts.cost.cost_request import CostReport, CostRequest, CostRow, Race
from resnet_shortcuts.data.data_config import NAMES, DataSpec
from resnet_shortcuts.errors import IntegrityError
from resnet_shortcuts.experiments.plan import make_plan
from resnet_shortcuts.experiments.run_record import RunRecord
from resnet_shortcuts.experiments.sealed_files import render
from resnet_shortcuts.experiments.store import Experiment, pack_predictions

CONFIG = """
name: small
data: {source: digits, train_size: 100, test_size: 50}
networks: [cifar-resnet-8, cifar-resnet-14]
shortcuts: [A, max-pad]
seeds: 2
train: {epochs: 3, batch_size: 32}
run: {evaluate_every: 2}
compare: {baseline: A, margin: 0.5, fail_above: 50}
"""
IDENTITY = {"content": "c0ffee", "train_size": 100, "test_size": 50, "validation": 0, "resolution": 8}
LABELS = np.arange(50, dtype=np.int64) % 10


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    path = tmp_path / "small.yaml"
    path.write_text(CONFIG)
    config = load_config(path)
    plan = make_plan(config, IDENTITY, "fp32")
    stored = Experiment.create(tmp_path / "results", config, plan)
    for number, planned in enumerate(plan.runs[:-1]):
        labels = {"network": planned.network, "shortcut": planned.shortcut, "seed": planned.seed}
        predictions = np.where(np.arange(50) < number, (LABELS + 1) % 10, LABELS)
        record = {
            "run_id": planned.run_id, "science": planned.science, "labels": labels, "status": "done", "reason": "",
            "test_accuracy": 100.0 - 2 * number, "train_error": 1.0, "environment": {}, "elapsed_seconds": 2.0,
        }  # fmt: skip
        history = json.dumps([{"epoch": 1, "test_accuracy": 50.0}]).encode()
        files = {"history.json": history, "predictions.safetensors": pack_predictions(predictions, LABELS)}
        stored.publish(RunRecord.model_validate(record), files)
    return stored


def report(**changes: object) -> CostReport:
    request = CostRequest(
        networks={"cifar-resnet-8": "cifar-resnet-8"}, shortcuts={"stride-pad": "A"}, batch_size=32,
        evaluation_batch_size=25,
    )  # fmt: skip
    row = CostRow(
        network="cifar-resnet-8", shortcut="stride-pad", parameters=7, saved_bytes=9, step_ms=10.0, inference_ms=2.0,
        step_ms_interval=(9.0, 11.0), ratio=1.0,
    )  # fmt: skip
    race = Race(
        network="cifar-resnet-8", baseline="stride-pad", rounds=30, steps_per_turn=1, stopped="rounds",
        control_ratio=1.0, control_interval=(0.99, 1.01), noise=0.01,
    )  # fmt: skip
    machine = {"device": "Zen 4", "threads": 1, "torch": "2.13.0"}
    given = {"key": "k", "request": request, "environment": machine, "rows": (row,), "races": (race,)}
    return CostReport(**{**given, **changes})  # type: ignore[arg-type]


def test_reads_what_is_done_and_names_what_is_missing(experiment: Experiment) -> None:
    record = read_experiment(experiment)
    assert [(run.network, run.shortcut, run.seed) for run in record.runs][:3] == [
        ("cifar-resnet-8", "stride-pad", 0),
        ("cifar-resnet-8", "stride-pad", 1),
        ("cifar-resnet-8", "max-pad", 0),
    ]
    assert record.missing == [("cifar-resnet-14", "max-pad", 1)]
    for run in record.runs:
        assert run.correct is not None
        assert 100 * run.correct.mean() == pytest.approx(run.test_accuracy)
    assert record.runs[0].history[0]["test_accuracy"] == 50.0
    assert (record.margin, record.fail_above, record.baseline) == (0.5, 50, "A")
    assert record.regime.sentence("cifar-resnet-8") == "ResNet-8, 100 images of scikit-learn digits, 3 epochs"
    assert "--config" in record.command


def test_without_history_the_rest_is_the_same(experiment: Experiment) -> None:
    whole, less = read_experiment(experiment), read_experiment(experiment, history=False)
    assert [run.test_accuracy for run in less.runs] == [run.test_accuracy for run in whole.runs]
    for ours, theirs in zip(less.runs, whole.runs, strict=True):
        np.testing.assert_array_equal(ours.correct, theirs.correct)
    assert {len(run.history) for run in less.runs} == {0}


def test_without_images_only_the_numbers_are_read(experiment: Experiment) -> None:
    assert {run.correct is None for run in read_experiment(experiment, images=False).runs} == {True}


@pytest.mark.parametrize("history", [True, False])
@pytest.mark.parametrize("name", ["predictions.safetensors", "history.json", "run.json"])
@pytest.mark.parametrize("harm", ["flipped", "longer", "gone", "a folder", "a pipe"])
def test_a_damaged_run_is_left_out_and_named(experiment: Experiment, name: str, harm: str, history: bool) -> None:
    run_id = experiment.plan().runs[0].run_id
    path = experiment.run_folder(run_id) / name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.unlink()
    if harm in ("flipped", "longer"):
        path.write_bytes(bytes(raw) if harm == "flipped" else bytes(raw) + b"1")
    elif harm != "gone":
        path.mkdir() if harm == "a folder" else os.mkfifo(path)
    record = read_experiment(experiment, history=history)
    assert len(record.damaged) == 1
    assert run_id in record.damaged[0]
    assert ("cifar-resnet-8", "stride-pad", 0) in record.missing


def test_a_crash_is_a_failed_run_and_a_stranger_is_left_over(experiment: Experiment) -> None:
    planned = experiment.plan().runs[-1]
    work = experiment.work_folder(planned.run_id)
    work.mkdir(parents=True)
    labels = {"network": planned.network, "shortcut": planned.shortcut, "seed": planned.seed}
    crash = {"run_id": planned.run_id, "science": {}, "labels": labels, "status": "failed", "reason": "out of memory"}
    (work / "failed.json").write_bytes(render(crash))
    (experiment.folder / "runs" / "0123456789abcdef").mkdir()
    record = read_experiment(experiment)
    assert record.left_over == ["0123456789abcdef"]
    assert record.missing == []
    assert [run.reason for run in record.runs if not run.finished] == ["out of memory"]


def test_costs_are_read_and_the_training_time_alone_is_computed(experiment: Experiment) -> None:
    folder = experiment.folder / "cost"
    folder.mkdir(exist_ok=True)
    document = json.loads(report().model_dump_json())
    (folder / "a.json").write_bytes(render(document))
    (folder / "b.json").write_text(json.dumps(document))  # its hash taken out, so that it could be edited
    record = read_experiment(experiment)
    row = next(row for row in rows_of(record) if (row.network, row.shortcut) == ("cifar-resnet-8", "stride-pad"))
    assert (row.parameters, row.saved_bytes, row.step_ms, row.peak_memory_bytes) == (7, 9, 10.0, None)
    # 3 epochs of 4 batches, two evaluations (epochs 2 and 3) of 2 batches of 25
    assert row.train_seconds == pytest.approx((12 * 10 + 4 * 2) / 1000)
    (damaged,) = record.damaged
    assert damaged == f"damaged record (no hash in it): {folder / 'b.json'}: it is left out"
    assert record.costs[0].hardware == "Zen 4, 1 thread, torch 2.13.0"


def test_the_training_time_alone_counts_evaluations_of_a_validation_split(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(CONFIG.replace("test_size: 50", "test_size: 50, validation: 60"))
    config = load_config(tmp_path / "small.yaml")
    stored = Experiment.create(tmp_path / "results", config, make_plan(config, {**IDENTITY, "validation": 60}, "fp32"))
    (stored.folder / "cost").mkdir()
    (stored.folder / "cost" / "a.json").write_bytes(render(json.loads(report().model_dump_json())))
    (cost,) = read_experiment(stored).costs
    # 3 epochs of 4 batches; 60 held-out images after epochs 2 and 3, 50 test images once: 170 in batches of 25
    assert cost.train_seconds == pytest.approx((12 * 10 + 7 * 2) / 1000)


def test_costs_at_another_batch_size_are_not_taken(experiment: Experiment) -> None:
    other = report(request=report().request.model_copy(update={"batch_size": 128}))
    (experiment.folder / "cost").mkdir(exist_ok=True)
    (experiment.folder / "cost" / "a.json").write_text(other.model_dump_json())
    assert read_experiment(experiment).costs == []


def test_a_half_written_plan_is_an_integrity_error_and_a_lost_config_is_named(experiment: Experiment) -> None:
    (experiment.folder / "config.yaml").unlink()
    record = read_experiment(experiment)
    assert len(record.runs) == 7
    assert "config.yaml" in record.damaged[0]
    plan = experiment.folder / "plan.json"
    plan.write_bytes(plan.read_bytes()[:100])
    with pytest.raises(IntegrityError):
        read_experiment(experiment)


@pytest.mark.parametrize(
    ("data", "title"),
    [
        ("{source: cifar10}", "CIFAR-10"),
        ("{source: cifar10, root: /data/cifar-10-png}", "CIFAR-10"),
        ("{source: image-folder, root: /data/flowers}", "flowers"),
        ("{source: image-folder, root: /data/flowers, name: Oxford Flowers}", "Oxford Flowers"),
        ("{source: digits, name: '[red]_x_'}", "[red]_x_"),
    ],
)
def test_titles_call_the_data_by_its_name(tmp_path: Path, data: str, title: str) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(CONFIG.replace("{source: digits, train_size: 100, test_size: 50}", data))
    config = load_config(path)
    record = read_experiment(Experiment.create(tmp_path / "results", config, make_plan(config, IDENTITY, "fp32")))
    assert record.regime.sentence() == f"100 images of {title}, 3 epochs"
    assert record.regime.source == config.data.source


def test_the_sources_call_themselves_what_titles_call_them(tmp_path: Path) -> None:
    from resnet_shortcuts.data.sources import cifar, digits, folders

    names = {source: kind.name for source, kind in folders.KINDS.items() if kind.name}
    names["digits"] = digits.find(DataSpec(source="digits"), None, tmp_path, None).open().name
    assert {**names, "cifar10": cifar.CIFAR10.name, "cifar100": cifar.CIFAR100.name} == NAMES


def test_warnings_on_the_data_are_read_from_each_run_and_said_once(experiment: Experiment) -> None:
    plan = experiment.plan()
    warning = "7 of 50 test images are among the training images"
    for planned in plan.runs[:2]:
        path = experiment.folder / "runs" / planned.run_id / "run.json"
        record = json.loads(path.read_text())
        record.pop("checksum", None)
        files = {name: (path.parent / name).read_bytes() for name in record.pop("files")}
        shutil.rmtree(path.parent)
        record = RunRecord.model_validate({**record, "format": 3, "data_warnings": [warning]})
        experiment.publish(record, files)
    record = read_experiment(experiment)
    assert sum(run.data_warnings == [warning] for run in record.runs) == 2
    assert sum(run.data_warnings == [] for run in record.runs) == len(plan.runs) - 3
    assert record.data_warnings == [warning]
    verdicts = judge(record)
    for format_ in ("table", "markdown", "latex", "json"):
        text = " ".join(comparison_text(verdicts, format_).split())
        assert text.count(warning) == 1
    assert report_html(verdicts, drawings=[]).count(f"{warning}.") == 2
