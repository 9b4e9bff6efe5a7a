"""The process that a cost pass runs in: ``python -m resnet_shortcuts.cost.cost_process``, a request in, JSON lines out.

Standard input: one `CostRequest` as JSON. Standard output, a line each: ``{"progress": [what, done, total]}`` and last
``{"report": CostReport}`` or ``{"error": [class, what, where, todo]}``.
"""

import json
import os
import signal
import sys
from typing import Any

from resnet_shortcuts.cost.cost_request import CostRequest
from resnet_shortcuts.errors import EnvironmentFault, Exit, RscError


def main() -> int:
    """Serves one request; returns the exit code."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library or a user's strategy prints must not look like an answer

    def say(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    asked = sys.stdin.read()
    if not asked:
        return int(Exit.TERMINATED)  # the parent was ended before it could ask
    request = CostRequest.model_validate_json(asked)
    from resnet_shortcuts.cost.cost_pass import measure_costs
    from resnet_shortcuts.cost.memory import die_with_parent

    die_with_parent()
    try:
        if request.device_type == "cuda" and not _has_cuda():
            raise EnvironmentFault("no CUDA device", f"device {request.device}", "use --device cpu, see `rsc doctor`")
        report = measure_costs(request, lambda what, done, total: say({"progress": [what, done, total]}))
    except RscError as problem:
        say({"error": [type(problem).__name__, problem.what, problem.where, problem.todo]})
        return int(problem.exit_code)
    say({"report": report.model_dump(mode="json")})
    return 0


def _has_cuda() -> bool:
    """Whether there is a usable GPU; asked in a fork, because a process that has touched CUDA cannot be forked."""
    child = os.fork()
    if child == 0:
        import torch

        os._exit(0 if torch.cuda.is_available() else 1)
    return os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    sys.exit(main())
