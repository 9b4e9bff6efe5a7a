"""Configs that load, overrides, and what is said of keys and of YAML: faults 1 to 6 of the list."""

from pathlib import Path

import pytest

from .conftest import GOOD, Complaints, Load


def test_a_good_config_and_its_defaults(load: Load) -> None:
    config = load(GOOD)
    assert config.name == "mine"
    assert [strategy.name for strategy in config.shortcuts] == ["plain", "stride-pad", "max-pad"]
    assert config.seeds == (0, 1, 2)
    assert (config.run.device, config.run.precision, config.run.jobs, config.run.compile) == (
        "auto",
        "auto",
        "auto",
        False,
    )
    assert (config.run.evaluate_every, config.run.checkpoint_seconds) == (1, 30)
    assert (config.cost.measure, config.cost.seconds) == (True, 30)
    assert (config.compare.baseline, config.compare.margin, config.compare.fail_above) == (None, 0.2, None)


def test_the_contract_of_the_issue_loads(load: Load) -> None:
    config = load("""\
name: benchmark
data: {source: digits, root: null, train_size: 1000, test_size: 797, resolution: null, normalize: channel,
       augment: [crop]}
networks: [{name: cifar-resnet-20, width: 16, stem: cifar}]
shortcuts: [plain, A, {spatial: blur3, channels: pad, scope: transitions, scale: 2.0, name: mine}]
seeds: 10
train: {epochs: 30, batch_size: 64, lr: 0.1, momentum: 0.9, nesterov: false, weight_decay: 1e-4, label_smoothing: 0,
        schedule: {kind: step, milestones: [0.5, 0.75], gamma: 0.1, warmup_iterations: 0, warmup_lr: 0.01}}
run: {device: auto, precision: auto, jobs: auto, compile: false}
cost: {measure: true, seconds: 30}
""")
    assert config.name == "benchmark"
    assert config.seeds == tuple(range(10))
    assert config.train.weight_decay == 1e-4
    assert [strategy.name for strategy in config.shortcuts] == ["plain", "stride-pad", "mine"]


def test_a_config_written_out_is_the_same_config(load: Load) -> None:
    config = load(
        GOOD, "shortcuts=[A, {spatial: blur3, channels: pad, scale: 2.0, name: no}]", "name=1e3x", "run.jobs=2",
        "data={source: image-folder, root: '1e3', classes: ['no', '012', '1e5', 'null'], resolution: 32}",
        "train.epochs=null", "train.iterations=64000", "train.schedule.milestones=[32000, 48000]",
        "train.weight_decay=1e-5",
    )  # fmt: skip
    again = load(config.to_yaml())
    assert again == config
    assert again.to_yaml() == config.to_yaml()
    assert again.data.classes == ("no", "012", "1e5", "null")


def test_overrides_replace_values_and_make_sections(load: Load) -> None:
    config = load(
        GOOD, "train.epochs=3", "shortcuts=[A,max-pad]", "run.jobs=2", "train.lr=1e-3", "train.lr=2e-3", "name=x"
    )
    assert config.train.epochs == 3
    assert config.train.lr == 0.002
    assert config.run.jobs == 2
    assert [strategy.name for strategy in config.shortcuts] == ["stride-pad", "max-pad"]
    assert config.name == "x"


def test_a_section_with_every_line_commented_out_is_its_defaults(load: Load) -> None:
    assert load(GOOD + "run:\n  # jobs: 2\ncost:\n").run.jobs == "auto"


def test_fault_01_unknown_keys_are_all_named_with_line_and_nearest_key(complaints: Complaints) -> None:
    text = GOOD.replace("batch_size", "batchsize").replace("lr:", "learning_rate:") + "rum: {jobs: 2}\nzzzz: 1\n"
    assert complaints(text) == [
        "unknown key 'batchsize' in train: FILE:7: did you mean 'batch_size'?",
        "unknown key 'learning_rate' in train: FILE:8: did you mean 'lr'?",
        "unknown key 'rum' at the top of the config: FILE:9: did you mean 'run'?",
        "unknown key 'zzzz' at the top of the config: FILE:10: "
        "valid: name, data, networks, shortcuts, seeds, train, run, cost, compare, config_format",
    ]
    assert complaints(GOOD, "train.epohcs=3") == [
        "unknown key 'epohcs' in train: --set train.epohcs=3: did you mean 'epochs'?"
    ]
    assert complaints(GOOD, "trian.epochs=3", "trian.lr=3") == [
        "unknown key 'trian' at the top of the config: --set trian.epochs=3: did you mean 'train'?"
    ]
    assert complaints(GOOD, "train.shedule.gamma=0.5", "train.schedule.gama=0.5") == [
        "unknown key 'gama' in train.schedule: --set train.schedule.gama=0.5: did you mean 'gamma'?",
        "unknown key 'shedule' in train: --set train.shedule.gamma=0.5: did you mean 'schedule'?",
    ]


