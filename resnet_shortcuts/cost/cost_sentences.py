"""What a cost report says, in words that claim nothing below the noise; imports no torch."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from resnet_shortcuts.cost.cost_change import Change, count_change, peak_change, time_change
from resnet_shortcuts.cost.cost_request import CostReport, CostRequest, CostRow, Memory, Race
from resnet_shortcuts.words import counted


def sentences(report: CostReport) -> list[str]:
    """A sentence for each network: who costs more or less time and memory than the baseline, and who does not.

    'projection-all costs 10 % (8 to 12) more time and 23 % more memory than A; the others are within the noise of 1 %.'
    A time counts as different when the 95 % interval of its ratio excludes 1 and its ratio lies outside the A/A noise.
    Memory is the peak of training; where only counts were taken, the sentence says activation memory, which is what
    autograd keeps for backward. ``cost_change`` says which differences count.
    """
    races = {race.network: race for race in report.races}
    networks = dict.fromkeys(row.network for row in report.rows)
    claims = (_sentence(network, report, races.get(network)) for network in networks)
    return [claim for claim in claims if claim is not None]


def how_measured(report: CostReport) -> list[str]:
    """A sentence for each network that was timed: rounds, why measuring stopped, the A/A noise, and on what."""
    request, facts = report.request, report.environment
    threads = counted(request.threads, "thread")
    where = [facts.device, threads if request.device_type == "cpu" else None, request.precision]
    where += [f"batch {request.batch_size}", f"torch {facts.torch}" if facts.torch else None]
    reasons = {
        "precision": f"every ratio is known within {request.target * 100:g} %",
        "rounds": "that was the most rounds allowed",
        "budget": f"the budget of {request.seconds:g} s was spent",
    }
    lines = []
    for race in report.races:
        steps, rounds = counted(race.steps_per_turn, "step"), counted(race.rounds, "round")
        noise = "too few for an interval of the A/A control"
        if race.noise is not None:
            noise = f"the ratio of {race.baseline} to itself is 1 within {race.noise * 100:.1f} %"
        place = ", ".join(str(part) for part in where if part)
        lines.append(f"{race.network}: {rounds} of {steps} a strategy, then {reasons[race.stopped]}; {noise}; {place}.")
    return lines


def cost_rows(report: CostReport) -> list[dict[str, Any]]:
    """The report's rows as flat JSON-able mappings, each network's A/A control last: ``shortcut`` is 'A (again)'.

    Keys are those of `CostRow`, with ``memory`` spread to ``memory_parameters`` and so on, and ``control`` (bool).
    """
    rows: list[dict[str, Any]] = []
    races = {race.network: race for race in report.races}
    for network in dict.fromkeys(row.network for row in report.rows):
        rows += [_flat(row) for row in report.rows if row.network == network]
        race = races.get(network)
        if race is not None:
            again = CostRow(
                network=network,
                shortcut=f"{race.baseline} (again)",
                ratio=race.control_ratio,
                ratio_interval=race.control_interval,
            )
            rows.append({**_flat(again), "control": True})
    return rows


def _flat(row: CostRow) -> dict[str, Any]:
    values = row.model_dump(mode="json")
    parts = values.pop("memory") or dict.fromkeys(Memory.model_fields)
    return {**values, **{f"memory_{part}": count for part, count in parts.items()}, "control": False}


def _sentence(network: str, report: CostReport, race: Race | None) -> str | None:
    baseline_name = race.baseline if race is not None else report.request.baseline_label
    baseline = report.row(network, baseline_name)
    rivals = [row for row in report.rows if row.network == network and row.shortcut != baseline_name and not row.error]
    if baseline is None or not rivals:
        return None
    claims: list[str] = []
    within_noise: list[str] = []
    inconclusive: list[str] = []
    for row in rivals:
        parts = [part for part in (_time(row, race), _memory(row, baseline, report.request)) if part]
        interval = _inconclusive(row, race)
        if interval:
            inconclusive.append(f"{row.shortcut} ({interval})")
        if parts:
            claims.append(f"{row.shortcut} costs {' and '.join(parts)}")
        elif not interval:
            within_noise.append(row.shortcut)
    words = [f"{claim} than {baseline_name}" if place == 0 else claim for place, claim in enumerate(claims)]
    if within_noise:
        words.append(_others(within_noise, bool(claims), baseline, race))
    if inconclusive:
        words.append(f"inconclusive in time: {', '.join(inconclusive)}")
    return f"{network}: {'; '.join(words)}."


def _change(row: CostRow, race: Race | None) -> Change | None:
    return None if race is None else time_change(row.ratio, row.ratio_interval, race.noise)


def _time(row: CostRow, race: Race | None) -> str | None:
    """'10 % (8 to 12) more time', or None where the difference is not beyond doubt and noise."""
    change = _change(row, race)
    if change is None or change.interval is None or change.standing != "differs":
        return None
    more = change.share > 0
    ends = [abs(end) * 100 for end in (change.interval if more else reversed(change.interval))]
    digits = 0 if ends[1] - ends[0] >= 2 else 1
    middle, first, last = (f"{value:.{digits}f}" for value in (abs(change.share) * 100, *ends))
    return f"{middle} % ({first} to {last}) {'more' if more else 'less'} time"


def _inconclusive(row: CostRow, race: Race | None) -> str | None:
    """'−1 to +12 %' where time is neither claimed nor near."""
    change = _change(row, race)
    if change is None or change.interval is None or change.standing != "uncertain":
        return None
    low, high = (f"{100 * end:+.0f}".replace("-", "−") for end in change.interval)
    return f"{low} to {high} %"


def _memory(row: CostRow, baseline: CostRow, request: CostRequest) -> str | None:
    what = _memory_called(baseline)
    if what == "memory":
        on_cpu = request.device_type == "cpu"
        change = peak_change(row.peak_memory_bytes, baseline.peak_memory_bytes, on_cpu=on_cpu)
    else:
        change = count_change(row.saved_bytes, baseline.saved_bytes)
    if change is None or change.standing == "same":
        return None
    return f"{abs(change.share) * 100:.0f} % {'more' if change.share > 0 else 'less'} {what}"


def _memory_called(baseline: CostRow) -> str:
    """The peak is called memory; what autograd keeps, activation memory."""
    return "activation memory" if baseline.peak_memory_bytes is None else "memory"


def _others(within_noise: Sequence[str], some_claimed: bool, baseline: CostRow, race: Race | None) -> str:
    who = "the others" if some_claimed and len(within_noise) > 1 else _listed(within_noise)
    verb = "is" if who == within_noise[0] else "are"
    if race is None or race.noise is None:
        why = "not timed" if race is None else f"too few rounds ({race.rounds}) to tell"
        keep = "takes" if verb == "is" else "take"
        return f"{who} {keep} as much {_memory_called(baseline)} as {baseline.shortcut}, time: {why}"
    noise = race.noise * 100
    return f"{who} {verb} within the noise of {math.ceil(noise - 1e-9) if noise >= 1 else f'{max(noise, 0.1):.1f}'} %"


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
