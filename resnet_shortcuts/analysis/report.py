"""The report: one HTML file that needs nothing else, readable on a phone, on paper, in the dark and without a mouse."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from resnet_shortcuts import __version__, garbage_collector
from resnet_shortcuts.analysis.answer import answer
from resnet_shortcuts.analysis.claims import Claim
from resnet_shortcuts.analysis.drawing import PAGE, Drawing
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, Regime, in_order, pretty_network
from resnet_shortcuts.analysis.figures import figures
from resnet_shortcuts.analysis.first_screen import legend
from resnet_shortcuts.analysis.glossary import TERMS, strategies_of
from resnet_shortcuts.analysis.overview import matrix_tables, overview_tables
from resnet_shortcuts.analysis.portable_configs import custom_files, portable_configs, training_commands
from resnet_shortcuts.analysis.procedure import INCONCLUSIVE, Interval
from resnet_shortcuts.analysis.published import Published
from resnet_shortcuts.analysis.result_tables import (
    answer_table,
    claims_table,
    cost_details,
    detail_table,
    published_table,
)
from resnet_shortcuts.analysis.summary import cost_notes, run_notes, terminal_view
from resnet_shortcuts.analysis.verdicts import NOT_SETTLED, Verdicts
from resnet_shortcuts.cost.cost_change import Change
from resnet_shortcuts.tables import Table
from resnet_shortcuts.tables.escaping import escape_html
from resnet_shortcuts.training.recipe import TrainSpec, learning_rate_course, total_steps

QUESTION = "Which shortcut should a residual network use where the dimensions change?"
_NARROW, _WIDE = 100, 200  # of a terminal: layouts of the first table, of one network beside the figure and of several


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

    ``drawings`` (default: all) are set in as SVG; ``command`` reproduces the report from the runs. The commands that
    train the runs start from the config, which the page holds, so that they work on any machine.
    """
    environment = Environment(
        loader=PackageLoader("resnet_shortcuts.analysis"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_page_text,
    )  # fmt: skip
    environment.filters |= {"sort_key": _sort_key, "exact": _exact, "unbroken": _unbroken}
    environment.tests["starting_with"] = str.startswith
    environment.globals["tone"] = _tone
    configs = _configs(verdicts.record)
    training = training_commands(verdicts.record)
    record = dataclasses.replace(verdicts.record, command=" && ".join(training))
    verdicts = dataclasses.replace(verdicts, record=record)
    networks = in_order(key[0] for key in verdicts.failures)
    compared = [network for network in networks if any(each.network == network for each in verdicts.comparisons)]
    return environment.get_template("report.html.j2").render(
        question=QUESTION,
        name=record.name,
        answer=answer(verdicts),
        machine=_machine(record),
        pages=figures(verdicts, PAGE) if drawings is None else drawings,
        first=_first_table(verdicts, networks),
        inconclusive=INCONCLUSIVE if verdicts.sealed else NOT_SETTLED,
        any_inconclusive=any(each.verdict in (NOT_SETTLED, INCONCLUSIVE) for each in verdicts.comparisons),
        run_notes=[*run_notes(record), *notes],
        tables=[answer_table(verdicts, network, network == compared[0]) for network in compared],
        details=[detail_table(verdicts, network, network == compared[0]) for network in compared],
        costs=[
            terminal_view(cost_details(verdicts, network, cost_notes(record) if network == networks[0] else ()))
            for network in networks
        ] if record.costs else [],
        strategies=strategies_of(record, with_claims=bool(claims)),
        terms=TERMS if claims else (),
        claims=claims_table(claims) if claims else None,
        published=published_table(publications) if publications else None,
        method=_method(verdicts),
        environment=_environment(record),
        configs=configs,
        commands=[*training, *filter(None, [command])],
    )  # fmt: skip


def _first_table(verdicts: Verdicts, networks: Sequence[str]) -> Table:
    """The table of the first screen: of one network a row a strategy, of several a matrix of them."""
    several = len(networks) > 1
    table = matrix_tables(verdicts)(_WIDE)[0] if several else overview_tables(verdicts, networks[0])(_NARROW)[0]
    if several:  # beside the figure there is room for the costs that sentences name
        table = table.only([column.key for column in table.columns if column.key not in ("parameters", "activations")])
    title = f"Every strategy on {', '.join(map(pretty_network, networks))}, best first"
    return dataclasses.replace(table, title=title, notes=[*legend(verdicts, table)])


def _configs(record: ExperimentRecord) -> list[tuple[str, str, str, str]]:
    """File name, text and data URI of each config, and the files that it needs beside it."""
    return [
        (name, text, f"data:text/yaml;base64,{base64.b64encode(text.encode()).decode()}", ", ".join(custom_files(text)))
        for name, text in portable_configs(record).items()
    ]


def _machine(record: ExperimentRecord) -> str:
    """Machine and versions in one line, as the runs and the costs recorded them."""
    facts = dict(_environment(record))
    texts = [facts[key] for key in ("gpu", "cpu") if facts.get(key)]
    costs = in_order(f"costs on {cost.hardware}" for cost in record.costs if cost.hardware)
    packages = next((run.environment["packages"] for run in record.runs if run.environment.get("packages")), None)
    torch = [f"torch {packages['torch']}"] if isinstance(packages, Mapping) and packages.get("torch") else []
    known = [text for text in texts if text != "None"]
    version = facts.get("resnet_shortcuts", __version__)
    return "; ".join([", ".join([*known, *torch]) or "machine not recorded", *costs, f"resnet_shortcuts {version}"])


def _page_text(value: Any) -> Any:
    """What the template writes: text escaped, the figures' SVG as it is."""
    return escape_html(value) if type(value) is str else value


def _unbroken(text: str) -> str:
    """The text with no line break between a number and its percent sign."""
    return text.replace(" %", "\u00a0%")


def _sort_key(value: Any) -> str:
    """What a cell is sorted by: of several parts the first, of an interval its mean or lower end."""
    while isinstance(value, (tuple, list)) and value:
        if isinstance(value[0], str) and len(value) == 2:
            return "0"  # the baseline's own cost, among changes from it
        value = value[0]
    value = value.mean if isinstance(value, Interval) else value.share if isinstance(value, Change) else value
    return "" if value is None or value == () else str(value)


def _exact(value: Any) -> str:
    """The number behind a cell, to six digits, for a page to show on hover; nothing for what is no number."""
    key = _sort_key(value)
    try:
        return "" if isinstance(value, int) else f"{float(key):.6g}"
    except ValueError:
        return ""


def _tone(column: Any, text: str) -> str:
    """The class that colours a cell; the words say it as well."""
    if column.tone is not None:
        return str(column.tone(text))
    words = {"better": "green", "true": "green", "worse": "red", "false": "red", "fails": "red", "equ": "cyan"}
    return next((tone for word, tone in words.items() if column.key == "verdict" and text.startswith(word)), "")


def _method(verdicts: Verdicts) -> list[str]:
    record = verdicts.record
    untrained = ""
    if record.fail_above:
        untrained = f", one that ends with a training error above {record.fail_above:g} % as untrained"
    conditions = {"Recipe": record.regime.recipe, "Data": record.regime.data}
    return [
        *filter(None, [_learning_rate(record.regime)]),
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


def _learning_rate(regime: Regime) -> str:
    """The learning rate in words, from the first to the last step; nothing where no whole recipe is stored."""
    per_epoch, recipe = regime.steps_per_epoch, _recipe(regime.recipe)
    if per_epoch is None or recipe is None:
        return ""
    course = learning_rate_course(recipe, total_steps(recipe, per_epoch), per_epoch)
    points = ", ".join(f"{point.rate:.4g} from epoch {point.epoch:.4g}" for point in course)
    return f"Learning rate, schedule {recipe.schedule.kind}: {points}."


def _recipe(stored: Mapping[str, Any]) -> TrainSpec | None:
    """The recipe that a run's id hashes, as a config would give it; None where it is not one."""
    try:
        schedule = dict(stored["schedule"])
        if "milestone_epochs" in schedule:
            schedule["milestones"] = schedule.pop("milestone_epochs")
        elif "milestones" in schedule:
            schedule["milestones_in"] = "iterations"
        return TrainSpec.model_validate({**stored, "schedule": schedule})
    except (KeyError, TypeError, ValueError):
        return None


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
