"""What a shortcut costs at one site, counted by hand from its formula. Needs no torch."""

from resnet_shortcuts.shortcuts.catalogue import Strategy
from resnet_shortcuts.shortcuts.composition import CONVOLUTIONS, Composition


def _convolution(composition: Composition, inputs: int, outputs: int, stride: int, pixels: int) -> tuple[int, int]:
    """Parameters and multiply-adds of the learned operation, BN's affine parameters counted."""
    window = {"s2d": stride * stride, "conv2": stride * stride, "conv3": 9}.get(composition.spatial, 1)
    weights = (window if stride > 1 else 1) * inputs * outputs
    norm = 2 * outputs if composition.channels == "conv-bn" else 0
    filters = 9 * inputs if composition.spatial == "depthwise" and stride > 1 else 0
    own_norm = 2 * inputs if filters and norm else 0
    # A blur is a convolution with fixed weights: no parameters, but products all the same.
    fixed = {"blur3": 9, "blur4": 16}.get(composition.spatial, 0) * inputs if stride > 1 else 0
    return weights + norm + filters + own_norm, (weights + filters + fixed) * pixels


def cost(strategy: Strategy, inputs: int, outputs: int, stride: int, size: int) -> dict[str, int] | None:
    """``parameters`` and ``multiply_adds`` of the shortcut of one post-activation block; None for a plugin.

    The block takes (inputs, size, size) to (outputs, size / stride, size / stride). Additions, pools and products with
    constants count as zero, convolutions with fixed weights (blurs) in full.
    """
    composition = strategy.composition
    if composition is None:
        return None
    side = -(-size // stride)
    pixels, everywhere = side * side, composition.scope == "all"
    changes = stride > 1 or inputs != outputs
    parameters, products = 0, 0
    if composition.channels in CONVOLUTIONS:
        if changes or everywhere:
            parameters, products = _convolution(composition, inputs, outputs, stride, pixels)
    elif stride > 1:
        products = {"blur3": 9, "blur4": 16}.get(composition.spatial, 0) * inputs * pixels
    if composition.join.endswith("gate") and (changes or everywhere):
        parameters += inputs * outputs + outputs
        products += inputs * outputs * pixels
    if composition.join == "rezero" and (changes or everywhere):
        parameters += 1
    return {"parameters": parameters, "multiply_adds": products}
