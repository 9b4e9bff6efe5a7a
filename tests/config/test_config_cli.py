"""A config that is wrong, through the whole command: exit 2, one line an error, nothing created."""

from pathlib import Path

import pytest

from resnet_shortcuts.cli import main

GOOD = """\
data: {source: digits, train_size: 60, test_size: 40}
networks: [cifar-resnet-8]
shortcuts: [plain, A]
seeds: 2
train: {epochs: 1, batch_size: 20}
cost: {measure: false}
"""
FAULTS: dict[str, tuple[bytes, list[str], int]] = {
    "01 unknown keys": (b"epohcs: 3\nzzz: 3\n", [], 2),
    "02 wrong section": (b"epochs: 3\n", [], 1),
    "03 duplicate key": (b"seeds: 3\n", [], 1),
    "04 invalid YAML": (b"name: [\n", [], 1),
    "06 tag": (b"name: !!python/object/apply:os.system ['touch sentinel']\n", [], 1),
    "07 alias bomb": (b"a: &a [x, x]\nb: &b [*a, *a]\n" + b"c: [" + b"*b, " * 5000 + b"]\n", [], 1),
    "08 text for a number": (b"", ["train.lr=fast"], 1),
    "09 no for a number": (b"", ["seeds=no"], 1),
    "10 out of range": (b"", ["train.batch_size=0", "train.epochs=-1", "train.lr=.nan"], 3),
    "11 unknown strategy": (b"", ["shortcuts=[maxpad]"], 1),
    "11 depth": (b"", ["networks=[cifar-resnet-21]"], 1),
    "12 twice": (b"", ["seeds=[1, 1]"], 1),
    "13 not UTF-8": (b"# \xff\n", [], 1),
    "15 name": (b"name: ../../x\n", [], 1),
    "17 exclude each other": (b"", ["train.iterations=3"], 1),
    "18 batch": (b"", ["train.batch_size=61"], 1),
    "18 batch, size known from the data": (b"", ["data.train_size=null", "train.batch_size=1001"], 1),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("command", ["train", "plan"])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_01_to_18_exit_2_with_a_line_each_and_create_nothing(
    fault: str,
    command: str,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    added, overrides, number = FAULTS[fault]
    (tmp_path / "mine.yaml").write_bytes(GOOD.encode() + added)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RSC_CACHE", str(cache))
    arguments = [command, "--config", "mine.yaml", "--results", "results"]
    with pytest.raises(SystemExit) as exit_:
        main([*arguments, *(word for override in overrides for word in ("--set", override))])
    said, complained = capfd.readouterr()
    assert exit_.value.code == 2, complained
    assert said == ""
    lines = [line for line in complained.splitlines() if line.startswith("error: ")]
    assert len(lines) == number
    assert "Traceback" not in complained
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]
