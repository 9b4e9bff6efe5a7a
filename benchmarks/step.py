"""Where the time of a training step on a CPU goes, and what was tried to make it shorter.

    python benchmarks/step.py [profile] [convolutions] [tried] [--rounds 24] [--json FILE]

ResNet-20 with option A, batch 128, 32x32, fp32, channels last, one thread a process, one batch in memory.

- profile: the share of each operator in a step, as torch's profiler has it.
- convolutions: how fast the three kinds of 3x3 convolution run, forward and both gradients, beside a matrix product.
- tried: other ways of taking the step, each as one process a core. They take turns of two steps, in an order of its own
  each round, since the same form drifts by some per cent between minutes: the ratio to what is shipped is the median
  over rounds, with its 95 % interval; `shipped, again` is the noise floor.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resnet_shortcuts import machine
from resnet_shortcuts.cost.timing import median_interval
from resnet_shortcuts.errors import RscError
from resnet_shortcuts.experiments import processes

PARTS = ("profile", "convolutions", "tried")
BATCH, STEPS = 128, 2
SHAPES = ((16, 32), (32, 16), (64, 8))
_ALLOCATOR = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "LD_PRELOAD")


def make_step(form: str) -> Callable[[], float]:
    """One training step as a function; ``form`` is the part of a contestant's name that changes the code."""
    import torch
    from torch.nn import functional as F

    from resnet_shortcuts.models import blocks
    from resnet_shortcuts.models.networks import build_network
    from resnet_shortcuts.shortcuts.catalogue import find

    torch.set_num_threads(1)
    if form == "sum and ReLU in place":

        def forward(self: blocks.BasicBlock, x: torch.Tensor) -> torch.Tensor:
            branch = self.branch(x)
            joined = branch.add_(x) if branch.shape == x.shape else self.shortcut(x, branch)
            return F.relu(joined, inplace=True)

        blocks.BasicBlock.forward = forward
    if form == "stride-2 weight gradient by matrix product":
        _replace_strided_convolutions()
    layout = torch.contiguous_format if form == "channels first" else torch.channels_last
    model = build_network("cifar-resnet-20", find("A"), in_channels=3, num_classes=10, seed=0)
    model.to(memory_format=layout).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, 3, 32, 32, generator=generator).contiguous(memory_format=layout)
    labels = torch.randint(10, (BATCH,), generator=generator)

    def step() -> float:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    for _ in range(3):
        step()
    return step


def _replace_strided_convolutions() -> None:
    """Let 3x3 convolutions of stride 2 take their weight gradient as one matrix product over gathered pixels."""
    import torch
    from torch import Tensor, nn
    from torch.nn import functional as F

    class Strided(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
            ctx.save_for_backward(x, weight)
            return F.conv2d(x, weight, None, 2, 1)

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
            x, weight = ctx.saved_tensors
            to_input = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, [2, 2], [1, 1], [1, 1], False, [0, 0], 1, [True, False, False]
            )[0]
            rows, columns = gradient.shape[2:]
            padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
            taps = [padded[:, i : i + 2 * rows : 2, j : j + 2 * columns : 2] for i in range(3) for j in range(3)]
            pixels = torch.cat(taps, -1).reshape(-1, 9 * x.shape[1])
            product = gradient.permute(0, 2, 3, 1).reshape(-1, gradient.shape[1]).t() @ pixels
            return to_input, product.view(-1, 3, 3, x.shape[1]).permute(0, 3, 1, 2)

    ordinary = nn.Conv2d.forward

    def forward(self: nn.Conv2d, x: Tensor) -> Tensor:
        if self.stride == (2, 2) and self.kernel_size == (3, 3):
            return Strided.apply(x, self.weight)
        return ordinary(self, x)

    nn.Conv2d.forward = forward


