"""What is odd about a data set without making it unusable: counted, stored with the decoded images, shown with results.

A run's id does not hash it: the same images give the same results, whatever the warnings.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from resnet_shortcuts.data.source_contract import Images, Labels

Hashes = NDArray[np.bytes_]
_SHOWN = 5


class DataWarning(BaseModel):
    """One remark on a data set. ``count``: images, classes or files that it is about."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["test-in-train", "conflicting-labels", "system-files", "unsorted-images", "small-classes"]
    count: int
    text: str


def stored_warnings(manifest: Mapping[str, Any]) -> tuple[DataWarning, ...]:
    """The warnings that a manifest holds."""
    return tuple(DataWarning.model_validate(warning) for warning in manifest.get("warnings", ()))


def image_hashes(images: Images) -> Hashes:
    """A hash (N,) of the pixels of each image (N, H, W, C)."""
    blocks = (hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest() for image in images)
    return np.fromiter(blocks, "S32", len(images))


def leakage(train: Hashes, test: Hashes) -> list[DataWarning]:
    """A warning where test images are training images, given the hashes of both."""
    shared = int(np.isin(test, train).sum())
    if not shared:
        return []
    verb = "is a training image" if shared == 1 else "are training images"
    text = (
        f"{shared:,} of {len(test):,} test images {verb} (the same pixels): their accuracy is not that of unseen images"
    )
    return [DataWarning(kind="test-in-train", count=shared, text=text)]


def conflicts(part: str, hashes: Hashes, labels: Labels) -> list[DataWarning]:
    """A warning where the same image has different labels within a part (``training`` or ``test``)."""
    _, groups = np.unique(hashes, return_inverse=True)
    lowest, highest = np.full(groups.max() + 1, np.iinfo(np.int64).max), np.full(groups.max() + 1, -1)
    np.minimum.at(lowest, groups, labels)
    np.maximum.at(highest, groups, labels)
    count = int((lowest != highest)[groups].sum())
    if not count:
        return []
    text = f"{count:,} of {len(labels):,} {part} images are copies of each other with different labels"
    return [DataWarning(kind="conflicting-labels", count=count, text=text)]


def skipped_files(skipped: Mapping[str, int]) -> list[DataWarning]:
    """A warning where system files or thumbnails were passed over, given how often by name."""
    if not skipped:
        return []
    names = sorted(skipped, key=lambda name: (-skipped[name], name))
    shown = ", ".join(f"{skipped[name]:,} {name!r}" for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN:,} more names" if len(names) > _SHOWN else ""
    count = sum(skipped.values())
    text = f"system files and thumbnails passed over: {count:,} ({shown}{more})"
    return [DataWarning(kind="system-files", count=count, text=text)]


def unsorted_images(paths: Sequence[str]) -> list[DataWarning]:
    """A warning where images lie beside class folders, as after sorting that was cut short."""
    if not paths:
        return []
    verb = "image lies" if len(paths) == 1 else "images lie"
    text = f"{len(paths):,} {verb} in no class folder and {'is' if len(paths) == 1 else 'are'} left out ({paths[0]!r})"
    return [DataWarning(kind="unsorted-images", count=len(paths), text=text)]


def small_classes(part: str, labels: Labels, classes: Sequence[str]) -> list[DataWarning]:
    """A warning where a part that was asked for by size, and so should be balanced, has classes of less than half their
    share."""
    counts, share = np.bincount(labels, minlength=len(classes)), len(labels) / len(classes)
    small = [int(label) for label in np.argsort(counts, kind="stable") if counts[label] < share / 2]
    if not small:
        return []
    shown = ", ".join(f"{classes[label]!r} {counts[label]:,}" for label in small[:_SHOWN])
    more = f" and {len(small) - _SHOWN:,} more" if len(small) > _SHOWN else ""
    have = f"{len(small):,} class{'' if len(small) == 1 else 'es'} with less than half of their share"
    text = f"{have} of the {len(labels):,} {part} images asked for ({share:,.0f} a class): {shown}{more}"
    return [DataWarning(kind="small-classes", count=len(small), text=text)]
