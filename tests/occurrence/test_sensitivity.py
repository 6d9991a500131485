"""How surely a signal is kept, compared with signals that are drawn and passed through the gate."""

from __future__ import annotations

import numpy as np

from pipeline.flatten.flattened import FlattenedChannel
from pipeline.gate import measure
from pipeline.occurrence import SearchedScan, sensitivity_of
from pipeline.simulate import FINE, FINE_GRID, noise
from tests.occurrence.made import scan

FALSE_ALARM, WINDOWS = 1e-3, 600


def searched() -> SearchedScan:
    return scan("a", [(1000, 1001, 59_000.0, 59_000.1)])


def test_injected_signals_are_kept_at_least_as_surely() -> None:
    """A signal fills a box of pixels of noise; its SNR is the sum over the box without noise."""
    found = sensitivity_of([searched()], FINE_GRID, FALSE_ALARM)
    assert found is not None
    assert found.snr_sure is not None
    rng = np.random.default_rng(5)
    for width, spectra in ((1, 1), (1, 16), (4, 8), (64, 16)):
        for snr in (found.snr_sure, 12.0):
            power = noise(rng, (FINE_GRID.integrations, WINDOWS * FINE_GRID.channels), FINE)
            boxes = power.reshape(FINE_GRID.integrations, WINDOWS, FINE_GRID.channels)[:spectra, :, 64 : 64 + width]
            boxes *= 1 + snr / np.sqrt(width * spectra * FINE.noise_spectra)
            starts = np.arange(0, power.shape[1], FINE_GRID.channels, dtype=np.int64)
            flat = FlattenedChannel.from_flat(power, FINE.noise_spectra)
            kept = measure(flat, starts, FINE_GRID, FALSE_ALARM).keep.mean()
            said = float(np.interp(snr, found.snrs, found.kept))
            assert kept >= said - 3 * np.sqrt(0.95 * 0.05 / WINDOWS), (width, spectra, snr)


def test_the_probability_rises_with_the_snr_and_is_averaged_over_windows() -> None:
    found = sensitivity_of([searched()], FINE_GRID, FALSE_ALARM)
    assert found is not None
    assert np.all(np.diff(found.kept) > 0)
    assert found.kept[0] < 0.5 < 0.99 < found.kept[-1] <= 1
    assert found.to_json()["snr_sure"] == found.snr_sure
    stricter = sensitivity_of([searched()], FINE_GRID, FALSE_ALARM / 16)
    assert stricter is not None
    assert stricter.snr_sure > found.snr_sure  # type: ignore[operator]
    assert sensitivity_of([], FINE_GRID, FALSE_ALARM) is None
