"""What is in no window, counted pixel by pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.grid.coverage import Coverage, share_skipped
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


def test_the_share_counts_each_sample_once() -> None:
    half, whole = Coverage(100, 50, 16, 0), Coverage(100, 0, 48, 0)
    assert share_skipped([half, whole]) == 0.125
    assert share_skipped([Coverage(100, 50, 16, 8)]) == 0.75
    assert share_skipped([]) == 0
