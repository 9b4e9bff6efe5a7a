"""The configs that ship: found by name from anywhere, in a checkout and in a built wheel."""

import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from resnet_shortcuts.config.config_names import SHIPPED, find_config
from resnet_shortcuts.config.experiment_config import load_config
from resnet_shortcuts.errors import UsageError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_shipped_config_is_found_by_its_name() -> None:
    assert {path.name for path in SHIPPED.glob("*.yaml")} == {path.name for path in (ROOT / "configs").glob("*.yaml")}
    assert load_config(Path("cifar10-quick")) == load_config(ROOT / "configs" / "cifar10-quick.yaml")
    assert load_config(Path("cifar10-quick.yaml")).name == "cifar10-quick"


def test_a_file_of_that_name_goes_first(elsewhere: Path) -> None:
    (elsewhere / "benchmark.yaml").write_text((ROOT / "configs" / "benchmark.yaml").read_text(), "utf-8")
    assert find_config(Path("benchmark.yaml")) == Path("benchmark.yaml")
    assert find_config(Path("benchmark")) == SHIPPED / "benchmark.yaml"


def test_a_wrong_name_suggests_files_here_and_shipped_names(elsewhere: Path) -> None:
    with pytest.raises(UsageError, match=r"no such file: cifar10-qick: did you mean 'cifar10-quick'"):
        load_config(Path("cifar10-qick"))
    with pytest.raises(UsageError, match="check the path"):
        load_config(Path("configs/cifar10-quick"))


def test_a_built_wheel_holds_the_configs(elsewhere: Path) -> None:
    try:
        if int(version("setuptools").partition(".")[0]) < 77:
            pytest.skip("the build needs setuptools 77")
    except PackageNotFoundError:
        pytest.skip("no setuptools to build with")
    source = elsewhere / "source"
    source.mkdir()
    copied = ["resnet_shortcuts", "configs", "pyproject.toml", "README.md", "LICENSE"]
    subprocess.run(["cp", "-R", "--no-dereference", *copied, source], cwd=ROOT, check=True)
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-q", "-w", elsewhere]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = elsewhere.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for path in (ROOT / "configs").glob("*.yaml"):
        assert f"resnet_shortcuts/configs/{path.name}" in names
    assert not [name for name in names if "tools" in name or "config_document" in name]
