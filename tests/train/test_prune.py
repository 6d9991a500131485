from __future__ import annotations

import numpy as np
import pytest

from pipeline.encoders import keras, spectral
from pipeline.encoders.backend import load_weights
from pipeline.train import prune as pruning
from pipeline.train.batches import simulate_views
from pipeline.train.prune import prune

IMAGES = spectral.inputs(simulate_views(4, 0, pairs=200, noise_windows=20).cutouts)


def test_patches_are_what_a_convolution_sees():
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((2, 6, 8, 3)).astype(np.float32)
    for size, step in ((3, 1), (3, 2), (1, 2)):
        kernel = rng.standard_normal((size, size, 3, 5)).astype(np.float32)
        expected = keras().ops.conv(maps, kernel, strides=step, padding="same")
        made = pruning._patches(maps, size, step) @ kernel.reshape(-1, 5)
        np.testing.assert_allclose(made.reshape(expected.shape), expected, atol=1e-4)


def test_the_channels_that_matter_stay():
    rng = np.random.default_rng(1)
    maps = rng.standard_normal((40, 4, 4, 5)).astype(np.float32)
    maps[..., 4] = maps[..., 1] + 0.01 * rng.standard_normal((40, 4, 4))  # either of the two is enough
    wanted = maps[..., [0]] - 2 * maps[..., [1]] + 3 * maps[..., [3]] + 7
    sums = pruning._Sums.of([(maps, 3, 1)], wanted)
    kept = sums.choose(5, 3)
    assert kept in ([0, 1, 3], [0, 3, 4])
    kernel, bias = pruning._Sums.of([(maps[..., [0, 1, 3]], 1, 1)], wanted).solution()
    np.testing.assert_allclose(kernel[:, 0], [1, -2, 3], atol=1e-3)
    assert bias[0] == pytest.approx(7, abs=1e-3)


def shipped(version):
    network = spectral.build(version)
    load_weights(spectral.SHIPPED[version], network, "spectral")
    return network


def test_a_network_of_the_same_shape_computes_the_same():
    large, small = shipped(2), spectral.build(2)
    prune(large, small, IMAGES)
    np.testing.assert_allclose(small.predict_on_batch(IMAGES[:32]), large.predict_on_batch(IMAGES[:32]), atol=0.02)


@pytest.mark.slow
def test_a_smaller_network_computes_nearly_the_same():
    large, small = shipped(2), spectral.build(3)
    prune(large, small, IMAGES)
    others = spectral.inputs(simulate_views(4, 1, pairs=40, noise_windows=10).cutouts)
    wanted, made = (network.predict_on_batch(others) for network in (large, small))
    cosines = (wanted * made).sum(axis=1) / np.linalg.norm(wanted, axis=1) / np.linalg.norm(made, axis=1)
    assert cosines.mean() > 0.95
