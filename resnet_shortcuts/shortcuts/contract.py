"""The contract of a shortcut: it joins a block's input to the output of the block's residual branch."""

from typing import Literal

from torch import Tensor, nn

from resnet_shortcuts.errors import UsageError


class Shortcut(nn.Module):
    """Joins a block's input to its residual branch: ``y = shortcut(x, residual)``.

    ``x`` is (N, C_in, H, W), ``residual`` (N, C_out, ceil(H/s), ceil(W/s)); ``y`` has the shape and dtype of
    ``residual``. Neither argument may be changed in place. ``reads`` says which input a pre-activation block passes
    as ``x``: the raw one, or the one after normalisation and ReLU. In other blocks the two are the same.

    A subclass takes a ``Site`` as its only argument, so that ``build_shortcut`` can build it.
    """

    reads: Literal["raw", "preactivated"] = "raw"

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Return the join of ``x`` and ``residual``, shaped like ``residual``."""
        raise NotImplementedError

    def as_module(self) -> nn.Module:
        """The shortcut by itself, ``y = module(x)``, for networks that add the branch themselves.

        The module maps (N, C_in, H, W) to (N, C_out, ceil(H/s), ceil(W/s)), shares this shortcut's parameters, and
        fits the ``downsample`` slot of torchvision's and timm's blocks. Raises UsageError where the join needs the
        branch (gates, dropout, rezero, a scaled branch, a custom class).
        """
        what = f"{type(self).__name__} needs the residual branch, so it is not a module of x alone"
        raise UsageError(what, "as_module", "call it as y = shortcut(x, residual)")
