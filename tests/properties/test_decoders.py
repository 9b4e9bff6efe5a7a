"""Decoders that are not linear, against operators of which it is known what can be had back."""

import torch

from resnet_shortcuts.properties.decoders import decoded_variance
from resnet_shortcuts.properties.information import explained_variance, smooth_fields


def test_a_linear_operator_on_gaussian_fields_gives_what_the_best_linear_decoder_gets() -> None:
    """There the best decoder of all is linear, so that a network can add nothing but noise."""
    fields = smooth_fields(1500, 1, 8, 3)
    outputs = fields[..., ::2, ::2]
    linear = explained_variance(fields, outputs)
    assert all(abs(one - linear) < 0.005 for one in decoded_variance(fields, outputs))


def test_what_only_a_nonlinear_decoder_can_read_is_read() -> None:
    """A positive value with a random sign: all of it is there, and none of it can be had linearly."""
    stream = torch.Generator().manual_seed(0)
    inputs = torch.rand(2000, 1, 4, 4, generator=stream, dtype=torch.float64)
    signs = torch.randint(0, 2, inputs.shape, generator=stream) * 2.0 - 1
    assert explained_variance(inputs, inputs * signs) < 0.05
    assert decoded_variance(inputs, inputs * signs)[1] > 0.9


def test_nothing_comes_back_of_nothing() -> None:
    fields = smooth_fields(200, 1, 8, 0)
    assert decoded_variance(fields, torch.zeros(200, 2, 4, 4)) == [0.0, 0.0]


def test_a_seed_gives_the_same_figure_again() -> None:
    fields = (smooth_fields(300, 1, 8, 1) - 0.7).relu()
    outputs = torch.nn.functional.max_pool2d(fields, 3, 2, 1)
    assert decoded_variance(fields, outputs, seed=4) == decoded_variance(fields, outputs, seed=4)
