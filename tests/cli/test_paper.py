"""``rsc paper`` on stored runs, as a user runs it."""

import json
import re

import pytest


def test_paper_writes_its_files_and_names_the_commands(trained):
    done = trained("paper", "tiny", "-o", "paper folder")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    folder = trained.folder / "paper folder"
    names = {path.name for path in folder.iterdir()}
    parts = {"paper.tex", "methods.tex", "tables.tex", "figures.tex", "references.bib", "commands.txt", "compare.json"}
    assert names == {*parts, "figures", "tiny.yaml"}
    train, *others = (folder / "commands.txt").read_text().splitlines()
    assert train == "rsc train --config tiny.yaml"
    assert others == ["rsc compare tiny", "rsc paper tiny"]
    planned = trained("plan", folder / "tiny.yaml", "--format", "json")
    assert {row["runs_to_do"] for row in json.loads(planned.stdout)["rows"]} == {0}  # the same run ids
    assert json.loads((folder / "compare.json").read_text())["kind"] == "compare"
    figures = (folder / "figures.tex").read_text()
    drawn = {path.name for path in (folder / "figures").iterdir()}
    assert drawn
    assert all(f"figures/{name}" in figures for name in drawn)
    methods = (folder / "methods.tex").read_text()
    assert "60 training images and 40 test images of scikit-learn digits" in methods


def test_width_style_and_options_reach_figures_tables_and_commands(trained):
    for width, inches in (("single", 3.4), ("double", 7.0), ("slide", 12.0)):
        done = trained("paper", "tiny", "--width", width, "--style", "dark", "--margin", "5", "-o", width)
        assert done.returncode == 0, done.stderr
        (content,) = [path.read_bytes() for path in (trained.folder / width / "figures").glob("differences-*.pdf")]
        (box,) = re.findall(rb"/MediaBox \[ ?0 0 ([\d.]+) ", content)
        assert float(box) == pytest.approx(72 * inches, rel=0.01)
        assert (trained.folder / width / "commands.txt").read_text().splitlines()[-1] == "rsc paper tiny --margin 5"


def test_a_file_in_the_place_of_the_folder_is_an_error(trained):
    (trained.folder / "taken").write_text("")
    done = trained("paper", "tiny", "-o", "taken")
    assert done.returncode == 2
    assert done.stderr == "error: this is a file, a paper needs a folder: taken: name another: -o FOLDER\n"
