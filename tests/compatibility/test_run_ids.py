"""The ids of runs follow from their science alone, and no change of the program may move them."""

import json

import pytest

from tests.compatibility.internals import HERE, planned

ROWS = json.loads((HERE / "run_ids.json").read_text())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row["set"]) or "as it is")
def test_a_config_plans_the_run_of_the_same_id_as_c72f135(row):
    assert [run_id for *_, run_id in planned(HERE / "run_ids.yaml", row["set"])] == [row["run_id"]]
