"""Names that would act as markup, formulas or terminal commands stay text in every format."""

import csv
import dataclasses
import io
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from resnet_shortcuts.analysis.experiment_records import CostRecord, ExperimentRecord
from resnet_shortcuts.analysis.figures import figure_files, figures
from resnet_shortcuts.analysis.report import report_html
from resnet_shortcuts.analysis.result_text import comparison_text
from resnet_shortcuts.analysis.verdicts import judge
from resnet_shortcuts.tables import FORMATS, Column, Table, render
from resnet_shortcuts.tables.escaping import escape_latex, escape_markdown
from tests.analysis.made import of_accuracies, whole

HOSTILE = [
    r"a$\frac{$b",
    "$x^2$",
    "=1+cmd|calc",
    "@SUM(1)",
    "+1",
    "-1",
    "  =2",
    "[x](http://evil/t.png)",
    "![x](http://evil/t.png)",
    "http://evil.example",
    "www.evil.example",
    "<script>alert(1)</script>",
    "&lt;b&gt;",
    "`code`",
    "*b* _i_ __b__ ~~s~~",
    "a|b",
    "back\\slash",
    "# title",
    "1. one",
    "- item",
    "---",
    "[0]",
    "*star",
    "{x}~^%&#",
    "_hidden",
    "\x1b[31mred\x1b]0;title\x07",
    "\x9b2J",
    "right\u202eleft",
    "not UTF-8 \udcff",
]
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")


def table(name: str) -> Table:
    columns = [Column("name", name, label=True), Column("gain", "gain", "points")]
    return Table("made", columns, [{"name": name, "gain": -0.5}], title=name, notes=[name], facts={"name": name})


def visible(name: str) -> str:
    """The name with its control characters written out."""
    return CONTROL.sub(lambda found: repr(found[0])[1:-1], name)


def experiment(*names: str) -> ExperimentRecord:
    made = of_accuracies({name: [90.0 + place, 91.0, 92.5] for place, name in enumerate(["stride-pad", *names])})
    costs = [CostRecord(run.network, run.shortcut, parameters=5, step_ms=2.0) for run in made.runs]
    return dataclasses.replace(made, name=names[0], costs=costs)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("format_", FORMATS)
def test_no_format_holds_a_control_character_or_fails_to_encode(name: str, format_: str) -> None:
    text = render([table(name)], format_)
    assert not CONTROL.search(text)
    text.encode()


@pytest.mark.parametrize("name", HOSTILE)
def test_terminal_shows_the_name_as_it_is(name: str) -> None:
    assert visible(" ".join(name.split())) in render([table(name)], "table")


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_is_the_text_and_nothing_else(name: str) -> None:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    alone = parser.render(escape_markdown(name))
    assert re.fullmatch(r"<p>[^<]*</p>\n", alone), alone
    page = parser.render(render([table(name)], "markdown"))
    assert set(re.findall(r"<(\w+)", page)) == {"h3", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    texts: list[str] = []
    reader = HTMLParser()
    reader.handle_data = texts.append  # type: ignore[method-assign]
    reader.feed(page)
    assert visible(" ".join(name.split())) in "".join(texts)


@pytest.mark.parametrize(
    "address", ["http://evil.example", "see https://evil.example/x", "www.evil.example", "a@b.example"]
)
def test_github_makes_no_link_of_an_address(address: str) -> None:
    """GitHub's autolinks need the address unbroken."""
    assert not re.search(r"(https?://|www\.)\w|\w@\w", escape_markdown(address))


@pytest.mark.parametrize("name", HOSTILE)
def test_csv_holds_no_formula_and_numbers_stay_numbers(name: str) -> None:
    heading, row = csv.reader(io.StringIO(render([table(name)], "csv")))
    assert heading == ["name", "gain"]
    assert not row[0].lstrip().startswith(("=", "+", "-", "@"))
    assert row[0].removeprefix("'") == visible(name)
    assert float(row[1]) == -0.5


@pytest.mark.parametrize("name", HOSTILE)
def test_json_gives_the_name_back_unchanged(name: str) -> None:
    document = json.loads(render([table(name)], "json"))
    assert (document["rows"][0]["name"], document["name"]) == (name, name)


@pytest.mark.parametrize("name", HOSTILE)
def test_latex_has_no_active_character_of_the_names(name: str) -> None:
    text = escape_latex(name)
    for ours in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}", "$<$", "$>$", "{[}", "{*}", "-{}-"):
        text = text.replace(ours, "")
    assert not re.search(r"(?<!\\)[&%$#_{}~^]", text), text
    assert not text.startswith(("[", "*"))


def test_a_page_holds_no_element_of_a_name() -> None:
    html = report_html(judge(experiment(*HOSTILE)), drawings=[])
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert not CONTROL.search(html)
    html.encode()


@pytest.mark.parametrize("format_", FORMATS)
def test_a_whole_comparison_of_hostile_names(format_: str) -> None:
    text = comparison_text(judge(experiment(*HOSTILE)), format_)
    assert not CONTROL.search(text)
    assert "<script>alert(1)" not in (text if format_ == "markdown" else "")


def test_figures_show_names_as_they_are_and_label_every_series() -> None:
    for drawing in figures(judge(experiment(*HOSTILE))):
        roots = [ElementTree.fromstring(part) for part in drawing.inline_svgs()]  # noqa: S314
        texts = ["".join(element.itertext()) for root in roots for element in root.iter() if "text" in element.tag]
        shown = {text.removeprefix("\u200b").split(" 9")[0] for text in texts}  # without the accuracy beyond the axis
        assert {visible(name).strip() for name in HOSTILE} <= {text.strip() for text in shown}, drawing.name
        drawing.render("png")


def test_a_network_of_a_received_plan_names_no_file_elsewhere() -> None:
    made = whole(("../../elsewhere/x",), seeds=2, names=("stride-pad", "max-pad"))
    assert all(Path(name).name == name for name, _ in figure_files(figures(judge(made))))


@pytest.mark.parametrize("content", [b"text.usetex: True\nbackend: nonsense\n", b"\xff\xfe", None])
def test_a_matplotlibrc_in_the_working_folder_changes_nothing(tmp_path: Path, content: bytes | None) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tests.tables.test_hostile_names import experiment\n"
        "from resnet_shortcuts.analysis.cost_figure import cost_figure\n"
        "import hashlib; print(hashlib.sha256(cost_figure(experiment('B')).render('svg')).hexdigest())\n"
    )
    root = str(Path(__file__).parents[2])

    def drawn(folder: Path) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, root],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert done.stderr == ""
        return done.stdout

    (tmp_path / "plain").mkdir()
    rc = tmp_path / "matplotlibrc"
    os.mkfifo(rc) if content is None else rc.write_bytes(content)
    assert drawn(tmp_path) == drawn(tmp_path / "plain")
