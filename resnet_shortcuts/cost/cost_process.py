"""What the process of a cost pass does: see `cost_launch`."""

import os
from typing import Any

from resnet_shortcuts.child_process import Channel
from resnet_shortcuts.cost.cost_launch import CostMeasured, CostPass, CostProgress
from resnet_shortcuts.errors import EnvironmentFault


def serve(plain: Any, channel: Channel) -> None:
    """Measure what one request asks for."""
    request = CostPass.model_validate(plain).request
    if request.device_type == "cuda" and not _has_cuda():
        raise EnvironmentFault("no CUDA device", f"device {request.device}", "use --device cpu, see `rsc doctor`")
    from resnet_shortcuts.cost.cost_pass import measure_costs

    def progress(what: str, done: int, total: int) -> None:
        channel.send(CostProgress(what=what, done=done, total=total))

    channel.send(CostMeasured(report=measure_costs(request, progress)))


def _has_cuda() -> bool:
    """Whether there is a usable GPU; asked in a fork, because a process that has touched CUDA cannot be forked."""
    child = os.fork()
    if child == 0:
        import torch

        os._exit(0 if torch.cuda.is_available() else 1)
    return os.waitpid(child, 0)[1] == 0
