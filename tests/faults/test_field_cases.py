"""What people ran into in the field, by kind: each small input as it was found, and what `rsc` makes of it.

The inputs are `field-cases.tar.xz` in the folder that RSC_TEST_DATA names; without it these tests are skipped.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Rsc

ONE_RUN = ("--set", "seeds=1", "--set", "shortcuts=[A]")


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    named = os.environ.get("RSC_TEST_DATA")
    archive = Path(named or "") / "field-cases.tar.xz"
    if not named or not archive.is_file():
        pytest.skip("RSC_TEST_DATA names no folder with field-cases.tar.xz")
    folder = tmp_path_factory.mktemp("field")
    subprocess.run(["tar", "xJf", archive, "-C", folder], check=True)
    return folder / "field-cases"


@pytest.fixture
def case(unpacked, tmp_path):
    """``case("06")``: `rsc` in a copy of that case, with a cache of its own; `base` and `tiny.yaml` are two above."""

    def copy(number: str) -> Rsc:
        shutil.copytree(unpacked, tmp_path / "field", symlinks=True, dirs_exist_ok=True)
        (folder,) = (tmp_path / "field" / "cases").glob(f"{number}-*")
        return Rsc(folder, tmp_path / "cache")

    return copy


def train(rsc, *arguments, config="../../tiny.yaml", data=".", jobs="0", **environment):
    """`rsc train` of one run of the shared config, in its own process unless ``jobs`` says otherwise."""
    command = ("train", "--config", config, "--data-root", data, "--results", "r", "--jobs", jobs, *ONE_RUN)
    return rsc(*command, *arguments, **environment)


def test_child_processes_import_nothing_from_the_working_folder(case):
    rsc = case("01")
    planted = rsc.folder / "random.py"
    planted.write_text(f"open('was imported', 'w')\n{planted.read_text()}")
    done = train(rsc, "--set", "cost.measure=true", "--set", "cost.seconds=1", data="../../base", jobs="1")
    assert done.returncode == 0, done.stderr
    assert "trained 1 run" in done.stderr
    assert not (rsc.folder / "was imported").exists()


def test_a_plausible_setting_is_read_as_its_author_meant_it(case):
    done = case("03")("plan", "--config", "ms.yaml")
    assert done.returncode == 0, done.stderr
    assert "milestones [100, 150]: epochs = iterations 800 and 1,200 of 1,600" in done.stderr
    course = [line.split() for line in done.stdout.splitlines()]
    assert [row for row in course if len(row) == 3 and row[0] in ("0", "100", "150")] == [
        ["0", "0", "0.1"],
        ["100", "800", "0.01"],
        ["150", "1,200", "0.001"],
    ]


@pytest.mark.parametrize("left", ["left", "emptydir"])
def test_a_layout_is_judged_by_what_is_there(case, left):
    done = train(case("04"), "--set", "data.source=tiny-imagenet", data=left, config="tiny.yaml")
    assert done.returncode == 0, done.stderr
    assert "class folders in train/ and class folders in val/, 24 + 12 images of 3 classes" in done.stderr


def test_wrong_data_is_warned_of_by_train_compare_and_report(case):
    rsc = case("06")
    done, warning = train(rsc), "24 of 24 test images are training images"
    assert (done.returncode, done.stderr.count(warning)) == (0, 1), done.stderr
    for command in (["compare"], ["report", "-o", "report.html"]):
        shown = rsc(*command, "t", "--results", "r")
        assert shown.returncode == 0, shown.stderr
    assert warning in " ".join(rsc("compare", "t", "--results", "r").stdout.split())
    assert warning in (rsc.folder / "report.html").read_text()


def test_wrong_data_thumbnails_are_not_trained_on(case):
    done = train(case("09"))
    assert done.returncode == 0, done.stderr
    assert "24 + 12 images" in done.stderr
    assert "passed over: 1 (1 '@eaDir')" in done.stderr


def test_all_errors_at_once_and_decoded_work_kept(case):
    rsc = case("08")
    first = train(rsc)
    named = [line for line in first.stderr.splitlines() if line.startswith("error: cannot read image: ")]
    assert (first.returncode, len(named)) == (3, 6), first.stderr
    assert "6 of 36 images cannot be read" in first.stderr
    assert "the 30 decoded ones are kept" in first.stderr
    for line in named:
        Path(line.split(": ")[2]).unlink()
    assert "18 + 12 images" in train(rsc).stderr


def test_both_sides_of_names_that_look_equal_are_shown(case):
    done = train(case("11"))
    assert done.returncode == 3
    assert r"only in train: 'caf\xe9'; only in test: 'cafe\u0301'" in done.stderr


def test_broken_metadata_does_not_take_the_image_down(case):
    done = train(case("13"))
    assert done.returncode == 0, done.stderr
    assert "25 + 12 images" in done.stderr


def test_orientation_of_deep_images_is_applied(case):
    from resnet_shortcuts.data.sources.image_files import decode

    image = decode(case("14").folder / "a.png", 32)
    brightest = int(np.asarray(image)[:, :, 0].mean(1).argmax())
    assert brightest == 24, "the white band is at the bottom, as the picture is upside down"


@pytest.mark.parametrize("how", ["option", "variable"])
def test_facts_of_the_environment_home_is_expanded_in_every_path(case, how):
    rsc = case("15")
    home = rsc.folder / "home"
    shutil.copytree(rsc.folder / "../../base", home / "data")
    facts = {"HOME": str(home)}
    where: tuple[str, ...] = ("--data-root=~/data", "--results=~/res")
    if how == "variable":
        facts, where = {**facts, "RSC_RESULTS": "~/res", "RSC_DATA_ROOT": "$HOME/data"}, ()
    done = rsc("train", "--config", "../../tiny.yaml", "--jobs", "0", *ONE_RUN, *where, **facts)
    assert done.returncode == 0, done.stderr
    assert rsc("runs", "-o", "~/runs.csv", *where[1:], **facts).returncode == 0
    assert {path.name for path in home.iterdir() if path.name[0] != "."} == {"data", "res", "runs.csv"}
    assert not (rsc.folder / "~").exists()


@pytest.mark.parametrize("command", ["doctor", "train"])
def test_facts_of_the_environment_no_home_is_one_line(case, command):
    rsc = case("16")
    arguments = [] if command == "doctor" else ["--config", "../../tiny.yaml", "--data-root", "../../base"]
    environment = {key: value for key, value in rsc.environment.items() if key not in ("HOME", "RSC_CACHE")}
    unknown = ["unshare", "--user", "--map-user=54321", "--map-group=54321"]
    if subprocess.run([*unknown, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here")
    done = subprocess.run(
        [*unknown, *rsc.command(command, *arguments)],
        cwd=rsc.folder, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert "internal" not in done.stderr
    assert "RSC_CACHE" in done.stdout + done.stderr


def test_counting_runs_no_network_on_data(case):
    rsc = case("18")
    given = ("cost", "--network", "imagenet-resnet-50", "--shortcut", "B")
    code = (
        "import sys; from resnet_shortcuts.cli import _run; from resnet_shortcuts.cost.memory import resident;"
        "code = _run(sys.argv[1:]); print(resident(peak=True) // 1024, file=sys.stderr); sys.exit(code)"
    )
    rsc.command = lambda *arguments: [sys.executable, "-P", "-c", code, *arguments]
    done = rsc(*given)
    assert done.returncode == 0, done.stderr
    for shown in ("3x224x224, 1000 classes", "25,557,032", "4.09 G"):
        assert shown in done.stdout
    assert int(done.stderr.split()[-1]) < 2**20, "KiB at most: 128 images would take ten times as much"
    small = rsc(*given, "--input", "3x32x32", "--classes", "10").stdout
    for shown in ("3x32x32, 10 classes", "83.43 M"):
        assert shown in small


@pytest.mark.parametrize(
    ("config", "lines"),
    [
        ("timm.yaml", ["'sched' at the top of the config: timm.yaml:19: did you mean 'train.schedule'?",
                       "'smoothing' at the top of the config: timm.yaml:21: did you mean 'train.label_smoothing'?",
                       "'opt' at the top of the config: timm.yaml:17: the optimizer is SGD"]),
        ("hydra.yaml", ["unknown key 'optimizer' in train: hydra.yaml:10: the optimizer is SGD"]),
    ],
)  # fmt: skip
def test_advice_of_a_foreign_config_leads_to_the_right_key(case, config, lines):
    done = case("19")("plan", "--config", config)
    assert done.returncode == 2
    assert not [line for line in lines if line not in done.stderr], done.stderr
    assert "did you mean 'train'?" not in done.stderr
    assert "valid: \n" not in done.stderr


def _suffixes(folder):
    for number, suffix in enumerate((".jfif", ".avif")):
        from PIL import Image

        source = sorted((folder / "train" / "cat").glob("*.jpg"))[number]
        with Image.open(source) as image:
            image.save(source.with_suffix(suffix), "AVIF" if suffix == ".avif" else "JPEG")
        source.unlink()


def _flat(folder):
    (folder / "test").rename(folder / "val")
    for image in list((folder / "val").glob("*/*")):
        image.rename(folder / "val" / f"{image.parent.name}_{image.stem}.JPEG")
    for name in ("cat", "dog", "frog"):
        (folder / "val" / name).rmdir()


@pytest.mark.parametrize(
    ("change", "settings", "code", "line"),
    [
        (_suffixes, (), 0, "24 + 12 images of 3 classes"),
        (lambda folder: (folder / "test").rename(folder / "valid"), (), 0, "class folders in valid/"),
        (lambda folder: (folder / "test").rename(folder / "validation"), (), 0, "class folders in validation/"),
        (_flat, ("data.source=imagenet",), 3, "found 12 files (.JPEG)"),
        (lambda folder: None, ("data.classes=[no, null]",), 2, "data.classes"),
        (lambda folder: None, ("data.classes=[1e5, cat]",), 2, "data.classes"),
    ],
    ids=["jfif-and-avif", "valid", "validation", "flat-val", "classes-no-null", "classes-1e5"],
)  # fmt: skip
def test_advice_on_data_names_what_was_found_there(case, change, settings, code, line):
    rsc = case("19")
    data = rsc.folder / "data"
    shutil.copytree(rsc.folder / "../../base", data)
    change(data)
    done = train(rsc, *(part for setting in settings for part in ("--set", setting)), data="data")
    assert done.returncode == code, done.stderr
    assert line in done.stderr


def test_a_closed_terminal_saves_as_a_termination_does(case):
    rsc = case("21")
    command = rsc.command("train", "--config", "long.yaml", "--data-root", "../../base", "--results", "r")
    with subprocess.Popen(
        command, cwd=rsc.folder, env=rsc.environment, stderr=subprocess.PIPE, text=True, process_group=0
    ) as process:
        deadline = time.monotonic() + 120
        while not list((rsc.folder / "r").glob("long/work/*/log.txt")) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(3)
        os.killpg(process.pid, signal.SIGHUP)
        said = process.communicate(timeout=120)[1]
    assert process.returncode == 143, said
    assert "terminated: " in said
    assert "the same command goes on from there" in said
    assert list((rsc.folder / "r").glob("long/work/*/checkpoint-*.json")), "nothing was saved"
