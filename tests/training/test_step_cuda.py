"""Capture and replay on a GPU; skipped with a reason where there is none. Rules on a CPU: ``test_step``."""

import warnings

import pytest
import torch
from torch import nn

from resnet_shortcuts.data.batches import TrainBatches
from resnet_shortcuts.models.networks import set_position
from resnet_shortcuts.training import step as step_module
from resnet_shortcuts.training.step import WARM_UP, GraphedStep, make_optimizer, make_step
from resnet_shortcuts.training.step_settings import StepSettings
from tests.training.test_step import BATCH, DATA, Drawing, dataset, network, outcome, recipe

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and torch sees none here"),
]


@pytest.fixture
def made(monkeypatch):
    """The graphed steps that a test's runs made."""
    steps = []

    class Noted(GraphedStep):
        def prepare(self):
            super().prepare()
            steps.append(self)

    monkeypatch.setitem(step_module.ENGINES, "graph", Noted)
    return steps


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("shortcut", ["A", "dropout", "projection", "polyphase-pad", "exclusive-gate"])
def test_a_run_in_a_graph_equals_the_uncaptured_one(made, shortcut, precision):
    graphed, static = (outcome(engine, shortcut, "cuda", precision=precision) for engine in ("graph", "static"))
    assert graphed == static
    assert made[0].why_not == ""
    assert made[0]._graph is not None


def test_a_gpu_trains_in_a_graph_unless_told_otherwise(made):
    outcome(None, device="cuda")
    assert made[0]._graph is not None


def test_a_graphed_run_resumes_from_any_state(made):
    whole, states = outcome("graph", "dropout", "cuda"), {}

    def keep(progress, capture):
        states[progress.step, progress.epoch] = capture()

    assert outcome("graph", "dropout", "cuda", after_step=keep) == whole
    for place in ((1, 0), (5, 1), (7, 1), (12, 2)):
        assert outcome("graph", "dropout", "cuda", start=states[place]) == whole


def test_warm_up_and_capture_leave_the_generator_where_an_uncaptured_run_has_it():
    """With torch's own dropout, which reads the device's generator: equal weights, and equal numbers afterwards."""
    ends = []
    for engine in ("graph", "static"):
        torch.cuda.manual_seed(5)
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.5), nn.Flatten(), nn.Linear(288, 4))
        with torch.no_grad():
            for number, parameter in enumerate(model.parameters()):
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)) * 0.1)
        model.cuda().train()
        take = stepper(engine, model)
        for number in range(WARM_UP + 5):
            take(torch.full((BATCH, 3, 8, 8), number / 8, device="cuda"), torch.arange(BATCH, device="cuda") % 4, 0.1)
        ends.append([*(value.tolist() for value in model.state_dict().values()), torch.rand(3, device="cuda").tolist()])
    assert ends[0] == ends[1]


def stepper(engine: str, model: nn.Module):
    return make_step(model, make_optimizer(model, recipe()), StepSettings(batch_size=BATCH, engine=engine))


@pytest.fixture
def error_where_waited():
    """Turns on and off that waiting for the device raises RuntimeError."""

    def turn(on):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the mode is a prototype
            torch.cuda.set_sync_debug_mode("error" if on else "default")

    yield turn
    turn(False)


@pytest.mark.parametrize("augmentations", [["crop", "flip"], ["random-resized-crop", "flip"], []])
@pytest.mark.parametrize("kept", ["on the device", "on the host"])
def test_no_step_waits_for_the_device(monkeypatch, error_where_waited, augmentations, kept):
    from resnet_shortcuts.data import batches as batches_module

    if kept == "on the host":
        monkeypatch.setattr(batches_module, "memory_for_images", lambda device: 0)
    model = network("dropout").to("cuda", memory_format=torch.channels_last).train()
    take = stepper("graph", model)
    data = DATA.model_copy(update={"augment": tuple(augmentations)})
    batches = TrainBatches(dataset(), data, seed=0, batch_size=BATCH, device="cuda")
    for epoch in range(2):
        for number, (images, labels) in enumerate(batches.epoch(epoch)):
            set_position(model, 0, number)
            take(images, labels, 0.1 / (number + 1))
            if epoch:  # an epoch's first batch brings its order along, which waits
                error_where_waited(True)
        error_where_waited(False)


class Asking(nn.Module):
    """Waits for the device in every step."""

    def forward(self, x):
        return x * (1.0 if x.sum().item() > -1e30 else 0.0)


def test_what_cannot_be_captured_trains_uncaptured_and_says_why():
    for odd in (Asking(), Drawing("number")):
        model = nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten(), nn.Linear(4, 4)).cuda()
        if isinstance(odd, Asking):
            model.insert(0, odd)
        else:
            model.random_modules = [odd]
        take = stepper("graph", model)
        for _ in range(WARM_UP + 2):
            take(torch.randn(BATCH, 3, 8, 8, device="cuda"), torch.zeros(BATCH, dtype=torch.int64, device="cuda"), 0.01)
        assert take.why_not
        assert take._graph is None
        assert torch.isfinite(take.loss_sum).item()
