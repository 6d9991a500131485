"""The band under a spectrum does not depend on the pieces in which the spectrum is added, and never changes once known.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.flatten.bandpass import (
    BLOCK_CHANNELS,
    MEDIAN_BLOCKS,
    BandShape,
    _extrapolate_before,
    _running_medians,
    band_shape,
    median_size,
    row_medians,
)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.sampled_from([1, 2, 100, 255, 257, 2048, 9 * BLOCK_CHANNELS, 34 * BLOCK_CHANNELS + 77, 2**15, 50_003]),
    coarse_width=st.sampled_from([None, 1024, 2**14, 2**20]),
    dead=st.sampled_from(["none", "some", "most", "all"]),
)
def test_pieces_give_the_band_of_the_whole(seed, channels, coarse_width, dead):
    rng = np.random.default_rng(seed)
    spectrum = (rng.gamma(1632, 1 / 1632, channels) * (1 + np.linspace(0, 3, channels))).astype(np.float32)
    if dead == "all":
        spectrum[:] = 0
    elif dead != "none":
        spectrum[: channels // 50], spectrum[-channels // 40 - 1 :] = 0, 0
        first, width = int(rng.integers(channels)), channels // (5 if dead == "some" else 2)
        spectrum[first : first + width] = 0
    whole = band_shape(spectrum.copy(), 1632.0, coarse_width)
    band, given, known = BandShape(channels, 1632.0, coarse_width), 0, 0
    pieces = np.full(channels, -1, np.float32)
    while given < channels:
        count = int(rng.integers(1, max(2, channels // 5)))
        band.add(spectrum[given : given + count].copy())
        given = min(given + count, channels)
        assert known <= band.n_known <= given
        pieces[known : band.n_known] = band.between(known, band.n_known)
        known = band.n_known
    assert known == channels
    np.testing.assert_array_equal(pieces, whole)


def test_the_band_is_known_half_a_running_median_later():
    band, spectrum = BandShape(2**20, 1632.0, 2**20), np.ones(2**16, np.float32)
    block, smoothing = median_size(2**20)
    assert (block, smoothing) == (BLOCK_CHANNELS, MEDIAN_BLOCKS)
    band.add(spectrum)
    assert 2**16 - (smoothing // 2 + 1) * block <= band.n_known <= 2**16 - smoothing // 2 * block
    band.add(np.zeros(2**16, np.float32))  # dead channels delay it
    assert band.n_known < 2**16
    band.add(spectrum)
    assert band.n_known > 2**17


@pytest.mark.parametrize("width", [1, 2, 7, 256])
def test_row_medians(width):
    blocks = np.random.default_rng(0).normal(size=(50, width)).astype(np.float32)
    np.testing.assert_allclose(row_medians(blocks), np.median(blocks.astype(float), axis=1), rtol=1e-6)


@pytest.mark.parametrize("half", [0, 1, 5, 16])
@pytest.mark.parametrize("kind", ["noise", "steps", "level"])
def test_running_medians(half, kind):
    rng = np.random.default_rng(half)
    level = {"noise": rng.normal(size=100), "steps": rng.integers(0, 4, 100) * 1.0, "level": np.ones(100)}[kind]
    windows = np.lib.stride_tricks.sliding_window_view(level, 2 * half + 1)
    np.testing.assert_array_equal(_running_medians(level, half), np.median(windows, axis=1))


@pytest.mark.parametrize("count", [1, 2, 16])
def test_a_line_is_continued_despite_outliers(count):
    at = np.arange(40)
    level = 3 - 0.25 * at
    if count > 4:
        level[[1, 5]] += [100, -7]
    np.testing.assert_allclose(_extrapolate_before(level, count), 3 - 0.25 * np.arange(-count, 0))


FINE_HZ, MEDIUM_HZ = 187.5e6 / 2**26, 187.5e6 / 2**16
COARSE = {"fine product, `1x`": (2**20, FINE_HZ, False), "fine product, `f4`": (2**18, 4 * FINE_HZ, False),
          "fine product, `f16`": (2**16, 16 * FINE_HZ, False), "fine product, `f64`": (2**14, 64 * FINE_HZ, False),
          "`.0002`, `1x`": (2**10, MEDIUM_HZ, True), "`.0002`, `1x`, without a template": (2**10, MEDIUM_HZ, False)}
"""Row of the table in docs/limits.md → channels in a coarse channel, their width, and whether there is a template."""


def kept_of_hump(width: float, channels: int, has_template: bool) -> tuple[float, float]:
    """Return the share of a Gaussian hump that flattening keeps: by the package, and by a naive running median."""
    at = np.arange(channels) - channels / 2
    hump = np.exp(-4 * np.log(2) * (at / width) ** 2)
    spectrum = 1 + 0.2 * hump
    block, blocks = median_size(channels, has_template)
    levels = np.median(spectrum[: channels // block * block].reshape(-1, block), axis=1)
    smooth = np.array([np.median(levels[max(0, i - blocks // 2) : i + blocks // 2 + 1]) for i in range(len(levels))])
    naive = np.interp(np.arange(channels), (np.arange(len(levels)) + 0.5) * block - 0.5, smooth)
    upper = hump >= 0.5
    shape = 1e9  # without noise, the median is the mean
    level = np.ones(channels, np.float32) if has_template else None
    found = band_shape(spectrum.astype(np.float32), shape, channels, level)
    kept, of_naive = ((spectrum / band - 1)[upper].mean() / (0.2 * hump[upper]).mean() for band in (found, naive))
    return float(kept), float(of_naive)


@pytest.mark.parametrize("row", COARSE)
def test_the_documents_say_how_much_of_a_wide_signal_is_kept(row):
    lines = (Path(__file__).parents[2] / "docs/limits.md").read_text().splitlines()
    table = {cells[0]: cells[1:] for line in lines if line.startswith("|")
             for cells in [[cell.strip() for cell in line.strip("|").split("|")]]}
    widths_khz = [float(cell.removesuffix(" kHz")) for cell in table["width at half height"]]
    channels, channel_hz, has_template = COARSE[row]
    for khz, said in zip(widths_khz, table[row], strict=True):
        kept, of_naive = kept_of_hump(khz * 1e3 / channel_hz, channels, has_template)
        assert kept == pytest.approx(of_naive, abs=0.02), khz
        assert kept == pytest.approx(float(said), abs=0.02), khz


@pytest.mark.parametrize("row", COARSE)
def test_a_signal_with_steep_edges_stays_whole_up_to_half_a_running_median(row):
    channels, _, has_template = COARSE[row]
    block, blocks = median_size(channels, has_template)
    level = np.ones(channels, np.float32) if has_template else None
    at = np.arange(channels) - channels // 2
    for width, share in ((block * (blocks // 2 - 1), 1.0), (block * (blocks // 2 + 3), 0.0)):
        spectrum = np.where(np.abs(at + 0.5) <= width / 2, 1.2, 1).astype(np.float32)
        kept = (spectrum / band_shape(spectrum, 1e9, channels, level))[channels // 2] - 1
        assert kept == pytest.approx(0.2 * share, abs=0.02), width


def test_levels_of_channels_are_a_part_of_the_band():
    rng = np.random.default_rng(0)
    levels = rng.uniform(0.5, 2, 1024).astype(np.float32)
    slope = np.linspace(1, 1.3, 1024).astype(np.float32)
    spectrum = levels * slope * 7
    spectrum[100:110] = 0
    np.testing.assert_allclose(band_shape(spectrum, 1e9, 1024, levels), levels * slope * 7, rtol=2e-3)
    assert np.abs(band_shape(spectrum, 1e9, 1024) / (levels * slope * 7) - 1).max() > 0.5
