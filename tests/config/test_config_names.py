"""Files, folders and names that the config refuses: faults 14 to 16 of the list."""

from pathlib import Path

import pytest

from resnet_shortcuts.config.experiment_config import check_results_folder, load_config
from resnet_shortcuts.errors import UsageError

from .conftest import GOOD, Complaints, Load


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
def test_fault_15_names_that_lead_elsewhere(load: Load, complaints: Complaints, name: str) -> None:
    (line,) = complaints(GOOD + "name: " + repr(name).replace("\\n", "\\\\n") + "\n")
    assert "cannot be a folder under results" in line
    assert len(line) < 400


def test_fault_15_nul_in_a_name_or_path(complaints: Complaints) -> None:
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
    assert "cannot be a name for the experiment" in caught.value.what
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
