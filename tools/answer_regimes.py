"""Which regimes are answered: depth x length of training x learning rate, and what would answer the open ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from resnet_shortcuts.cli.progress import duration
from resnet_shortcuts.experiments.store import Experiment
from resnet_shortcuts.tables import Column, Table, markdown

RESULTS = Path("results/reference")
ANSWER = "answer-resnet20"
MULTIPLY_ADDS = {"ResNet-20": 40.55e6, "ResNet-56": 125.49e6, "ResNet-50, 224 x 224": 4.09e9}
"""Of a forward pass with option A (ResNet-50: with projections), as ``rsc cost`` counts them."""


@dataclass(frozen=True)
class Regime:
    """A cell of the table: network, length and learning rate, the runs that answer it, and where its config is.

    ``images`` are those that one run trains on in all. ``config`` is empty where this project has no config for it.
    """

    network: str
    length: str
    rate: str
    runs: int
    images: float
    config: str
    question: str
    published: str = ""
    alone: str = ""

    @property
    def experiment(self) -> Experiment:
        """Where its runs are stored, or will be."""
        return Experiment(RESULTS, self.config)

    def done(self) -> int:
        """How many of its runs are stored."""
        return len(self.experiment.finished_ids()) if self.config else 0

    def state(self) -> str:
        """'answered: 77 runs', how far it is, or open. A half-done set is never summarised."""
        if self.runs and self.done() >= self.runs:
            return f"answered: {self.runs} runs, {self.config}"
        if self.done():
            return f"unfinished: {self.done()} of {self.runs} runs, no verdict before all are done"
        return "open"

    def command(self) -> str:
        """What to type to close it."""
        if not self.config:
            return ""
        return f"rsc train {self.config} --data-root IMAGES --results results/reference"


REGIMES = (
    Regime("ResNet-20", "6 epochs", "0.2, one-cycle", 77, 300_000, ANSWER, "does it matter, and what in it?"),
    Regime(
        "ResNet-20", "6 epochs", "0.2, one-cycle, 10 seeds", 110, 300_000, "answer-seeds",
        "are the seven inconclusive contrasts resolved by three more seeds?",
    ),
    Regime("ResNet-20", "30 epochs", "0.2, one-cycle", 16, 1_500_000, "answer-long", "does longer training change it?"),
    Regime("ResNet-20", "6 epochs", "0.05, one-cycle", 16, 300_000, "answer-lr-low", "does a smaller rate change it?"),
    Regime("ResNet-20", "6 epochs", "0.4, one-cycle", 16, 300_000, "answer-lr-high", "does a larger rate change it?"),
    Regime("ResNet-56", "6 epochs", "0.2, one-cycle", 12, 300_000, "answer-resnet56", "does depth change it?"),
    Regime(
        "ResNet-20", "164 epochs", "0.1, steps (He et al. 2015)", 25, 64_000 * 128, "answer-he2015",
        "does it hold in the paper's recipe, on lossless images?",
        published="A, B, C: torch-resnet, best test epoch",
    ),
    Regime(
        "ResNet-56", "164 epochs", "0.1, steps (He et al. 2015)", 0, 64_000 * 128, "",
        "and at depth, trained to the end?", published="A only: He et al. 2015",
    ),
    Regime(
        "ResNet-50, 224 x 224", "90 epochs of ImageNet", "0.1, steps", 0, 90 * 1_281_167, "",
        "and on ImageNet?", published="single runs: He et al. 2015 (ResNet-34), mmpretrain",
    ),
)  # fmt: skip


def regime_table() -> str:
    """The cells with who answered them, as Markdown."""
    columns = [
        Column("network", "network", label=True),
        Column("length", "training"),
        Column("rate", "learning rate"),
        Column("state", "here"),
        Column("published", "by others"),
    ]
    rows = [
        {"network": each.network, "length": each.length, "rate": each.rate, "state": each.state()}
        | ({"published": each.published} if each.published else {})
        for each in REGIMES
    ]
    return markdown([Table("regimes", columns, rows)])


def open_table(seconds_a_run: float, at_once: int) -> str:
    """The open cells with command and machine time, worked out from one run of the sweep by its multiply-adds.

    ``seconds_a_run``: of a run of the sweep with ``at_once`` runs side by side.
    """
    columns = [
        Column("question", "question", label=True),
        Column("runs", "runs", formatter=str),
        Column("time", "on two such cores"),
        Column("command", "command"),
    ]
    return markdown([Table("open", columns, list(_open_rows(seconds_a_run, at_once)))])


def _open_rows(seconds_a_run: float, at_once: int) -> Iterator[dict[str, str]]:
    reference = REGIMES[0]
    for each in REGIMES[1:]:
        if each.runs and each.done() >= each.runs:
            continue
        share = MULTIPLY_ADDS[each.network] / MULTIPLY_ADDS[reference.network] * each.images / reference.images
        to_do = each.runs - each.done() - (reference.runs if each.config == "answer-seeds" else 0)
        one = seconds_a_run * share / at_once
        yield {
            "question": f"{each.network}, {each.length}, {each.rate}: {each.question}",
            "runs": str(to_do) if each.runs else "",
            "time": f"about {_time(one * to_do)}" if each.runs else f"about {_time(one)} a run: for a GPU",
        } | ({"command": each.command()} if each.config else {})


def _time(seconds: float) -> str:
    """Hours up to two days, then days."""
    days = seconds / 86_400
    return duration(seconds) if days < 2 else f"{days:,.0f} days"