def profile() -> list[dict[str, Any]]:
    """Operators by their share of six steps."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    step = make_step("")
    with record(activities=[ProfilerActivity.CPU]) as recorded:
        for _ in range(6):
            step()
    events = recorded.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    shares = [{"operator": event.key, "percent": 100 * event.self_cpu_time_total / total} for event in events]
    return sorted(shares, key=lambda share: -share["percent"])[:10]


def convolutions() -> list[dict[str, Any]]:
    """GFLOP/s of each direction of the stride-1 3x3 convolutions, and of a product of two 2048x2048 matrices."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(1)

    def rate(work: Callable[[], Any], operations: float) -> float:
        taken = []
        for _ in range(10):
            began = time.perf_counter()
            work()
            taken.append(time.perf_counter() - began)
        return operations / statistics.median(taken) / 1e9

    square = torch.randn(2048, 2048)
    rows: list[dict[str, Any]] = [{"what": "matrix product", "GFLOP/s": rate(lambda: square @ square, 2 * 2048.0**3)}]
    for channels, side in SHAPES:
        for layout, name in ((torch.channels_last, "channels last"), (torch.contiguous_format, "channels first")):
            x, gradient = (torch.randn(BATCH, channels, side, side).contiguous(memory_format=layout) for _ in range(2))
            weight = torch.randn(channels, channels, 3, 3).contiguous(memory_format=layout)
            work: dict[str, Callable[[], Any]] = {"forward": lambda x=x, w=weight: F.conv2d(x, w, None, 1, 1)}
            for direction, mask in (("to input", [True, False, False]), ("to weight", [False, True, False])):
                arguments = (gradient, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, mask)
                work[direction] = lambda a=arguments: torch.ops.aten.convolution_backward(*a)
            for direction, one in work.items():
                what = f"{channels} channels, {side}x{side}, {name}, {direction}"
                rows.append({"what": what, "GFLOP/s": rate(one, 2.0 * BATCH * side * side * channels * channels * 9)})
    return rows


def contestants() -> dict[str, tuple[dict[str, str], str]]:
    """Environment and form of each: what is shipped first."""
    shipped = {key: value for key, value in processes.environment(1).items() if key != "LD_PRELOAD"}
    bare = {key: value for key, value in shipped.items() if key not in _ALLOCATOR}
    results = {
        "shipped": (shipped, ""),
        "shipped, again": (shipped, ""),
        "glibc's own thresholds": (bare, ""),
        "huge pages for glibc's heap": ({**shipped, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}, ""),
    }
    if machine.tcmalloc_path():
        results["tcmalloc preloaded"] = ({**bare, "LD_PRELOAD": str(machine.tcmalloc_path())}, "")
    forms = ("sum and ReLU in place", "stride-2 weight gradient by matrix product", "channels first")
    return results | {form: (shipped, form) for form in forms}


class Processes:
    """One contestant as a process a core, all taking their steps at once when told."""

    def __init__(self, environment: dict[str, str], form: str) -> None:
        command = [sys.executable, __file__, "--child", form]
        self.all = [
            subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(machine.cores())
        ]
        self.answers()

    def answers(self) -> list[float]:
        """What each has to say, in turn."""
        return [float(process.stdout.readline()) for process in self.all if process.stdout]

    def turn(self) -> float:
        """Seconds a step, the mean over the processes."""
        for process in self.all:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return statistics.mean(self.answers())


def tried(rounds: int) -> list[dict[str, Any]]:
    """Every contestant's milliseconds a step, and how many times as fast it is as what is shipped."""
    started = {name: Processes(*how) for name, how in contestants().items()}
    taken: dict[str, list[float]] = {name: [] for name in started}
    order = list(started)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            taken[name].append(started[name].turn())
    for one in started.values():
        for process in one.all:
            process.kill()
            process.wait()
    rows = []
    for name, seconds in taken.items():
        ratios = [shipped / other for shipped, other in zip(taken["shipped"], seconds, strict=True)]
        low, high = median_interval(ratios) or (None, None)
        speed = statistics.median(ratios)
        rows.append({"form": name, "ms": 1e3 * statistics.median(seconds), "speed": speed, "low": low, "high": high})
    return rows


def child(form: str) -> None:
    """Take steps whenever a line comes in; say the seconds a step."""
    step = make_step(form)
    print(0, flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(STEPS):
            step()
        print((time.perf_counter() - began) / STEPS, flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"{', '.join(PARTS)}; all without any")
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        return child(arguments.child)
    if wrong := set(arguments.parts) - set(PARTS):
        parser.error(f"no part {sorted(wrong)[0]!r}: there are {', '.join(PARTS)}")
    for variable in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        if variable not in os.environ:  # they count from a process's start, so this one starts once more
            os.execve(sys.executable, [sys.executable, *sys.argv], processes.environment(1))  # noqa: S606
    work = {"profile": profile, "convolutions": convolutions, "tried": lambda: tried(arguments.rounds)}
    results: dict[str, Any] = {"machine": machine.environment(), "load_average": os.getloadavg()}
    for part in arguments.parts or PARTS:
        results[part] = work[part]()
        for row in results[part]:
            print("  ".join(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
        print()
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    return None


if __name__ == "__main__":
    try:
        main()
    except RscError as error:
        sys.exit("\n".join(f"error: {line}" for line in error.lines))
