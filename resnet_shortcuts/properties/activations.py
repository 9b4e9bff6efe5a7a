"""Real inputs that are always there: images, and what a network makes of them once it has learnt them."""

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
    found: dict[str, Tensor] = {}
    handles = []
    for name, block in model.blocks():
        if name != "layer1.0" and name.endswith(".0"):

            def remember(_: nn.Module, arguments: tuple[Tensor, ...], name: str = name) -> None:
                found[name] = arguments[0].detach()

            handles.append(block.register_forward_pre_hook(remember))
    was_training = model.training
    model.eval()(images)
    model.train(was_training)
    for handle in handles:
        handle.remove()
    return found


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
    """What a network has learnt: mean cross-entropy of what it was trained on, share of the others it gets right."""

    steps: int
    loss: float
    accuracy: float

    def __str__(self) -> str:
        return (
            f"after {self.steps} steps of SGD, batch {_BATCH}, on four fifths of the images: training loss "
            f"{self.loss:.3g}, {self.accuracy:.1%} of the other fifth right"
        )


def train(model: ResidualNetwork, images: Tensor, labels: Tensor, steps: int, seed: int) -> Learnt:
    """Enough training to look at a network that has learnt: SGD with momentum, its rate up and down in two lines.

    The rate rises over the first fifth of the steps, without which 110 layers learn nothing at first (He et al. 2015
    warm up too), and falls to 0 over the rest. Every fifth image is held out. The order of the images follows from
    ``seed`` alone.
    """
    held_out = torch.arange(len(images)) % _HELD_OUT == 0
    ours, theirs = (images[~held_out], labels[~held_out]), (images[held_out], labels[held_out])
    settings = StepSettings(batch_size=_BATCH)
    step = make_step(model.train(), make_optimizer(model, TrainSpec(epochs=1)), settings)
    for number in range(steps):
        rate = _RATE * min((number + 1) / (_WARM_UP * steps), (1 - number / steps) / (1 - _WARM_UP))
        draws = random_streams.numpy_stream("settle", seed, number)
        chosen = torch.from_numpy(draws.integers(len(ours[0]), size=_BATCH))
        set_position(model, seed, number)
        step(ours[0][chosen], ours[1][chosen], rate)
    with torch.no_grad():
        model.eval()
        loss, _ = forward_and_loss(model, *ours, settings)
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
    found, notes = {"real images": windows(chosen)}, {}
    for name, activations in transition_inputs(model, chosen).items():
        on = f"activations before {name}, after {steps} steps"
        found[on], notes[on] = windows(activations), f"{NETWORK} with stride-pad {learnt}"
    return RealInputs(found, notes)


@cache
def embedded_inputs(seed: int) -> RealInputs:
    """`real_inputs` of the digits."""
    return real_inputs(*embedded_images(), seed)
