"""docs/shortcuts.md and its pictures, rendered from the registry: ``python -m tools.shortcut_document``. No torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnet_shortcuts.durable import write_file
from resnet_shortcuts.properties.shortcut_description import describe
from resnet_shortcuts.shortcuts.catalogue import Strategy, strategies
from resnet_shortcuts.shortcuts.composition import SCOPES
from resnet_shortcuts.shortcuts.operations import ChannelOperation, Join, Operation, SpatialOperation, operations
from tools.shortcut_pictures import svg

_INTRO = """# Shortcut strategies

This page is written by `python -m tools.shortcut_document` from the registry; a test keeps it fresh.

A strategy joins a block's input `x`, (N, C_in, H, W), to its residual branch, (N, C_out, H/s, W/s). Most are points of
one grid: a spatial operation, a channel operation, a scope, a scale and a join. In a config, a strategy is a name or an
alias, a composition, or a custom class:

```yaml
shortcuts:
  - A
  - {spatial: blur3, channels: pad, scope: transitions, scale: 2.0, name: mine}
  - {like: exclusive-gate, bias: -3, name: gate-3}
  - ./my_shortcut.py:Mine
```

Naming traps: 'ResNet-A/B/C/D' of Bag of Tricks are not options A/B/C (only D has an alias here). In widely copied
'DownsampleA/B/C/D' code, C is B without BN (`projection-nobn`) and D is a 2x2 convolution (`projection-2x2`). Published
'option A' numbers mix `stride-pad` and `avg-pad`.

At a stride-1 change of channels (ResNet-50's first stage) neither the spatial operation nor, with scope 'transitions',
the scale acts: only the channel operation does. Pre-activation nets have no BN on the shortcut, and a learned shortcut
reads the pre-activated input there.

## Add a strategy

A class in a file beside the config, `./my_shortcut.py:Mine`, is checked against the contract before anything is
trained; its source's hash is part of a run's identity:

```python
from resnet_shortcuts.shortcuts import Shortcut


class Mine(Shortcut):
    def __init__(self, site):  # in_channels, out_channels, stride, index, total, preactivation
        super().__init__()
        self.stride = site.stride

    def forward(self, x, residual):  # return what residual is like; change neither in place
        return residual + x[:, :, :: self.stride, :: self.stride].mean(1, keepdim=True)
```

In Python, `@register("mine", aliases=("m",), summary="the mean over the channels", source="this page")` above the class
makes it one more entry of the catalogue. An installed package offers one through the entry-point group
`resnet_shortcuts.shortcuts`. To keep a composition for everybody, add one entry to `CATALOGUE` in
`resnet_shortcuts/shortcuts/catalogue.py`.

## Add an operation

A spatial operation, a channel operation or a join is one object. Register it, and compositions, counts, `rsc verify`,
documents and pictures know it:

```python
from torch import nn

from resnet_shortcuts.shortcuts import SpatialOperation, register

register(
    SpatialOperation(
        "l2",
        "root of the sum of squares of s x s pixels",
        build=lambda site: nn.LPPool2d(2, site.stride, ceil_mode=True),
        window=((0, 0), (0, 1), (1, 0), (1, 1)),
    )
)
```

`{spatial: l2, channels: pad}` is then a strategy, whose identity holds the hash of the registering file. What an
operation can declare (cost, formula, taps, properties, ...) stands in `resnet_shortcuts/shortcuts/operations.py`; what
it leaves out is measured and held to nothing. Workers receive the file's text and execute it: it may import installed
packages, but no files beside it. What a notebook or a script's `__main__` defines runs in the same process only
(`jobs: 0`). To keep an operation for everybody, add one object to `spatial.py`, `channels.py` or `joins.py`.
"""


def _words(title: str, meanings: Mapping[str, str | Operation]) -> list[str]:
    texts = {word: getattr(meaning, "summary", meaning) for word, meaning in meanings.items()}
    rows = [f"| `{word}` | {text} |" for word, text in texts.items()]
    return ["", f"### {title}", "", "| word | meaning |", "| --- | --- |", *rows]


def _shown(value: Any) -> str:
    if value is None:
        return "not declared"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(f"{item:g}" for item in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _section(strategy: Strategy) -> list[str]:
    facts = describe(strategy)
    aliases = f" (also {', '.join(f'`{alias}`' for alias in strategy.aliases)})" if strategy.aliases else ""
    lines = ["", f"### {strategy.name}", "", f"{strategy.summary[0].upper()}{strategy.summary[1:]}{aliases}."]
    lines += [strategy.note] if strategy.note else []
    lines += ["", f"    {facts['formula']}", "", f"Source: {strategy.source}."]
    lines += [f"Refused: {facts['refuses']}."] if facts["refuses"] else []
    if facts["cost"]:
        lines.append(f"Parameters at (16, 32, 32) to (32, 16, 16): {facts['cost']['parameters']:,}.")
        lines.append(f"Multiply-adds there: {facts['cost']['multiply_adds']:,}.")
    if facts["properties"]:
        lines += ["", "; ".join(f"{key}: {_shown(value)}" for key, value in facts["properties"].items()) + "."]
    return lines


def _grid() -> list[str]:
    """The tables of the operations, and the pictures of the spatial ones."""
    lines = ["", "## The grid", *_words("Channel operations", operations(ChannelOperation))]
    lines += _words("Scope", SCOPES) + _words("Join", operations(Join))
    lines += [
        "",
        "### Spatial operations",
        "",
        "At stride 2 on 8 x 8 pixels. Left: the weights with which pixels reach one output pixel, (1, 1) counted",
        "from 0 ('w' learned, '?' whichever is chosen; with `s2d` each goes to a channel of its own). Right: how",
        "much gradient each pixel gets if every output gets 1.",
    ]
    for spatial in operations(SpatialOperation).values():
        lines += ["", f"`{spatial.name}`: {spatial.summary}", "", f"![{spatial.name}](shortcuts/{spatial.name}.svg)"]
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
    for strategy in strategies():
        link = f"[`{strategy.name}`](#{strategy.name})"
        lines.append(f"| {link} | {', '.join(strategy.aliases)} | {strategy.summary} | {strategy.source} |")
    lines += _grid()
    lines += [
        "",
        "## One by one",
        "",
        "Properties are those of the operator at a transition from C to 2C channels, stride 2, 8 x 8,",
        "without BN, as `rsc verify` measures them; derivations stand in `resnet_shortcuts/properties/declared.py`.",
    ]
    for strategy in strategies():
        lines += _section(strategy)
    files = {f"docs/shortcuts/{name}.svg": svg(spatial) for name, spatial in operations(SpatialOperation).items()}
    return {"docs/shortcuts.md": "\n".join(lines) + "\n", **files}


if __name__ == "__main__":
    for path, text in render().items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_file(Path(path), text.encode())
