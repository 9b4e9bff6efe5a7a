"""Networks of torchvision and timm in an experiment: built, identified, trained, exported."""

import json

import pytest
import torch
from pydantic import ValidationError

import resnet_shortcuts as rs
from resnet_shortcuts.analysis.experiment_records import ExperimentRecord, Regime, RunRecord
from resnet_shortcuts.analysis.judging import library_notes
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.models.library_networks import build_model, check_model
from resnet_shortcuts.models.network_config import NetworkSpec
from resnet_shortcuts.shortcuts import find

NAMES = ["torchvision:resnet18", "timm:resnet26"]


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_weights_and_strategies_share_what_they_have_in_common(name):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    before = torch.random.get_rng_state()
    first, again, other, plain = (
        build_model(name, find(strategy), in_channels=1, num_classes=10, seed=seed).state_dict()
        for strategy, seed in (("B", 0), ("B", 0), ("B", 1), ("A", 0))
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])
    assert set(plain) < set(first)
    assert all(torch.equal(plain[key], first[key]) for key in plain)
    last_norms = [key for key in first if key.endswith((".bn2.weight", ".bn3.weight"))]
    assert all(first[key].eq(1).all() for key in last_norms), "no branch starts at zero"
    on_meta = check_model(name, find("B"), in_channels=1, num_classes=10).state_dict()
    assert {key: value.shape for key, value in on_meta.items()} == {key: value.shape for key, value in first.items()}


def test_the_identity_is_library_name_and_shapes():
    ours, wider = (NetworkSpec(name=f"torchvision:{name}").identity() for name in ("resnet50", "wide_resnet50_2"))
    assert (ours["library"], ours["name"]) == ("torchvision", "resnet50")
    assert ours["state_dict"] != wider["state_dict"]
    assert len(ours["state_dict"]) == 64


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("torchvision:resnet19", "did you mean 'torchvision:resnet18'"),
        ("torchvison:resnet18", "did you mean 'torchvision'"),
        ("timm:vit_base", "timm has no ResNet 'vit_base' that is served here"),
        ({"name": "torchvision:resnet18", "width": 8}, "built by its library, without options"),
    ],
)
def test_what_is_not_served_is_refused_when_the_config_is_read(spec, words):
    with pytest.raises(ValidationError, match=words):
        NetworkSpec.model_validate(spec)


def test_names_that_timm_does_not_have_and_joins_that_need_the_branch_are_refused():
    pytest.importorskip("timm")
    with pytest.raises(UsageError, match="timm has no network 'resnet27': networks: did you mean"):
        check_model("timm:resnet27", find("A"), in_channels=3, num_classes=10)
    with pytest.raises(UsageError, match="'rezero' does not fit the downsample slot"):
        check_model("torchvision:resnet18", find("rezero"), in_channels=3, num_classes=10)


def test_an_experiment_trains_them_and_keeps_their_weights(tmp_path):
    pytest.importorskip("timm")
    exp = rs.Experiment.from_config(
        {
            "name": "foreign",
            "data": {"source": "digits", "train_size": 20, "test_size": 20},
            "networks": NAMES,
            "shortcuts": ["A", "D"],
            "seeds": 1,
            "train": {"iterations": 1, "batch_size": 10},
            "run": {"precision": "fp32", "device": "cpu", "keep_weights": True},
            "cost": {"measure": False},
        }
    ).train(results=tmp_path, jobs=0)
    runs = exp.runs()
    assert runs.status.tolist() == ["done"] * 4
    assert set(runs.network) == set(NAMES)
    assert exp.costs().parameters.notna().all()
    record = json.loads((tmp_path / "foreign" / "runs" / runs.run_id[0] / "run.json").read_text())
    assert set(record["science"]["network"]) == {"library", "name", "state_dict"}
    assert {"torchvision", "timm"} <= set(record["environment"]["packages"])
    model = rs.load(tmp_path / "foreign").model("D", network="timm:resnet26")
    assert model(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    assert type(model).__module__ == "timm.models.resnet"


def test_different_versions_of_a_library_are_noted():
    runs = [
        RunRecord("timm:resnet26", "A", seed, test_accuracy=50.0, environment={"packages": {"timm": version}})
        for seed, version in enumerate(["1.0.1", "1.0.2"])
    ]
    record = ExperimentRecord("x", Regime(), runs)
    assert library_notes(record) == ["timm:resnet26 was built by different versions of its library: 1.0.1, 1.0.2."]
    assert library_notes(ExperimentRecord("x", Regime(), runs[:1])) == []
