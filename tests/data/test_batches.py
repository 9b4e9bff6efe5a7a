"""Batches are a pure function of (seed, epoch, sample), equal to a slow, plain rendering of the same draws."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resnet_shortcuts.data import augment
from resnet_shortcuts.data.batches import TrainBatches, test_batches
from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.dataset import Dataset, Split
from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.random_streams import numpy_stream


def dataset(count: int = 50, stored: int = 16, resolution: int | None = None, channels: int = 3) -> Dataset:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, stored, stored, channels), dtype=np.uint8)
    labels = random.integers(0, 5, count)
    split = Split(images, labels, np.arange(count))
    some = Split(images, labels[3:20:2], np.arange(count)[3:20:2])
    return Dataset(split, some, split, tuple("abcde"), {}, resolution or stored)


def spec(**options) -> DataSpec:
    return DataSpec(source="image-folder", **options)


def batches(data: Dataset, options: DataSpec, seed: int = 0, batch_size: int = 16) -> TrainBatches:
    return TrainBatches(data, options, seed=seed, batch_size=batch_size, device="cpu")


def plain(data: Dataset, options: DataSpec, seed: int, epoch: int) -> np.ndarray:
    """The epoch's images, one at a time with NumPy and np.pad, (N, C, H, W) float64."""
    order = numpy_stream(seed, "order", epoch).permutation(len(data.train))
    size, margin, rendered = data.resolution, data.resolution // 8, []
    used = data.train.images[data.train.indices].astype(np.float64)
    if options.normalize == "channel":
        mean, scale = used.mean((0, 1, 2)), 1 / used.std((0, 1, 2))
    else:
        mean, scale = (used.mean(0) if options.normalize == "pixel" else 0), 1 / 255
    draws = augment.draws(seed, epoch, len(data.train.images))
    for sample in data.train.indices[order]:
        image = (data.train.images[sample] - mean) * scale
        top, left = draws[sample, :2]
        if "crop" in options.augment:
            if image.shape[0] == size:
                image = np.pad(image, ((margin, margin), (margin, margin), (0, 0)))
            y, x = (int(u * (image.shape[0] - size + 1)) for u in (top, left))
        else:
            y = x = (image.shape[0] - size) // 2
        image = image[y : y + size, x : x + size]
        if "flip" in options.augment and draws[sample, 2] < 0.5:
            image = image[:, ::-1]
        rendered.append(image.transpose(2, 0, 1))
    return np.stack(rendered)


@pytest.mark.parametrize("normalize", ["channel", "pixel", "none"])
@pytest.mark.parametrize("augmentations", [(), ("crop",), ("flip",), ("crop", "flip")])
@pytest.mark.parametrize(("stored", "resolution", "channels"), [(16, 16, 3), (18, 16, 3), (8, 8, 1)])
def test_equals_the_plain_rendering(normalize, augmentations, stored, resolution, channels):
    data, options = dataset(50, stored, resolution, channels), spec(normalize=normalize, augment=augmentations)
    got = [x for x, _ in batches(data, options, seed=3).epoch(2)]
    assert all(x.dtype == torch.float32 and x.is_contiguous(memory_format=torch.channels_last) for x in got)
    np.testing.assert_allclose(torch.cat(got), plain(data, options, 3, 2), atol=1e-5)


def test_every_image_comes_once_an_epoch_with_its_label():
    data, options = dataset(), spec(augment=[], normalize="none")
    seen = []
    for x, y in batches(data, options).epoch(0):
        for image, label in zip(x, y, strict=True):
            match = (data.train.images == np.rint(image.permute(1, 2, 0).numpy() * 255)).all((1, 2, 3)).nonzero()[0]
            assert data.train.labels[match[0]] == label
            seen.append(int(match[0]))
    assert sorted(seen) == list(range(50))


def test_same_name_same_batches_and_another_epoch_or_seed_others():
    data, options = dataset(), spec(augment=["crop", "flip"])
    first = [x for x, _ in batches(data, options, 1).epoch(4)]
    again = batches(data, options, 1)
    list(again.epoch(0))
    assert all(torch.equal(a, b) for a, (b, _) in zip(first, again.epoch(4), strict=True))
    for other in (batches(data, options, 1).epoch(5), batches(data, options, 2).epoch(4)):
        assert not torch.equal(first[0], next(other)[0])


def test_an_epoch_can_be_entered_in_its_middle():
    made = batches(dataset(), spec(augment=["crop", "flip"]))
    whole = list(made.epoch(1))
    for (a, b), (c, d) in zip(whole[2:], made.epoch(1, first_step=2), strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)


def test_augmentation_of_a_sample_does_not_depend_on_the_subset():
    whole, part = augment.draws(0, 3, 100), augment.draws(0, 3, 40)
    assert (whole[:40] == part).all()


