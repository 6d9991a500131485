from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pipeline.simulate import Axes, Instrument, noise
from pipeline.simulate.instrument import round_mantissa


@pytest.mark.parametrize("axes", [Axes(), Axes(1.397, 1.43), Axes(366e3, 349e-6)])
def test_noise_is_the_mean_of_n_exponentials(axes):
    rng = np.random.default_rng(3)
    drawn = noise(rng, (200, 100), axes).ravel()
    n = axes.noise_spectra
    assert drawn.dtype == np.float32
    assert stats.kstest(drawn, stats.gamma(n, scale=1 / n).cdf).pvalue > 0.01
    assert stats.kstest(drawn * 1.02, stats.gamma(n, scale=1 / n).cdf).pvalue < 0.01


def test_band_rolls_off_at_both_edges():
    shape = Instrument(edge_depth=0.6, edge_width=0.1, ripple=0.0).band_shape(10_000)
    np.testing.assert_allclose(shape, shape[::-1], atol=1e-6)
    np.testing.assert_array_equal(shape[1000:9000], 1)
    assert shape[0] == pytest.approx(0.4, abs=1e-3)
    assert (np.diff(shape[:1000]) >= 0).all()


def test_ripple_has_its_amplitude():
    shape = Instrument(edge_width=0.0, ripple=0.05).band_shape(10_000)
    assert shape.max() == pytest.approx(1.05, abs=1e-3)
    assert shape.min() == pytest.approx(0.95, abs=1e-3)


def test_row_gains_have_their_spread():
    gains = Instrument(gain_spread=0.08).row_gains(np.random.default_rng(4), 4000)
    assert gains.mean() == pytest.approx(1, abs=0.005)
    assert gains.std() == pytest.approx(0.08, rel=0.1)


@pytest.mark.parametrize("bits", [0, 1, 8, 22, 23])
def test_mantissa_is_rounded_to_its_bits(bits):
    power = np.random.default_rng(5).gamma(102, 1e7, 10_000).astype(np.float32)
    rounded = power.copy()
    round_mantissa(rounded, bits)
    assert np.abs(rounded / power - 1).max() <= 2.0 ** -(bits + 1) + 1e-7
    kept = rounded.view(np.uint32) & np.uint32((1 << (23 - bits)) - 1)
    assert not kept.any()
    assert (bits == 23) == (rounded == power).all()
