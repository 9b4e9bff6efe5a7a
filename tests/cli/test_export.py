"""``rsc export``: what is written gives the logits of the trained network, in the other library's own code."""

import importlib.util
import json

import pytest
import torch
from safetensors.torch import load_file

import resnet_shortcuts as rs
from resnet_shortcuts.torchvision_import import import_torchvision

CONFIG = """\
name: small
data: {source: digits, train_size: 20, test_size: 20}
networks: [imagenet-resnet-18, imagenet-resnet-50, cifar-resnet-8]
shortcuts: [A, B, D, rezero]
seeds: 1
train: {iterations: 1, batch_size: 10, lr: 0.01}
run: {jobs: 0, device: cpu, precision: fp32, keep_weights: true}
cost: {measure: false}
"""
X = torch.randn(2, 1, 33, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    path = results / "small.yaml"
    path.write_text(CONFIG)
    rs.Experiment.from_config(path).train(results=results, jobs=0)
    return results / "small"


@torch.inference_mode()
def logits(model):
    return model.eval()(X)


def export(rsc, stored, strategy, network, form, name="out.safetensors"):
    done = rsc("export", stored, "--strategy", strategy, "--network", network, "--as", form, "-o", name)
    assert done.returncode == 0, done.stderr
    return rsc.folder / name


def foreign(library, network):
    models = import_torchvision().models
    if library == "timm":
        return pytest.importorskip("timm").create_model(network, pretrained=False, num_classes=10, in_chans=1)
    model = getattr(models, network)(num_classes=10)
    model.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    return model


@pytest.mark.parametrize(
    ("strategy", "depth", "form", "theirs"),
    [
        ("B", 18, "torchvision", "resnet18"),
        ("B", 50, "timm", "resnet50"),
        ("A", 18, "torchvision", "resnet18"),
        ("D", 50, "torchvision", "resnet50"),
        ("D", 50, "timm", "resnet50"),
    ],
)
def test_weights_load_into_the_other_librarys_network(rsc, stored, strategy, depth, form, theirs):
    network = f"imagenet-resnet-{depth}"
    model = foreign(form, theirs)
    converted = model if strategy == "B" else rs.convert(model, strategy)
    converted.load_state_dict(load_file(export(rsc, stored, strategy, network, form)))
    ours = rs.load(stored).model(strategy, 0, network=network)
    torch.testing.assert_close(logits(converted), logits(ours), rtol=1e-5, atol=1e-5)


def test_our_own_names_load_into_our_network(rsc, stored):
    state = load_file(export(rsc, stored, "rezero", "cifar-resnet-8", "safetensors"))
    net = rs.network("cifar-resnet-8", "rezero", classes=10, in_channels=1)
    net.load_state_dict(state)
    assert torch.equal(logits(net), logits(rs.load(stored).model("rezero", 0, network="cifar-resnet-8")))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ["--strategy", "B", "--network", "cifar-resnet-8", "--as", "timm"],
            2,
            "timm has no network like cifar-resnet-8",
        ),
        (["--strategy", "rezero", "--network", "imagenet-resnet-18", "--as", "timm"], 2, "does not fit the downsample"),
        (["--strategy", "B"], 2, "3 networks: network: name one"),
        (["--strategy", "B", "--network", "cifar-resnet-8", "--as", "onxx"], 2, "did you mean 'onnx'"),
        (["--strategy", "B", "--network", "cifar-resnet-8", "--seed", "4"], 2, "no seed 4"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line_and_writes_nothing(rsc, stored, arguments, code, words):
    done = rsc("export", stored, *arguments, "-o", "out")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1)
    assert words in done.stderr
    assert not (rsc.folder / "out").exists()


def test_onnx_gives_the_same_logits_where_it_is_installed(rsc, stored):
    installed = importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxscript")
    arguments = ["export", stored, "--strategy", "D", "--network", "cifar-resnet-8", "--as", "onnx", "-o", "net.onnx"]
    done = rsc(*arguments)
    if not installed:
        assert done.returncode == 5
        assert "pip install onnx onnxscript" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    from onnx.reference import ReferenceEvaluator

    x = torch.rand(3, 1, 8, 8)
    (got,) = ReferenceEvaluator(str(rsc.folder / "net.onnx")).run(None, {"images": x.numpy()})
    with torch.inference_mode():
        expected = rs.load(stored).model("D", 0, network="cifar-resnet-8")(x)
    torch.testing.assert_close(torch.from_numpy(got), expected, rtol=1e-4, atol=1e-4)


def test_weights_over_fifty_megabytes_are_left_out_unless_they_are_asked_for(stored, tmp_path):
    exp = rs.Experiment.from_config(
        stored.parent / "small.yaml", shortcuts=["A"], networks=["imagenet-resnet-50", "imagenet-resnet-18"],
        run={"keep_weights": "auto"},
    )  # fmt: skip
    exp.train(results=tmp_path, jobs=0)
    kept = {
        json.loads(path.read_text())["labels"]["network"]: (path.parent / "weights.safetensors").exists()
        for path in (tmp_path / "small" / "runs").rglob("run.json")
    }
    assert kept == {"imagenet-resnet-50": False, "imagenet-resnet-18": True}
