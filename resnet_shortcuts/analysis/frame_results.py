"""Results that other tools trained, from a DataFrame or a CSV file, judged by the same rule."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_shortcuts.analysis.experiment_records import FAILED, ExperimentRecord, Regime, RunRecord, in_order
from resnet_shortcuts.analysis.verdicts import Verdicts, judge
from resnet_shortcuts.errors import DataError, UsageError
from resnet_shortcuts.suggestions import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {"strategy": ("strategy", "shortcut"), "seed": ("seed",), "score": ("score", "test_accuracy", "accuracy")}
"""Names of columns that are looked for where none is given."""


def read_runs(path: Path) -> pd.DataFrame:
    """The rows of a CSV file, one a run. Raises DataError where it cannot be read."""
    import pandas as pd

    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError("cannot be read as CSV", str(path), f"give a CSV file with a heading ({reason})") from error


def judge_frame(
    frame: pd.DataFrame, named: Mapping[str, str | None], baseline: str | None = None, margin: float | None = None
) -> Verdicts:
    """The verdicts on a frame with one row a run; ``named`` gives the columns of strategy, seed, score, network.

    Raises UsageError, see `resnet_shortcuts.compare`.
    """
    columns = {key: _column(frame, key, named.get(key)) for key in COLUMNS}
    where = named.get("network") or ("network" if "network" in frame.columns else None)
    if where is not None and where not in frame.columns:
        raise UsageError(f"no column {where!r}", "network", did_you_mean(where, map(str, frame.columns)))
    record = ExperimentRecord("results", Regime(), list(_records(frame, columns, where)), margin=0.2)
    if not record.runs:
        raise UsageError("no rows to compare", "frame", "give one row a run")
    return judge(record, baseline, margin)


def _column(frame: pd.DataFrame, key: str, name: str | None) -> str:
    known = [str(column) for column in frame.columns]
    for candidate in COLUMNS[key] if name is None else (name,):
        if candidate in known:
            return candidate
    what = f"no column {name!r}" if name else f"no column for the {key}"
    raise UsageError(what, key, did_you_mean(name or key, known) if known else "the frame has no columns")


def _records(frame: pd.DataFrame, columns: dict[str, str], network: str | None) -> Iterator[RunRecord]:
    """The rows as runs. Raises UsageError."""
    import pandas as pd

    try:
        scores = pd.to_numeric(frame[columns["score"]])
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"column {columns['score']!r} is not numeric", "score", " ".join(str(error).split())
        ) from error
    labels = frame[columns["seed"]].tolist()
    numbers = {label: number for number, label in enumerate(in_order(labels))}
    networks = ["network"] * len(frame) if network is None else frame[network].astype(str).tolist()
    seen: set[tuple[str, str, int]] = set()
    for where, name, label, score in zip(
        networks, frame[columns["strategy"]].astype(str), labels, scores.tolist(), strict=True
    ):
        key = (where, name, label if isinstance(label, int) else numbers[label])
        if key in seen:
            raise UsageError(f"strategy {name!r} has seed {label!r} twice", columns["seed"], "give one row a run")
        seen.add(key)
        if math.isfinite(score):
            yield RunRecord(*key, test_accuracy=float(score))
        else:
            yield RunRecord(*key, status=FAILED, reason="no score")
