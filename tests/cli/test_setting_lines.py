"""Settings that only the data can prove wrong: told with their place in the file, as every error of a config."""

import pytest

SPREAD = """\
data:
  source: digits
  train_size: 60
  test_size: 40
networks: [cifar-resnet-8]
shortcuts: [plain, A]
seeds: 2
train:
  epochs: 2
  batch_size: 20
cost: {measure: false}
"""
TRAIN, TEST = "the 1,000 training images of digits", "the 797 test images of digits"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"_size: 60": "_size: 2000"}, f"data.train_size 2000 is more than {TRAIN}: wide.yaml:3: at most 1,000"),
        ({"test_size: 40": "test_size: 798"}, f"data.test_size 798 is more than {TEST}: wide.yaml:4: at most 797"),
        (
            {"train_size: 60": "train_size: 600\n  validation: 500"},
            f"data.train_size 600 + data.validation 500 is more than {TRAIN}: wide.yaml:3: at most 1,000 together",
        ),
        (
            {"train_size: 60": "validation: 1000"},
            f"data.validation 1000 leaves none of {TRAIN}: wide.yaml:3: at most 999",
        ),
        (
            {"  train_size: 60\n": "", "batch_size: 20": "batch_size: 1001"},
            "train.batch_size 1001 is more than the 1000 training images: wide.yaml:9: "
            "at most 1000: --set train.batch_size=128",
        ),
        (
            {"batch_size: 20": "batch_size: 20\n  schedule:\n    milestones: [3, 6]\n    milestones_in: iterations"},
            "train.schedule.milestones: read as iterations, 6 is not before the end of the run (6 steps): "
            "wide.yaml:12: give earlier iterations or fractions, or train longer",
        ),
    ],
    ids=["train", "test", "train and validation", "validation", "batch", "schedule"],
)  # fmt: skip
def test_a_setting_that_does_not_fit_the_data_is_told_with_its_line(rsc, changes, told):
    text = SPREAD
    for old, new in changes.items():
        text = text.replace(old, new)
    rsc.config(text, "wide.yaml")
    done = rsc("plan", "--config", "wide.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [f"error: {told}"]


@pytest.mark.parametrize("command", ["train", "plan"])
def test_batches_of_one_image_are_refused_where_batch_norm_gets_one_value(rsc, command):
    text = SPREAD.replace("batch_size: 20", "batch_size: 1").replace("[cifar-resnet-8]", "[imagenet-resnet-18]")
    rsc.config(text, "wide.yaml")
    done = rsc(command, "--config", "wide.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "train.batch_size 1 leaves 'layer" in line
    assert line.endswith("more (images x height x width): wide.yaml:10: at least 2: --set train.batch_size=2")
    assert not (rsc.folder / "results").exists()
    rsc.config(text.replace("[imagenet-resnet-18]", "[cifar-resnet-8]"), "fine.yaml")
    assert rsc("plan", "--config", "fine.yaml").returncode == 0, "it ends at 2x2"


@pytest.mark.parametrize("command", ["train", "plan", "cost"])
def test_a_setting_of_the_command_line_is_told_as_it_was_given(rsc, command):
    rsc.config(SPREAD, "wide.yaml")
    done = rsc(command, "--config", "wide.yaml", "--set", "data.train_size=1001")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"error: data.train_size 1001 is more than {TRAIN}: --set data.train_size=1001: at most 1,000"
    ]
    assert [path.name for path in rsc.folder.iterdir()] == ["wide.yaml"]


def test_a_class_that_is_not_there_is_told_with_its_line(rsc):
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            folder = rsc.folder / "pictures" / part / name
            folder.mkdir(parents=True)
            (folder / "1.png").touch()
    chosen = "source: image-folder\n  root: pictures\n  classes:\n    - cat\n    - dogs"
    rsc.config(SPREAD.replace("source: digits", chosen), "wide.yaml")
    done = rsc("plan", "--config", "wide.yaml")
    pictures = (rsc.folder / "pictures").resolve()
    assert done.stderr.splitlines() == [f"error: no class 'dogs' in {pictures}: wide.yaml:6: did you mean 'dog'?"]
