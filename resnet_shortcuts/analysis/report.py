"""The report: one HTML file that needs nothing else, readable on a phone, on paper, in the dark and without a mouse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from resnet_shortcuts import garbage_collector
from resnet_shortcuts.analysis.claims import Claim
from resnet_shortcuts.analysis.drawing import Drawing
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, in_order
from resnet_shortcuts.analysis.figures import figures
from resnet_shortcuts.analysis.glossary import TERMS, strategies_of
from resnet_shortcuts.analysis.published import Published
from resnet_shortcuts.analysis.result_tables import (
    answer_table,
    claims_table,
    detail_table,
    network_table,
    published_table,
)
from resnet_shortcuts.analysis.result_text import answer
from resnet_shortcuts.analysis.summary import compare_table, terminal_view
from resnet_shortcuts.analysis.verdicts import NOT_SETTLED, Verdicts
from resnet_shortcuts.tables import Table
from resnet_shortcuts.tables.escaping import escape_html

QUESTION = "Which shortcut should a residual network use where the dimensions change?"


@garbage_collector.at_rest()
def report_html(
    verdicts: Verdicts,
    *,
    notes: Sequence[str] = (),
    claims: Sequence[Claim] = (),
    publications: Sequence[Published] = (),
    drawings: Sequence[Drawing] | None = None,
    command: str = "",
) -> str:
    """The report on one (merged) experiment as HTML: no network, no external font or script.

    ``drawings`` (default: all) are set in as SVG; ``command`` reproduces the report, ``record.command`` trains the
    runs.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("resnet_shortcuts.analysis"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_page_text,
    )  # fmt: skip
    record = verdicts.record
    shown = figures(verdicts) if drawings is None else drawings
    networks = in_order(key[0] for key in verdicts.failures)
    tables = [network_table(verdicts)] if len(networks) > 1 and verdicts.comparisons else []
    details = []
    if verdicts.comparisons:
        tables += [answer_table(verdicts, network, network == networks[0]) for network in networks]
        details = [detail_table(verdicts, network, network == networks[0]) for network in networks]
    return environment.get_template("report.html.j2").render(
        question=QUESTION,
        name=record.name,
        regime=record.regime.sentence(),
        answers=answer(verdicts),
        warnings=record.data_warnings,
        unsettled=any(one.verdict == NOT_SETTLED for one in verdicts.comparisons),
        strategies=strategies_of(record, with_claims=bool(claims)),
        terms=TERMS if claims else (),
        claims=_html(claims_table(claims)) if claims else None,
        tables=[_html(table) for table in tables],
        details=[_html(table) for table in details],
        costs=_html(terminal_view(compare_table(record, notes))),
        published=_html(published_table(publications)) if publications else None,
        figures=[_figure(drawing) for drawing in shown],
        method=_method(verdicts),
        config=record.config_text,
        environment=_environment(record),
        commands=[line for line in (record.command, command) if line],
        style=Markup(_file("report.css")),  # noqa: S704 - our own file
        script=Markup(_file("report.js")),  # noqa: S704
    )


def _page_text(value: Any) -> Any:
    """What the template writes: text escaped, HTML of ours as it is."""
    return escape_html(value) if type(value) is str else value


def _file(name: str) -> str:
    return resources.files("resnet_shortcuts.analysis").joinpath("templates", name).read_text(encoding="utf-8")


def _figure(drawing: Drawing) -> dict[str, Any]:
    from markupsafe import Markup

    svgs = [Markup(one) for one in drawing.inline_svgs()]  # noqa: S704 - matplotlib escapes what it writes
    panels = len(drawing.figure.axes)
    return {
        "name": drawing.name, "title": drawing.title, "alt": drawing.alt, "note": drawing.note, "panels": svgs[:panels],
        "legends": svgs[panels:],
    }  # fmt: skip


def _html(table: Table) -> dict[str, Any]:
    """A table as the template takes it: headings, and rows of cells with their text and what they are sorted by."""
    rows = []
    for row, texts in zip(table.rows, table.texts(), strict=True):
        cells = []
        for column, text in zip(table.columns, texts, strict=True):
            cells.append({
                "text": text, "numeric": column.numeric, "label": column.label, "key": column.key,
                "sort": _sort_value(row.get(column.key)), "tone": _tone(column.key, text),
            })  # fmt: skip
        rows.append(cells)
    heads = [{"text": column.heading, "numeric": column.numeric} for column in table.columns]
    return {"title": table.title, "heads": heads, "rows": rows, "notes": table.notes, "kind": table.kind}


def _sort_value(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        value = value[0] if value else None
    return "" if value is None else str(value)


def _tone(key: str, text: str) -> str:
    """A class that colours a verdict; the words say it as well."""
    if key != "verdict":
        return ""
    words = {"better": "good", "true": "good", "worse": "bad", "false": "bad", "fails": "bad"}
    return next((tone for word, tone in words.items() if text.startswith(word)), "")


def _method(verdicts: Verdicts) -> list[str]:
    record = verdicts.record
    recipe = ", ".join(f"{key} {_flat(value)}" for key, value in record.regime.recipe.items())
    data = ", ".join(f"{key} {_flat(value)}" for key, value in record.regime.data.items())
    untrained = ""
    if record.fail_above:
        untrained = f", one that ends with a training error above {record.fail_above:g} % as untrained"
    lines = [
        "For one seed every strategy sees the same batches and the same augmentation, and parameters that two "
        "strategies share by name and shape start equal. Accuracy is that of the last epoch; the best epoch is nowhere "
        "used.",
        f"A run that crashed, ran out of memory or diverged counts as failed{untrained}; failures are counted before "
        "any verdict, and compared by Fisher's exact test (Holm). Means are over finished runs. Failed runs have no "
        "accuracy and are no part of the paired tests.",
        "The figures hold for the regime named beside them; nothing here says what longer training or other data would "
        "give.",
    ]
    if recipe:
        lines.append(f"Recipe: {recipe}.")
    if data:
        lines.append(f"Data: {data}.")
    return lines


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {_flat(item)}" for key, item in value.items()) + ")"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flat(item) for item in value) + "]"
    return str(value)


def _environment(record: ExperimentRecord) -> list[tuple[str, str]]:
    """Each fact that runs recorded of their environment, with every value that it took."""
    found: dict[str, dict[str, None]] = {}
    for run in record.runs:
        for key, value in run.environment.items():
            found.setdefault(str(key), {})[_flat(value)] = None
    return [(key, "; ".join(values)) for key, values in found.items()]
