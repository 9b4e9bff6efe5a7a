"""Values that the config refuses and how it says so: faults 8 to 12, 17 and 18 of the list."""

import pytest

from resnet_shortcuts.config.experiment_config import check_batch_size
from resnet_shortcuts.errors import UsageError

from .conftest import GOOD, Complaints, Load


def test_fault_08_numbers_are_numbers(load: Load, complaints: Complaints) -> None:
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
def test_fault_09_words_for_booleans_are_no_numbers(complaints: Complaints, word: str) -> None:
    for key, start in [("seeds: [0, 1, 2]", "seeds"), ("epochs: 30", "epochs"), ("lr: 0.1", "lr")]:
        (line,) = complaints(GOOD.replace(key, f"{start}: {word}"))
        assert f"{start} is " in line
        assert word.lower() in line
    (line,) = complaints(GOOD.replace("seeds: [0, 1, 2]", f"seeds: [0, {word}]"))
    assert line.startswith("seeds.1 is ")


def test_fault_09_only_true_and_false_are_booleans(complaints: Complaints) -> None:
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
        ("run.jobs", "-1", "auto or a whole number of at least 0 and at most 1,024"),
        ("run.jobs", "yes", "auto or a whole number of at least 0 and at most 1,024"),
        ("networks", "[{name: cifar-resnet-20, zero_init: nope}]", "true or false or force"),
        ("run.evaluate_every", "0", "a whole number of at least 1 and at most 1,000,000"),
        ("cost.seconds", "-.inf", "a number above 0 and at most 86,400"),
        ("compare.margin", "0", "a number above 0 and at most 100"),
        ("data.train_size", "0", "a whole number of at least 1 and at most 100,000,000 or null"),
        ("run.device", "gpu", "auto, cpu, cuda (all GPUs), cuda:N, or a list of GPUs: [cuda:0, cuda:3]"),
        ("networks", "[{name: cifar-resnet-20, width: 0}]", "a whole number of at least 1 and at most 4,096 or null"),
    ],
)
def test_fault_10_out_of_range_tells_the_range(complaints: Complaints, key: str, value: str, allowed: str) -> None:
    (line,) = complaints(GOOD, f"{key}={value}")
    assert line.endswith(f": --set {key}={value}: give {allowed}")


@pytest.mark.parametrize(
    "seeds", ["0", "-1", "100001", "1000000000", "[]", "[-1]", "[4294967296]", "[0.5]", "{a: 1}", "null"]
)
def test_fault_10_seeds_out_of_range(complaints: Complaints, seeds: str) -> None:
    (line,) = complaints(GOOD, f"seeds={seeds}")
    assert "0 to 4,294,967,295, or how many: 1 to 100,000" in line


def test_fault_10_every_wrong_seed_is_told(complaints: Complaints) -> None:
    allowed = "give a list of seeds, each from 0 to 4,294,967,295, or how many: 1 to 100,000"
    assert complaints(GOOD.replace("[0, 1, 2]", '[no, 1.5, 7, -1, "3", 7]')) == [
        f"seeds.0 is the text 'no': FILE:4: {allowed}",
        f"seeds.1 is the number 1.5: FILE:4: {allowed}",
        f"seeds.3 is the number -1: FILE:4: {allowed}",
        f"seeds.4 is the text '3': FILE:4: {allowed}",
        "seeds.5: 7 is listed twice: FILE:4: keep one",
    ]
    lines = complaints(GOOD.replace("[0, 1, 2]", str([-1] * 1010)))
    assert len(lines) == 11
    assert lines[-1] == f"seeds: 1,000 more are wrong: FILE:4: {allowed}"


SCHEDULE = GOOD + "  schedule:\n    kind: step\n    milestones: [0.5, 0.75]\n    gamma: 0.1\n"


def test_what_is_wrong_with_a_schedule_is_told_at_once(complaints: Complaints) -> None:
    text = SCHEDULE.replace("[0.5, 0.75]", "[0.7, 0.5]").replace("gamma: 0.1", "gamma: 2")
    assert complaints(text) == [
        "train.schedule.milestones: milestones are not in rising order: FILE:11: "
        "each must be later than the one before",
        "train.schedule.gamma is the number 2: FILE:12: give a number above 0 and at most 1",
    ]


@pytest.mark.parametrize("kind", ["cosine", "one-cycle", "constant"])
def test_a_schedule_takes_no_keys_of_another_kind(load: Load, complaints: Complaints, kind: str) -> None:
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


