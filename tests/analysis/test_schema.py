"""The JSON is what its documented schema says, for rich and for poor experiments."""

import csv
import io
import json
from importlib import resources
from typing import Any

import pytest

from resnet_shortcuts.analysis.claims import judge_claims
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord
from resnet_shortcuts.analysis.published import published
from resnet_shortcuts.analysis.result_text import comparison_text
from resnet_shortcuts.analysis.verdicts import judge
from tests.analysis.made import of_accuracies, whole

SCHEMA = json.loads(resources.files("resnet_shortcuts.analysis").joinpath("schema.json").read_text())
KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,), "number": (int, float), "integer": (int,), "null": (type(None),), "array": (list,),
    "object": (dict,),
}  # fmt: skip


def check(value: Any, schema: dict[str, Any], at: str = "$") -> None:
    """The part of JSON Schema that schema.json uses."""
    if "const" in schema:
        assert value == schema["const"], at
        return
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    assert isinstance(value, tuple(kind for name in kinds for kind in KINDS[name])), f"{at}: {value!r} is no {kinds}"
    assert not isinstance(value, bool), at
    if isinstance(value, dict):
        assert set(schema["required"]) <= set(value) <= set(schema["properties"]), at
        for key, item in value.items():
            check(item, schema["properties"][key], f"{at}.{key}")
    if isinstance(value, list):
        assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)), at
        for place, item in enumerate(value):
            check(item, schema["items"], f"{at}[{place}]")


@pytest.mark.parametrize(
    "record",
    [
        whole(("cifar-resnet-20", "cifar-resnet-56")),
        of_accuracies({"A": [90.0], "x": [None, 91.0]}),
        of_accuracies({"A": [None], "x": [None]}, missing=[("cifar-resnet-20", "y", 3)]),
    ],
    ids=["rich", "poor", "failed"],
)
def test_json_follows_its_schema(record: ExperimentRecord) -> None:
    text = comparison_text(judge(record), "json", claims=judge_claims(record), publications=published(record))
    document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    check(document, SCHEMA)


@pytest.mark.parametrize(
    "record",
    [
        whole(("cifar-resnet-20", "cifar-resnet-56"), names=("stride-pad", "max-pad", "avg-pad")),
        of_accuracies({"A": [90.0], "x": [None, 91.0]}, missing=[("cifar-resnet-20", "y", 3)]),
        of_accuracies({"A": [90.0, 91.0]}),
    ],
    ids=["rich", "poor", "one strategy"],
)
def test_csv_says_of_each_row_what_the_json_says(record: ExperimentRecord) -> None:
    """One table: the JSON's rows and its verdicts, joined, no name twice."""
    verdicts = judge(record, margin=0.3)
    document = json.loads(comparison_text(verdicts, "json"))
    reader = csv.DictReader(io.StringIO(comparison_text(verdicts, "csv")))
    names = list(reader.fieldnames or ())
    assert len(names) == len(set(names))
    assert names[-2:] == ["baseline", "margin"]
    lines = list(reader)
    assert len(lines) == len(document["rows"]) == len(document["verdicts"])
    for line, row, verdict in zip(lines, document["rows"], document["verdicts"], strict=True):
        assert verdict.items() <= row.items()
        said = {**row, "footnotes": "; ".join(row["footnotes"])}
        for key in [key for key in said if f"{key}_low" in names]:
            said[f"{key}_low"], said[f"{key}_high"] = said.pop(key) or (None, None)
        assert line == {key: "" if value is None else str(value) for key, value in said.items()}
