"""What the config refuses and how it says so: faults 1 to 18 of the list, as far as they are the config's."""

from collections.abc import Callable
from pathlib import Path

import pytest

from resnet_shortcuts.errors import Exit, RscError, UsageError
from resnet_shortcuts.experiments.config import Config, check_batch_size, check_results_folder, load_config

GOOD = """\
data: {source: digits, train_size: 1000, test_size: 797}
networks: [cifar-resnet-20]
shortcuts: [plain, A, max-pad]
seeds: [0, 1, 2]
train:
  epochs: 30
  batch_size: 64
  lr: 0.1
"""

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str | bytes, *overrides: str) -> Config:
        path = tmp_path / "mine.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        try:
            return load_config(path, overrides)
        finally:
            assert [found.name for found in tmp_path.iterdir()] == ["mine.yaml"], "nothing is created"

    return load


@pytest.fixture
def complaints(load: Load) -> Callable[..., list[str]]:
    """The lines a user gets, with the config's path shortened to FILE."""

    def complaints(text: str | bytes, *overrides: str) -> list[str]:
        with pytest.raises(RscError) as caught:
            load(text, *overrides)
        assert caught.value.exit_code == Exit.USAGE
        lines = caught.value.lines
        assert all("\n" not in line and line.count(": ") >= 2 for line in lines), lines
        path = next((word for line in lines for word in line.split() if "mine.yaml" in word), "")
        return [line.replace(path[: path.find("mine.yaml")] + "mine.yaml", "FILE") for line in lines]

    return complaints


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


def test_fault_01_unknown_keys_are_all_named_with_line_and_nearest_key(complaints: Callable[..., list[str]]) -> None:
    text = GOOD.replace("batch_size", "batchsize").replace("lr:", "learning_rate:") + "rum: {jobs: 2}\nzzzz: 1\n"
    assert complaints(text) == [
        "unknown key 'batchsize' in train: FILE:7: did you mean 'batch_size'?",
        "unknown key 'learning_rate' in train: FILE:8: did you mean 'lr'?",
        "unknown key 'rum' at the top of the config: FILE:9: did you mean 'run'?",
        "unknown key 'zzzz' at the top of the config: FILE:10: "
        "valid: name, data, networks, shortcuts, seeds, train, run, cost, compare",
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


def test_fault_01_a_misspelled_required_key_is_told_once(complaints: Callable[..., list[str]]) -> None:
    assert complaints(GOOD.replace("networks:", "netwroks:")) == [
        "unknown key 'netwroks' at the top of the config: FILE:2: did you mean 'networks'?"
    ]
    assert complaints(GOOD.replace("networks: [cifar-resnet-20]\n", ""))[0].startswith(
        "missing key 'networks': FILE: add"
    )


def test_fault_02_a_key_in_the_wrong_section_names_the_right_one(complaints: Callable[..., list[str]]) -> None:
    text = GOOD.replace("data: {", "data: {epochs: 3, ") + "seconds: 3\ncost: {kind: step, seeds: 3}\n"
    assert complaints(text) == [
        "unknown key 'epochs' in data: FILE:1: it belongs in train (train.epochs)",
        "unknown key 'seconds' at the top of the config: FILE:9: it belongs in cost (cost.seconds)",
        "unknown key 'kind' in cost: FILE:10: it belongs in train.schedule (train.schedule.kind)",
        "unknown key 'seeds' in cost: FILE:10: it belongs at the top of the config (seeds)",
    ]


def test_fault_03_duplicate_keys_name_both_lines(complaints: Callable[..., list[str]]) -> None:
    assert complaints(GOOD + "  lr: 0.2\nseeds: 3\n") == [
        "duplicate key 'lr': FILE:9: it stands in line 8 already: keep one",
        "duplicate key 'seeds': FILE:10: it stands in line 4 already: keep one",
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
def test_fault_04_invalid_yaml_names_line_and_column(
    complaints: Callable[..., list[str]], text: str, place: str
) -> None:
    (line,) = complaints(text)
    assert line.startswith("invalid YAML: ")
    assert f": {place}: " in line


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "null\n", "\ufeff"])
def test_fault_05_an_empty_file(complaints: Callable[..., list[str]], text: str) -> None:
    assert complaints(text) == ["empty config: FILE: write at least data, networks, shortcuts and train"]


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "digits\n", "3\n", "true\n"])
def test_fault_05_not_a_mapping(complaints: Callable[..., list[str]], text: str) -> None:
    assert complaints(text)[0].startswith("not a config: FILE:1: expected keys and values, found ")


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!!python/object:os.x", "!x"]
)
def test_fault_06_tags_are_refused_and_nothing_runs(
    complaints: Callable[..., list[str]], tmp_path: Path, tag: str
) -> None:
    sentinel = tmp_path.parent / "sentinel"
    (line,) = complaints(GOOD.replace("lr: 0.1", f'lr: {tag} ["touch {sentinel}"]'))
    assert line == f"tag {tag!r}: FILE:8:7: tags are not used here: remove it"
    assert not sentinel.exists()
    assert complaints(GOOD, f'train.lr={tag} ["touch {sentinel}"]')[0].startswith("tag ")
    assert not sentinel.exists()


