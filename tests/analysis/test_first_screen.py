"""What a terminal shows first: it fits, it is sorted, and no number that is not to be trusted is without its mark."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest

from resnet_shortcuts.analysis.experiment_records import DIVERGED, ExperimentRecord
from resnet_shortcuts.analysis.first_screen import first_screen
from resnet_shortcuts.analysis.verdicts import judge
from tests.analysis.made import NAMES, NET, of_accuracies, whole
from tests.analysis.test_golden import nine, record

MORE = "rsc compare nine --details"


def shown(made: ExperimentRecord, **place: Any) -> str:
    return first_screen(judge(made), more=MORE, **place)


def failing(made: ExperimentRecord, seeds: int, names: tuple[str, ...] = NAMES) -> ExperimentRecord:
    """The first seeds of these strategies diverged."""
    runs = [
        dataclasses.replace(run, status=DIVERGED, test_accuracy=None, reason="loss is NaN at step 7")
        if run.seed < seeds and run.shortcut in names
        else run
        for run in made.runs
    ]
    return dataclasses.replace(made, runs=runs)


def cut(made: ExperimentRecord, seeds: int) -> ExperimentRecord:
    """The experiment when only these seeds have ended."""
    left = [run for run in made.runs if run.seed < seeds]
    missing = [(run.network, run.shortcut, run.seed) for run in made.runs if run.seed >= seeds]
    return dataclasses.replace(made, runs=left, missing=missing)


def disturbed(made: ExperimentRecord) -> ExperimentRecord:
    return dataclasses.replace(made, costs=[dataclasses.replace(cost, disturbed=True) for cost in made.costs])


CASES: dict[str, Callable[[], ExperimentRecord]] = {
    "mixed": nine,
    "all better": lambda: whole(seeds=10),
    "without seals": lambda: dataclasses.replace(nine(), seals=[]),
    "one fails": lambda: failing(nine(), 3, ("plain",)),
    "every strategy fails": lambda: failing(nine(), 2),
    "interim": lambda: cut(nine(), 3),
    "second look waits": lambda: cut(nine(), 5),
    "disturbed": lambda: disturbed(nine()),
    "without costs": lambda: dataclasses.replace(nine(), costs=[]),
    "damaged": lambda: dataclasses.replace(
        nine(), damaged=["damaged run 0123456789abcdef (predictions.safetensors)"], left_over=["a", "b"],
        runs=[dataclasses.replace(run, data_warnings=["12 of 10,000 test images are training images (the same pixels)"])
              for run in nine().runs],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("unicode", [True, False])
def test_nine_strategies_on_one_network_take_24_lines(case: str, width: int, unicode: bool) -> None:
    lines = shown(CASES[case](), width=width, unicode=unicode).splitlines()
    assert len(lines) <= 24, "\n".join(lines)
    assert max(len(line) for line in lines if not line.startswith("rsc ")) <= width
    rows = [line for line in lines if any(re.match(rf"..{name}\s", line) for name in NAMES)]
    assert len(rows) == 9  # no table was split
    assert lines[-1].endswith(MORE)


def test_strategies_are_sorted_by_accuracy_and_called_by_their_letters() -> None:
    rows = re.findall(r"^([A-D ]) (\S+) +(\d+\.\d+)±", shown(nine()), re.M)
    means = [float(mean) for *_, mean in rows]
    assert len(rows) == 9
    assert means == sorted(means, reverse=True)
    assert {name: letter for letter, name, _ in rows if letter != " "} == {
        "stride-pad": "A", "projection": "B", "projection-all": "C", "avg-projection": "D"
    }  # fmt: skip


def test_there_is_a_column_of_failures_only_where_something_failed() -> None:
    assert "failed" not in shown(nine())
    text = shown(failing(nine(), 3, ("plain",)))
    assert re.search(r"plain .* 3/10", text)
    assert "plain fails 3 of 10" in text


@pytest.mark.parametrize("width", [80, 100])
def test_a_time_that_cannot_be_relied_on_is_marked_and_the_mark_explained(width: int) -> None:
    text = shown(nine(), width=width)
    (line,) = [line for line in text.splitlines() if line.startswith("B projection ")]
    assert line.endswith("?")
    assert sum(line.endswith("?") for line in text.splitlines()) == 1
    assert "?: uncertain" in text
    shaken = shown(disturbed(nine()), width=width).splitlines()
    assert sum(line.endswith("?") for line in shaken) == 9
    assert "?" not in shown(dataclasses.replace(nine(), costs=[]))


def test_wide_times_carry_their_intervals() -> None:
    (line,) = [line for line in shown(nine(), width=100).splitlines() if line.startswith("C projection-all")]
    assert line.endswith("+8 % (7.6 to 9.2)")


def test_what_is_below_the_noise_is_the_same() -> None:
    costs = [dataclasses.replace(cost, step_ratio=1.004, step_ratio_interval=(0.998, 1.01)) for cost in nine().costs]
    text = shown(dataclasses.replace(nine(), costs=costs))
    assert re.search(r"D avg-projection .* same$", text, re.M)


def test_an_interim_interval_is_marked_and_the_command_can_be_copied() -> None:
    lines = shown(cut(nine(), 3)).splitlines()
    assert sum(line.startswith("rsc train --config results/nine/config.yaml") for line in lines) == 1
    rows = [line for line in lines if " interim" in line and line[2:].split()[0] in NAMES]
    assert len(rows) == 8
    assert all(")*" in row for row in rows)
    assert "*: unadjusted, the look is not complete." in " ".join(lines)


def test_what_is_wrong_with_the_runs_is_the_second_line_and_in_colour() -> None:
    damaged = shown(CASES["damaged"](), color=True).splitlines()
    assert damaged[1].startswith("\x1b[1;31m1 damaged and left out")
    unfinished = shown(cut(nine(), 5), color=True).splitlines()
    assert unfinished[1].startswith("\x1b[33m45 of 90 runs not finished.")
    assert "\x1b" not in shown(cut(nine(), 5))


def test_several_networks_are_a_matrix() -> None:
    text = shown(record())
    assert re.search(r"strategy +ResNet-20 +ResNet-56", text)
    assert re.search(r"^A stride-pad +82\.33 % +75\.33 %", text, re.M)
    assert re.search(r"^  max-pad .*fails 1/6, better", text, re.M)


@pytest.mark.parametrize("unicode", [True, False])
def test_three_networks_fit_into_80_columns_with_signs_for_words_and_a_legend(unicode: bool) -> None:
    verdicts = judge(whole(("cifar-resnet-20", "cifar-resnet-56", "cifar-resnet-110"), seeds=5))
    wide = first_screen(verdicts, width=120, unicode=unicode)
    text = first_screen(verdicts, width=80, unicode=unicode)
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 80
    sign = "▲" if unicode else "^"
    for name in NAMES:
        (words,) = re.findall(rf"^..{name} .*", wide, re.M)
        (signs,) = re.findall(rf"^..{name} .*", text, re.M)
        assert re.sub(r" +", " ", words.replace("better", sign).replace("inconclusive", "")) == re.sub(
            r" +", " ", signs
        )
    assert f"{sign} better, no mark: inconclusive." in " ".join(text.split())
    assert "no mark" not in wide


def test_two_names_of_one_network_are_called_that() -> None:
    made = of_accuracies({"stride-pad": [90.0, 91.0, 90.5], "stride-pad-both": [90.0, 91.2, 90.4]}, network=NET)
    assert "are one network under two names" in " ".join(shown(made).split())
