"""Batches as a pure function of (seed, epoch, sample): the same for every strategy, from any step on, on any device."""

import warnings
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from resnet_shortcuts.data import augment
from resnet_shortcuts.data.data_config import DataSpec, steps_per_epoch
from resnet_shortcuts.data.dataset import Dataset, Split
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.random_streams import numpy_stream
from resnet_shortcuts.words import counted

Batch = tuple[torch.Tensor, torch.Tensor]
_ELSEWHERE = 8 * 2**30
_SHARE_OF_FREE = 4
"""Images stay on a GPU where they take at most one part in so many of its free memory; otherwise batches travel."""


class Normalize:
    """uint8 (B, H, W, C) to float32 by ``(x - mean) * scale``; both are kept as (H, W, C), which is four times
    faster."""

    def __init__(self, dataset: Dataset, kind: str, device: torch.device) -> None:
        shape = dataset.train.images.shape[1:]
        mean, scale = np.zeros(shape), np.full(shape, 1 / 255)
        if kind == "channel":
            mean, std = dataset.channel_statistics
            scale = 1 / np.where(std > 0, std, 255.0)
        elif kind == "pixel":
            mean = dataset.pixel_mean
        self.scale, self.shift = (
            torch.from_numpy(np.broadcast_to(values, shape).astype(np.float32)).to(device)
            for values in (scale, -mean * scale)
        )

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """float32 (B, H, W, C), contiguous."""
        return torch.addcmul(self.shift, images.float(), self.scale)


def _mapped(images: NDArray[np.uint8]) -> torch.Tensor:
    """The same memory as a tensor. It is only read; a writable map could be refused for data larger than memory."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(images)


def memory_for_images(device: torch.device) -> int:
    """Bytes of images that may stay on the device, from what is free there now; 0 on a CPU, where they are mapped.

    Other accelerators than CUDA's do not tell what is free.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) // _SHARE_OF_FREE
    return 0 if device.type == "cpu" else _ELSEWHERE


