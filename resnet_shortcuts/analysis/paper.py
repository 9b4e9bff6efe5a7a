"""What a paper needs of a comparison: methods paragraph, tables, figures, BibTeX, the commands, and the numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from resnet_shortcuts.analysis.claims import Claim
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, in_order, pretty_network
from resnet_shortcuts.analysis.paper_tables import label_of, paper_tables
from resnet_shortcuts.analysis.portable_configs import portable_configs, training_commands
from resnet_shortcuts.analysis.protocol import (
    data_sentence,
    failures_sentence,
    listed,
    missing_sentence,
    networks_of,
    recipe_sentence,
    rule_sentence,
    seeds_sentence,
)
from resnet_shortcuts.analysis.result_text import comparison_text
from resnet_shortcuts.analysis.verdicts import Verdicts
from resnet_shortcuts.shortcuts.catalogue import Strategy, strategies
from resnet_shortcuts.tables.escaping import escape_latex, escape_terminal
from resnet_shortcuts.words import counted

if TYPE_CHECKING:
    from resnet_shortcuts.analysis.drawing import Drawing

OF_DATA = {
    "digits": "pedregosa2011",
    "cifar10": "krizhevsky2009",
    "cifar100": "krizhevsky2009",
    "imagenet": "russakovsky2015",
    "tiny-imagenet": "le2015tiny",
    "imagenette": "howard2019imagenette",
}
OF_FAMILY = {"resnet": "he2016deep", "preresnet": "he2016identity", "pyramidnet": "han2017pyramidal"}
TEXT_WIDTH = 4.8  # inches of LaTeX's `article`; a wider figure is shrunk to it
FAIRNESS = (
    "For one seed every strategy sees the same batches with the same augmentation, and parameters that two strategies "
    "share by name and shape start equal."
)
PAGE = r"""% The parts as one page: pdflatex paper; bibtex paper; pdflatex paper; pdflatex paper
\documentclass{article}
\usepackage{booktabs,graphicx}
\setlength{\emergencystretch}{2em}
\begin{document}
\input{methods}
\input{tables}
\input{figures}
\clearpage
\bibliographystyle{plain}
\bibliography{references}
\end{document}
"""


def paper_files(
    verdicts: Verdicts,
    drawings: Sequence[Drawing],
    commands: Sequence[str],
    notes: Sequence[str] = (),
    claims: Sequence[Claim] = (),
) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file: ``paper.tex`` inputs the others, ``compare.json`` holds every number.

    ``commands`` compare what the configs train. With ``claims`` they are a table, and stand in ``compare.json``.
    """
    methods, commands = methods_text(verdicts), [*training_commands(verdicts.record), *commands]
    texts = {
        "paper.tex": PAGE,
        "methods.tex": methods,
        "tables.tex": paper_tables(verdicts, notes, claims),
        "figures.tex": figures_text(verdicts, drawings),
        "references.bib": "\n".join(bibliography(cited(methods))),
        **portable_configs(verdicts.record),
        "commands.txt": "".join(f"{escape_terminal(command)}\n" for command in commands),
        "compare.json": comparison_text(verdicts, "json", notes=notes, claims=claims),
    }
    for name, text in texts.items():
        yield name, text.encode()
    for drawing in drawings:
        yield f"figures/{drawing.name}.pdf", drawing.render("pdf")


def methods_text(verdicts: Verdicts) -> str:
    """The methods paragraph in LaTeX, with a citation for every strategy, network, data set and test."""
    record = verdicts.record
    known = {strategy.name: strategy for strategy in strategies()}
    names = in_order(shortcut for _, shortcut in verdicts.failures)
    networks = networks_of(verdicts)
    families = in_order(key for name in networks for word, key in OF_FAMILY.items() if word in name.split("-"))
    pretty = escape_latex(listed([pretty_network(name) for name in networks]))
    compared = "; ".join(_strategy(name, known.get(name)) for name in names)
    sentences = [
        rf"\paragraph{{Methods.}} Residual networks ({pretty}{_cite(families)}) were trained with "
        f"{counted(len(names), 'shortcut strategy').replace('strategys', 'strategies')}: {compared}.",
        escape_latex(data_sentence(record.regime)) + _cite([OF_DATA.get(record.regime.source, "")]),
        escape_latex(recipe_sentence(record.regime)),
        FAIRNESS,
        escape_latex(seeds_sentence(verdicts)),
        *_rule(verdicts),
        escape_latex(failures_sentence(verdicts)),
        escape_latex(missing_sentence(record)),
        escape_latex(_costs(record)),
        escape_latex(_software(record)) + _cite(["paszke2019"]),
    ]
    return "\n".join(_cited_before_the_stop(sentence) for sentence in sentences if sentence) + "\n"


