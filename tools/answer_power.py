"""What 77 runs can show, for any standard deviation between seeds: depends on the design alone, on no result."""

import math

from resnet_shortcuts.analysis.planning import Design, Spread
from resnet_shortcuts.analysis.sequential import ALPHA
from resnet_shortcuts.analysis.statistics import detectable
from resnet_shortcuts.experiments.verdict_seal import VerdictSeal
from resnet_shortcuts.tables import Column, Table, markdown

SDS = (0.15, 0.2, 0.25, 0.3, 0.4)
"""Points between seeds of one strategy; ResNet-20 after full training is published with 0.08 to 0.19."""


def contrast(sd: float, seal: VerdictSeal) -> float:
    """The difference in points between a strategy and the baseline that the sealed look finds 4 times in 5.

    ``sd`` is that of one strategy over seeds; strategies are taken as uncorrelated.
    """
    found = Design.of(seal).detectable(Spread(sd * math.sqrt(2)))
    assert found is not None  # noqa: S101 - a seal of three seeds or more allows verdicts
    return found


def single(sd: float, seeds: int) -> float:
    """The difference that one paired t test by itself at 5 % finds 4 times in 5."""
    found = detectable(sd * math.sqrt(2), seeds)
    assert found is not None  # noqa: S101
    return found


def main_effect(sd: float, seeds: int, levels: int, family: int) -> float:
    """The main effect that is found 4 times in 5 where each level has ``levels`` x ``seeds`` runs.

    ``family`` effects share the error of 5 %, as in `analysis.factorial`; 1: the effect by itself.
    """
    found = detectable(sd * math.sqrt(2 / levels), seeds, ALPHA / family)
    assert found is not None  # noqa: S101
    return found


def power_table(seal: VerdictSeal, levels: int, family: int, measured_sd: float) -> str:
    """The table of detectable differences as Markdown, with a row for the standard deviation that was measured."""
    seeds = seal.looks[-1]
    rows = [
        {
            "sd": f"{sd:.2f}{' (measured)' if sd == measured_sd else ''}",
            "single": single(sd, seeds),
            "contrast": contrast(sd, seal),
            "effect": main_effect(sd, seeds, levels, 1),
            "effects": main_effect(sd, seeds, levels, family),
        }
        for sd in sorted({*SDS, measured_sd})
    ]
    columns = [
        Column("sd", "sd between seeds, points", "number", formatter=str),
        Column("single", "one contrast alone", "number"),
        Column("contrast", f"one of the {seal.family} sealed contrasts", "number"),
        Column("effect", "one main effect alone", "number"),
        Column("effects", f"one of the grid's {family} effects", "number"),
    ]
    return markdown([Table("power", columns, rows)])
