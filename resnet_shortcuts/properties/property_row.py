"""One measured property of a strategy: what ``rsc verify`` prints and ``--format json`` writes. Needs no torch."""

from typing import NotRequired, TypedDict

Value = bool | float | str | list[float]
DECODED = "decoded, width {}"
"""The property that `decoders.decoded_variance` measures, by the width of the decoder's network."""
WIDTHS = (16, 32)
"""The widths, the second twice the first."""


class PropertyRow(TypedDict):
    """``on`` says for which input ``measured`` holds; ``ok`` is None where nothing is declared.

    ``tolerance`` is absolute for numbers; ``seed`` is there where a property is measured from several.
    """

    strategy: str
    property: str
    on: str
    measured: Value
    declared: Value | None
    tolerance: float
    ok: bool | None
    note: str
    seed: NotRequired[int]
