"""Short trainings on the digits whose weights and momentum must stay as they are, bit for bit."""

from tests.compatibility.internals import Case

_DATA = {"source": "digits", "train_size": 72, "test_size": 40}  # four batches of 16 and one of 8 an epoch
_RECIPE = {"iterations": 12, "batch_size": 16, "lr": 0.05, "schedule": {"kind": "one-cycle"}}
_SMALL = {"name": "cifar-resnet-8", "width": 8}
_FP32_ALONE = {"imagenet stem", "imagenet deep stem"}
"""Here a 3x3 convolution of stride 2 meets maps of one pixel, whose weight gradient torch 2.13 leaves unset in bf16."""


def _case(shortcut, network=_SMALL, data=None, **recipe) -> Case:
    return Case(network, shortcut, {**_RECIPE, **recipe}, {**_DATA, **(data or {})})


CASES = {
    "stride-pad": _case("stride-pad"),
    "max-pad": _case("max-pad"),
    "avg-duplicate": _case("avg-duplicate", nesterov=True),
    "projection": _case("projection", label_smoothing=0.1),
    "projection-all": _case("projection-all", schedule={"kind": "cosine"}),
    "avg-projection": _case("avg-projection", nesterov=True, label_smoothing=0.1),
    "shortcut-gate": _case("shortcut-gate", momentum=0.0, schedule={"kind": "constant"}),
    "exclusive-gate": _case("exclusive-gate", weight_decay=0.0),
    "dropout": _case("dropout", label_smoothing=0.1),
    "rezero": _case("rezero", schedule={"kind": "step", "milestones": [4, 9], "gamma": 0.5, "warmup_iterations": 2}),
    "blur": _case("blur3-pad"),
    "polyphase": _case("polyphase-pad"),
    "scales": _case({"spatial": "avg", "channels": "pad", "scope": "all", "scale": 2.0, "branch_scale": 0.25}),
    "plain": _case("plain", weight_decay=5e-4),
    "class of one's own": _case("./halved.py:Halved"),
    "validation": _case("A", data={"validation": 20, "augment": [], "normalize": "pixel"}, epochs=3, iterations=None),
    "pre-activation": _case("projection", {"name": "cifar-preresnet-8", "width": 8}, nesterov=True),
    "bottleneck": _case("A", {"name": "cifar-resnet-11-bottleneck", "width": 4}),
    "pyramid": _case("pyramid-pad", {"name": "cifar-pyramidnet-8", "width": 8, "alpha": 12.0}),
    "imagenet": _case("B", {"name": "imagenet-resnet-18", "width": 8, "stem": "cifar", "zero_init": True}),
    "imagenet stem": _case("B", {"name": "imagenet-resnet-18", "width": 8}),
    "imagenet deep stem": _case("D", {"name": "imagenet-resnet-18", "width": 8, "stem": "deep"}, label_smoothing=0.1),
}

CASES_BY_PRECISION = [("fp32", name) for name in CASES] + [("bf16", name) for name in CASES if name not in _FP32_ALONE]
