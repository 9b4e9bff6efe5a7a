"""The static step against the plain one, captured against uncaptured: by a tape here, by CUDA where there is a GPU."""

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.dataset import Dataset, Split
from resnet_shortcuts.models.networks import build_network
from resnet_shortcuts.shortcuts.catalogue import find
from resnet_shortcuts.training import step as step_module
from resnet_shortcuts.training.loop import train
from resnet_shortcuts.training.recipe import TrainSpec
from resnet_shortcuts.training.step import StaticStep, make_optimizer, make_step, position_in_buffers
from resnet_shortcuts.training.step_settings import StepSettings, engine_for
from tests.training.tape import Tape, TapedStep

IMAGES, BATCH = 76, 16  # four full batches and a short one an epoch
DATA = DataSpec(source="image-folder", augment=["crop", "flip"])


def dataset(size: int = 8) -> Dataset:
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (IMAGES, size, size, 3), dtype=np.uint8)
    split = Split(images, random.integers(0, 4, IMAGES), np.arange(IMAGES))
    return Dataset(split, None, split, tuple("abcd"), {}, size)


def recipe(**changes) -> TrainSpec:
    settings = {"epochs": 3, "batch_size": BATCH, "lr": 0.05, "schedule": {"kind": "one-cycle"}, **changes}
    return TrainSpec.model_validate(settings)


def network(shortcut="A"):
    return build_network("cifar-resnet-8", find(shortcut), in_channels=3, num_classes=4, seed=3)


def outcome(engine, shortcut="A", device="cpu", **options):
    spec = options.pop("spec", None) or recipe()
    done = train(network(shortcut), dataset(), DATA, spec, seed=3, device=device, engine=engine, **options)
    return done.status, done.step, done.history, done.digests, done.predictions.tolist()


@pytest.fixture
def taped(monkeypatch):
    """The graph engine with a tape for a graph, and the static one with the same kind of optimizer."""

    class Fused(StaticStep):
        def prepare(self):
            super().prepare()
            self.optimizer.param_groups[0]["fused"] = True

    monkeypatch.setitem(step_module.ENGINES, "static", Fused)
    monkeypatch.setitem(step_module.ENGINES, "graph", TapedStep)
    monkeypatch.setattr(TapedStep, "made", [])


def test_the_device_chooses_the_engine():
    assert engine_for("cpu") == "plain"
    assert engine_for("cuda") == engine_for("cuda:1") == "graph"


@pytest.mark.parametrize(
    ("shortcut", "changes"),
    [
        ("A", {}),
        ("dropout", {"label_smoothing": 0.1}),
        ("projection", {"nesterov": True, "schedule": {"kind": "step", "warmup_iterations": 2}}),
        ("exclusive-gate", {"momentum": 0.0, "weight_decay": 0.0, "schedule": {"kind": "cosine"}}),
    ],
)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_static_step_equals_the_plain_one(shortcut, changes, precision):
    plain, static = (
        outcome(engine, shortcut, spec=recipe(**changes), precision=precision) for engine in ("plain", "static")
    )
    assert plain == static
    assert plain[0] == "done"


@pytest.mark.parametrize("shortcut", ["A", "dropout", "projection", "polyphase-pad"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_captured_and_replayed_step_equals_an_uncaptured_one(taped, shortcut, precision):
    assert outcome("graph", shortcut, precision=precision) == outcome("static", shortcut, precision=precision)
    assert TapedStep.made[0].replays == 3 * 4 - step_module.WARM_UP


def test_a_replayed_run_resumes_from_any_state_as_an_uncaptured_one(taped):
    whole = outcome("static", "dropout")
    states = {}

    def keep(progress, capture):
        states[progress.step, progress.epoch] = capture()

    assert outcome("graph", "dropout", after_step=keep) == whole
    for place in ((1, 0), (5, 1), (7, 1), (12, 2)):
        assert outcome("graph", "dropout", start=states[place]) == whole


def test_nothing_in_the_step_asks_the_host():
    model = network("dropout")
    optimizer = make_optimizer(model, recipe())
    optimizer.param_groups[0]["fused"] = True
    static = make_step(model, optimizer, StepSettings(batch_size=4, engine="static"))
    x, y = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    with Tape() as tape:
        static(x, y, 0.1)
        model.random_modules[0].set_position(0, 5)
    assert len(tape.operations) > 100
    assert not tape.asks_for_numbers
    assert not any(value is x for _, args, *_ in tape.operations[5:] for value in args)  # the buffers are what is read


def test_a_capture_that_fails_is_noted_and_training_goes_on_uncaptured_with_equal_results(taped, monkeypatch):
    def fail(self, images, labels):
        raise RuntimeError("CUDA error: operation not permitted\nwhen stream is capturing")

    monkeypatch.setattr(TapedStep, "_capture", fail)
    assert outcome("graph") == outcome("static")
    (step,) = TapedStep.made
    assert step.replays == 0
    assert step.why_not == "the capture failed: CUDA error: operation not permitted when stream is capturing"


class Drawing(nn.Module):
    """A module that draws at random and keeps its position as told by ``how``."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.number = how, 0
        self.register_buffer("position", torch.zeros(2, dtype=torch.int64))

    def set_position(self, seed: int, step: int) -> None:
        if self.how == "in place":
            self.position.copy_(torch.tensor([seed, step]))
        elif self.how == "new tensor":
            self.position = torch.tensor([seed, step])
        elif self.how == "number":
            self.number = step
        elif self.how == "both":
            self.position.fill_(step)
            self.number = step


@pytest.mark.parametrize(
    ("how", "follows"),
    [("in place", True), ("new tensor", False), ("number", False), ("both", False), ("elsewhere", False)],
)
def test_only_a_position_kept_in_buffers_can_be_replayed(how, follows):
    model = nn.Module()
    model.random_modules = [Drawing(how)]
    assert position_in_buffers(model) is follows


def test_every_strategy_of_the_catalogue_can_be_replayed():
    assert position_in_buffers(network("dropout"))
    assert position_in_buffers(network("A"))


@pytest.mark.parametrize("engine", ["plain", "static"])
def test_a_run_that_is_over_lets_its_memory_go_at_once(engine):
    """A worker trains run after run: nothing may wait for the collector of cycles."""
    outcome(engine, spec=recipe(epochs=1))  # torch keeps frames of its lazy imports in the first run of a process
    model = network()
    seen = weakref.ref(model)
    gc.collect()
    gc.disable()
    try:
        train(model, dataset(), DATA, recipe(epochs=1), seed=0, engine=engine)
        del model
        assert seen() is None
    finally:
        gc.enable()
