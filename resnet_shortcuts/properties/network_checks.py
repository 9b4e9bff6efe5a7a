"""``rsc verify``: the properties of a strategy, of its operator by itself and of the networks built with it."""

import copy
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from resnet_shortcuts import random_streams
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.models.blocks import BottleneckBlock
from resnet_shortcuts.models.dead_channels import dead_channels
from resnet_shortcuts.models.network_config import NetworkSpec
from resnet_shortcuts.models.networks import ResidualNetwork, build_network
from resnet_shortcuts.properties import measured as measure
from resnet_shortcuts.properties.activations import (
    NETWORK,
    RealInputs,
    embedded_images,
    embedded_inputs,
    real_inputs,
    train,
)
from resnet_shortcuts.properties.declared import declare, zero_channels
from resnet_shortcuts.properties.decoders import verify_decoders
from resnet_shortcuts.properties.information import explained_variance, smooth_fields
from resnet_shortcuts.properties.operator_checks import row, verify_activations, verify_information, verify_operator
from resnet_shortcuts.properties.property_row import PropertyRow
from resnet_shortcuts.shortcuts.building import build_shortcut
from resnet_shortcuts.shortcuts.catalogue import Strategy, find, strategies
from resnet_shortcuts.shortcuts.site import Site
from resnet_shortcuts.training.step import forward_and_loss
from resnet_shortcuts.training.step_settings import StepSettings

DEPTHS = (20, 56, 110)
STEPS = 200  # after these ResNet-110 with option A gets three in four of the held-out digits right


def _block_join(strategy: Strategy, channels: int, stride_first: bool, seed: int) -> Callable[[Tensor], Tensor]:
    """The join of a bottleneck from ``channels`` to twice as many, before its last ReLU; eval mode, float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_streams.key64("verify", seed))
        shortcut = build_shortcut(strategy, Site(channels, 2 * channels, 2, 1, 3))
        block = BottleneckBlock(channels, channels // 2, 2, shortcut, first=False, stride_first=stride_first)
        block.double().eval()

    def join(x: Tensor) -> Tensor:
        joined: Tensor = block.shortcut(x, block.branch(x))
        return joined

    return join


_VERSIONS = (("v1.5", False), ("v1", True))


def verify_block(strategy: Strategy, inputs: RealInputs, *, seed: int = 0) -> list[PropertyRow]:
    """Measure (e): what the join of shortcut and branch lets through, with the stride in the 3x3 (v1.5) or 1x1 (v1).

    The block is a bottleneck from C to 2C channels at a transition, He's initialisation. With v1.5 the branch reads
    every pixel; with v1 it reads a quarter of them, so influence (C = 8, white noise) is that quarter and the
    shortcut's own. Explained variance is of smooth fields (C = 8, 8 x 8) and of each stage's real activations among
    ``inputs``.
    """
    declared = declare(strategy)
    rows = []
    for version, stride_first in _VERSIONS:
        expected = None
        if declared is not None and strategy.point.join.adds:
            # A quarter of the pixels is the same quarter for every operator that reads no more than that.
            expected = max(0.25, declared.influence) if stride_first else 1.0
        join = _block_join(strategy, 8, stride_first, seed)
        reached = measure.influence(join, measure.white(seed, "block", 16, 8, 8, 8))
        rows.append(row(strategy.name, f"block influence, {version}", "random", reached, expected, 1e-6))
        for on, x in {"smooth field": smooth_fields(1500, 8, 8, seed), **inputs.windows}.items():
            if x.shape[1] < 8:
                continue  # images: a network's first transition comes after its stem
            join = _block_join(strategy, x.shape[1], stride_first, seed)
            with torch.no_grad():
                explained = explained_variance(x, join(x.double()))
            note = inputs.notes.get(on, "")
            rows.append(row(strategy.name, f"block information, {version}", on, explained, note=note))
    return rows


def verify_dead_channels(strategy: Strategy, *, seed: int = 0) -> list[PropertyRow]:
    """Channels of ResNet-20's last stage that no gradient reaches when the last BN of each branch starts at 0."""
    spec = NetworkSpec(name=NETWORK, zero_init="force")
    model = build_network(spec, strategy, in_channels=3, num_classes=10, seed=seed)
    dead, _ = dead_channels(model, 3)["layer3"]
    # A random projection without BN may be negative for every image in some channel: dead too, but by chance.
    chance = 4 if strategy.composition is not None and strategy.composition.channels.norm is False else 0
    return [row(strategy.name, "dead channels, zero_init", NETWORK, dead, zero_channels(strategy), chance)]