def test_fault_08_numbers_are_numbers(load: Load, complaints: Callable[..., list[str]]) -> None:
    assert load(GOOD.replace("lr: 0.1", "lr: 1e-3")).train.lr == 0.001
    assert load(GOOD.replace("epochs: 30", "epochs: 030")).train.epochs == 30
    assert complaints(GOOD.replace("lr: 0.1", "lr: fast")) == [
        "train.lr is the text 'fast': FILE:8: give a number above 0 and at most 1,000"
    ]
    assert complaints(GOOD.replace("epochs: 30", "epochs: '30'")) == [
        "train.epochs is the text '30': FILE:6: give a whole number of at least 1 or null"
    ]
    assert complaints(GOOD.replace("epochs: 30", "epochs: 2.5"))[0].startswith("train.epochs is the number 2.5: FILE:6")


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "true", "False", "y"])
def test_fault_09_words_for_booleans_are_no_numbers(complaints: Callable[..., list[str]], word: str) -> None:
    for key, start in [("seeds: [0, 1, 2]", "seeds"), ("epochs: 30", "epochs"), ("lr: 0.1", "lr")]:
        (line,) = complaints(GOOD.replace(key, f"{start}: {word}"))
        assert f"{start} is " in line
        assert word.lower() in line
    (line,) = complaints(GOOD.replace("seeds: [0, 1, 2]", f"seeds: [0, {word}]"))
    assert line.startswith("seeds.1 is ")


def test_fault_09_only_true_and_false_are_booleans(complaints: Callable[..., list[str]]) -> None:
    for value in ("yes", "on", "1", "'true'"):
        assert complaints(GOOD + f"run: {{compile: {value}}}\n")[0].endswith(": FILE:9: give true or false")


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("train.lr", ".nan", "a number above 0 and at most 1,000"),
        ("train.lr", ".inf", "a number above 0 and at most 1,000"),
        ("train.lr", "1e999", "a number above 0 and at most 1,000"),
        ("train.lr", "-0.1", "a number above 0 and at most 1,000"),
        ("train.momentum", "1", "a number of at least 0 and below 1"),
        ("train.weight_decay", "-1e-4", "a number of at least 0 and at most 1"),
        ("train.batch_size", "0", "a whole number of at least 1"),
        ("train.epochs", "-1", "a whole number of at least 1 or null"),
        ("run.jobs", "0", "auto or a whole number of at least 1 and at most 1,024"),
        ("run.jobs", "yes", "auto or a whole number of at least 1 and at most 1,024"),
        ("networks", "[{name: cifar-resnet-20, zero_init: nope}]", "true or false or force"),
        ("run.evaluate_every", "0", "a whole number of at least 1 and at most 1,000,000"),
        ("cost.seconds", "-.inf", "a number above 0 and at most 86,400"),
        ("compare.margin", "0", "a number above 0 and at most 100"),
        ("data.train_size", "0", "a whole number of at least 1 and at most 100,000,000 or null"),
        ("run.device", "gpu", "one of auto, cpu, cuda[:N]"),
        ("networks", "[{name: cifar-resnet-20, width: 0}]", "a whole number of at least 1 and at most 4,096 or null"),
    ],
)
def test_fault_10_out_of_range_tells_the_range(
    complaints: Callable[..., list[str]], key: str, value: str, allowed: str
) -> None:
    (line,) = complaints(GOOD, f"{key}={value}")
    assert line.endswith(f": --set {key}={value}: give {allowed}")


