"""Sentences against reports made by hand."""

import io

import pandas

from resnet_shortcuts.analysis.cost_table import cost_data, cost_tables
from resnet_shortcuts.cost.cost_request import CostReport, CostRequest, CostRow, Memory, Race
from resnet_shortcuts.cost.cost_sentences import cost_rows, how_measured, sentences
from resnet_shortcuts.tables import csv_text, markdown

MB = 10**6


def row(shortcut: str, ratio: float | None, interval: tuple[float, float] | None, memory: int | None) -> CostRow:
    return CostRow(
        network="ResNet-20", shortcut=shortcut, ratio=ratio, ratio_interval=interval, saved_bytes=memory,
        peak_memory_bytes=memory,
    )  # fmt: skip


def report(*rows: CostRow, noise: float | None = 0.01, rounds: int = 40, timed: bool = True) -> CostReport:
    race = Race(
        network="ResNet-20", baseline="A", rounds=rounds, steps_per_turn=1, stopped="precision", control_ratio=1.0,
        control_interval=None if noise is None else (1 - noise, 1 + noise / 2), noise=noise,
    )  # fmt: skip
    request = CostRequest(
        networks={"ResNet-20": "cifar-resnet-20"}, shortcuts={one.shortcut: one.shortcut for one in rows}
    )
    return CostReport(key="k", request=request, environment={}, rows=rows, races=(race,) if timed else ())


BASE = row("A", 1.0, None, 100 * MB)


def test_the_sentence_of_the_issue() -> None:
    told = sentences(
        report(
            BASE,
            row("projection-all", 1.104, (1.082, 1.118), 123 * MB),
            row("avg-pad", 0.995, (0.98, 1.01), 100 * MB),
            row("plain", 1.004, (1.001, 1.007), 100 * MB),
        )
    )
    assert told == [
        "ResNet-20: projection-all costs 10 % (8 to 12) more time and 23 % more memory than A; "
        "the others are within the noise of 1 %."
    ]


def test_less_time_is_said_as_less_with_its_ends_in_order() -> None:
    (told,) = sentences(report(BASE, row("plain", 0.93, (0.91, 0.95), 100 * MB)))
    assert told == "ResNet-20: plain costs 7 % (5 to 9) less time than A."


def test_a_difference_below_the_noise_or_without_an_interval_is_not_claimed() -> None:
    (told,) = sentences(report(BASE, row("D", 1.05, (1.02, 1.08), 100 * MB), noise=0.06))
    assert told == "ResNet-20: D is within the noise of 6 %."
    (told,) = sentences(report(BASE, row("D", 1.5, None, 100 * MB), noise=None, rounds=3))
    assert told == "ResNet-20: D takes as much memory as A, time: too few rounds (3) to tell."


def test_a_time_that_was_not_resolved_is_not_called_equal() -> None:
    (told,) = sentences(
        report(BASE, row("D", 1.05, (0.99, 1.12), 100 * MB), row("E", 1.0, (0.99, 1.01), 100 * MB), noise=0.02)
    )
    assert told == "ResNet-20: E is within the noise of 2 %; inconclusive in time: D (−1 to +12 %)."
    (told,) = sentences(report(BASE, row("D", 1.01, (0.9, 1.12), 103 * MB), noise=0.02))
    assert told == "ResNet-20: D costs 3 % more memory than A; inconclusive in time: D (−10 to +12 %)."


def test_the_noise_is_not_rounded_down() -> None:
    (told,) = sentences(report(BASE, row("D", 1.0, (0.99, 1.01), 100 * MB), noise=0.023))
    assert told == "ResNet-20: D is within the noise of 3 %."


def test_memory_alone_is_told_and_unmeasured_time_is_not_called_equal() -> None:
    (told,) = sentences(report(BASE, row("B", None, None, 103 * MB), row("D", None, None, 100 * MB), timed=False))
    assert told == "ResNet-20: B costs 3 % more memory than A; D takes as much memory as A, time: not timed."


def test_what_autograd_keeps_is_never_called_memory_alone() -> None:
    base, more = (
        each.model_copy(update={"peak_memory_bytes": None}) for each in (BASE, row("B", None, None, 103 * MB))
    )
    (told,) = sentences(report(base, more, timed=False))
    assert told == "ResNet-20: B costs 3 % more activation memory than A."