class _Images:
    """The images of a split by position in it: mapped from disk, or on the device where they may stay there."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self.device = device
        size = split.images[0].nbytes * len(split)
        self.stay = 0 < size <= memory_for_images(device)
        self._images = _mapped(split.images)
        self._indices = torch.from_numpy(split.indices)
        if self.stay:
            chosen = self._images if split.is_whole else self._images.index_select(0, self._indices)
            self._images = chosen.to(device)

    def __getitem__(self, positions: torch.Tensor) -> torch.Tensor:
        """Those images (B, H, W, C) uint8 on the device; ``positions`` (B,) int64 are there, too, if they ``stay``."""
        if self.stay:
            return self._images.index_select(0, positions)
        return _take(self._images, self._indices[positions], self.device)


class TrainBatches:
    """The training batches of one run.

    Every epoch shuffles the images again. The last batch of an epoch may be shorter; one of a single image is left
    out (batch normalisation needs two). ``crop`` pads by ``resolution // 8`` on each side (4 at 32) and cuts
    ``resolution``; where images are stored with a margin (imagenet, imagenette) it cuts from that instead of
    padding. Without augmentation the centre is cut. Raises UsageError where the batch is larger than the training
    set.
    """

    def __init__(
        self, dataset: Dataset, spec: DataSpec, *, seed: int, batch_size: int, device: torch.device | str
    ) -> None:
        self.split, self.seed, self.batch_size = dataset.train, seed, batch_size
        self.device, self.resolution = torch.device(device), dataset.resolution
        self.augment = frozenset(spec.augment)
        if batch_size > len(self.split) or len(self.split) < 2:
            raise UsageError(
                f"train.batch_size {batch_size}", counted(len(self.split), "training image"), "make it smaller"
            )
        self._images = _Images(self.split, self.device)
        self._normalize = Normalize(dataset, spec.normalize, self.device)

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch."""
        return steps_per_epoch(len(self.split), self.batch_size)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Batches of ``epoch`` from ``first_step`` on: x (B, C, H, W) float32, channels_last, and y (B,) int64, on
        the device."""
        order = numpy_stream(self.seed, "order", epoch).permutation(len(self.split))
        chosen = torch.from_numpy(order).to(self.device if self._images.stay else "cpu")
        labels = torch.from_numpy(self.split.labels[order]).to(self.device)
        cuts = self._cuts(epoch, self.split.indices[order])
        for step in range(first_step, self.steps_per_epoch):
            part = slice(step * self.batch_size, (step + 1) * self.batch_size)
            x = self._augmented(self._normalize(self._images[chosen[part]]), cuts, part)
            yield x.permute(0, 3, 1, 2), labels[part]

    def _cuts(self, epoch: int, samples: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """What augments each sample of the epoch, in its order, on the device: moved there once, so that no step waits.

        ``mirrored`` (N,) bool, ``box`` (N, 4) float32, ``top`` and ``left`` (N,) int64, those that are asked for. They
        are derived on the processor, in float64, which not every device has.
        """
        if not self.augment:
            return {}
        u = torch.from_numpy(augment.draws(self.seed, epoch, int(self.split.indices[-1]) + 1)[samples])
        cuts: dict[str, torch.Tensor] = {}
        if "flip" in self.augment:
            cuts["mirrored"] = u[:, 2] < 0.5
        if "random-resized-crop" in self.augment:
            cuts["box"] = u[:, 3:7].float()
        else:
            size, stored = self.resolution, self.split.images.shape[1]
            if "crop" in self.augment:
                padded = stored + 2 * (size // 8) if stored == size else stored
                cuts["top"], cuts["left"] = (u[:, :2] * (padded - size + 1)).long().T.contiguous()
            else:
                cuts["top"] = cuts["left"] = torch.full((len(u),), (stored - size) // 2)
        return {name: values.to(self.device) for name, values in cuts.items()}

    def _augmented(self, x: torch.Tensor, cuts: dict[str, torch.Tensor], part: slice) -> torch.Tensor:
        size = self.resolution
        if not self.augment:
            return augment.centre_crop(x, size)
        mirrored = cuts["mirrored"][part] if "mirrored" in cuts else None
        if "box" in cuts:
            x = augment.random_resized_crop(x, size, cuts["box"][part])
            return x if mirrored is None else augment.flip(x, mirrored)
        if "crop" in self.augment and x.shape[1] == size:
            x = augment.pad(x, size // 8)
        return augment.crop(x, size, cuts["top"][part], cuts["left"][part], mirrored)


def _take(images: torch.Tensor, samples: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Those images (B, H, W, C) on the device; moved from pinned memory, so that the copy does not block."""
    taken = images.index_select(0, samples)
    if taken.device.type == device.type:
        return taken
    return taken.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else taken.to(device)


class TestBatches:
    """Every image of a split, in order, centre cut, never augmented."""

    __test__ = False  # pytest takes any Test* that a test imports for tests

    def __init__(self, split: Split, dataset: Dataset, spec: DataSpec, device: torch.device | str) -> None:
        self.split, self.resolution, self.device = split, dataset.resolution, torch.device(device)
        self._images = _Images(split, self.device)
        self._normalize = Normalize(dataset, spec.normalize, self.device)
        self._labels = torch.from_numpy(split.labels).to(self.device)

    def batches(self, size: int) -> Iterator[Batch]:
        """All images once: x (B, C, H, W) float32 channels_last, and y (B,) int64, on the device."""
        for start in range(0, len(self.split), size):
            place = self.device if self._images.stay else "cpu"
            positions = torch.arange(start, min(start + size, len(self.split)), device=place)
            x = augment.centre_crop(self._normalize(self._images[positions]), self.resolution)
            yield x.permute(0, 3, 1, 2), self._labels[start : start + size]


def test_batches(
    split: Split, dataset: Dataset, spec: DataSpec, batch_size: int, device: torch.device | str
) -> Iterator[Batch]:
    """The batches of `TestBatches` in one call."""
    return TestBatches(split, dataset, spec, device).batches(batch_size)


test_batches.__test__ = False  # type: ignore[attr-defined]  # pytest takes any test_* that a test imports for a test
