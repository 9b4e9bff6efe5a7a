"""The vocabulary that strategies are composed of, and the rules of what goes with what. Needs no torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.suggestions import did_you_mean

SPATIAL: dict[str, str] = {
    "stride": "every s-th pixel, x[:, :, ::s, ::s]",
    "avg": "mean of s x s pixels",
    "avg3": "mean of 3 x 3 pixels, stride s, padding 1 that is not counted",
    "max": "maximum of 3 x 3 pixels, stride s, padding 1",
    "max2": "maximum of s x s pixels",
    "blur3": "binomial filter [1, 2, 1], stride s, reflected border",
    "blur4": "binomial filter [1, 3, 3, 1], stride s, reflected border",
    "polyphase": "of the s*s polyphase components the one of largest norm, image by image",
    "s2d": "space-to-depth: s x s pixels become channels",
    "conv2": "a learned s x s window, merged with the 1x1 convolution that follows",
    "conv3": "a learned 3 x 3 window, stride s, padding 1, merged with the 1x1 convolution that follows",
    "factorized": "half the channels from x, half from x shifted by (1, 1), each through its own 1x1 convolution",
    "depthwise": "a learned 3 x 3 filter a channel, stride s, padding 1, with BN of its own",
    "none": "nothing passes where the size changes",
}
CHANNELS: dict[str, str] = {
    "pad": "zero channels at the end",
    "pad-both": "zero channels on both sides",
    "duplicate": "concatenated with itself",
    "conv": "1x1 convolution",
    "conv-bn": "1x1 convolution, then BN (no BN in a pre-activation net)",
    "keep": "of space-to-depth's phases (0,0), (1,1), (0,1), (1,0), as many channels as the output has",
    "mean": "of space-to-depth's channels, means of neighbouring phases",
    "haar": "orthonormal Haar bands of space-to-depth: low-pass first, then details",
    "none": "nothing passes where the channels change",
}
SCOPE: dict[str, str] = {
    "transitions": "acts where the shape changes; an identity elsewhere",
    "all": "acts in every block",
}
JOIN: dict[str, str] = {
    "add": "scale * shortcut + branch_scale * residual",
    "exclusive-gate": "(1 - g) * shortcut + g * residual with g = sigmoid(conv1x1(x) + bias)",
    "shortcut-gate": "(1 - g) * shortcut + residual with g = sigmoid(conv1x1(x) + bias)",
    "dropout": "dropout(shortcut) + residual",
    "rezero": "shortcut + alpha * residual, alpha learned from 0",
}
LEARNED_WINDOWS = ("conv2", "conv3", "factorized", "depthwise")
CONVOLUTIONS = ("conv", "conv-bn")
REDUCTIONS = ("keep", "mean", "haar")


@dataclass(frozen=True)
class Composition:
    """One point of the grid.

    ``scale`` multiplies the shortcut where the strategy acts (see ``scope``): at changes of size with scope
    'transitions', in every block with scope 'all'; ``branch_scale`` multiplies the residual branch in the same
    places. ``bias`` is the initial bias of a gate, ``rate`` the share that dropout drops.
    """

    spatial: str = "stride"
    channels: str = "pad"
    scope: str = "transitions"
    scale: float = 1.0
    branch_scale: float = 1.0
    join: str = "add"
    bias: float = -6.0
    rate: float = 0.5

    def identity(self) -> dict[str, Any]:
        """What the composition computes, as JSON-able values; what has no effect is left out or written one way."""
        said: dict[str, Any] = {"spatial": self.spatial, "channels": self.channels, "scope": self.scope}
        said["scale"] = float(self.scale)
        if self.branch_scale != 1:
            said["branch_scale"] = float(self.branch_scale)
        if self.join != "add":
            said["join"] = self.join
        if self.join.endswith("gate"):
            said["bias"] = float(self.bias)
        if self.join == "dropout":
            said["rate"] = float(self.rate)
        return said

    @property
    def learned(self) -> bool:
        """Whether the shortcut itself has parameters."""
        return self.channels in CONVOLUTIONS or self.join not in {"add", "dropout"}


def problem_with(composition: Composition) -> str | None:
    """Why this composition makes no sense, or None if it does."""
    spatial, channels = composition.spatial, composition.channels
    if (spatial == "none") != (channels == "none"):
        return "spatial 'none' and channels 'none' go together"
    if spatial in LEARNED_WINDOWS and channels not in CONVOLUTIONS:
        return f"spatial '{spatial}' needs channels 'conv' or 'conv-bn'"
    if spatial == "s2d" and channels not in (*CONVOLUTIONS, *REDUCTIONS):
        return "spatial 's2d' needs channels 'keep', 'mean', 'haar', 'conv' or 'conv-bn'"
    if channels in REDUCTIONS and spatial != "s2d":
        return f"channels '{channels}' reduces space-to-depth: it needs spatial 's2d'"
    if spatial == "none" and composition.join not in {"add"}:
        return f"join '{composition.join}' needs a shortcut, and spatial 'none' leaves none at transitions"
    return None


_WORDS: dict[str, dict[str, str]] = {"spatial": SPATIAL, "channels": CHANNELS, "scope": SCOPE, "join": JOIN}
_RANGES: dict[str, tuple[float, float]] = {
    "scale": (-1e3, 1e3), "branch_scale": (-1e3, 1e3), "bias": (-1e3, 1e3), "rate": (0.0, 0.999),
}  # fmt: skip


def _checked(key: str, value: Any) -> Any:
    if key in _WORDS:
        word = "none" if value is None else value
        if not isinstance(word, str) or word not in _WORDS[key]:
            raise UsageError(f"unknown {key} {value!r}", "shortcuts", did_you_mean(str(value), _WORDS[key]))
        return word
    low, high = _RANGES[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{key} must be a number, not {value!r}", "shortcuts", f"from {low:g} to {high:g}")
    if not low <= value <= high:
        raise UsageError(f"{key} is {value!r}", "shortcuts", f"it goes from {low:g} to {high:g}")
    return float(value)


def compose(parts: Mapping[str, Any], start: Composition | None = None) -> Composition:
    """The composition that a mapping spells out, over ``start`` if given. Raises UsageError for unknown words."""
    known = [field.name for field in fields(Composition)]
    for key in parts:
        if key not in known:
            raise UsageError(f"unknown key {key!r} in a composition", "shortcuts", did_you_mean(str(key), known))
    if start is None and not {"spatial", "channels"} <= set(parts):
        missing = [key for key in ("spatial", "channels") if key not in parts]
        raise UsageError(
            f"a composition without {' and '.join(missing)}", "shortcuts", "spatial and channels are needed"
        )
    values = {} if start is None else {name: getattr(start, name) for name in known}
    composition = Composition(**{**values, **{key: _checked(key, value) for key, value in parts.items()}})
    problem = problem_with(composition)
    if problem:
        raise UsageError("a composition that cannot be built", "shortcuts", problem)
    return composition
