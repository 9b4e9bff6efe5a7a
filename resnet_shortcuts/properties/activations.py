"""Real inputs without a download: images, and the activations of a network that was trained on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from resnet_shortcuts import random_streams
from resnet_shortcuts.models.networks import ResidualNetwork, build_network, set_position
from resnet_shortcuts.shortcuts.catalogue import find
from resnet_shortcuts.training.recipe import TrainSpec
from resnet_shortcuts.training.step import forward_and_loss, make_optimizer, make_step
from resnet_shortcuts.training.step_settings import StepSettings

NETWORK = "cifar-resnet-20"
STEPS = 100  # after these ResNet-20 gets nine in ten of the held-out digits right
_BATCH, _RATE, _WARM_UP, _HELD_OUT = 32, 0.05, 0.2, 5
_SETTINGS = StepSettings(batch_size=_BATCH)
_WINDOW = 8


@cache
def embedded_images() -> tuple[Tensor, Tensor]:
    """scikit-learn's digits, real images that are always there: (1797, 1, 8, 8) float32 of variance 1, and labels."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).float().unsqueeze(1)
    return (images - images.mean()) / images.std(), torch.from_numpy(digits.target).long()


@torch.no_grad()
def transition_inputs(model: ResidualNetwork, images: Tensor) -> dict[str, Tensor]:
    """What each block that changes the size reads, for ``images`` (N, C, H, W): {block name: (N, C', H', W')}."""
    inputs: dict[str, Tensor] = {}
    handles = []
    for name, block in model.blocks():
        if name != "layer1.0" and name.endswith(".0"):

            def remember(_: nn.Module, arguments: tuple[Tensor, ...], name: str = name) -> None:
                inputs[name] = arguments[0].detach()

            handles.append(block.register_forward_pre_hook(remember))
    was_training = model.training
    model.eval()(images)
    model.train(was_training)
    for handle in handles:
        handle.remove()
    return inputs


def windows(activations: Tensor, limit: int = 4096) -> Tensor:
    """Windows of at most 8 x 8 at even offsets, of every image in turn until there are ``limit``: (M, C, h, w)."""
    height, width = (min(_WINDOW, side) for side in activations.shape[-2:])
    places = [
        activations[:, :, top : top + height, left : left + width]
        for top in range(0, activations.shape[2] - height + 1, _WINDOW)
        for left in range(0, activations.shape[3] - width + 1, _WINDOW)
    ]
    return torch.cat(places)[:limit]


@dataclass(frozen=True)
class Learnt:
    """What a network has learnt: mean cross-entropy on its training images, accuracy on the held-out ones."""

    steps: int
    loss: float
    accuracy: float

    def __str__(self) -> str:
        return (
            f"after {self.steps} steps of SGD, batch {_BATCH}, on four fifths of the images: training loss "
            f"{self.loss:.3g}, {self.accuracy:.1%} of the other fifth right"
        )


def train(model: ResidualNetwork, images: Tensor, labels: Tensor, steps: int, seed: int) -> Learnt:
    """A short training on four fifths of the images: SGD with momentum 0.9 and weight decay 1e-4, every fifth held out.

    The learning rate rises over the first fifth of the steps, without which 110 layers learn nothing at first (He et
    al. 2015 warm up too), and falls to 0 over the rest. The order of the images depends only on ``seed``.
    """
    held_out = torch.arange(len(images)) % _HELD_OUT == 0
    ours, theirs = (images[~held_out], labels[~held_out]), (images[held_out], labels[held_out])
    recipe = TrainSpec(iterations=max(steps, 1), batch_size=_BATCH, momentum=0.9, weight_decay=1e-4)
    train_step = make_step(model, make_optimizer(model, recipe), _SETTINGS)
    model.train()
    for step in range(steps):
        rate = _RATE * min((step + 1) / (_WARM_UP * steps), (1 - step / steps) / (1 - _WARM_UP))
        chosen = torch.from_numpy(random_streams.numpy_stream("settle", seed, step).integers(len(ours[0]), size=_BATCH))
        set_position(model, seed, step)
        train_step(ours[0][chosen], ours[1][chosen], rate)
    with torch.no_grad():
        model.eval()
        loss = float(forward_and_loss(model, *ours, _SETTINGS)[0])
        accuracy = float((model(theirs[0]).argmax(1) == theirs[1]).double().mean())
    model.train()
    return Learnt(steps, float(loss), accuracy)


@dataclass(frozen=True)
class RealInputs:
    """Windows (M, C, 8, 8 or less) by what they are: of real images, and before each transition of a trained net."""

    windows: Mapping[str, Tensor]
    notes: Mapping[str, str]


def real_inputs(images: Tensor, labels: Tensor, seed: int = 0, steps: int = STEPS) -> RealInputs:
    """Real images, and what ResNet-20 with option A makes of them after ``steps`` steps of training on them.

    All strategies are measured on the same activations, so that what differs between them is theirs.
    """
    model = build_network(NETWORK, find("A"), in_channels=images.shape[1], num_classes=int(labels.max()) + 1, seed=seed)
    learnt = train(model, images, labels, steps, seed)
    chosen = images[:2000]
    inputs, notes = {"real images": windows(chosen)}, {}
    for name, activations in transition_inputs(model, chosen).items():
        on = f"activations before {name}, after {steps} steps"
        inputs[on], notes[on] = windows(activations), f"{NETWORK} with stride-pad {learnt}"
    return RealInputs(inputs, notes)


@cache
def embedded_inputs(seed: int) -> RealInputs:
    """`real_inputs` of the digits."""
    return real_inputs(*embedded_images(), seed)