def test_a_schedule_longer_than_its_iterations(load: Load, complaints: Complaints) -> None:
    text = SCHEDULE.replace("epochs: 30", "iterations: 100").replace("[0.5, 0.75]", "[50, 99]")
    assert load(text, "train.schedule.warmup_iterations=99").train.iterations == 100
    assert complaints(text.replace("99", "100")) == [
        "train.schedule.milestones: read as iterations, 100 is not before the end of the run (100 steps): FILE:11: "
        "give earlier iterations or fractions, or train longer; if epochs are meant, set train.epochs instead of "
        "train.iterations"
    ]
    assert complaints(text, "train.schedule.warmup_iterations=100") == [
        "train.schedule.warmup_iterations: 100 is the whole run (100 steps): "
        "--set train.schedule.warmup_iterations=100: give fewer steps, or train longer"
    ]


def test_fault_11_unknown_names_and_depths_tell_the_nearest(complaints: Complaints) -> None:
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
        "compare.baseline: 'mx-pad' is not among the shortcuts: --set compare.baseline=mx-pad: did you mean 'max-pad'"
    )
    assert "did you mean 'step'?" in complaints(GOOD, "train.schedule.kind=stp")[0]
    assert complaints(GOOD, "train.schedule.kind=linear")[0].endswith("valid: step, cosine, one-cycle, constant")


def test_fault_11_compositions_are_checked_too(complaints: Complaints) -> None:
    assert "did you mean 'pad'" in complaints(GOOD, "shortcuts=[{spatial: avg, channels: padd}]")[0]
    assert "channels" in complaints(GOOD, "shortcuts=[{spatial: avg, chanels: pad}]")[0]
    assert complaints(GOOD, "shortcuts=[3]")[0].startswith("shortcuts.0 is the number 3: ")


def test_fault_12_nothing_stands_twice(complaints: Complaints) -> None:
    assert complaints(GOOD, "seeds=[0, 1, 0]") == ["seeds.2: 0 is listed twice: --set seeds=[0, 1, 0]: keep one"]
    text = GOOD.replace("shortcuts: [plain, A, max-pad]", "shortcuts:\n- A\n- max-pad\n- zero-pad")
    assert complaints(text) == ["shortcuts.2: shortcut 'stride-pad' is listed twice (aliases count): FILE:6: keep one"]
    spelled = "shortcuts=[avg-pad, {spatial: avg, channels: pad, name: mine}]"
    assert complaints(GOOD, spelled)[0].startswith("shortcuts.1: shortcut 'mine' is listed twice (aliases count)")
    alike = (
        "shortcuts=[{spatial: avg, channels: pad, scale: 3, name: m}, {spatial: avg, channels: pad, scale: 4, name: m}]"
    )
    assert complaints(GOOD, alike)[0].startswith("shortcuts.1: two shortcuts are called 'm'")
    networks = "networks=[cifar-resnet-20, {name: cifar-resnet-20, width: 16}]"
    assert complaints(GOOD, networks)[0].startswith("networks.1: network cifar-resnet-20 is listed twice")


def test_fault_17_options_that_exclude_each_other_are_both_named(load: Load, complaints: Complaints) -> None:
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


def test_fault_18_a_batch_larger_than_the_data(load: Load, complaints: Complaints) -> None:
    assert complaints(GOOD.replace("batch_size: 64", "batch_size: 1001")) == [
        "train.batch_size: 1001 is more than data.train_size 1000: FILE:7: at most 1000"
    ]
    config = load(GOOD.replace("train_size: 1000, ", ""), "train.batch_size=1001")
    check_batch_size(config, 1001)
    with pytest.raises(UsageError, match="batch_size 1001 is more than the 1000 training images"):
        check_batch_size(config, 1000)


def test_a_shortcut_in_a_file_that_is_not_there_names_the_file(complaints: Complaints) -> None:
    assert "nowhere.py" in complaints(GOOD, "shortcuts=[A, './nowhere.py:Mine']")[0]


def test_devices_are_a_word_or_a_list_of_gpus(load: Load, complaints: Complaints) -> None:
    assert load(GOOD + "run: {device: 'cuda:1'}\n").run.device == "cuda:1"
    assert load(GOOD + "run: {device: ['cuda:0', 'cuda:3']}\n").run.device == ("cuda:0", "cuda:3")
    assert complaints(GOOD + "run: {device: ['cuda:0', cpu]}\n")[0].startswith("run.device.1 is the text 'cpu'")
    assert "a device is listed twice" in complaints(GOOD + "run: {device: ['cuda:0', 'cuda:0']}\n")[0]
    assert "the list is empty" in complaints(GOOD + "run: {device: []}\n")[0]
