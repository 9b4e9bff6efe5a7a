"""Writes docs/answer.md and its figures from the stored results: ``python -m tools.answer_document``.

``--verify`` measures first, from five seeds, what the operators do (a minute or two), and stores it beside the runs.
"""

import dataclasses
import json
import math
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resnet_shortcuts import machine
from resnet_shortcuts.analysis.claims import CLAIMED, FITTED, judge_claims
from resnet_shortcuts.analysis.factorial import Factorial, factorial_effects
from resnet_shortcuts.analysis.figures import figures
from resnet_shortcuts.analysis.first_screen import first_tables
from resnet_shortcuts.analysis.judging import judged
from resnet_shortcuts.analysis.result_tables import cost_details
from resnet_shortcuts.analysis.verdicts import Verdicts
from resnet_shortcuts.durable import make_folder, write_file
from resnet_shortcuts.experiments.store import Experiment
from resnet_shortcuts.tables import Column, Table, markdown
from tools.answer_claims import claims_section
from tools.answer_evidence import evidence
from tools.answer_power import power_table
from tools.answer_regimes import ANSWER, RESULTS, open_table, regime_table
from tools.answer_sentences import OPERATIONS, five_sentences, signed

PAGE = Path("docs/answer.md")
FIGURES = Path("docs/answer")
PROPERTIES = RESULTS / "verify-5-seeds.json"
SHOWN = ("differences", "cost")
TRAINED_WITH = "c72f135"
TEXTS = Path(__file__).with_name("answer_texts.md")


def render() -> dict[str, bytes]:
    """Every generated file as {path relative to the repository: content}."""
    experiment = Experiment(RESULTS, ANSWER)
    verdicts, notes = judged([experiment], None, None)
    drawings = [drawing for drawing in figures(verdicts) if drawing.name.startswith(SHOWN)]
    pictures = {
        f"{FIGURES}/{drawing.name}.{format_}": drawing.render(format_)
        for drawing in drawings
        for format_ in ("svg", "png")
    }
    shown = [
        f"![{drawing.alt}](answer/{drawing.name}.svg)\n\n*{drawing.title}. {drawing.note}*" for drawing in drawings
    ]
    text = _filled(
        {**_parts(verdicts), **_provenance(experiment), "notes": " ".join(notes), "figures": "\n\n".join(shown)}
    )
    return {str(PAGE): text.encode(), **pictures}


def _filled(parts: dict[str, str]) -> str:
    """The page: `answer_texts.md` with its {{names}} filled in. Raises KeyError where a part is not used."""
    text = TEXTS.read_text(encoding="utf-8")
    for name, part in parts.items():
        if "{{" + name + "}}" not in text:
            raise KeyError(name)
        text = text.replace("{{" + name + "}}", part.strip())
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def grid_of(verdicts: Verdicts) -> Factorial:
    """The effects of the grid of strategies. Raises LookupError where the runs hold none."""
    seal = verdicts.record.seals[0]
    grid = factorial_effects(verdicts.record.runs, verdicts.margin, 100 / seal.classes, 100 / seal.test_images)
    if grid is None:
        raise LookupError("the runs hold no grid of strategies")
    return grid


def run_sd(verdicts: Verdicts) -> float:
    """Standard deviation between seeds of one strategy in points, pooled over strategies."""
    by_strategy = [[run.test_accuracy or 0.0 for run in runs] for runs in verdicts.cells.values()]
    return round(math.sqrt(statistics.fmean(statistics.variance(values) for values in by_strategy)), 2)


def _parts(verdicts: Verdicts) -> dict[str, str]:
    seal, grid = verdicts.record.seals[0], grid_of(verdicts)
    network = next(iter(verdicts.failures))[0]
    claims = judge_claims(verdicts.record, json.loads(PROPERTIES.read_bytes())["rows"], verdicts.margin)
    return {
        "sentences": "\n".join(f"{number}. {text}" for number, text in enumerate(five_sentences(verdicts, grid), 1)),
        "table": markdown(first_tables(verdicts)),
        "costs": _costs(verdicts, network),
        "effects": "\n".join(_effects(grid, interactions=False)),
        "interactions": "\n".join(_effects(grid, interactions=True)),
        "power": power_table(seal, len(grid.channels), len(grid.effects), run_sd(verdicts)),
        "sd": f"{run_sd(verdicts):.2f}",
        "seeds": str(seal.looks[-1]),
        "claims": "\n".join(claims_section(claims)),
        "verified": _verified(),
        "evidence": evidence(),
        "regimes": regime_table(),
        "answer": ANSWER,
    }