@pytest.mark.parametrize(
    "seeds", ["0", "-1", "10001", "1000000000", "[]", "[-1]", "[4294967296]", "[0.5]", "{a: 1}", "null"]
)
def test_fault_10_seeds_out_of_range(complaints: Callable[..., list[str]], seeds: str) -> None:
    (line,) = complaints(GOOD, f"seeds={seeds}")
    assert "0 to 4,294,967,295, or how many: 1 to 10,000" in line


def test_fault_10_every_wrong_seed_is_told(complaints: Callable[..., list[str]]) -> None:
    allowed = "give a list of seeds, each from 0 to 4,294,967,295, or how many: 1 to 10,000"
    assert complaints(GOOD.replace("[0, 1, 2]", '[no, 1.5, 7, -1, "3", 7]')) == [
        f"seeds.0 is the text 'no': FILE:4: {allowed}",
        f"seeds.1 is the number 1.5: FILE:4: {allowed}",
        f"seeds.3 is the number -1: FILE:4: {allowed}",
        f"seeds.4 is the text '3': FILE:4: {allowed}",
        "seed 7 stands twice: FILE:4: keep one",
    ]
    lines = complaints(GOOD.replace("[0, 1, 2]", str([-1] * 1010)))
    assert len(lines) == 11
    assert lines[-1] == f"seeds: 1,000 more are wrong: FILE:4: {allowed}"


SCHEDULE = GOOD + "  schedule:\n    kind: step\n    milestones: [0.5, 0.75]\n    gamma: 0.1\n"


def test_what_is_wrong_with_a_schedule_is_told_at_once(complaints: Callable[..., list[str]]) -> None:
    text = SCHEDULE.replace("[0.5, 0.75]", "[0.7, 0.5]").replace("gamma: 0.1", "gamma: 2")
    assert complaints(text) == [
        "train.schedule.milestones: milestones do not rise: FILE:11: each must be later than the one before",
        "train.schedule.gamma is the number 2: FILE:12: give a number above 0 and at most 1",
    ]


@pytest.mark.parametrize("kind", ["cosine", "one-cycle", "constant"])
def test_a_schedule_takes_no_keys_of_another_kind(load: Load, complaints: Callable[..., list[str]], kind: str) -> None:
    text = SCHEDULE.replace("kind: step", f"kind: {kind}")
    written = load(text).to_yaml()
    assert load(written) == load(text), "a config written out spells defaults out"
    todo = f'leave it out, or --set "train.schedule={{kind: {kind}}}"'
    assert complaints(text.replace("[0.5, 0.75]", "[0.5]").replace("gamma: 0.1", "gamma: 0.2")) == [
        f"train.schedule.milestones: only kind step uses it, not {kind}: FILE:11: {todo}",
        f"train.schedule.gamma: only kind step uses it, not {kind}: FILE:12: {todo}",
    ]
    (line,) = complaints(SCHEDULE.replace("0.1\n", "0.2\n"), f"train.schedule.kind={kind}")
    assert line.startswith("train.schedule.gamma: only kind step uses it, ")
    assert (
        load(SCHEDULE.replace("[0.5, 0.75]", "[0.5]"), f"train.schedule={{kind: {kind}}}").train.schedule.kind == kind
    )


def test_a_schedule_longer_than_its_iterations(load: Load, complaints: Callable[..., list[str]]) -> None:
    text = SCHEDULE.replace("epochs: 30", "iterations: 100").replace("[0.5, 0.75]", "[50, 99]")
    assert load(text, "train.schedule.warmup_iterations=99").train.iterations == 100
    assert complaints(text.replace("99", "100")) == [
        "train: schedule.milestones holds 100, not before the end of the run (100 steps): FILE:11: "
        "give fewer steps, or train longer"
    ]
    assert complaints(text, "train.schedule.warmup_iterations=100") == [
        "train: schedule.warmup_iterations 100 is the whole run (100 steps): "
        "--set train.schedule.warmup_iterations=100: give fewer steps, or train longer"
    ]


