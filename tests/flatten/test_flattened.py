"""Windows of a flattened coarse channel are the same as numpy cuts, in ascending and mirrored files."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.flatten.flattened import FlattenedChannel
from tests.flatten.at_once import power_of

CHANNELS, WINDOW = 1000, 64
STARTS = np.array([0, 7, 500, 500, CHANNELS - WINDOW])


def flat_of(is_mirrored: bool) -> tuple[FlattenedChannel, np.ndarray]:
    """Return a coarse channel with gains, a band and masked pixels, and its power over baseline, computed by numpy."""
    rng = np.random.default_rng(3)
    power = rng.gamma(4, 0.25, (16, CHANNELS)).astype(np.float32)
    power[3, 510], power[4, 511], power[5, 512], power[6, 513] = 0, -1, np.nan, np.inf
    rows, band = rng.uniform(0.5, 2, 16).astype(np.float32), rng.uniform(0.5, 2, CHANNELS).astype(np.float32)
    rows[9], band[20] = 0, 0
    is_valid = (power > 0) & (power < np.inf)
    expected = np.where(is_valid, power, 0) * (rows[:, None] * band)
    stored = np.ascontiguousarray(power[:, ::-1]) if is_mirrored else power
    return FlattenedChannel(stored, is_mirrored, rows, band, is_valid.all(axis=0), rows, 1 + band, 4.0, False), expected


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_windows_are_cut_as_numpy_cuts_them(is_mirrored: bool) -> None:
    flat, expected = flat_of(is_mirrored)
    cut = np.stack([expected[:, start : start + WINDOW] for start in STARTS])
    np.testing.assert_array_equal(power_of(flat), expected)
    np.testing.assert_array_equal(flat.windows(STARTS, WINDOW), cut)
    taken = flat.take_windows(STARTS, WINDOW)
    assert not taken.is_mirrored
    np.testing.assert_array_equal(power_of(taken), np.concatenate([*cut], axis=1))
    for name in ("channel_scale", "is_unmasked", "baseline"):
        of_windows = [getattr(flat, name)[start : start + WINDOW] for start in STARTS]
        np.testing.assert_array_equal(getattr(taken, name), np.concatenate(of_windows), err_msg=name)
    ascending, at = flat.in_ascending_order(STARTS, WINDOW)
    assert (ascending is flat) == (not is_mirrored)
    np.testing.assert_array_equal(ascending.windows(at, WINDOW), cut)


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("start", [-1, CHANNELS - WINDOW + 1])
def test_windows_beyond_the_ends_are_refused(is_mirrored: bool, start: int) -> None:
    flat, _ = flat_of(is_mirrored)
    for cut in (flat.windows, flat.take_windows, flat.in_ascending_order):
        with pytest.raises(IndexError, match=f"{CHANNELS - WINDOW}$"):
            cut(np.array([5, start]), WINDOW)
    assert flat.windows(np.zeros(0, np.int64), CHANNELS + 1).shape == (0, 16, CHANNELS + 1)
