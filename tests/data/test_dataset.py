"""Subsets and splits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_shortcuts.data import channel_statistics
from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.dataset import load
from resnet_shortcuts.data.prepare import prepare
from resnet_shortcuts.data.subsets import balanced_order, choose


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 60))
def test_every_prefix_is_balanced(labels, size):
    labels = np.array(labels)
    order = balanced_order(labels, "train")
    assert sorted(order) == list(range(len(labels)))
    size = min(size, len(labels))
    taken, available = (np.bincount(x, minlength=5) for x in (labels[order[:size]], labels))
    for name in np.flatnonzero(taken < available):  # a class that has more to give is behind by one at most
        assert taken[name] >= taken.max() - 1


def test_a_larger_subset_contains_the_smaller_one():
    labels = np.arange(100) % 7
    assert set(choose(labels, 20, "train")) < set(choose(labels, 50, "train"))
    assert (choose(labels, 100, "train") == np.arange(100)).all()


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return prepare(DataSpec(), data_root=None, cache=tmp_path_factory.mktemp("cache"))


def test_the_whole_set_is_mapped_not_copied(digits):
    data = load(digits, DataSpec())
    assert isinstance(data.train.images, np.memmap)
    assert (len(data.train), len(data.test), data.validation) == (1000, 797, None)
    assert data.channels == 1
    assert data.resolution == 8


def test_splits_are_balanced_disjoint_and_of_the_size_asked_for(digits):
    spec = DataSpec(train_size=500, validation=200, test_size=300)
    data = load(digits, spec)
    assert (len(data.train), len(data.validation), len(data.test)) == (500, 200, 300)
    assert not set(data.train.indices) & set(data.validation.indices)
    for split in (data.train, data.validation, data.test):
        assert np.ptp(np.bincount(split.labels)) <= 1
        assert len(split.indices) == len(split.labels)
    other = load(digits, DataSpec(train_size=100, validation=200))
    assert (other.validation.indices == data.validation.indices).all()
    assert set(other.train.indices) < set(data.train.indices)


def test_identity_holds_what_was_resolved(digits):
    whole, same = load(digits, DataSpec()).identity, load(digits, DataSpec(train_size=1000, test_size=797)).identity
    assert whole == same
    assert (whole["train_size"], whole["test_size"], whole["validation"], whole["resolution"]) == (1000, 797, 0, 8)
    assert load(digits, DataSpec(train_size=999)).identity != whole


def test_statistics_are_numpys(digits):
    for spec in (DataSpec(), DataSpec(train_size=300)):
        data = load(digits, spec)
        used = np.asarray(data.train.images)[data.train.indices].astype(np.float64)
        mean, std = data.channel_statistics
        assert mean == pytest.approx(used.mean((0, 1, 2)))
        assert std == pytest.approx(used.std((0, 1, 2)))
        assert data.pixel_mean == pytest.approx(used.mean(0))


def test_statistics_in_blocks_are_the_same(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (50, 6, 6, 3), dtype=np.uint8)
    whole = channel_statistics.of_images(images)
    monkeypatch.setattr(channel_statistics, "_BLOCK", 1000)
    assert np.array_equal(whole, channel_statistics.of_images(images))
    assert np.array_equal(channel_statistics.pixel_mean(images, np.arange(50)), images.mean(0))
