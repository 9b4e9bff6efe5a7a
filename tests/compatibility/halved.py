"""A shortcut of one's own, as a user would write it: its runs are known by the hash of this file, so never touch it."""

from torch.nn.functional import pad

from resnet_shortcuts.shortcuts import Shortcut


class Halved(Shortcut):
    """Half of every second pixel, with zero channels behind."""

    def __init__(self, site):
        super().__init__()
        self.stride, self.missing = site.stride, site.out_channels - site.in_channels

    def forward(self, x, residual):
        return residual + pad(x[:, :, :: self.stride, :: self.stride] / 2, (0, 0, 0, 0, 0, self.missing))