@pytest.mark.parametrize(("count", "batch", "steps"), [(50, 16, 4), (48, 16, 3), (49, 16, 3), (5, 1, 5), (5, 5, 1)])
def test_the_last_batch_may_be_short_but_not_single(count, batch, steps):
    made = batches(dataset(count), spec(), batch_size=batch)
    sizes = [len(y) for _, y in made.epoch(0)]
    assert made.steps_per_epoch == len(sizes) == steps
    assert batch == 1 or min(sizes) > 1


def test_fault_18_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(UsageError, match=r"train\.batch_size 51: 50 training images"):
        batches(dataset(50), spec(), batch_size=51)


def test_test_batches_are_in_order_and_never_augmented():
    data, options = dataset(50, 18, 16), spec(augment=["crop", "flip"])
    x = torch.cat([x for x, _ in test_batches(data.validation, data, options, 4, "cpu")])
    y = torch.cat([y for _, y in test_batches(data.validation, data, options, 4, "cpu")])
    used = data.train.images.astype(np.float64)
    cut = (used[3:20:2, 1:17, 1:17] - used.mean((0, 1, 2))) / used.std((0, 1, 2))
    np.testing.assert_allclose(x, cut.transpose(0, 3, 1, 2), atol=1e-5)
    assert (y.numpy() == data.validation.labels).all()


def test_a_constant_channel_does_not_divide_by_zero():
    data = dataset()
    data.train.images[..., 1] = 9
    x, _ = next(batches(data, spec()).epoch(0))
    assert torch.isfinite(x).all()


def test_crops_and_flips_are_uniform():
    u = augment.draws(0, 0, 20_000)
    places = np.bincount((u[:, 0] * 9).astype(int), minlength=9)
    assert places.min() > 20_000 / 9 * 0.9
    assert abs((u[:, 2] < 0.5).mean() - 0.5) < 0.02


def test_random_resized_crop_equals_a_resize_of_the_box():
    """Boxes and pixels against torch's own interpolation of a cut that falls on whole pixels."""
    x = torch.rand(1, 16, 16, 3)
    u = torch.tensor([[1.0, 0.5, 0.3, 0.9]])  # the whole area: only a resize is left
    whole = augment.random_resized_crop(x, 8, u)
    expected = torch.nn.functional.interpolate(x.permute(0, 3, 1, 2), size=8, mode="bilinear", align_corners=False)
    assert torch.allclose(whole.permute(0, 3, 1, 2), expected, atol=1e-5)
    quarter = float(np.searchsorted(augment._AREAS, 0.25)) / 1024
    corner = augment.random_resized_crop(x, 8, torch.tensor([[quarter, 0.5, 0.0, 0.0]]))  # 8x8 at the upper left
    assert torch.allclose(corner, x[:, :8, :8], atol=0.02)


def test_random_resized_crop_has_torchvisions_distribution():
    """Mean area of the cut, by a picture of ones on which each cut marks how much of it there is."""
    u = torch.from_numpy(augment.draws(0, 0, 4000)[:, 3:7]).float()
    ramp = torch.linspace(0, 1, 33)[None, :, None, None].expand(4000, 33, 33, 1).contiguous()
    heights = augment.random_resized_crop(ramp, 16, u)[:, :, 0, 0]
    spans = (heights[:, -1] - heights[:, 0]) * 16 / 15 * 32 / 33
    from resnet_shortcuts.torchvision_import import import_torchvision

    import_torchvision()
    from torchvision.transforms import RandomResizedCrop

    image = torch.zeros(3, 330, 330)
    torch.manual_seed(0)
    theirs = [RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3])[2] / 330 for _ in range(2000)]
    assert abs(spans.mean().item() - float(np.mean(theirs))) < 0.02


def test_batches_run_with_random_resized_crop():
    data = dataset(50, 18, 16)
    x, _ = next(batches(data, spec(augment=["random-resized-crop", "flip"])).epoch(0))
    assert x.shape == (16, 3, 16, 16)
    assert x.is_contiguous(memory_format=torch.channels_last)


class Moves(TorchDispatchMode):
    """Counts what is copied from one device to another."""

    count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        devices = {leaf.device for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)}
        self.count += len(devices) > 1
        return result


@pytest.mark.parametrize("augmentations", [(), ("crop",), ("flip",), ("crop", "flip"), ("random-resized-crop", "flip")])
def test_only_an_epochs_first_batch_moves_anything_to_the_device(augmentations):
    """On torch's meta device, which computes shapes alone: what is moved there would make a GPU's step wait."""
    made = TrainBatches(dataset(), spec(augment=augmentations), seed=0, batch_size=16, device="meta")
    list(made.epoch(0))
    with Moves() as moves:
        counts = [(moves.count, tuple(x.shape), tuple(y.shape)) for x, y in made.epoch(1)]
    assert counts[0][0] > 0
    assert [count - counts[0][0] for count, *_ in counts] == [0, 0, 0, 0]
    assert [shapes for _, *shapes in counts] == [[(16, 3, 16, 16), (16,)]] * 3 + [[(2, 3, 16, 16), (2,)]]
