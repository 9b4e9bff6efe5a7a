"""What a run's id hashes and what it does not; the plan as JSON."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from resnet_shortcuts.config.experiment_config import Config, load_config
from resnet_shortcuts.errors import IntegrityError, UsageError
from resnet_shortcuts.experiments import sealed_files
from resnet_shortcuts.experiments.plan import Plan, make_plan, run_id

TEXT = """\
data: {source: digits, train_size: 300}
networks: [cifar-resnet-20, cifar-resnet-8]
shortcuts: [A, max-pad]
seeds: [0, 3]
train: {epochs: 3, batch_size: 64}
"""
DATA: dict[str, Any] = {"content": "ab" * 32, "train_size": 300, "test_size": 797, "validation": 0, "resolution": 8}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    return path


def ids(path: Path, *overrides: str, data: dict[str, Any] = DATA, precision: str = "fp32") -> list[str]:
    return [run.run_id for run in make_plan(load_config(path, overrides), data, precision).runs]


def config_of(path: Path) -> Config:
    return load_config(path)


def test_one_run_a_seed_network_and_shortcut_seeds_outermost(path: Path) -> None:
    plan = make_plan(config_of(path), DATA, "fp32")
    assert [(run.seed, run.network, run.shortcut) for run in plan.runs] == [
        (seed, network, shortcut)
        for seed in (0, 3)
        for network in ("cifar-resnet-20", "cifar-resnet-8")
        for shortcut in ("stride-pad", "max-pad")
    ]
    assert len({run.run_id for run in plan.runs}) == 8
    assert plan.name == "mine"


def test_the_id_is_the_hash_of_the_science(path: Path) -> None:
    for run in make_plan(config_of(path), DATA, "fp32").runs:
        text = json.dumps(run.science, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert run.run_id == hashlib.sha256(text.encode()).hexdigest()[:16]
        assert set(run.science) == {"format", "shortcut", "network", "data", "recipe", "seed", "precision"}


@pytest.mark.parametrize(
    "same",
    [
        ("shortcuts=[option-a, max-pad]",),
        ("shortcuts=[{spatial: stride, channels: pad}, max-pad]",),
        ("networks=[{name: cifar-resnet-20, width: 16, stem: cifar}, cifar-resnet-8]",),
        ("run={device: cpu, jobs: 7, compile: true, evaluate_every: 3, checkpoint_seconds: 5}",),
        ("cost.measure=false", "compare.baseline=max-pad", "name=another"),
        ("data.root=null", "data.augment=[crop]", "data.normalize=channel"),
        ("train.lr=1e-1", "train.weight_decay=0.0001", "train.momentum=0.90"),
        ("train.schedule.warmup_lr=0.5",),
    ],
)
def test_what_does_not_change_the_result_does_not_change_the_id(path: Path, same: tuple[str, ...]) -> None:
    assert ids(path, *same) == ids(path)


@pytest.mark.parametrize(
    "other",
    [
        "shortcuts=[plain, avg-pad]", "networks=[cifar-resnet-14, {name: cifar-resnet-8, width: 8}]", "seeds=[1, 2]",
        "train.epochs=4", "train.lr=0.2", "train.batch_size=32", "train.nesterov=true", "train.label_smoothing=0.1",
        "train.schedule.kind=cosine", "train.schedule.gamma=0.2", "data.normalize=pixel", "data.augment=[]",
        "train.schedule.warmup_iterations=5",
    ],
)  # fmt: skip
def test_what_changes_the_result_changes_every_id(path: Path, other: str) -> None:
    assert not set(ids(path, other)) & set(ids(path))


def test_data_and_precision_change_every_id(path: Path) -> None:
    for key, value in {
        "content": "cd" * 32,
        "train_size": 299,
        "test_size": 1,
        "validation": 9,
        "resolution": 16,
    }.items():
        assert not set(ids(path, data={**DATA, key: value})) & set(ids(path))
    assert not set(ids(path, precision="bf16")) & set(ids(path))
    assert ids(path, data=dict(reversed(DATA.items()))) == ids(path)


def test_ids_stay_what_they_are(path: Path) -> None:
    """Stored results are found by these ids: a change of them needs a new format number."""
    assert ids(path)[:2] == ["2424debc7984defc", "62ed39cd21b7fc73"]


def test_json_round_trip(path: Path) -> None:
    plan = make_plan(config_of(path), DATA, "fp32")
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan.from_json(plan.to_json()).to_json() == plan.to_json()
    assert [run.science for run in Plan.from_json(plan.to_json()).runs] == [run.science for run in plan.runs]
    assert plan.find(plan.runs[3].run_id) == plan.runs[3]
    assert plan.find("0" * 16) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a plan"),
        ("{}", "not a plan"),
        ("3", "not a plan"),
        ('{"format": [1]}', "of format"),
        ('{"format": "3"}', "of format"),
        ('{"format": 4, "runs": []}', r"plan of format 4 \(this version reads 3\).*: upgrade resnet-shortcuts"),
        ('{"format": 2, "name": "", "precision": "fp32", "runs": []}', "its hash does not fit its content"),
        ('{"format": 1}', "something is missing"),
        ('{"format": 1, "name": "", "precision": "", "runs": 3}', "something is missing"),
        ('{"format": 1, "runs": [{"run_id": 1}]}', "something is missing"),
    ],
)
def test_json_that_is_no_plan(text: str, reason: str) -> None:
    with pytest.raises(IntegrityError, match=reason):
        Plan.from_json(text)


EDITS = {"science": ('"lr": 0.1', '"lr": 0.2'), "label": ('"max-pad"', '"avg-pad"'), "seed": ("   3\n", "   4\n"),
         "name": ('"name": "mine"', '"name": "ours"'), "seal": ('"sha256"', '"sha257"')}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edited_plan_is_found(path: Path, edit: tuple[str, str]) -> None:
    text = make_plan(config_of(path), DATA, "fp32").to_json()
    assert edit[0] in text
    with pytest.raises(IntegrityError, match="its hash does not fit"):
        Plan.from_json(text.replace(*edit, 1))


def test_a_bit_that_flips_anywhere_is_found(path: Path) -> None:
    data = make_plan(config_of(path), DATA, "fp32").to_json().encode()
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        with pytest.raises((IntegrityError, UnicodeDecodeError)):
            Plan.from_json(flipped.decode())


def unsealed(plan: Plan) -> str:
    """The plan as it was written before plans carried a hash."""
    return json.dumps(as_before(plan) | {"format": 1}, indent=1, sort_keys=True) + "\n"


def as_before(plan: Plan) -> dict[str, Any]:
    """The content of a plan as formats 1 and 2 have it: the science of each run is spelled out."""
    keys = ("run_id", "network", "shortcut", "seed", "science")
    runs = [{key: getattr(run, key) for key in keys} for run in plan.runs]
    return {"format": 2, "name": plan.name, "precision": plan.precision, "runs": runs}


def test_a_plan_of_before_there_were_seals_is_read_and_every_run_checked(path: Path) -> None:
    plan = make_plan(config_of(path), DATA, "fp32")
    text = unsealed(plan)
    assert Plan.from_json(text).runs == plan.runs
    for old, new in (EDITS["science"], ('"seed": 3', '"seed": 4')):
        with pytest.raises(IntegrityError, match="is not what its science says"):
            Plan.from_json(text.replace(old, new, 1))


def test_a_sealed_plan_does_not_pass_without_its_seal(path: Path) -> None:
    document = json.loads(make_plan(config_of(path), DATA, "fp32").to_json())
    for format_ in (1, 2, 3):
        with pytest.raises(IntegrityError, match="its hash does not fit"):
            Plan.from_json(json.dumps({**document, "format": format_, "sha256": "0" * 64}, indent=1))
    del document["sha256"]
    with pytest.raises(IntegrityError, match="its hash does not fit"):
        Plan.from_json(json.dumps(document, indent=1))


def test_a_sealed_plan_is_not_hashed_run_by_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = make_plan(config_of(path), DATA, "fp32").to_json()
    plan = Plan.from_json(text)
    monkeypatch.delattr("resnet_shortcuts.experiments.plan.canonical")
    before = sealed_files.render(as_before(plan)).decode()
    for written in (text, before):
        assert Plan.from_json(written).runs == plan.runs


def test_fault_18_a_batch_larger_than_the_prepared_data(path: Path) -> None:
    with pytest.raises(UsageError, match="batch_size 64 is more than the 63 training images"):
        make_plan(config_of(path), {**DATA, "train_size": 63}, "fp32")


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        (
            "{milestones: [7, 15], milestones_in: iterations}",
            r"train\.schedule\.milestones: read as iterations, 15 is not before the end of the run \(15 steps\)",
        ),
        ("{warmup_iterations: 15}", r"train\.schedule\.warmup_iterations: 15 is the whole run"),
        ("{kind: cosine, warmup_iterations: 400}", r"train\.schedule\.warmup_iterations: 400 is more than the run"),
    ],
)
def test_a_schedule_that_reaches_past_the_end_of_the_epochs(path: Path, schedule: str, problem: str) -> None:
    config = load_config(path, [f"train.schedule={schedule}"])
    with pytest.raises(UsageError, match=problem):
        make_plan(config, DATA, "fp32")
    assert make_plan(config, {**DATA, "train_size": 10_000}, "fp32").runs


def test_numbers_that_json_cannot_say_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        run_id({"lr": float("nan")})


def test_an_unresolved_precision_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="not resolved"):
        make_plan(config_of(path), DATA, "auto")


@pytest.mark.parametrize(
    "config", sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")), ids=lambda path: path.stem
)
def test_a_saved_config_plans_the_same_runs(config: Path, tmp_path: Path) -> None:
    loaded = load_config(config)
    (tmp_path / "config.yaml").write_text(loaded.to_yaml())
    data = {**DATA, "train_size": 50_000}
    assert make_plan(load_config(tmp_path / "config.yaml"), data, "fp32") == make_plan(loaded, data, "fp32")
