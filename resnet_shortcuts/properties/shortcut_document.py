"""docs/shortcuts.md and its pictures, rendered from the registry. Needs no torch."""

from typing import Any

from resnet_shortcuts.properties.declared import declare, limits, zero_channels
from resnet_shortcuts.properties.shortcut_pictures import svg
from resnet_shortcuts.shortcuts.catalogue import CATALOGUE, Strategy
from resnet_shortcuts.shortcuts.composition import CHANNELS, CONVOLUTIONS, JOIN, SCOPE, SPATIAL, Composition
from resnet_shortcuts.shortcuts.counted import cost

_INTRO = """# Shortcut strategies

This page is written by `python -m resnet_shortcuts.properties.shortcut_document` from the registry; a test keeps it
fresh.

A strategy joins a block's input `x`, (N, C_in, H, W), to its residual branch, (N, C_out, H/s, W/s). Most are points of
one grid: a spatial operation, a channel operation, a scope, a scale and a join. In a config, a strategy is a name or an
alias, a composition, or a class of your own:

```yaml
shortcuts:
  - A
  - {spatial: blur3, channels: pad, scope: transitions, scale: 2.0, name: mine}
  - {like: exclusive-gate, bias: -3, name: gate-3}
  - ./my_shortcut.py:Mine
```

`my_shortcut.py` lies beside the config. The class is held to the contract before anything is trained; its source's hash
is part of a run's identity:

```python
from resnet_shortcuts.shortcuts import Shortcut


class Mine(Shortcut):
    def __init__(self, site):  # in_channels, out_channels, stride, index, total, preactivation
        super().__init__()
        self.stride = site.stride

    def forward(self, x, residual):  # return what residual is like; change neither in place
        return residual + x[:, :, :: self.stride, :: self.stride].mean(1, keepdim=True)
```

An installed package offers one through the entry-point group `resnet_shortcuts.shortcuts`.

Naming traps: 'ResNet-A/B/C/D' of Bag of Tricks are not options A/B/C (only D has an alias here). In widely copied
'DownsampleA/B/C/D' code, C is B without BN (`projection-nobn`) and D is a 2x2 convolution (`projection-2x2`). Published
'option A' numbers mix `stride-pad` and `avg-pad`.

At a stride-1 change of channels (ResNet-50's first stage) neither the spatial operation nor, with scope 'transitions',
the scale acts: only the channel operation does. Pre-activation nets have no BN on the shortcut, and a learned shortcut
reads the pre-activated input there.
"""


def formula(strategy: Strategy) -> str:
    """What a block that changes size computes, in a line (before the block's last ReLU)."""
    composition = strategy.composition
    if composition is None:
        return "y = (a class of one's own)"
    if composition.spatial == "none":
        return "y = branch"
    carried = _carried(composition)
    branch = "branch" if composition.branch_scale == 1 else f"{composition.branch_scale:g} branch"
    gate = f"g = sigmoid(conv1x1(x) + b), b from {composition.bias:g}"
    return {
        "add": f"y = {carried} + {branch}",
        "exclusive-gate": f"y = (1 - g) {carried} + g {branch}, {gate}",
        "shortcut-gate": f"y = (1 - g) {carried} + {branch}, {gate}",
        "dropout": f"y = dropout({carried}, {composition.rate:g}) + {branch}",
        "rezero": f"y = {carried} + alpha {branch}, alpha from 0",
    }[composition.join]


def _carried(composition: Composition) -> str:
    spatial, channels = composition.spatial, composition.channels
    inner = {"stride": "x[:, :, ::s, ::s]", "conv2": "x", "conv3": "x", "factorized": "x"}.get(spatial, f"{spatial}(x)")
    if channels in CONVOLUTIONS:
        kind = {"conv2": "conv_sxs", "conv3": "conv3x3", "factorized": "cat(conv1x1, conv1x1 of the shifted)"}
        inner = f"{kind.get(spatial, 'conv1x1')}({inner})"
        inner = f"BN({inner})" if channels == "conv-bn" else inner
    else:
        inner = f"{channels}({inner})"
    return inner if composition.scale == 1 else f"{composition.scale:g} {inner}"


