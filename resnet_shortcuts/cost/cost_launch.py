"""Runs a cost pass in a separate process, from a parent that needs no torch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from resnet_shortcuts import errors
from resnet_shortcuts.child_process import Fault, Message, Request, launch
from resnet_shortcuts.cost import cost_environment
from resnet_shortcuts.cost.cost_request import CostReport, CostRequest, report_key
from resnet_shortcuts.shortcuts.catalogue import find
from resnet_shortcuts.shortcuts.custom_sources import CustomSource, needed_sources

Progress = Callable[[str, int, int], None]


class CostPass(Request):
    """What the process of a cost pass is started for. ``sources`` define the custom strategies."""

    kind: Literal["cost"] = "cost"
    request: CostRequest
    sources: tuple[CustomSource, ...]


class CostProgress(Message):
    """``done`` of ``total`` stages are measured; the newest is ``what``."""

    event: Literal["progress"] = "progress"
    what: str
    done: int
    total: int


class CostMeasured(Message):
    """The pass is complete."""

    event: Literal["measured"] = "measured"
    report: CostReport


CostEvent = Annotated[CostProgress | CostMeasured | Fault, Field(discriminator="event")]
_EVENTS: TypeAdapter[CostProgress | CostMeasured | Fault] = TypeAdapter(CostEvent)


def key_of(request: CostRequest) -> str:
    """The key that the report of this request has on this machine, so that a stored one can be looked up."""
    return report_key(request, cost_environment.hardware(request))


def run_cost_pass(
    request: CostRequest,
    progress: Progress = lambda *_: None,
    environ: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> CostReport:
    """Measures in a fresh process with the request's number of threads and returns its report.

    `environ` is added to this process's environment: give the training workers' (allocator, preloads), so that times
    are theirs. `log` receives what the process prints. Raises the `RscError` that the process met, or EnvironmentFault
    if it ended without a report. An exception here (Ctrl-C) ends the process.
    """
    threads = str(request.threads)
    variables = {**(environ or {}), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    strategies = [find(reference) for reference in request.shortcuts.values()]
    sources = needed_sources(strategies)
    child = launch(CostPass(request=request, sources=sources), _EVENTS, variables, log)
    try:
        while event := child.next_event():
            if isinstance(event, CostMeasured):
                return event.report
            if isinstance(event, Fault):
                raise event.as_error()
            progress(event.what, event.done, event.total)
        where = str(log) if log else child.reason()
        raise errors.EnvironmentFault("the cost pass ended without a result", where, "run it again, see rsc doctor")
    finally:
        child.close()
