"""Where a shortcut sits in a network. Needs no torch."""

from dataclasses import dataclass

from resnet_shortcuts.errors import UsageError


@dataclass(frozen=True)
class Site:
    """Where a shortcut sits.

    ``in_channels`` and ``out_channels`` count channels of the block's input and output, ``stride`` is the factor by
    which height and width shrink (to the ceiling of H/stride), ``index`` counts the network's blocks from 0 and
    ``total`` is how many blocks the network has; ``preactivation`` says that the block normalises before it convolves,
    so that a strategy can choose between the raw input and the pre-activated one.
    """

    in_channels: int
    out_channels: int
    stride: int
    index: int = 0
    total: int = 1
    preactivation: bool = False

    @property
    def changes_size(self) -> bool:
        """Whether height and width shrink here."""
        return self.stride != 1

    @property
    def changes_channels(self) -> bool:
        """Whether the number of channels differs between input and output."""
        return self.in_channels != self.out_channels

    @property
    def changes(self) -> bool:
        """Whether input and output differ in shape, so that an identity cannot serve."""
        return self.changes_size or self.changes_channels

    def __str__(self) -> str:
        return (
            f"block {self.index + 1} of {self.total}, {self.in_channels} to {self.out_channels} channels, "
            f"stride {self.stride}"
        )

    def refuse(self, strategy: str, because: str, todo: str = "choose another strategy or network") -> UsageError:
        """The error for a strategy that cannot serve this site: one line with strategy, block and shapes."""
        return UsageError(f"shortcut '{strategy}' cannot serve this block, {because}", str(self), todo)
