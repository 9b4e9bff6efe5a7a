"""The report: one HTML file that needs nothing else, readable on a phone, on paper, in the dark and without a mouse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from resnet_shortcuts import garbage_collector
from resnet_shortcuts.analysis.answer import answer
from resnet_shortcuts.analysis.claims import Claim
from resnet_shortcuts.analysis.drawing import Drawing
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, in_order
from resnet_shortcuts.analysis.figures import figures
from resnet_shortcuts.analysis.glossary import TERMS, strategies_of
from resnet_shortcuts.analysis.procedure import INCONCLUSIVE
from resnet_shortcuts.analysis.published import Published
from resnet_shortcuts.analysis.result_tables import (
    answer_table,
    claims_table,
    detail_table,
    network_table,
    published_table,
)
from resnet_shortcuts.analysis.summary import compare_table, terminal_view
from resnet_shortcuts.analysis.verdicts import NOT_SETTLED, Verdicts
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
    environment = Environment(
        loader=PackageLoader("resnet_shortcuts.analysis"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_page_text,
    )  # fmt: skip
    environment.filters |= {"sort_key": _sort_key, "tone": _tone}
    record = verdicts.record
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
        answers=[*answer(verdicts).sentences, *answer(verdicts).pending],
        warnings=record.data_warnings,
        inconclusive=INCONCLUSIVE if verdicts.sealed else NOT_SETTLED,
        any_inconclusive=any(each.verdict in (NOT_SETTLED, INCONCLUSIVE) for each in verdicts.comparisons),
        strategies=strategies_of(record, with_claims=bool(claims)),
        terms=TERMS if claims else (),
        claims=claims_table(claims) if claims else None,
        tables=tables,
        details=details,
        costs=terminal_view(compare_table(record, notes)),
        published=published_table(publications) if publications else None,
        figures=figures(verdicts) if drawings is None else drawings,
        method=_method(verdicts),
        config=record.config_text,
        environment=_environment(record),
        commands=[line for line in (record.command, command) if line],
    )


def _page_text(value: Any) -> Any:
    """What the template writes: text escaped, the figures' SVG as it is."""
    return escape_html(value) if type(value) is str else value


def _sort_key(value: Any) -> str:
    """What a cell is sorted by: an interval by its lower end."""
    if isinstance(value, (tuple, list)):
        value = next(iter(value), None)
    return "" if value is None else str(value)


def _tone(text: str) -> str:
    """The class that colours a verdict; the words say it as well."""
    words = {"better": "good", "true": "good", "worse": "bad", "false": "bad", "fails": "bad"}
    return next((tone for word, tone in words.items() if text.startswith(word)), "")


def _method(verdicts: Verdicts) -> list[str]:
    record = verdicts.record
    untrained = ""
    if record.fail_above:
        untrained = f", one that ends with a training error above {record.fail_above:g} % as untrained"
    conditions = {"Recipe": record.regime.recipe, "Data": record.regime.data}
    return [
        "For one seed every strategy sees the same batches and the same augmentation, and parameters that two "
        "strategies share by name and shape start equal. Accuracy is that of the last epoch; the best epoch is nowhere "
        "used.",
        f"A run that crashed, ran out of memory or diverged counts as failed{untrained}; failures are counted before "
        "any verdict, and compared by Fisher's exact test (Holm). Means are over finished runs. Failed runs have no "
        "accuracy and are no part of the paired tests.",
        "The figures hold for the regime named beside them; nothing here says what longer training or other data would "
        "give.",
        *(f"{title}: {_flat(values)[1:-1]}." for title, values in conditions.items() if values),
    ]


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {_flat(item)}" for key, item in value.items()) + ")"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flat(item) for item in value) + "]"
    return str(value)


def _environment(record: ExperimentRecord) -> list[tuple[str, str]]:
    """Each fact that runs recorded of their environment, with every value that it took."""
    environments = [run.environment for run in record.runs]
    return [
        (key, "; ".join(in_order(_flat(environment[key]) for environment in environments if key in environment)))
        for key in in_order(key for environment in environments for key in environment)
    ]