def _costs(verdicts: Verdicts, network: str) -> str:
    """The measured costs, how well the ratios are known, and the sentences of the cost pass."""
    costs = [cost for cost in verdicts.record.costs if cost.step_ratio is not None]
    if not costs:
        return "Not measured with these runs yet."
    widths = [
        (cost.step_ratio_interval[1] - cost.step_ratio_interval[0]) / 2
        for cost in costs
        if cost.step_ratio_interval is not None
    ]
    known = f"Every ratio of step times is known within {100 * max(widths):.1f} %." if widths else ""
    table = dataclasses.replace(cost_details(verdicts, network, ()), title="")
    return "\n".join([markdown([table]), " ".join([known, *verdicts.record.cost_sentences])])


def _effects(grid: Factorial, *, interactions: bool) -> Iterator[str]:
    rows = []
    for effect in grid.effects:
        if (effect.factor == "interaction") is not interactions:
            continue
        level, reference = OPERATIONS[effect.level], OPERATIONS[effect.reference]
        within = (
            f": with {OPERATIONS[effect.within[0]]} more than with {OPERATIONS[effect.within[1]]}"
            if effect.within
            else ""
        )
        ends = f"{signed(effect.interval.low)} to {signed(effect.interval.high)}"
        rows.append({"effect": f"{level} over {reference}{within}", "mean": signed(effect.interval.mean)}
                    | {"ends": ends, "word": effect.word})  # fmt: skip
    columns = [
        Column("effect", "interaction" if interactions else "main effect", label=True),
        Column("mean", "points", "number", formatter=str),
        Column("ends", "interval"),
        Column("word", "verdict"),
    ]
    yield markdown([Table("effects", columns, rows)])


def _provenance(experiment: Experiment) -> dict[str, str]:
    """Machines, commits and machine time of the runs, as their records say."""
    runs = experiment.runs()
    machines = Counter(f"{run.environment['cpu']}, {run.environment['cores']} cores" for run in runs)
    named = sum(str(run.environment.get("commit") or "").startswith(TRAINED_WITH) for run in runs)
    without = sum(run.environment.get("commit") is None for run in runs)
    if named + without != len(runs):
        raise ValueError(f"a run was made by another commit than {TRAINED_WITH}")
    seconds = statistics.median(run.elapsed_seconds or 0.0 for run in runs)
    at_once = int(runs[0].environment["jobs"])
    return {
        "runs": str(len(runs)),
        "machines": "; ".join(f"{count} on {name}" for name, count in machines.most_common()),
        "named": str(named),
        "without": str(without),
        "minutes": f"{seconds / 60:.0f}",
        "torch": str(runs[0].environment["packages"]["torch"]),
        "open": open_table(seconds, at_once),
    }


def _verified() -> str:
    stored = json.loads(PROPERTIES.read_bytes())
    return f"{stored['machine']}, torch {stored['torch']}, {stored['date']}"


def measure() -> None:
    """Measure the operators' properties from five seeds and store what the claims read of them."""
    from datetime import UTC, datetime
    from importlib.metadata import version

    from resnet_shortcuts.cli.progress import StageProgress
    from resnet_shortcuts.experiments.measured_properties import measured_properties

    keys = ("strategy", "property", "on", "measured", "seed")
    rows: list[dict[str, Any]] = [
        {key: row[key] for key in keys if key in row} for row in measured_properties(CLAIMED, FITTED, StageProgress())
    ]
    here = machine.hardware()
    stored = {
        "command": f"rsc verify {' '.join(CLAIMED)} --seeds 5 --gradients 56 --decoders",
        "machine": f"{here.processor}, {here.cores} cores",
        "torch": version("torch"),
        "date": datetime.now(UTC).date().isoformat(),
    }
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    text = json.dumps(stored, indent=1)[:-2] + f',\n "rows": [\n{lines}\n]}}\n'
    write_file(PROPERTIES, text.encode())


if __name__ == "__main__":
    if "--verify" in sys.argv[1:]:
        measure()
    make_folder(FIGURES)
    for path, content in render().items():
        write_file(Path(path), content)
