"""`Result`: which differences are real, as text, DataFrame, figure and LaTeX; `compare` judges results of any tool."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from resnet_shortcuts.analysis.frame_results import judge_frame
from resnet_shortcuts.analysis.verdicts import Verdicts
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.suggestions import did_you_mean
from resnet_shortcuts.tables.table_model import PAIRS, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Result:
    """The verdicts of a comparison. In a notebook it shows the answer and its table.

    Example:
        >>> import resnet_shortcuts as rs, pandas as pd
        >>> runs = pd.DataFrame({"strategy": ["A"] * 5 + ["B"] * 5, "seed": [*range(5)] * 2,
        ...     "score": [91.1, 91.3, 91.0, 91.2, 91.4, 92.0, 92.3, 92.1, 92.2, 92.4]})
        >>> result = rs.compare(runs, baseline="A")
        >>> result.verdicts().set_index("shortcut").loc["B", "verdict"]
        'better'
    """

    def __init__(self, verdicts: Verdicts, notes: Sequence[str] = ()) -> None:
        self._verdicts, self._notes = verdicts, list(notes)

    @property
    def baseline(self) -> str:
        """The strategy that the others are compared with."""
        return self._verdicts.baseline

    @property
    def margin(self) -> float:
        """Percentage points that count as equal."""
        return self._verdicts.margin

    def verdicts(self) -> pd.DataFrame:
        """One row a network and strategy, the baseline included.

        Returns:
            A DataFrame with the columns ``network``, ``shortcut``, ``verdict`` (better, worse, equal within the margin,
            inconclusive, too few seeds, ...), ``seeds`` (that are compared), ``accuracy_mean`` (percent),
            ``difference`` (to the baseline, percentage points), its intervals as ``..._low`` and ``..._high``, p
            values, ``runs`` and ``failed``, ``footnotes``. What the rule of the verdicts does not use is left out.
        """
        from resnet_shortcuts.analysis.result_tables import verdict_table

        return data_frame(verdict_table(self._verdicts))

    def table(self) -> pd.DataFrame:
        """The comparison as ``rsc compare --format csv`` has it: accuracy and cost of each strategy, then its verdict.

        Returns:
            A DataFrame with a row a network and strategy: accuracy in percent, memory in bytes, times in ms.
        """
        from resnet_shortcuts.analysis.result_tables import tidy_table

        return data_frame(tidy_table(self._verdicts, self._notes))

    def summary(self) -> str:
        """The answer as text: conditions, what is better or worse and at what cost, what could not be told."""
        from resnet_shortcuts.analysis.answer import answer

        return "\n".join([*answer(self._verdicts).lines(), *self._notes])

    def figure(self, name: str = "accuracy") -> Figure:
        """A figure of the report: accuracy (differences to the baseline), cost, dependence, curves-accuracy, ...

        With several networks its name ends with one: ``cost-cifar-resnet-20``.

        Raises:
            UsageError: the results do not allow a figure of this name (with the names that they do).
        """
        from resnet_shortcuts.analysis.figures import figures

        networks = {network for network, _ in self._verdicts.failures}
        ending = f"-{next(iter(networks))}" if len(networks) == 1 else ""
        drawings = {drawing.name.removesuffix(ending): drawing for drawing in figures(self._verdicts)}
        drawings |= {
            name.replace("differences", "accuracy"): drawing
            for name, drawing in drawings.items()
            if name.startswith("differences")
        }
        if name not in drawings:
            raise UsageError(f"no figure {name!r} of these results", "figure", did_you_mean(name, drawings))
        return drawings[name].figure

    def to_latex(self, path: str | Path | None = None) -> str:
        """The tables as LaTeX (booktabs), written to ``path`` as well if it is given. Raises EnvironmentFault."""
        return self._text("latex", path)

    def to_markdown(self, path: str | Path | None = None) -> str:
        """Answer and tables in Markdown, written to ``path`` as well if it is given. Raises EnvironmentFault."""
        return self._text("markdown", path)

    def _text(self, format_: str, path: str | Path | None) -> str:
        from resnet_shortcuts.analysis.result_text import comparison_text
        from resnet_shortcuts.durable import write_file

        text = comparison_text(self._verdicts, format_, notes=self._notes)
        if path is not None:
            write_file(Path(path), text.encode())
        return text

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        from resnet_shortcuts.analysis.first_screen import first_tables

        parts = [f"<p>{escape(line)}</p>" for line in self.summary().splitlines()]
        for table in first_tables(self._verdicts):
            cells = pd.DataFrame(table.texts(), columns=[column.heading for column in table.columns])
            title = f"<h4>{escape(table.title)}</h4>" if table.title else ""
            notes = "".join(f"<p>{escape(note)}</p>" for note in table.notes)
            parts.append(f"{title}{cells.to_html(index=False, border=0)}{notes}")
        return "\n".join(parts)


def data_frame(table: Table) -> pd.DataFrame:
    """A table's values as they are stored; the ends of an interval are two columns, ``..._low`` and ``..._high``."""
    columns: dict[str, list[Any]] = {}
    for column in table.columns:
        values = [row.get(column.key) for row in table.rows]
        if column.kind in PAIRS:
            for place, end in enumerate(("low", "high")):
                columns[f"{column.key}_{end}"] = [None if value is None else value[place] for value in values]
        else:
            columns[column.key] = values
    return pd.DataFrame(columns)


def compare(
    frame: pd.DataFrame,
    *,
    strategy: str | None = None,
    seed: str | None = None,
    score: str | None = None,
    network: str | None = None,
    baseline: str | None = None,
    margin: float | None = None,
) -> Result:
    """Judge results that any tool trained, by the same rule: paired over seeds, all comparisons adjusted together.

    Args:
        frame: one row a run.
        strategy: the column that says what is compared; default: ``strategy`` or ``shortcut``.
        seed: the column that pairs the runs; equal values belong together; default: ``seed``.
        score: the column with the score, in percent (larger is better); missing values are failed runs; default:
            ``score``, ``test_accuracy`` or ``accuracy``.
        network: a column of networks, which are judged side by side; default: ``network`` if there is one.
        baseline: the strategy that the others are compared with; default: A if it is there, else the first one.
        margin: points that count as equal; default: 0.2.

    Returns:
        The `Result`. No figures need costs or curves.

    Raises:
        UsageError: a column is missing or not numeric, a strategy has a seed twice, or the baseline is not there.

    Example:
        See `Result`.
    """
    named = {"strategy": strategy, "seed": seed, "score": score, "network": network}
    return Result(judge_frame(frame, named, baseline, margin))
