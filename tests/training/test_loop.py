"""The loop against a loop written out plainly, and what a run reports."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from resnet_shortcuts.data.batches import TrainBatches, test_batches
from resnet_shortcuts.errors import IntegrityError
from resnet_shortcuts.models.network_config import NetworkSpec
from resnet_shortcuts.models.networks import build_network
from resnet_shortcuts.shortcuts.catalogue import find
from resnet_shortcuts.training import training_state
from resnet_shortcuts.training.loop import train
from resnet_shortcuts.training.recipe import TrainSpec


def network(seed=0, width=8, shortcut="A"):
    spec = NetworkSpec(name="cifar-resnet-8", width=width)
    return build_network(spec, find(shortcut), in_channels=1, num_classes=10, seed=seed)


def by_hand(model, dataset, data, spec, seed):
    """The same training with nothing but torch: step schedule, cross entropy, SGD, decay on every parameter."""
    model = model.to(memory_format=torch.channels_last)
    batches = TrainBatches(dataset, data, seed=seed, batch_size=spec.batch_size, device="cpu")
    steps = spec.epochs * batches.steps_per_epoch
    sgd = torch.optim.SGD(
        model.parameters(), spec.lr, momentum=spec.momentum, weight_decay=spec.weight_decay, nesterov=spec.nesterov
    )
    milestones = [round(m * steps) for m in spec.schedule.milestones]
    schedule = torch.optim.lr_scheduler.MultiStepLR(sgd, milestones, gamma=spec.schedule.gamma)
    losses = []
    for epoch in range(spec.epochs):
        for x, y in batches.epoch(epoch):
            model.train()
            sgd.zero_grad()
            loss = F.cross_entropy(model(x), y, label_smoothing=spec.label_smoothing)
            loss.backward()
            sgd.step()
            schedule.step()
            losses.append((loss.item(), len(y)))
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(x) for x, _ in test_batches(dataset.test, dataset, data, spec.batch_size, "cpu")])
    return losses, logits.argmax(1).numpy()


def test_the_loop_equals_one_written_out_by_hand(digits):
    dataset, data = digits()
    spec = TrainSpec(epochs=3, batch_size=32, lr=0.05, nesterov=True, label_smoothing=0.1)
    ours, theirs = network(), network()
    outcome = train(ours, dataset, data, spec, seed=3)
    losses, predictions = by_hand(theirs, dataset, data, spec, 3)
    for (name, one), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    assert np.array_equal(outcome.predictions, predictions)
    assert outcome.test_accuracy == pytest.approx(100 * np.mean(predictions == dataset.test.labels))
    per_epoch = len(losses) // 3
    for epoch, entry in enumerate(outcome.history):
        part = losses[epoch * per_epoch : (epoch + 1) * per_epoch]
        mean = sum(loss * count for loss, count in part) / sum(count for _, count in part)
        assert entry.train_loss == pytest.approx(mean, rel=1e-6)
    assert [entry.epoch for entry in outcome.history] == [1, 2, 3]
    assert [entry.learning_rate for entry in outcome.history] == pytest.approx([0.05, 0.005, 0.0005])


def test_iterations_may_end_within_an_epoch(digits):
    dataset, data = digits()
    spec = TrainSpec(iterations=6, batch_size=32, schedule={"kind": "cosine"})
    outcome = train(network(), dataset, data, spec, seed=0)
    assert outcome.step == 6
    assert [(entry.epoch, entry.step) for entry in outcome.history] == [(1, 4), (2, 6)]
    assert outcome.history[-1].test_accuracy == outcome.test_accuracy


def test_a_held_out_part_is_looked_at_each_epoch_and_the_test_set_once(digits):
    dataset, data = digits(validation=40)
    outcome = train(network(), dataset, data, TrainSpec(epochs=3, batch_size=32), seed=0)
    assert [entry.test_accuracy for entry in outcome.history] == [None, None, outcome.test_accuracy]
    assert all(entry.validation_accuracy is not None for entry in outcome.history)


def test_evaluation_is_as_often_as_asked_and_changes_nothing(digits):
    dataset, data = digits()
    spec = TrainSpec(epochs=4, batch_size=32)
    often = train(network(), dataset, data, spec, seed=0)
    seldom = train(network(), dataset, data, spec, seed=0, evaluate_every=3)
    assert [entry.test_accuracy is None for entry in seldom.history] == [True, True, False, False]
    assert often.digests == seldom.digests


def test_two_strategies_see_the_same_first_loss_where_their_forward_pass_is_equal(digits):
    """avg-pad and stride-pad differ, but the same strategy under two names must not."""
    dataset, data = digits()
    spec = TrainSpec(epochs=1, batch_size=32)
    one = train(network(shortcut="A"), dataset, data, spec, seed=5)
    other = train(network(shortcut="stride-pad"), dataset, data, spec, seed=5)
    assert one.digests == other.digests
    assert one.digests != train(network(shortcut="A"), dataset, data, spec, seed=6).digests


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("stop", [1, 4, 5, 11])
def test_a_run_resumed_at_any_point_ends_bit_identical(digits, precision, stop):
    dataset, data = digits()
    spec = TrainSpec(epochs=3, batch_size=32, lr=0.05, schedule={"kind": "one-cycle"})
    whole = train(network(shortcut="B"), dataset, data, spec, seed=0, precision=precision)
    captured = []

    class Enough(Exception):  # noqa: N818
        pass

    def after_step(progress, capture):
        if progress.step == stop:
            captured.append(capture())
            raise Enough

    with pytest.raises(Enough):
        train(network(shortcut="B"), dataset, data, spec, seed=0, precision=precision, after_step=after_step)
    resumed = network(seed=99, shortcut="B")
    again = train(resumed, dataset, data, spec, seed=0, precision=precision, start=captured[0])
    assert again.digests == whole.digests
    assert again.history == whole.history
    assert np.array_equal(again.predictions, whole.predictions)


def test_fault_50_a_loss_that_is_not_finite_ends_the_run_as_diverged(digits):
    dataset, data = digits()
    outcome = train(network(), dataset, data, TrainSpec(epochs=2, batch_size=32, lr=1000.0), seed=0)
    diverged = train(network(), dataset, data, TrainSpec(epochs=20, batch_size=4, lr=1000.0), seed=0)
    assert outcome.status in {"done", "diverged"}
    assert diverged.status == "diverged"
    assert diverged.predictions is None
    assert "step" in diverged.reason


def test_a_state_that_is_not_finite_is_not_captured(digits):
    dataset, data = digits()
    captured = []

    def after_step(progress, capture):
        with torch.no_grad():
            model.fc.bias.fill_(float("inf"))
        captured.append(capture())

    model = network()
    outcome = train(model, dataset, data, TrainSpec(epochs=1, batch_size=32), seed=0, after_step=after_step)
    assert captured == [None]
    assert outcome.status == "diverged"


def test_another_networks_state_names_the_first_tensor_and_changes_nothing():
    wide, narrow = network(width=16), network(width=8)
    before = copy.deepcopy(narrow.state_dict())
    sgd = torch.optim.SGD(narrow.parameters(), lr=0.1)
    files = training_state.render(wide, torch.optim.SGD(wide.parameters(), lr=0.1), training_state.Progress())
    with pytest.raises(IntegrityError, match=r"first tensor that differs: model.conv1.weight \(\(16, 1, 3, 3\)"):
        training_state.restore(files, narrow, sgd)
    deeper = build_network("cifar-resnet-14", find("A"), in_channels=1, num_classes=10, seed=0)
    sgd_deeper = torch.optim.SGD(deeper.parameters(), lr=0.1)
    with pytest.raises(IntegrityError, match=r"first tensor that differs: model\.layer1\.1"):
        training_state.restore(files, deeper, sgd_deeper)
    assert all(torch.equal(one, before[name]) for name, one in narrow.state_dict().items())


def test_a_digest_does_not_depend_on_the_memory_format_and_sees_one_bit():
    weights = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4)
    last = weights.to(memory_format=torch.channels_last)
    assert training_state.digest([("w", weights)]) == training_state.digest([("w", last)])
    changed = weights.clone()
    changed.view(torch.int32)[0, 0, 0, 1] ^= 1
    assert training_state.digest([("w", weights)]) != training_state.digest([("w", changed)])
