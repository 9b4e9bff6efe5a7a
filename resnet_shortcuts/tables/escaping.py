"""Escaping of text from configs, plans, files and plugins: one function for each place that text is written to.

Names may be hostile (a received plan, a plugin): written anywhere, they must stay text. Every function here makes
control characters visible first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

# C0 without tab and newline, C1, line separators, marks that reorder text, and what UTF-8 cannot encode.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_MARKDOWN = re.compile(
    r"[\\|*<>`\[\]!$@]|~(?=~)|(?<![^\W_])_|_(?![^\W_])"
    r"|&(?=[#\w]+;)|:(?=//)|(?<=www)\."  # entities and addresses that GitHub makes links of
)
_MARKDOWN_BLOCK = re.compile(r"^(?:[-+](?=\s|$)|#+(?=\s|$)|[-=]{2,}\s*$|\d+(?=[.)](?:\s|$)))")
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "–": "--", "±": r"$\pm$", "×": r"$\times$",
    "<": "$<$", ">": "$>$", "≥": r"$\ge$", "≤": r"$\le$", "…": r"\ldots{}", "’": "'", "²": "$^2$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$",
}  # fmt: skip
_LAST_LETTER = "\u024f"  # pdflatex's fonts hold Latin letters; a letter beyond them stops it


def escape_terminal(text: str) -> str:
    r"""Control characters become visible (``\x1b``), so that no text moves a cursor or changes a colour.

    Tabs and newlines are kept.
    """
    return _CONTROL.sub(lambda match: _code(match[0]), text)


def escape_json(text: str) -> str:
    r"""A JSON document with the control characters that `json.dumps` leaves alone written as ``\u009b``."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def escape_csv(text: str) -> str:
    """A text cell that no spreadsheet takes for a formula: one that could begin a formula gets an apostrophe."""
    text = escape_terminal(text)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def escape_markdown(text: str) -> str:
    """One line of GitHub's Markdown in which the text is only text: no link, image, HTML, emphasis, list or math."""
    line = _MARKDOWN.sub(lambda match: "\\" + match[0], escape_terminal(" ".join(text.split())))
    return _MARKDOWN_BLOCK.sub(lambda match: f"{match[0]}\\" if match[0].isdigit() else f"\\{match[0]}", line)


def escape_latex(text: str) -> str:
    """Text for pdflatex; letters that its fonts lack become '?'."""
    parts = escape_terminal(text).split("--")  # of a command's option: TeX would make a dash of it
    line = "-{}-".join("".join(map(_latex_character, part)) for part in parts)
    return f"{{{line[0]}}}{line[1:]}" if line.startswith(("[", "*")) else line  # not an argument of the \\ before it


def _latex_character(character: str) -> str:
    return _LATEX.get(character, character if character <= _LAST_LETTER else "?")


def escape_html(text: str) -> Markup:
    """Text for an HTML page, outside of scripts and styles."""
    from markupsafe import escape

    return escape(escape_terminal(text))


def escape_figure(text: str) -> str:
    """Text for a matplotlib figure, whose style (`analysis.drawing`) turns mathtext off.

    A first underscore would keep a series out of the legend: it comes after a space of no width.
    """
    text = escape_terminal(text)
    return f"\u200b{text}" if text.startswith("_") else text


def _code(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"
