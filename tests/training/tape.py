"""A CUDA graph's rule on a CPU: operations captured with their tensors are done again on the same tensors, and nothing
else is. Python numbers, new tensors and generators are as they were when captured."""

from typing import ClassVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resnet_shortcuts.training.step import WARM_UP, GraphedStep, StaticStep, position_in_buffers


class Tape(TorchDispatchMode):
    """Records what is done inside it; ``replay`` does it again."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        self.operations.append((operation, args, kwargs or {}, result))
        return result

    def replay(self):
        for operation, args, kwargs, recorded in self.operations:
            given = {storage(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
            again = operation(*args, **kwargs)
            for old, new in zip(tree_leaves(recorded), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and storage(old) not in given:  # neither in place nor a view
                    old.copy_(new)

    @property
    def asks_for_numbers(self):
        """Whether anything was read back to the host, which no graph can hold."""
        return any("_local_scalar_dense" in str(operation) for operation, *_ in self.operations)


def storage(tensor):
    return tensor.untyped_storage().data_ptr()


class TapedStep(GraphedStep):
    """The graphed step with a tape for a graph. Capture on a CPU executes, so the state is put back afterwards."""

    made: ClassVar[list] = []

    def prepare(self):
        assert position_in_buffers(self.model)
        StaticStep.prepare(self)
        self.why_not, self._graph, self._warmed, self.replays = "", None, 0, 0
        for group in self.optimizer.param_groups:
            group["fused"] = True  # the other ways of torch's SGD read the rate back to the host
        self.made.append(self)

    def _warm_up(self, images, labels):
        self.perform(images, labels)
        self._warmed += 1

    def _capture(self, images, labels):
        assert self._warmed == WARM_UP
        momentum = [state["momentum_buffer"] for state in self.optimizer.state.values()]
        touched = [*self.model.parameters(), *self.model.buffers(), *momentum, self.loss_sum, self.hits]
        before = [tensor.detach().clone() for tensor in touched]
        with torch.enable_grad(), Tape() as tape:
            self.perform(images, labels)
        assert not tape.asks_for_numbers
        with torch.no_grad():
            for tensor, old in zip(touched, before, strict=True):
                tensor.copy_(old)
        return Counted(tape, self)


class Counted:
    def __init__(self, tape, step):
        self.tape, self.step = tape, step

    def replay(self):
        with torch.no_grad():
            self.tape.replay()
        self.step.replays += 1