def _strategy(name: str, strategy: Strategy | None) -> str:
    if strategy is None:
        return f"{escape_latex(name)} (custom)"
    letter = next((f"option {alias}: " for alias in strategy.aliases if len(alias) == 1), "")
    return f"{escape_latex(f'{name} ({letter}{strategy.summary})')}{_cite(strategy.references)}"


def _rule(verdicts: Verdicts) -> list[str]:
    if not verdicts.comparisons:
        return []
    key = "holm1979" if verdicts.sealed is None else "lan1983"
    first, stop, rest = rule_sentence(verdicts).partition(". ")
    return [escape_latex(first) + _cite([key]) + escape_latex(stop + rest)]


def _costs(record: ExperimentRecord) -> str:
    if not record.costs:
        return "Costs were not measured."
    first = record.costs[0]
    place = [f"batch size {first.batch_size}" if first.batch_size else "", first.precision, first.hardware]
    where = ", ".join(part for part in place if part)
    conditions = (
        "while other programs ran" if any(cost.disturbed for cost in record.costs) else "with nothing else running"
    )
    return f"Costs were measured separately, {conditions}, strategies interleaved{f' ({where})' if where else ''}."


def _software(record: ExperimentRecord) -> str:
    """Which program and PyTorch trained on which processors, as the runs recorded it."""
    environments = [run.environment for run in record.runs if run.environment]
    packages = [environment.get("packages") or {} for environment in environments]
    torch = _values("torch", packages)
    version = _values("resnet_shortcuts", environments)
    place = in_order(str(each.get("gpu") or each.get("cpu") or each.get("device")) for each in environments)
    program = f"resnet_shortcuts {listed(version)}" if version else "resnet_shortcuts"
    on = f" on {listed(place)}" if place else ""
    return f"Runs were trained with {program} and PyTorch{f' {listed(torch)}' if torch else ''}{on}."


def _values(key: str, mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    return in_order(str(mapping[key]) for mapping in mappings if mapping.get(key))


def _cite(keys: Iterable[str]) -> str:
    named = [key for key in keys if key]
    return rf"~\cite{{{','.join(named)}}}" if named else ""


def _cited_before_the_stop(sentence: str) -> str:
    r"""``text~\cite{key}.`` of ``text.~\cite{key}``."""
    return re.sub(r"\.(~\\cite\{[^}]*\})$", r"\1.", sentence)


def cited(text: str) -> list[str]:
    """Every key that a LaTeX text cites, in the order of first use."""
    return in_order(key for keys in re.findall(r"\\cite\{([^}]*)\}", text) for key in keys.split(","))


def bibliography(keys: Iterable[str]) -> list[str]:
    """The BibTeX entries of these keys. Raises KeyError for one that is not in ``references.bib``."""
    entries = references()
    return [entries[key] for key in keys]


def references() -> dict[str, str]:
    """Every entry of the shipped ``references.bib`` by its key."""
    text = resources.files("resnet_shortcuts.analysis").joinpath("references.bib").read_text(encoding="utf-8")
    entries = re.split(r"(?m)^(?=@)", text)
    return {match[1]: entry.strip() + "\n" for entry in entries if (match := re.match(r"@\w+\{([^,]+),", entry))}


def figures_text(verdicts: Verdicts, drawings: Sequence[Drawing]) -> str:
    """A float a figure, with its title and how to read it as caption."""
    floats = []
    for drawing in drawings:
        wide = drawing.figure.get_size_inches()[0] > TEXT_WIDTH
        size = r"width=\linewidth,height=0.8\textheight,keepaspectratio" if wide else "scale=1"
        caption = " ".join(part if part.endswith(".") else f"{part}." for part in (drawing.title, drawing.note) if part)
        floats.append(
            "\\begin{figure}\n\\centering\n"
            rf"\includegraphics[{size}]{{figures/{drawing.name}.pdf}}" + "\n"
            rf"\caption{{{escape_latex(caption)}}}" + "\n"
            rf"\label{{fig:{label_of(verdicts.record.name)}-{drawing.name}}}" + "\n\\end{figure}\n"
        )
    return "% needs \\usepackage{graphicx}\n" + "\n".join(floats)