def test_fault_01_a_misspelled_required_key_is_told_once(complaints: Complaints) -> None:
    assert complaints(GOOD.replace("networks:", "netwroks:")) == [
        "unknown key 'netwroks' at the top of the config: FILE:2: did you mean 'networks'?"
    ]
    assert complaints(GOOD.replace("networks: [cifar-resnet-20]\n", ""))[0].startswith(
        "missing key 'networks': FILE: add"
    )


def test_fault_02_a_key_in_the_wrong_section_names_the_right_one(complaints: Complaints) -> None:
    text = GOOD.replace("data: {", "data: {epochs: 3, ") + "seconds: 3\ncost: {kind: step, seeds: 3}\n"
    assert complaints(text) == [
        "unknown key 'epochs' in data: FILE:1: it belongs in train (train.epochs)",
        "unknown key 'seconds' at the top of the config: FILE:9: it belongs in cost (cost.seconds)",
        "unknown key 'kind' in cost: FILE:10: it belongs in train.schedule (train.schedule.kind)",
        "unknown key 'seeds' in cost: FILE:10: it belongs at the top of the config (seeds)",
    ]


def test_fault_03_duplicate_keys_name_both_lines(complaints: Complaints) -> None:
    assert complaints(GOOD + "  lr: 0.2\nseeds: 3\n") == [
        "duplicate key 'lr': FILE:9: line 8 has it already: keep one",
        "duplicate key 'seeds': FILE:10: line 4 has it already: keep one",
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("data: [1, 2\nseeds: 3\n", "FILE:2:6"),
        ("data:\n\tsource: digits\n", "FILE:2:1"),
        ("data: 'digits\n", "FILE:2:1"),
        ("data: a: b\n", "FILE:1:8"),
        ("a: 1\n---\nb: 2\n", "FILE:2:1"),
        ("a: *nowhere\n", "FILE:1:4"),
        ("a: \x01\n", "FILE:1:4"),
    ],
)
def test_fault_04_invalid_yaml_names_line_and_column(complaints: Complaints, text: str, place: str) -> None:
    (line,) = complaints(text)
    assert line.startswith("invalid YAML: ")
    assert f": {place}: " in line


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "null\n", "\ufeff"])
def test_fault_05_an_empty_file(complaints: Complaints, text: str) -> None:
    assert complaints(text) == ["empty config: FILE: write at least data, networks, shortcuts and train"]


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "digits\n", "3\n", "true\n"])
def test_fault_05_not_a_mapping(complaints: Complaints, text: str) -> None:
    assert complaints(text)[0].startswith("not a config: FILE:1: expected keys and values, found ")


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!!python/object:os.x", "!x"]
)
def test_fault_06_tags_are_refused_and_nothing_runs(complaints: Complaints, tmp_path: Path, tag: str) -> None:
    sentinel = tmp_path.parent / "sentinel"
    (line,) = complaints(GOOD.replace("lr: 0.1", f'lr: {tag} ["touch {sentinel}"]'))
    assert line == f"tag {tag!r}: FILE:8:7: tags are not used here: remove it"
    assert not sentinel.exists()
    assert complaints(GOOD, f'train.lr={tag} ["touch {sentinel}"]')[0].startswith("tag ")
    assert not sentinel.exists()


def test_every_error_at_once_in_the_order_of_the_file(complaints: Complaints) -> None:
    text = "data: {source: digit}\nnetworks: [cifar-resnet-21]\nshortcuts: [Q]\nseeds: no\ntrain: {epochs: 0, lr: x}\n"
    lines = complaints(text, "run.jobs=-1", "cost=3")
    assert [line.split(": ")[-2] for line in lines if "FILE" not in line][-1:] == ["--set run.jobs=-1"]
    assert [line.partition("FILE:")[2][:1] for line in lines] == ["1", "2", "3", "4", "5", "5", "", ""]


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("foo", "an override needs a key and a value"),
        ("=3", "an override needs a key and a value"),
        ("train..lr=3", "an override needs a key and a value"),
        ("train.lr=[: 3", "invalid YAML"),
        ("networks.0=x", "a list has no key '0'"),
        ("train.lr.x=3", "the number 0.1 has no key 'x'"),
        ("networks=cifar-resnet-20", "networks is the text 'cifar-resnet-20'"),
        ("train=3", "train is the number 3"),
        ("seeds=[0,0", "invalid YAML"),
    ],
)
def test_bad_overrides_name_themselves(complaints: Complaints, override: str, problem: str) -> None:
    (line,) = complaints(GOOD, override)
    assert line.startswith(problem)
    assert f": --set {override}: " in line


def test_bad_overrides_are_all_named(complaints: Complaints) -> None:
    assert len(complaints(GOOD, "foo", "train.lr=[", "train.epochs=3")) == 2


def test_loading_a_config_imports_no_torch(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "c.yaml").write_text(GOOD)
    code = (
        "import sys; from pathlib import Path\n"
        "from resnet_shortcuts.config import experiment_config as config\n"
        "from resnet_shortcuts.experiments import plan\n"
        "c = config.load_config(Path(sys.argv[1])); plan.make_plan(c, {'content': 'x'}, 'fp32')\n"
        "print(sorted({'torch', 'torchvision', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "c.yaml"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
