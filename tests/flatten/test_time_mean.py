"""The mean over time, in the order of the file and in the opposite one."""

import numpy as np
import pytest

from pipeline.flatten.time_mean import STRIP_CHANNELS, time_mean


def with_faults(kind, shape):
    power = np.random.default_rng(3).gamma(51, 1 / 51, shape).astype(np.float32)
    if kind == "some pixels missing":
        power[3, shape[1] // 3], power[:, shape[1] // 2] = np.nan, 0
    if kind == "constant channels":
        power[:, ::7], power[:, ::9] = power[:1, ::7], 200
    return power


@pytest.mark.parametrize("kind", ["noise", "some pixels missing", "constant channels", "a dead row"])
@pytest.mark.parametrize("channels", [5, 32, STRIP_CHANNELS, STRIP_CHANNELS + 37, 3 * STRIP_CHANNELS + 64])
def test_the_opposite_order_has_the_same_means(kind, channels):
    power, scale = with_faults(kind, (16, channels)), np.ones(16, np.float32)
    if kind == "a dead row":
        scale[4] = 0
    mean, is_unmasked = time_mean(power, scale, np.float32(200))
    mirrored, is_unmasked_mirrored = time_mean(power, scale, np.float32(200), True)
    np.testing.assert_array_equal(mirrored, mean[::-1])
    np.testing.assert_array_equal(is_unmasked_mirrored, is_unmasked[::-1])
    if kind == "noise":
        np.testing.assert_allclose(mean, power.mean(axis=0, dtype=np.float64), rtol=1e-6)
        assert is_unmasked.all()
