"""The code of overviews: monotonic, invertible, and as exact as it says."""

from __future__ import annotations

import numpy as np

from pipeline.overview import MASKED, decode, encode


def test_each_code_stands_for_a_value_of_its_own() -> None:
    codes = np.arange(1, 256, dtype=np.uint8)
    values = decode(codes)
    assert (np.diff(values) > 0).all()
    np.testing.assert_array_equal(encode(values), codes)


def test_values_are_kept_to_half_a_step() -> None:
    values = np.concatenate([np.linspace(-7, 7, 20_001), np.geomspace(1e-4, 1e6, 20_001)])
    steps = 61 + 11 * np.arcsinh(16 * values)
    assert np.abs(encode(values) - steps).max() < 0.55
    found = decode(encode(values))
    assert np.abs(found - values)[np.abs(values) < 1 / 16].max() < 0.005
    far = np.abs(values) > 1
    assert np.abs(found[far] / values[far] - 1).max() < 0.055


def test_larger_values_have_no_smaller_codes() -> None:
    values = np.sort(np.concatenate([np.random.default_rng(1).standard_cauchy(100_000), [-np.inf, 0.0, np.inf]]))
    codes = encode(values).astype(int)
    assert (np.diff(codes) >= 0).all()
    assert (codes[0], codes[-1]) == (1, 255)


def test_masked_cells_have_a_code_of_their_own() -> None:
    assert encode(np.array([np.nan]))[0] == MASKED
    assert np.isnan(decode(np.array([MASKED], np.uint8)))[0]
    assert (encode(np.array([-np.inf, -1e30, 0.0, -0.0, 1e30])) != MASKED).all()
    assert encode(np.array([0.0, -0.0])).tolist() == [61, 61]
