import hashlib

import numpy as np

from resnet_shortcuts.random_streams import key64, numpy_stream


def test_the_key_is_the_documented_hash_so_that_any_machine_agrees():
    expected = int.from_bytes(hashlib.sha256(b"(3, 'order', 7)").digest()[:8], "little") >> 1
    assert key64(3, "order", 7) == expected


def test_a_stream_is_fixed_by_its_name_alone():
    first = numpy_stream(0, "order", 1).permutation(100)
    numpy_stream(0, "order", 2).permutation(100)
    assert np.array_equal(first, numpy_stream(0, "order", 1).permutation(100))
    assert not np.array_equal(first, numpy_stream(1, "order", 1).permutation(100))


def test_streams_of_different_names_are_uncorrelated():
    draws = np.stack([numpy_stream(seed, "x").standard_normal(4000) for seed in range(20)])
    correlations = np.corrcoef(draws)[np.triu_indices(20, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(4000)
