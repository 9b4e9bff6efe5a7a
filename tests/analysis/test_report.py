"""The report as a file and in a real browser: self-contained, sortable by mouse and keys, no error, at any width."""

import base64
import dataclasses
import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from resnet_shortcuts.analysis.claims import are_compared, judge_claims
from resnet_shortcuts.analysis.drawing import PAGE
from resnet_shortcuts.analysis.figures import figure_files, figures
from resnet_shortcuts.analysis.published import published
from resnet_shortcuts.analysis.report import report_html
from resnet_shortcuts.analysis.verdicts import judge
from tests.analysis import browser
from tests.analysis.made import of_accuracies, whole

NETWORKS = ("cifar-resnet-20", "cifar-resnet-56")
ENTER, SPACE = "\ue007", " "
needs_browser = pytest.mark.skipif(bool(browser.missing()), reason=browser.missing())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = whole(NETWORKS)
    html = report_html(judge(made), claims=judge_claims(made), publications=published(made), command="rsc report made")
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def desk(page: Path) -> Iterator[browser.Browser]:
    with browser.browser(1280) as opened:
        opened.open(page)
        yield opened


def test_needs_nothing_else_and_stays_small(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(text.encode()) < 3_000_000
    assert not re.search(
        r"""(?:src|href|action)=["']?(?!#|data:)[^"'\s>]*[:/]""", re.sub(r"xlink:href|xmlns\S*", "", text)
    )
    assert not re.search(r"@import|url\((?!#)", text)
    assert "default-src 'none'" in text


def test_every_figure_has_words_and_every_id_is_its_own(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg ") > text.count('role="img"') == text.count("<figcaption>") > 8
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_the_answer_comes_first_then_details_in_order(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    order = ("answer", "accuracy", "costs", "dependence", "curves", "compared", "claims", "method", "reproduce")
    places = [text.index(f'<section id="{name}"') for name in order]
    assert places == sorted(places)
    assert text.index("gains") < text.index('id="f-differences') < text.index('id="t-first"') < places[1]
    assert "rsc report made" in text


def test_reproduce_works_on_another_machine() -> None:
    """The config is on the page and the command starts from it; no path of the machine that wrote the page."""
    made = dataclasses.replace(
        whole(seeds=3),
        command="rsc train --config /home/me/results/made/config.yaml --results /home/me/results",
        config_text="name: made\ndata:\n  root: /home/me/photographs\n"
        "shortcuts:\n- A\n- /home/me/code/mine.py:Mine\n- {of: '../of.py:Of', name: 1/2}\n- ./near.py:Near\n",
        missing=[("cifar-resnet-20", "plain", 7)],
    )
    html = report_html(judge(made), drawings=[], command="rsc report made")
    (config,) = re.findall(r'href="data:text/yaml;base64,([^"]*)" download="made.yaml"', html)
    assert base64.b64decode(config).decode() == (
        "name: made\ndata:\n  root: photographs\n"
        "shortcuts:\n- A\n- ./mine.py:Mine\n- {of: './of.py:Of', name: 1/2}\n- ./near.py:Near\n"
    )
    assert "custom strategies are read from mine.py, of.py, near.py beside it" in html
    assert "rsc train --config made.yaml" in html
    assert "/home/me" not in html


def test_missing_runs_are_warned_of_before_the_answer() -> None:
    made = dataclasses.replace(whole(seeds=3), missing=[("cifar-resnet-20", "plain", 7)])
    html = report_html(judge(made), drawings=[])
    assert 0 < html.index("1 of 28 runs not finished") < html.index('class="answer"')
    assert "Not complete" not in report_html(judge(whole(seeds=3)), drawings=[])


def test_claims_are_judged_where_the_experiment_compares_what_they_name() -> None:
    assert are_compared(whole(seeds=1))
    assert not are_compared(whole(seeds=1, names=("stride-pad", "max-pad")))
    assert 'id="claims"' not in report_html(judge(whole(seeds=3)), drawings=[])


def test_what_users_name_is_escaped() -> None:
    made = of_accuracies({"<script>alert(1)</script>": [90.0, 91.0, 92.0], "A&B": [91.0, 91.5, 90.0]}, name="<b>")
    html = report_html(judge(made))
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


@pytest.mark.parametrize("accuracies", [{"A": [90.0]}, {"A": [None, None]}, {"A": [90.0], "x": [None]}])
def test_a_poor_experiment_still_gives_a_report(accuracies: dict[str, list[float | None]]) -> None:
    assert "</html>" in report_html(judge(of_accuracies(accuracies)))


def test_every_figure_comes_as_svg_png_and_pdf() -> None:
    files = dict(figure_files(figures(judge(whole(seeds=3, names=("stride-pad", "max-pad"))))))
    assert {name.rpartition(".")[2] for name in files} == {"svg", "png", "pdf"}
    names = {name.rpartition(".")[0] for name in files}
    kinds = {"differences", "cost", "breakdown", "curves-accuracy", "curves-loss"}
    assert names == {f"{kind}-cifar-resnet-20" for kind in kinds}
    starts = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}
    assert all(content.startswith(starts[name.rpartition(".")[2]]) for name, content in files.items())


def test_the_figures_say_that_their_bars_are_unadjusted() -> None:
    drawings = {one.name: one for one in figures(judge(whole(("cifar-resnet-20", "cifar-resnet-56"), seeds=3)))}
    for name in ("differences-cifar-resnet-20", "cost-cifar-resnet-56"):
        assert "unadjusted" in re.sub(r"<[^>]*>", "", "".join(drawings[name].inline_svgs())), name
    assert "not adjusted" in drawings["differences-cifar-resnet-20"].alt


def column(opened: browser.Browser, index: int) -> list[str]:
    script = (
        "return [...document.querySelectorAll('#t-first tbody tr')].map(row => row.cells[arguments[0]].dataset.sort)"
    )
    return list(opened.run(script, index))


@needs_browser
def test_no_console_error_with_the_network_off(desk: browser.Browser) -> None:
    assert desk.console() == []
    assert desk.run("return performance.getEntriesByType('resource').length") == 0


@needs_browser
def test_tables_are_sorted_by_mouse_both_ways(desk: browser.Browser) -> None:
    """The first table is a matrix of differences; 'time' is its last column."""
    last = desk.run("return document.querySelectorAll('#t-first thead th').length")
    head = f"#t-first thead th:nth-child({last})"
    desk.click(f"{head} button")
    rising = column(desk, last - 1)
    assert rising == sorted(rising, key=lambda text: (text == "", text))
    assert desk.run("return document.querySelector(arguments[0]).getAttribute('aria-sort')", head) == "ascending"
    desk.click(f"{head} button")
    assert [value for value in column(desk, last - 1) if value] == [value for value in rising if value][::-1]
    assert desk.run("return document.querySelector(arguments[0]).getAttribute('aria-sort')", head) == "descending"


@needs_browser
@pytest.mark.parametrize("key", [ENTER, SPACE])
def test_tables_are_sorted_by_keys(desk: browser.Browser, key: str) -> None:
    desk.run("document.querySelector('#t-first thead th:nth-child(2)').setAttribute('aria-sort', 'none')")
    desk.press("#t-first thead th:nth-child(2) button", key)
    names = column(desk, 1)
    assert names == sorted(names)


@needs_browser
def test_what_is_not_known_stays_last_and_numbers_are_shown_on_hover(desk: browser.Browser) -> None:
    script = "return [...document.querySelectorAll('#t-verdict-2 tbody tr')].map(row => row.cells[2].dataset.sort)"
    desk.run("for (const part of document.querySelectorAll('details')) part.open = true")
    for _ in range(2):
        desk.click("#t-verdict-2 thead th:nth-child(3) button")
        assert desk.run(script)[-1] == ""
    desk.run("for (const part of document.querySelectorAll('details')) part.open = false")
    cells = "return [...document.querySelectorAll('#t-verdict-1 td[title]')].length"
    assert desk.run(cells) > 20
    titles = "return [...document.querySelectorAll('.first svg title')].map(one => one.textContent)"
    assert any("projection-all +" in words for words in desk.run(titles))


@needs_browser
@pytest.mark.parametrize("networks", [NETWORKS[:1], NETWORKS])
def test_question_answer_figure_and_table_are_the_first_screen(tmp_path: Path, networks: tuple[str, ...]) -> None:
    """1280x800 shows them whole; a phone shows all of the report in less than eight screens."""
    path = tmp_path / "page.html"
    path.write_text(report_html(judge(whole(networks)), command="rsc report made"), encoding="utf-8")
    bottoms = "return ['h1', '.answer', '.first svg', '#t-first'].map(css => document.querySelector(css))"
    bottoms += ".map(one => one.getBoundingClientRect().bottom)"
    with browser.browser(1280, 943) as opened:
        opened.open(path)
        assert opened.run("return innerHeight") == 800
        assert max(opened.run(bottoms)) <= 800
    with browser.browser(390, 844) as opened:
        opened.open(path)
        assert opened.run("return document.documentElement.scrollHeight") < 8 * 844


@needs_browser
@pytest.mark.parametrize(("width", "dark"), [(1280, True), (390, False), (390, True)])
def test_nothing_runs_over_the_edge_of_the_screen(page: Path, width: int, dark: bool) -> None:
    with browser.browser(width, 844, dark=dark) as opened:
        opened.open(page)
        assert opened.run("return innerWidth") == width
        assert opened.run("return document.documentElement.scrollWidth") <= width
        assert opened.run("return matchMedia('(prefers-color-scheme: dark)').matches") is dark
        ink, paper = opened.run("const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]")
        assert contrast(ink, paper) > 7
        assert opened.console() == []


# Each text of a figure: how large it is on the screen, and how far left and right it reaches.
LETTERING = """return [...document.querySelectorAll("figure svg text")].map(text => {
  const scale = text.getScreenCTM(), place = text.getBoundingClientRect();
  return [Math.hypot(scale.a, scale.b) * parseFloat(getComputedStyle(text).fontSize), place.left, place.right];
})"""
# What would have to be scrolled sideways to be read, but for the tables of numbers.
SCROLLED = """return [...document.querySelectorAll("main *")].filter(
  one => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX === "auto"
).flatMap(one => [...one.querySelectorAll("table, svg, p")].map(inner => inner.id || inner.tagName))"""


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_figures_are_read_without_scrolling_sideways(page: Path, width: int) -> None:
    with browser.browser(width, 844) as opened:
        opened.open(page)
        opened.run("for (const part of document.querySelectorAll('details')) part.open = true")
        texts = [text for text in opened.run(LETTERING) if text[0]]  # what is switched off has no size
        assert len(texts) > 100
        assert min(size for size, _, _ in texts) >= 10
        assert min(left for _, left, _ in texts) >= 0
        assert max(right for _, _, right in texts) <= width
        scrolled = set(opened.run(SCROLLED))
        assert not any("svg" in name or "claims" in name or "first" in name for name in scrolled)
        assert width > 500 or "t-published" not in scrolled
        captions = "[...document.querySelectorAll('.caption')].map(one => one.getBoundingClientRect().right)"
        assert max(opened.run(f"return {captions}")) <= width


@needs_browser
def test_a_panel_is_a_picture_of_its_own_and_shows_what_the_whole_figure_shows(desk: browser.Browser) -> None:
    """Cutting loses no mark: each part holds what matplotlib drew into that panel."""
    (drawing,) = [one for one in figures(judge(whole(NETWORKS)), PAGE) if one.name == "breakdown-cifar-resnet-20"]
    whole_svg = drawing._bytes("svg", "none", "none").decode()
    parts = drawing.inline_svgs()
    assert len(parts) == 2
    for tag in ("<use ", "<text ", "<path "):
        around = whole_svg.split('<g id="axes_1">')[0].count(tag)
        assert sum(part.count(tag) for part in parts) == whole_svg.count(tag) - around, tag
    drawn = desk.run("return document.querySelectorAll('#f-breakdown-cifar-resnet-20 use').length")
    assert drawn == whole_svg.count("<use ")
    found = "use => document.querySelector(use.getAttribute('xlink:href'))"
    assert desk.run(f"return [...document.querySelectorAll('figure use')].every({found})")


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two CSS colours."""

    def light(colour: str) -> float:
        parts = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([light(one), light(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.torture
@pytest.mark.skipif(not os.environ.get("RSC_TORTURE"), reason="set RSC_TORTURE for the full size")
def test_nine_strategies_five_networks_twenty_seeds_ten_thousand_images() -> None:
    made = whole([f"cifar-resnet-{depth}" for depth in (20, 32, 44, 56, 110)], seeds=20, images=10_000, epochs=164)
    html = report_html(judge(made), claims=judge_claims(made))
    assert len(html.encode()) < 3_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2**20  # KiB: 1 GiB
