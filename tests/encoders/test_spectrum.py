from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pipeline.encoders.power_spectrum import THRESHOLD, channel_bands, noise_variance
from pipeline.encoders.spectrum import BANDS, spectrum_features


def expected(image):
    """Compute the features with numpy's transforms and a loop over bands, which grow from one frequency upwards."""
    bright = np.maximum(image.astype(np.float64) - float(THRESHOLD), 0)
    power = np.abs(np.fft.fft2(bright)) ** 2 / (image.size * noise_variance())
    power = power[:, : image.shape[1] // 2 + 1]
    starts = [*channel_bands(image.shape[1], BANDS - 1), power.shape[1]]
    assert starts[:6] == [0, 1, 2, 3, 4, 5]
    banded = np.array([power[:, a:b].mean(axis=1) for a, b in pairwise(starts)]).T.ravel()
    amplitude = np.sqrt(np.maximum(banded - 1, 0))
    level = np.log1p(banded)
    return np.concatenate([amplitude / np.sqrt((amplitude**2).mean()), level - level.mean()])


@pytest.mark.parametrize("xp", ["numpy", "keras"])
def test_features_are_those_of_a_fourier_transform(xp):
    rng = np.random.default_rng(1)
    images = rng.standard_normal((3, 16, 256)).astype(np.float32)
    images[0, :, 50:54] += 5
    images[1, ::4] += 3
    for row in range(16):
        images[2, row, 100 + 3 * row] += 6
    if xp == "keras":
        from pipeline.encoders.backend import keras

        features = np.asarray(spectrum_features(images, keras().ops))
    else:
        features = spectrum_features(images, np)
    assert features.shape == (3, 2 * 16 * BANDS)
    for image, found in zip(images, features, strict=True):
        np.testing.assert_allclose(found, expected(image), atol=2e-3)


def test_neither_place_nor_strength_matters_much():
    window = np.zeros((1, 16, 256), np.float32)
    window[0, :, 40:44] = 6
    moved = np.roll(window, 100, axis=2)
    np.testing.assert_allclose(spectrum_features(moved, np), spectrum_features(window, np), atol=1e-3)
    amplitudes = slice(0, 16 * BANDS)
    brighter = spectrum_features(np.where(window > 0, 12, window), np)
    np.testing.assert_allclose(brighter[:, amplitudes], spectrum_features(window, np)[:, amplitudes], atol=0.05)


def test_nothing_at_all_is_finite():
    assert np.isfinite(spectrum_features(np.zeros((1, 16, 256), np.float32), np)).all()