def gradient_norms(model: ResidualNetwork, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Norm of the loss's gradient to what the stem and each stage give out: {"stem": ..., "layer1": ..., ...}.

    Cross-entropy, mean over the batch, training mode, on a copy of the model. Norms are of the whole tensor (N, C, H,
    W).
    """
    model = copy.deepcopy(model).train()
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
            output.retain_grad()
            kept[name] = output

        return hook

    model.pool.register_forward_hook(keep("stem"))
    for stage in model.stages:
        model.get_submodule(stage).register_forward_hook(keep(stage))
    loss, _ = forward_and_loss(model, images, labels, StepSettings())
    loss.backward()  # type: ignore[no-untyped-call]
    return {name: float(tensor.grad.norm()) if tensor.grad is not None else 0.0 for name, tensor in kept.items()}


def _finite(value: float) -> float | str:
    """JSON has no number for infinities and NaN, which a network without shortcuts may reach."""
    return value if math.isfinite(value) else "not finite"


def verify_gradients(
    strategy: Strategy,
    images: Tensor,
    labels: Tensor,
    *,
    seed: int = 0,
    depths: Sequence[int] = DEPTHS,
    steps: int = STEPS,
) -> list[PropertyRow]:
    """Gradient norms at stem and stages of CIFAR ResNets, at initialisation and after ``steps`` steps of `train`.

    Loss and accuracy have separate rows: a norm after training says nothing without the loss it belongs to.
    Without steps there is nothing after training.
    """
    rows = []
    classes = int(labels.max()) + 1
    batch = torch.arange(min(len(images), 128))
    for depth in depths:
        name = f"cifar-resnet-{depth}"
        model = build_network(name, strategy, in_channels=images.shape[1], num_classes=classes, seed=seed)
        for when in ("at initialisation", f"after {steps} steps")[: 2 if steps else 1]:
            on, note = f"{name}, {when}", ""
            if when != "at initialisation":
                learnt = train(model, images, labels, steps, seed)
                note = f"{name} with {strategy.name} {learnt}"
                rows.append(row(strategy.name, "training loss", on, _finite(learnt.loss), note=note))
                rows.append(row(strategy.name, "held-out accuracy", on, learnt.accuracy, note=note))
            for place, norm in gradient_norms(model, images[batch], labels[batch]).items():
                rows.append(row(strategy.name, f"gradient norm, {place}", on, _finite(norm), note=note))
    return rows


def verify_real(strategy: Strategy, inputs: RealInputs, *, seed: int = 0) -> list[PropertyRow]:
    """The operator's properties on `real_inputs`: real images and each stage's real activations."""
    return [
        {**measured, "note": inputs.notes.get(on, "")}
        for on, x in inputs.windows.items()
        for measured in verify_activations(strategy, x, on, seed=seed)
    ]


def verify(
    names: Sequence[str | Mapping[str, Any] | Strategy] | None = None,
    *,
    seed: int = 0,
    images: tuple[Tensor, Tensor] | None = None,
    depths: Sequence[int] = (),
    steps: int = STEPS,
    decoders: Collection[str] = (),
    tell: Callable[[str], None] = lambda _: None,
) -> list[PropertyRow]:
    """Measure strategies (default: all registered) against what they declare.

    ``images`` are real ones, (N, C, H, W) float32 with labels (N,) int64; default: the embedded digits. ``depths``
    asks for gradient norms of CIFAR ResNets of these depths too, at initialisation and after ``steps`` steps of SGD
    (slow: 110 takes minutes; 0 steps: only at initialisation). ``decoders`` names the strategies that
    `verify_decoders` is asked about (slow, too). ``tell`` is called with the name of each strategy once it is measured.
    Rows are JSON-able: strategy, property, on (what input), measured, declared, tolerance, ok (None where nothing is
    declared), note. Raises UsageError for unknown names.
    """
    chosen = [name if isinstance(name, Strategy) else find(name) for name in names or ()] or list(strategies())
    pictures, labels = embedded_images() if images is None else images
    inputs = embedded_inputs(seed) if images is None else real_inputs(pictures, labels, seed)
    rows: list[PropertyRow] = []
    for strategy in chosen:
        try:
            rows += verify_operator(strategy, seed=seed) + verify_information(strategy, seed=seed)
            rows += verify_block(strategy, inputs, seed=seed) + verify_dead_channels(strategy, seed=seed)
            rows += verify_real(strategy, inputs, seed=seed)
            rows += (
                verify_gradients(strategy, pictures, labels, seed=seed, depths=depths, steps=steps) if depths else []
            )
            rows += verify_decoders(strategy, inputs.windows, seed=seed) if strategy.name in decoders else []
        except UsageError as error:
            rows.append(row(strategy.name, "serves a transition", "8 to 16 channels", str(error), "yes"))
        tell(strategy.name)
    return rows


def verify_seed(
    names: Sequence[str],
    seed: int,
    depths: Sequence[int],
    *,
    decoders: Collection[str] = (),
    tell: Callable[[str], None] = lambda _: None,
) -> list[PropertyRow]:
    """`verify` from one of several seeds, each row with its ``seed``, so that estimates can be given an interval.

    A seed draws the noise, the smooth fields, every initialisation, the order of training, and the order of the
    embedded images: which of them a decoder is fitted on, and which judge it. Gradient norms only at initialisation.
    """
    images, labels = embedded_images()
    order = torch.from_numpy(random_streams.numpy_stream("images", seed).permutation(len(images)))
    shuffled = images[order], labels[order]
    rows = verify(names, seed=seed, images=shuffled, depths=depths, steps=0, decoders=decoders, tell=tell)
    return [{**measured, "seed": seed} for measured in rows]
