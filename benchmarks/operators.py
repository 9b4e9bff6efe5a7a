"""Equal forms of each shortcut operator, timed against the form that is shipped: a slow A would flatter every rival.

    python benchmarks/operators.py [STRATEGY ...] [--batch-size 128] [--seconds 20] [--json FILE]

Each form joins x (N, C, H, W) to a residual (N, 2C, H/2, W/2), forward and backward, channels last, fp32, one thread,
at the two transitions of a CIFAR ResNet. Forms are first shown to be equal, result and gradients, then raced: each once
a round, in random order; the ratio to the shipped form is the median over rounds with its 95 % interval.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_shortcuts import machine
from resnet_shortcuts.cost.timed_steps import cpu_turn
from resnet_shortcuts.cost.timing import Timings, race
from resnet_shortcuts.shortcuts.building import build_shortcut
from resnet_shortcuts.shortcuts.catalogue import find
from resnet_shortcuts.shortcuts.site import Site

Form = Callable[[Tensor, Tensor], Tensor]
SITES = {"16x32x32 to 32x16x16": (16, 32), "32x16x16 to 64x8x8": (32, 16)}


def padded(x: Tensor, channels: int) -> Tensor:
    """`x` with zero channels behind it."""
    return F.pad(x, (0, 0, 0, 0, 0, channels - x.shape[1]))


def on_first(shortcut: Tensor, residual: Tensor) -> Tensor:
    """The sum on the first channels only, the other channels copied."""
    half = shortcut.shape[1]
    return torch.cat([residual[:, :half] + shortcut, residual[:, half:]], 1)


def in_place(shortcut: Tensor, residual: Tensor) -> Tensor:
    """The sum on the first channels only, in a copy of the residual."""
    joined = residual.clone()
    joined[:, : shortcut.shape[1]] += shortcut
    return joined


def four_means(x: Tensor) -> Tensor:
    """The 2x2 average as a sum of four strided views."""
    return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) * 0.25


def twice(x: Tensor, residual: Tensor) -> Tensor:
    """Duplicated channels, added without being written: the residual seen as two halves."""
    first, second = residual.chunk(2, 1)
    return torch.cat([first + x, second + x], 1)


FORMS: dict[str, dict[str, Form]] = {
    "stride-pad": {
        "slice, pad": lambda x, r: r + padded(x[:, :, ::2, ::2], r.shape[1]),
        "slice, contiguous copy, pad": lambda x, r: r + padded(x[:, :, ::2, ::2].contiguous(), r.shape[1]),
        "1x1 max-pool, pad": lambda x, r: r + padded(F.max_pool2d(x, 1, 2), r.shape[1]),
        "1x1 avg-pool, pad": lambda x, r: r + padded(F.avg_pool2d(x, 1, 2), r.shape[1]),
        "slice, add to the first channels, cat": lambda x, r: on_first(x[:, :, ::2, ::2], r),
        "slice, add in place in a copy": lambda x, r: in_place(x[:, :, ::2, ::2], r),
    },
    "stride-duplicate": {
        "slice, cat": lambda x, r: r + torch.cat([x[:, :, ::2, ::2]] * 2, 1),
        "1x1 avg-pool, cat": lambda x, r: r + torch.cat([F.avg_pool2d(x, 1, 2)] * 2, 1),
        "1x1 avg-pool, add to both halves, cat": lambda x, r: twice(F.avg_pool2d(x, 1, 2), r),
        "repeat": lambda x, r: r + x[:, :, ::2, ::2].repeat(1, 2, 1, 1),
        "add to both halves, cat": lambda x, r: twice(x[:, :, ::2, ::2], r),
    },
    "avg-pad": {
        "avg-pool without ceil_mode": lambda x, r: r + padded(F.avg_pool2d(x, 2), r.shape[1]),
        "four slices": lambda x, r: r + padded(four_means(x), r.shape[1]),
        "avg-pool, add to the first channels, cat": lambda x, r: on_first(F.avg_pool2d(x, 2), r),
        "avg-pool, add in place in a copy": lambda x, r: in_place(F.avg_pool2d(x, 2), r),
    },
    "avg-duplicate": {
        "repeat": lambda x, r: r + F.avg_pool2d(x, 2).repeat(1, 2, 1, 1),
        "add to both halves, cat": lambda x, r: twice(F.avg_pool2d(x, 2), r),
    },
    "max-pad": {
        "max-pool, add to the first channels, cat": lambda x, r: on_first(F.max_pool2d(x, 3, 2, 1), r),
        "max-pool, add in place in a copy": lambda x, r: in_place(F.max_pool2d(x, 3, 2, 1), r),
    },
}
SHIPPED, CONTROL = "shipped", "shipped (again)"


def forms_of(strategy: str, channels: int) -> dict[str, Form]:
    """The shipped form, itself again as the noise floor, and the others."""
    shipped = build_shortcut(find(strategy), Site(channels, 2 * channels, 2))
    return {SHIPPED: shipped, CONTROL: shipped, **FORMS[strategy]}


def step(form: Form, x: Tensor, residual: Tensor, gradient: Tensor) -> Callable[[], None]:
    """Forward and backward of one form."""

    def run() -> None:
        x.grad = residual.grad = None
        form(x, residual).backward(gradient)

    return run


def tensors(channels: int, size: int, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """x, residual and the gradient of their join, channels last."""
    draw = torch.Generator().manual_seed(0)
    shapes = [(batch, channels, size, size), *[(batch, 2 * channels, size // 2, size // 2)] * 2]
    made = [torch.randn(shape, generator=draw).to(memory_format=torch.channels_last) for shape in shapes]
    return made[0].requires_grad_(), made[1].requires_grad_(), made[2]


def check_equal(forms: dict[str, Form], x: Tensor, residual: Tensor, gradient: Tensor) -> None:
    """Raises AssertionError if a form's result or gradients differ from the shipped one's."""
    gradients = {}
    for name, form in forms.items():
        joined = form(x, residual)
        gradients[name] = (joined, *torch.autograd.grad(joined, (x, residual), gradient))
    for name, results in gradients.items():
        for result, expected in zip(results, gradients[SHIPPED], strict=True):
            torch.testing.assert_close(result, expected, msg=lambda text, name=name: f"{name}: {text}")


def rows_of(place: str, strategy: str, timings: Timings) -> list[dict[str, Any]]:
    """A row a form: milliseconds, ratio to the shipped form, interval."""
    return [
        {
            "transition": place,
            "strategy": strategy,
            "form": name,
            "ms": timings.median(name) * 1000,
            "ratio": timings.ratio(name),
            "ratio_interval": timings.ratio_interval(name),
            "rounds": timings.rounds,
        }
        for name in timings.seconds
    ]


def main() -> None:
    """Races the forms of every operator and prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("strategies", nargs="*", metavar="STRATEGY", help=f"default: {', '.join(FORMS)}")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=20.0, help="budget of each race")
    parser.add_argument("--json", type=Path, help="write every figure here")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    facts = machine.environment()
    print(f"{facts['cpu']}, 1 thread, fp32, batch {asked.batch_size}, torch {facts['packages']['torch']}\n")
    print("| transition | strategy | form | ms | ratio | 95 % | rounds |\n| --- | --- | --- | --- | --- | --- | --- |")
    rows = []
    for place, (channels, size) in SITES.items():
        for strategy in asked.strategies or FORMS:
            forms, data = forms_of(strategy, channels), tensors(channels, size, asked.batch_size)
            check_equal(forms, *data)
            turns = {name: cpu_turn(step(form, *data), 5) for name, form in forms.items()}
            for row in rows_of(place, strategy, race(turns, SHIPPED, seconds=asked.seconds)):
                interval = "{:.3f} to {:.3f}".format(*row["ratio_interval"]) if row["ratio_interval"] else "unknown"
                cells = f"{row['ms']:.2f} | {row['ratio']:.3f} | {interval} | {row['rounds']}"
                print(f"| {place} | {strategy} | {row['form']} | {cells} |", flush=True)
                rows.append(row)
    if asked.json:
        asked.json.write_text(json.dumps({"schema": 1, "kind": "operators", "environment": facts, "rows": rows}))


if __name__ == "__main__":
    main()
