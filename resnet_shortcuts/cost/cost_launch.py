"""Runs a cost pass in a process of its own, from a parent that needs no torch."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from resnet_shortcuts import errors
from resnet_shortcuts.cost import cost_environment
from resnet_shortcuts.cost.cost_request import CostReport, CostRequest, report_key

Progress = Callable[[str, int, int], None]


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
    are theirs. `log` receives what the process writes to standard error; without it, that goes to this one's.
    Raises the `RscError` that the process met, or EnvironmentFault if it ended without an answer. An exception here
    (Ctrl-C) ends the process.
    """
    threads = str(request.threads)
    settings = {**os.environ, **(environ or {}), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    command = [sys.executable, "-m", "resnet_shortcuts.cost.cost_process"]
    stderr = None if log is None else log.open("ab")
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=settings, text=True
    )
    try:
        return _converse(process, request, progress, log)
    finally:
        process.kill()
        process.wait()
        if stderr is not None:
            stderr.close()


def _converse(process: subprocess.Popen[str], request: CostRequest, progress: Progress, log: Path | None) -> CostReport:
    assert process.stdin is not None  # noqa: S101 - both are pipes, as asked for above
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(request.model_dump_json())
        process.stdin.close()
    except BrokenPipeError:
        pass  # it died at once; the loop below finds no answer
    for line in process.stdout:
        answer = json.loads(line)
        if "progress" in answer:
            progress(*answer["progress"])
        elif "error" in answer:
            kind, *words = answer["error"]
            known = getattr(errors, kind, errors.RscError)
            raise known(*words) if known is not errors.ManyErrors else errors.UsageError(*words)
        else:
            return CostReport.model_validate(answer["report"])
    where = f"exit status {process.wait()}"
    raise errors.EnvironmentFault("the cost pass ended without an answer", where, f"see {log or 'above'}")
