"""Levels of an overview equal those of naive loops, however the band comes in pieces."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pipeline.overview import Cells, OverviewLayout, Pyramid, cells_of_channels
from tests.overview.naive import assert_codes_are, naive_overview


def piece(values: np.ndarray, start: int, stop: int) -> Cells:
    """Return the cells of some channels, made one pixel after another."""
    layout = OverviewLayout(values.shape[1], len(values))
    cells = cells_of_channels(layout, start, stop)
    for t, c in np.argwhere(np.isfinite(values[:, start:stop])):
        at = (start + c) // 256 - cells.first, t // layout.spectra_per_row
        cells.total[at] += values[t, start + c]
        cells.largest[at] = max(cells.largest[at], values[t, start + c])
        cells.count[at] += 1
    return cells


def sky(spectra: int, channels: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((spectra, channels)).astype(np.float32)
    values[rng.integers(0, spectra, 9), rng.integers(0, channels, 9)] = 10.0 ** rng.uniform(0, 5, 9)
    values[:, channels // 3 + 1 : channels // 3 + 700] = np.nan
    values[0, 1:][rng.random(channels - 1) < 0.1] = np.nan
    return values


@pytest.mark.parametrize(("spectra", "channels", "edges"), [
    (1, 1, ()), (3, 255, (100,)), (2, 20_001, (1, 256, 300, 1024, 5000, 19_999)), (70, 1500, (700,)),
    (2, 70_000, (4096, 30_001)), (131, 513, ()),
])
def test_levels_are_those_of_naive_loops(spectra: int, channels: int, edges: tuple[int, ...]) -> None:
    values = sky(spectra, channels, seed=channels)
    pyramid = Pyramid(OverviewLayout(channels, spectra))
    ends = [0, *edges, channels]
    for start, stop in pairwise(ends):
        pyramid.add(piece(values, start, stop))
    assert_codes_are(pyramid.codes(), naive_overview(values))


def test_what_no_piece_has_is_masked() -> None:
    values = sky(4, 5000, 2)
    pyramid = Pyramid(OverviewLayout(5000, 4))
    pyramid.add(piece(values, 300, 900))
    pyramid.add(piece(values, 2600, 4000))
    seen = np.full_like(values, np.nan)
    for part in (slice(300, 900), slice(2600, 4000)):
        seen[:, part] = values[:, part]
    assert_codes_are(pyramid.codes(), naive_overview(seen))


@pytest.mark.parametrize("wrong", [(600, 900), (4900, 5400), (0, 100)])
def test_pieces_out_of_order_are_refused(wrong: tuple[int, int]) -> None:
    pyramid = Pyramid(OverviewLayout(5000, 4))
    pyramid.add(cells_of_channels(OverviewLayout(5000, 4), 900, 1300))
    with pytest.raises(ValueError, match="not behind the others, or not in the scan"):
        pyramid.add(cells_of_channels(OverviewLayout(6000, 4), *wrong))
    with pytest.raises(ValueError, match="4 rows"):
        pyramid.add(Cells.empty(9, 2, 5))


@pytest.mark.parametrize(("nchans", "nsamples"), [(2**20, 16), (2**26, 16), (2**20, 279), (65_536, 2**17), (512, 1024)])
def test_an_overview_takes_at_most_three_thousandths(nchans: int, nsamples: int) -> None:
    layout = OverviewLayout(nchans, nsamples)
    assert layout.rows <= 64
    assert (layout.rows == nsamples) == (nsamples <= 64)
    columns, kinds, rows = layout.shape
    assert columns * kinds * rows <= 0.003 * 4 * nchans * nsamples
    assert layout.columns(layout.levels - 1) <= 64


def test_the_level_that_fits() -> None:
    layout = OverviewLayout(2**20, 16)
    assert layout.levels == 4
    assert layout.level_for(2**20, 64) == 3
    assert layout.level_for(2**20, 65) == 2
    assert layout.level_for(2**20, 4096) == layout.level_for(2**20, 10_000) == layout.level_for(10, 64) == 0
    assert layout.level_for(2**18, 256) == 1