def test_fault_11_unknown_names_and_depths_tell_the_nearest(complaints: Callable[..., list[str]]) -> None:
    text = GOOD.replace("cifar-resnet-20", "cifar-resnet-21").replace("max-pad", "maxpad").replace("digits", "digit")
    source, network, shortcut = complaints(text)
    assert source == "data.source: unknown data source 'digit': FILE:1: did you mean 'digits'?"
    assert network.startswith(
        "networks.0: no network 'cifar-resnet-21': FILE:2: the depth must be 6n+2, at most 2000: "
    )
    assert "'cifar-resnet-20' or 'cifar-resnet-26'" in network
    assert shortcut.startswith("shortcuts.2: unknown shortcut 'maxpad': FILE:3: did you mean 'max-pad'")
    assert complaints(GOOD, "shortcuts=[A, nonsense]") == [
        "shortcuts.1: unknown shortcut 'nonsense': --set shortcuts=[A, nonsense]: see: rsc shortcuts"
    ]
    (baseline,) = complaints(GOOD, "compare.baseline=mx-pad")
    assert baseline.startswith(
        "baseline 'mx-pad' is not among the shortcuts: --set compare.baseline=mx-pad: did you mean 'max-pad'"
    )
    assert "did you mean 'step'?" in complaints(GOOD, "train.schedule.kind=stp")[0]
    assert complaints(GOOD, "train.schedule.kind=linear")[0].endswith("valid: step, cosine, one-cycle, constant")


def test_fault_11_compositions_are_checked_too(complaints: Callable[..., list[str]]) -> None:
    assert "did you mean 'pad'" in complaints(GOOD, "shortcuts=[{spatial: avg, channels: padd}]")[0]
    assert "channels" in complaints(GOOD, "shortcuts=[{spatial: avg, chanels: pad}]")[0]
    assert complaints(GOOD, "shortcuts=[3]")[0].startswith("shortcuts.0 is the number 3: ")


def test_fault_12_nothing_stands_twice(complaints: Callable[..., list[str]]) -> None:
    assert complaints(GOOD, "seeds=[0, 1, 0]") == ["seed 0 stands twice: --set seeds=[0, 1, 0]: keep one"]
    text = GOOD.replace("shortcuts: [plain, A, max-pad]", "shortcuts:\n- A\n- max-pad\n- zero-pad")
    assert complaints(text) == ["shortcut 'stride-pad' stands twice (aliases count): FILE:6: keep one"]
    spelled = "shortcuts=[avg-pad, {spatial: avg, channels: pad, name: mine}]"
    assert complaints(GOOD, spelled)[0].startswith("shortcut 'mine' stands twice (aliases count)")
    alike = (
        "shortcuts=[{spatial: avg, channels: pad, scale: 3, name: m}, {spatial: avg, channels: pad, scale: 4, name: m}]"
    )
    assert complaints(GOOD, alike)[0].startswith("two shortcuts are called 'm'")
    networks = "networks=[cifar-resnet-20, {name: cifar-resnet-20, width: 16}]"
    assert complaints(GOOD, networks)[0].startswith("network cifar-resnet-20 stands twice")


def test_fault_14_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "benchmark.yaml").write_text(GOOD)
    with pytest.raises(UsageError, match=r"no such file: .*benchmrk.yaml: did you mean 'benchmark.yaml'\?"):
        load_config(tmp_path / "benchmrk.yaml")
    with pytest.raises(UsageError, match="check the path"):
        load_config(tmp_path / "nowhere" / "x.yaml")
    with pytest.raises(UsageError, match="is a directory"):
        load_config(tmp_path)
    with pytest.raises(UsageError, match="null byte"):
        load_config(Path("a\0b"))


@pytest.mark.parametrize(
    "name",
    [
        "../../x",
        "..",
        ".",
        "/absolute",
        "a/b",
        "a\\b",
        "x" * 300,
        "",
        " ",
        ".hidden",
        "-option",
        "a b",
        "a.",
        "é",
        "a\nb",
    ],
)
def test_fault_15_names_that_lead_elsewhere(load: Load, complaints: Callable[..., list[str]], name: str) -> None:
    (line,) = complaints(GOOD + "name: " + repr(name).replace("\\n", "\\\\n") + "\n")
    assert "cannot be a folder under results" in line
    assert len(line) < 400