def describe(strategy: Strategy) -> dict[str, Any]:
    """One strategy in full, JSON-able: names, formula, source, limits, cost of one transition, declared properties.

    ``cost`` is that of the block from (16, 32, 32) to (32, 16, 16), as in ResNet-20's second stage; properties are
    those of `declared.declare`. Both are None for a plugin.
    """
    declared = declare(strategy)
    properties = None
    if declared is not None:
        values = declared.singular_values
        properties = {
            "linear": declared.linear,
            "rank / n": declared.rank,
            "coverage": declared.coverage,
            "influence": declared.influence,
            "singular values": None if values is None else [round(value, 4) for value in values],
            "gradient gain": _number(declared.gradient_gain),
            "gradient gain, unchanged block": _number(declared.same_gain),
            "gradient gain, branch": _number(declared.branch_gain),
            "shift": declared.shift,
            "dead channels, zero_init": zero_channels(strategy),
        }
    return {
        "name": strategy.name,
        "aliases": list(strategy.aliases),
        "summary": strategy.summary,
        "formula": formula(strategy),
        "source": strategy.source,
        "note": strategy.note,
        "refuses": limits(strategy),
        "identity": strategy.identity(),
        "cost": cost(strategy, 16, 32, 2, 32),
        "properties": properties,
    }


def _number(value: float) -> float | None:
    return None if value != value else round(value, 5)


def _words(title: str, words: dict[str, str]) -> list[str]:
    rows = [f"| `{word}` | {meaning} |" for word, meaning in words.items()]
    return ["", f"### {title}", "", "| word | meaning |", "| --- | --- |", *rows]


def _said(value: Any) -> str:
    if value is None:
        return "not declared"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(f"{item:g}" for item in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _section(strategy: Strategy) -> list[str]:
    said = describe(strategy)
    aliases = f" (also {', '.join(f'`{alias}`' for alias in strategy.aliases)})" if strategy.aliases else ""
    lines = ["", f"### {strategy.name}", "", f"{strategy.summary[0].upper()}{strategy.summary[1:]}{aliases}."]
    lines += [strategy.note] if strategy.note else []
    lines += ["", f"    {said['formula']}", "", f"Source: {strategy.source}."]
    lines += [f"Refused: {said['refuses']}."] if said["refuses"] else []
    price = said["cost"]
    lines.append(f"Parameters at (16, 32, 32) to (32, 16, 16): {price['parameters']:,}.")
    lines.append(f"Multiply-adds there: {price['multiply_adds']:,}.")
    lines += ["", "; ".join(f"{key}: {_said(value)}" for key, value in said["properties"].items()) + "."]
    return lines


def render() -> dict[str, str]:
    """Every generated file as {path relative to the repository: text}."""
    lines = [
        _INTRO.rstrip(),
        "",
        "## All strategies",
        "",
        "| name | aliases | what it does | source |",
        "| --- | --- | --- | --- |",
    ]
    for strategy in CATALOGUE:
        link = f"[`{strategy.name}`](#{strategy.name})"
        lines.append(f"| {link} | {', '.join(strategy.aliases)} | {strategy.summary} | {strategy.source} |")
    lines += ["", "## The grid"]
    lines += _words("Channel operations", CHANNELS) + _words("Scope", SCOPE) + _words("Join", JOIN)
    lines += [
        "",
        "### Spatial operations",
        "",
        "At stride 2 on 8 x 8 pixels. Left: the weights with which pixels reach one output pixel, (1, 1) counted",
        "from 0 ('w' learned, '?' whichever is chosen; with `s2d` each goes to a channel of its own). Right: how",
        "much gradient each pixel gets if every output gets 1.",
    ]
    for name, meaning in SPATIAL.items():
        lines += ["", f"`{name}`: {meaning}", "", f"![{name}](shortcuts/{name}.svg)"]
    lines += [
        "",
        "## One by one",
        "",
        "Properties are those of the operator at a transition from C to 2C channels, stride 2, 8 x 8,",
    ]
    lines += [
        "without BN, as `rsc verify` measures them; derivations stand in `resnet_shortcuts/properties/declared.py`."
    ]
    for strategy in CATALOGUE:
        lines += _section(strategy)
    files = {f"docs/shortcuts/{name}.svg": svg(name) for name in SPATIAL}
    return {"docs/shortcuts.md": "\n".join(lines) + "\n", **files}


if __name__ == "__main__":
    from pathlib import Path

    from resnet_shortcuts.durable import write_file

    for path, text in render().items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_file(Path(path), text.encode())