def test_memory_is_the_peak_of_training_whatever_autograd_keeps() -> None:
    peak = row("B", None, None, 110 * MB).model_copy(update={"saved_bytes": 200 * MB})
    assert sentences(report(BASE, peak, timed=False)) == ["ResNet-20: B costs 10 % more memory than A."]


def test_a_strategy_that_could_not_be_measured_is_left_out() -> None:
    broken = CostRow(network="ResNet-20", shortcut="dup", error="cannot serve")
    assert sentences(report(BASE, broken)) == []


def test_an_interval_that_rounds_to_its_middle_keeps_its_digits() -> None:
    (told,) = sentences(report(BASE, row("B", 1.023, (1.021, 1.026), 103 * MB), noise=0.004))
    assert told == "ResNet-20: B costs 2.3 % (2.1 to 2.6) more time and 3 % more memory than A."


def test_how_it_was_measured_says_why_it_stopped_and_the_noise() -> None:
    (told,) = how_measured(report(BASE))
    assert told == (
        "ResNet-20: 40 rounds of 1 step a strategy, then every ratio is known within 2 %; "
        "the ratio of A to itself is 1 within 1.0 %; 1 thread, fp32, batch 128."
    )
    (told,) = how_measured(report(BASE, noise=None, rounds=1))
    assert "1 round of 1 step" in told
    assert "too few" in told
    assert how_measured(report(BASE, timed=False)) == []


def test_rows_are_flat_and_end_with_the_control() -> None:
    first, control = cost_rows(report(BASE))
    assert (first["shortcut"], first["control"], first["saved_bytes"]) == ("A", False, 100 * MB)
    assert (control["shortcut"], control["control"], control["ratio_interval"]) == ("A (again)", True, [0.99, 1.005])
    assert first.keys() == control.keys()
    assert first["memory_activations"] is None
    assert "memory" not in first


def test_csv_holds_every_network_and_the_ends_of_every_interval_as_numbers() -> None:
    timed = CostRow(
        network="ResNet-20", shortcut="B", ratio=1.1, ratio_interval=(1.0, 1.2), step_ms=5.0, step_ms_interval=(4.5, 6),
        inference_ms=2.0, inference_ms_interval=(1.5, 2.5), inference_ratio=0.9, inference_ratio_interval=(0.8, 1.0),
    )  # fmt: skip
    measured = report(BASE, timed, CostRow(network="Other", shortcut="B"))
    table = pandas.read_csv(io.StringIO(csv_text(cost_data(measured))))
    found = table.set_index(["network", "shortcut"])
    assert list(found.index) == [("ResNet-20", "A"), ("ResNet-20", "B"), ("ResNet-20", "A (again)"), ("Other", "B")]
    for key, ends in (
        ("step_ms", (4.5, 6)), ("ratio", (1.0, 1.2)), ("inference_ms", (1.5, 2.5)), ("inference_ratio", (0.8, 1.0))
    ):  # fmt: skip
        assert tuple(found.loc["ResNet-20", "B"][[f"{key}_interval_low", f"{key}_interval_high"]]) == ends
    assert found.loc["Other", "B"].isna().all()


def test_every_time_stands_beside_its_interval() -> None:
    timed = CostRow(
        network="ResNet-20", shortcut="B", ratio_interval=(1.0, 1.2), step_ms_interval=(4.5, 1234.5),
        inference_ms_interval=(1.5, 2.5), inference_ratio_interval=(0.8, 1.0),
    )  # fmt: skip
    text = markdown(cost_tables(report(timed)))
    assert all(ends in text for ends in ("4.5 to 1,234", "1.000 to 1.200", "1.5 to 2.5", "0.800 to 1.000"))


def test_no_part_of_the_memory_exceeds_the_whole_in_a_table() -> None:
    """What autograd keeps, counted in fp32, can exceed the peak of training in bf16: it does not stand beside that."""
    parts = Memory(parameters=2 * MB, gradients=2 * MB, optimizer=2 * MB, buffers=0, activations=60 * MB)
    figures = {"saved_bytes": 110 * MB, "peak_memory_bytes": 70 * MB, "memory": parts}
    measured = report(CostRow(network="ResNet-20", shortcut="A", **figures))
    (table,) = cost_tables(measured)
    values = [value for column, value in ((column, table.rows[0][column.key]) for column in table.columns)
              if column.kind == "mebibytes"]  # fmt: skip
    assert max(values) == 70 * MB
    assert [column.key for column in table.columns if "memory" in column.heading] == [
        "memory_activations", "peak_memory_bytes"
    ]  # fmt: skip
