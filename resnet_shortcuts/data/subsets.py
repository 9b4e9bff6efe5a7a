"""Which images a subset holds: balanced over the classes, and the same whatever the seed of a run."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resnet_shortcuts.data.source_contract import Labels
from resnet_shortcuts.random_streams import numpy_stream


def balanced_order(labels: Labels, purpose: str) -> NDArray[np.int64]:
    """An order (N,) of all images, each prefix of which is balanced: class counts differ by at most one while they
    last.

    It depends on the labels and on ``purpose`` only, so a larger subset contains the smaller one.
    """
    stream = numpy_stream("subset", purpose)
    shuffled = stream.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels, minlength=1)
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    turn = stream.permutation(len(counts))[labels[by_class]]
    return by_class[np.lexsort((turn, rank))].astype(np.int64)


def choose(labels: Labels, size: int, purpose: str) -> NDArray[np.int64]:
    """The sorted indices (size,) of a balanced subset."""
    if size == len(labels):
        return np.arange(size, dtype=np.int64)
    return np.sort(balanced_order(labels, purpose)[:size])


def split_by_content(labels: Labels, hashes: Sequence[bytes], fraction: float) -> NDArray[np.bool_]:
    """Which images (N,) become test images: ``fraction`` of each class, at least one, never all of it.

    They are those whose contents have the smallest hashes, so the choice depends on neither names nor order, and
    images of the same contents fall on the same side as far as a class has others. A class needs two images.
    """
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = sorted(members.tolist(), key=lambda member: hashes[member])
        wanted = min(max(1, round(fraction * len(order))), len(order) - 1)
        borders = [n for n in range(1, len(order)) if hashes[order[n - 1]] != hashes[order[n]]]
        cut = min(borders, key=lambda border: abs(border - wanted), default=wanted)
        chosen[order[:cut]] = True
    return chosen
