"""A run that asks for torch.compile is compiled, or fails and says why: it never trains eagerly without a word."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

from resnet_shortcuts.errors import RscError
from resnet_shortcuts.shortcuts.catalogue import strategies
from resnet_shortcuts.training import step as step_module
from resnet_shortcuts.training.step import make_optimizer, make_step, random_batch, reset_compiler
from resnet_shortcuts.training.step_settings import StepSettings
from tests.training.test_step import outcome, recipe


@pytest.fixture
def graphs(monkeypatch):
    """A backend that counts the graphs it is given and runs them eagerly."""
    counter = CompileCounter()
    monkeypatch.setattr(step_module, "BACKEND", counter)
    yield counter
    torch.compiler.reset()


def test_every_run_of_a_long_process_is_compiled(graphs):
    """torch gives up on a module's code after eight different graphs; strategies share the network's code."""
    short = recipe(epochs=1)
    for number, strategy in enumerate(strategies()[:11], start=1):
        before = graphs.frame_count
        compiled = outcome(None, strategy.name, spec=short, compile=True)
        assert graphs.frame_count > before, f"{strategy.name}, run {number}, was not compiled"
        assert compiled == outcome(None, strategy.name, spec=short), "this backend changes no bits"


def test_many_compiled_steps_live_side_by_side_as_in_a_cost_pass(graphs):
    reset_compiler()
    made = []
    for strategy in strategies()[:11]:
        made.append(compiled_step(network_with(strategy)))
        made[-1](*random_batch(4, (3, 8, 8), 4, seed=0), 0.0)
    before = graphs.frame_count
    for step in made:
        step(*random_batch(4, (3, 8, 8), 4, seed=0), 0.0)
    assert graphs.frame_count == before >= 11


class Asking(nn.Module):
    """Breaks the graph: Python branches on a value."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(192, 4)

    def forward(self, x):
        return self.layer(x.flatten(1)) * (1.0 if x.sum().item() > 0 else 0.0)


def test_a_graph_break_is_an_error(graphs):
    reset_compiler()
    with pytest.raises(RscError, match=r"run.compile is true, .* was not compiled: .*data-dependent") as raised:
        compiled_step(Asking())(*random_batch(4, (3, 8, 8), 4, seed=0), 0.1)
    assert len(raised.value.lines) == 1
    assert raised.value.todo == "set run.compile to false"


def test_a_backend_that_fails_is_an_error(monkeypatch):
    def no_compiler(graph, inputs):
        raise OSError("no C++ compiler")

    monkeypatch.setattr(step_module, "BACKEND", no_compiler)
    reset_compiler()
    with pytest.raises(RscError, match="no C\\+\\+ compiler"):
        compiled_step(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)))(*random_batch(4, (3, 8, 8), 4, seed=0), 0.1)


def test_the_recompile_limit_is_an_error(graphs, monkeypatch):
    monkeypatch.setattr(step_module, "_RECOMPILE_LIMIT", 2)
    reset_compiler()
    batch = random_batch(4, (3, 8, 8), 4, seed=0)
    one, two, three = (compiled_step(network_with(strategy)) for strategy in strategies()[:3])
    one(*batch, 0.1)
    two(*batch, 0.1)
    with pytest.raises(RscError, match="was not compiled: it was recompiled more often"):
        three(*batch, 0.1)
    monkeypatch.undo()
    reset_compiler()


def test_a_switched_off_compiler_is_an_error():
    code = (
        "from torch import nn\n"
        "from resnet_shortcuts.errors import RscError\n"
        "from tests.training.test_compile import compiled_step\n"
        "from resnet_shortcuts.training.step import random_batch, reset_compiler\n"
        "reset_compiler()\n"
        "step = compiled_step(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)))\n"
        "try: step(*random_batch(4, (3, 8, 8), 4, seed=0), 0.1)\n"
        "except RscError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TORCHDYNAMO_DISABLE": "1"},
    )
    assert "switched off" in done.stdout


def network_with(strategy):
    from resnet_shortcuts.models.networks import build_network

    return build_network("cifar-resnet-8", strategy, in_channels=3, num_classes=4, seed=3)


def compiled_step(model):
    settings = StepSettings(batch_size=4, compile=True)
    return make_step(model.train(), make_optimizer(model, recipe()), settings)