def test_fault_15_nul_in_a_name_or_path(complaints: Callable[..., list[str]]) -> None:
    assert complaints(GOOD + 'name: "a\\0b"\n')[0].startswith("control character in 'a\\x00b': FILE:9: ")


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("my config", "my-config"),
        ("a_b-", "a_b-"),
        ("-first (2)", "first-2"),
        ("müsli.v2", "m-sli.v2"),
        (".hidden", "hidden"),
        ("x" * 150, "x" * 100),
    ],
)
def test_fault_15_a_file_name_becomes_a_name(tmp_path: Path, stem: str, name: str) -> None:
    path = tmp_path / f"{stem}.yaml"
    path.write_text(GOOD)
    assert load_config(path).name == name
    assert load_config(path, ["name=fine"]).name == "fine"


def test_fault_15_a_file_name_that_makes_no_name(tmp_path: Path) -> None:
    path = tmp_path / "実験.yaml"
    path.write_text(GOOD)
    with pytest.raises(UsageError) as caught:
        load_config(path)
    assert caught.value.todo == "set name: in the config"
    assert "makes no name for the experiment" in caught.value.what
    with pytest.raises(UsageError) as caught:
        load_config(path, ["train.lr=fast"])
    assert len(caught.value.lines) == 2, "with all else that is wrong"
    assert load_config(path, ["name=fine"]).name == "fine"


def test_fault_16_the_output_folder_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    check_results_folder(tmp_path / "results", "mine")
    check_results_folder(tmp_path / "not" / "yet", "mine")
    (tmp_path / "results" / "mine").write_text("")
    (tmp_path / "file").write_text("")
    for results in (tmp_path / "results", tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match="the output folder is a file"):
            check_results_folder(results, "mine")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["file", "results"]


def test_fault_17_options_that_exclude_each_other_are_both_named(
    load: Load, complaints: Callable[..., list[str]]
) -> None:
    (line,) = complaints(GOOD, "train.iterations=100")
    assert line == (
        "train: exactly one of epochs and iterations is needed: --set train.iterations=100: "
        "change one, or add --set train.epochs=null"
    )
    assert load(GOOD, "train.iterations=100", "train.epochs=null").train.iterations == 100
    (line,) = complaints(GOOD.replace("  epochs: 30\n", ""))
    assert line.startswith("train: exactly one of epochs and iterations is needed: FILE:5")
    (line,) = complaints(GOOD, "data={source: image-folder, augment: [crop, random-resized-crop]}")
    assert "crop and random-resized-crop exclude each other" in line


def test_fault_18_a_batch_larger_than_the_data(load: Load, complaints: Callable[..., list[str]]) -> None:
    assert complaints(GOOD.replace("batch_size: 64", "batch_size: 1001")) == [
        "train.batch_size 1001 is more than data.train_size 1000: FILE:7: at most 1000"
    ]
    config = load(GOOD.replace("train_size: 1000, ", ""), "train.batch_size=1001")
    check_batch_size(config, 1001)
    with pytest.raises(UsageError, match="batch_size 1001 is more than the 1000 training images"):
        check_batch_size(config, 1000)


def test_every_error_at_once_in_the_order_of_the_file(complaints: Callable[..., list[str]]) -> None:
    text = "data: {source: digit}\nnetworks: [cifar-resnet-21]\nshortcuts: [Q]\nseeds: no\ntrain: {epochs: 0, lr: x}\n"
    lines = complaints(text, "run.jobs=0", "cost=3")
    assert [line.split(": ")[-2] for line in lines if "FILE" not in line][-1:] == ["--set run.jobs=0"]
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
def test_bad_overrides_name_themselves(complaints: Callable[..., list[str]], override: str, problem: str) -> None:
    (line,) = complaints(GOOD, override)
    assert line.startswith(problem)
    assert f": --set {override}: " in line


def test_bad_overrides_are_all_named(complaints: Callable[..., list[str]]) -> None:
    assert len(complaints(GOOD, "foo", "train.lr=[", "train.epochs=3")) == 2


def test_a_shortcut_in_a_file_that_is_not_there_names_the_file(complaints: Callable[..., list[str]]) -> None:
    assert "nowhere.py" in complaints(GOOD, "shortcuts=[A, './nowhere.py:Mine']")[0]


def test_loading_a_config_imports_no_torch(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "c.yaml").write_text(GOOD)
    code = (
        "import sys; from pathlib import Path; from resnet_shortcuts.experiments import config, plan\n"
        "c = config.load_config(Path(sys.argv[1])); plan.make_plan(c, {'content': 'x'}, 'fp32')\n"
        "print(sorted({'torch', 'torchvision', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "c.yaml"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
