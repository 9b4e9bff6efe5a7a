"""scikit-learn's handwritten digits: 1,797 grey images of 8x8 pixels, embedded in the package scikit-learn.

They come without a split; ours is fixed: 1,000 to train on and 797 to test on, balanced over the classes.
Source: https://archive.ics.uci.edu/dataset/80 (Alpaydin and Kaynak, 1998), as shipped with scikit-learn.
"""

from pathlib import Path

import numpy as np

from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.source_contract import Contents, Progress, Source, digest, from_array
from resnet_shortcuts.data.subsets import choose

TRAIN = 1000


def find(spec: DataSpec, data_root: Path | None, cache: Path, progress: Progress | None) -> Source:
    """The digits, always found."""
    return Source(stamp=digest(["digits", 1]), where="scikit-learn", open=_open)


def _open() -> Contents:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]  # 0..16 to 0..255
    labels = bunch.target.astype(np.int64)
    train = choose(labels, TRAIN, "digits")
    test = np.setdiff1d(np.arange(len(labels)), train)
    return Contents(
        name="scikit-learn digits",
        layout="embedded",
        classes=tuple(str(digit) for digit in range(10)),
        train=from_array(images[train], labels[train]),
        test=from_array(images[test], labels[test]),
    )
