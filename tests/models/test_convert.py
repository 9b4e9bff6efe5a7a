"""Networks of torchvision and timm with another shortcut, against those libraries' own code and published formulas."""

import copy
import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.models.convert import convert

_spec = importlib.util.spec_from_file_location("reference_models", Path(__file__).with_name("reference_models.py"))
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

X = torch.randn(2, 3, 65, 64, generator=torch.Generator().manual_seed(1))


def torchvision_model(name="resnet18", **options):
    return reference.randomise_statistics(getattr(reference.torchvision_models(), name)(**options))


def timm_model(name):
    return reference.randomise_statistics(reference.timm().create_model(name, pretrained=False))


@torch.inference_mode()
def logits(model):
    return model.eval()(X)


def same_weights(ours, theirs):
    """Whether two state dicts hold the same tensors under the same names, in the same order."""
    return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2"])
def test_b_to_b_keeps_torchvisions_function_and_names(name):
    model = torchvision_model(name)
    converted = convert(model, "B")
    assert same_weights(converted.state_dict(), model.state_dict())
    assert converted.untrained_weights == ()
    assert torch.equal(logits(converted), logits(model))


def test_b_to_b_keeps_timms_function():
    model = timm_model("resnet26")
    assert torch.equal(logits(convert(model, "B")), logits(model))


def test_d_to_d_keeps_timms_resnet50d_and_its_names():
    model = timm_model("resnet50d")
    converted = convert(model, "D")
    assert same_weights(converted.state_dict(), model.state_dict())
    assert torch.equal(logits(converted), logits(model))


def test_b_to_d_is_timms_d_with_bs_kernels():
    """timm builds resnet26 with avg_down from the same weights, under D's names."""
    model = timm_model("resnet26")
    theirs = reference.timm().create_model("resnet26", pretrained=False, avg_down=True)
    state = {
        name.replace(".downsample.1.", ".downsample.2.").replace(".downsample.0.", ".downsample.1."): value
        for name, value in model.state_dict().items()
    }
    theirs.load_state_dict(state)
    converted = convert(model, "D")
    assert converted.untrained_weights == ()
    assert torch.equal(logits(converted), logits(theirs))


def test_d_to_b_and_back_is_the_model_again():
    model = timm_model("resnet26d")
    assert torch.equal(logits(convert(convert(model, "B"), "D")), logits(model))


class LambdaLayer(torch.nn.Module):
    """Option A as akamaster/pytorch_resnet_cifar10 writes it: zeros on both sides."""

    def __init__(self, planes):
        super().__init__()
        self.planes = planes

    def forward(self, x):
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.planes // 4, self.planes // 4), "constant", 0)


class PadLayer(LambdaLayer):
    """Option A as fb.resnet.torch has it: zeros at the end."""

    def forward(self, x):
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.planes // 2))


@pytest.mark.parametrize(("strategy", "layer"), [("A", PadLayer), ("stride-pad-both", LambdaLayer)])
def test_a_is_the_published_formula(strategy, layer):
    model = torchvision_model()
    theirs = copy.deepcopy(model)
    for stage, planes in ((theirs.layer2, 128), (theirs.layer3, 256), (theirs.layer4, 512)):
        stage[0].downsample = layer(planes)
    converted = convert(model, strategy)
    assert converted.untrained_weights == ()
    assert torch.equal(logits(converted), logits(theirs))
    assert not any("downsample" in name for name in converted.state_dict())


def test_c_puts_a_projection_into_every_block_and_names_the_new_ones():
    model = torchvision_model()
    for converted in (convert(model, "C"), convert(model, "B", scope="all")):
        slots = [name for name, module in converted.named_modules() if name.endswith("downsample")]
        assert len(slots) == 8
        blocks = {name.split(".downsample")[0] for name in converted.untrained_weights}
        assert blocks == {"layer1.0", "layer1.1", "layer2.1", "layer3.1", "layer4.1"}
    assert (
        len(
            [
                name
                for name, _ in convert(model, "C", scope="transitions").named_modules()
                if name.endswith("downsample")
            ]
        )
        == 3
    )


def test_no_shortcut_at_transitions_leaves_the_branch_alone():
    model = torchvision_model()
    block = convert(model, "skip-transitions").layer2[0]
    x = torch.randn(2, 64, 15, 14, generator=torch.Generator().manual_seed(2))
    theirs = model.layer2[0]
    branch = theirs.bn2(theirs.conv2(torch.relu(theirs.bn1(theirs.conv1(x)))))
    assert torch.equal(block(x), torch.relu(branch))


def test_new_weights_follow_from_the_seed_and_the_model_stays_as_it_is():
    model = torchvision_model()
    before = copy.deepcopy(model.state_dict())
    state = torch.random.get_rng_state()
    first, again, other = (convert(model, "projection-3x3", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert same_weights(model.state_dict(), before)
    assert same_weights(first.state_dict(), again.state_dict())
    assert not same_weights(first.state_dict(), other.state_dict())
    kept = [name for name in first.state_dict() if "downsample" not in name]
    assert len(kept) == sum("downsample" not in name for name in before)
    assert all(torch.equal(first.state_dict()[name], before[name]) for name in kept)


@pytest.mark.parametrize("strategy", ["A", "D", "max-projection"])
def test_state_dict_export_and_compile(strategy):
    converted = convert(torchvision_model(), strategy).eval()
    fresh = convert(torchvision_model(), strategy, seed=5)
    fresh.load_state_dict(converted.state_dict())
    expected = logits(converted)
    assert torch.equal(logits(fresh), expected)
    exported = torch.export.export(converted, (X,)).module()
    torch.testing.assert_close(exported(X), expected)
    compiled = torch.compile(converted, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(X), expected)


@pytest.mark.parametrize("strategy", ["exclusive-gate", "shortcut-gate", "dropout", "rezero", "scale-both-half"])
def test_joins_that_need_the_branch_are_refused(strategy):
    with pytest.raises(UsageError, match=f"'{strategy}' does not fit the downsample slot"):
        convert(torchvision_model(), strategy)


def test_models_without_transitions_are_refused():
    with pytest.raises(UsageError, match=r"Linear has no residual block .* give torchvision's resnet"):
        convert(torch.nn.Linear(2, 2), "A")
    with pytest.raises(UsageError, match="VGG has no residual block"):
        convert(reference.torchvision_models().vgg11(), "A")


def test_an_unknown_scope_and_an_unknown_strategy_are_refused():
    with pytest.raises(UsageError, match="unknown scope 'transition': convert: did you mean 'transitions'"):
        convert(torchvision_model(), "B", scope="transition")
    with pytest.raises(UsageError, match="did you mean 'max-pad'"):
        convert(torchvision_model(), "max-pda")
