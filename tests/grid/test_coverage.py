"""What is in no window, counted pixel by pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.grid.coverage import Coverage, samples_per_window, share_skipped
from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, WindowGrid
from tests.run.small import header


@pytest.mark.parametrize(("nchans", "spectra", "width", "offset", "grid"), [
    (500, 16, 500, 0, WindowGrid()),
    (3712, 31, 3712, 0, WindowGrid()),
    (4096, 32, 1024, 0, WindowGrid()),
    (3000, 33, 700, 300, WindowGrid()),
    (3000, 33, 700, 100, WindowGrid(64, 100, 5)),
    (3000, 7, 700, 100, WindowGrid(64, 30, 8)),
    (500, 17, 500, 0, WindowGrid(cover=True)),
    (3000, 33, 700, 300, WindowGrid(cover=True)),
    (3000, 33, 700, 100, WindowGrid(64, 100, 5, cover=True)),
    (3000, 7, 700, 100, WindowGrid(64, 30, 8, cover=True)),
])
def test_samples_in_no_window_are_counted(nchans: int, spectra: int, width: int, offset: int, grid: WindowGrid) -> None:
    like = header(nchans=nchans, nsamples=spectra)
    tiling = Tiling(like, grid, CoarseLayout(width, "flag", offset))
    is_covered = np.zeros((spectra, nchans), bool)
    for number in range(tiling.n_windows):
        window = tiling.window("", number)
        is_covered[window.spectrum_start : window.spectrum_stop, window.channel_start : window.channel_stop] = True

    covered = Coverage.of(tiling)

    assert (covered.channels, covered.spectra) == (nchans, spectra)
    assert covered.samples_skipped == (~is_covered).sum()
    if tiling.n_windows:
        assert covered.channels_skipped == (~is_covered.any(axis=0)).sum()
        assert covered.spectra_skipped == (~is_covered.any(axis=1)).sum()
    # the band that is searched plays no role
    assert Coverage.of(replace(tiling, f_start_mhz=like.f_max_mhz)) == covered


@pytest.mark.parametrize("grid", [
    WindowGrid(), WindowGrid(cover=True), WindowGrid(64, 30, 7), WindowGrid(64, 30, 7, True),
    WindowGrid(64, 100, 5, True),
])
@pytest.mark.parametrize("channels", [(None, None), (256, 2512), (20, 790), (100, 400), (10, 12)])
def test_windows_together_add_each_sample_once(grid: WindowGrid, channels: tuple[int | None, int | None]) -> None:
    like = header(nchans=3000, nsamples=37)
    low, high = (None if one is None else like.channel_edge_mhz(one) for one in channels)
    tiling = Tiling(like, grid, CoarseLayout(700, "flag", 300), low, high)
    is_searched = np.zeros((like.nsamples, like.nchans), bool)
    numbers = [tiling.number(block, i, position) for block in range(tiling.n_blocks) for i in range(tiling.n_coarse)
               for position in tiling.positions(i)]
    for number in numbers:
        window = tiling.window("", number)
        is_searched[window.spectrum_start : window.spectrum_stop, window.channel_start : window.channel_stop] = True

    assert len(numbers) * samples_per_window(tiling) == pytest.approx(is_searched.sum())


def test_the_share_counts_each_sample_once() -> None:
    half, whole = Coverage(100, 50, 16, 0), Coverage(100, 0, 48, 0)
    assert share_skipped([half, whole]) == 0.125
    assert share_skipped([Coverage(100, 50, 16, 8)]) == 0.75
    assert share_skipped([]) == 0
