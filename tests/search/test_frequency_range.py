from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.errors import QueryError
from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, WindowGrid
from pipeline.search.frequency_range import Range, check_range, number_at, time_blocks, window_starts

from .conftest import FINE


def tiling(width: int = 250, step: int = 16, offset: int = 0, cover: bool = False) -> Tiling:
    return Tiling(FINE, WindowGrid(16, step, 4, cover), CoarseLayout(width, "flag", offset))


def mhz(*channels: float) -> tuple[float, ...]:
    return tuple(FINE.channel_edge_mhz(channel) for channel in channels)


@given(low=st.floats(0, 1024), width=st.floats(0, 1024), coarse=st.sampled_from([250, 256, 1024]))
def test_windows_lie_in_the_range_and_each_in_one_coarse_channel(low: float, width: float, coarse: int) -> None:
    assume(low + width <= 1024)
    grid = tiling(coarse)
    if low + width / 2 >= 1000 and coarse == 250 and width <= 24.001:
        return  # the piece of 24 channels at the top: tested below
    starts = window_starts(grid, *mhz(low, low + width))
    assert starts == sorted(set(starts))
    for start in starts:
        first, last = grid.coarse_span(grid.coarse_at(start))
        assert first <= start
        assert start + 16 <= last
    if width > 24.1:
        # no channel is in two windows, and no coarse channel has room for one more window
        assert all(b - a >= 16 for a, b in pairwise(starts))
        whole = sum(int((min(low + width, last) - max(low, first) + 1e-3) // 16)
                    for first, last in map(grid.coarse_span, range(grid.n_coarse))
                    if min(low + width, last) > max(low, first))
        assert len(starts) == max(whole, 1)
        if whole:
            assert low - 0.51 <= starts[0]
            assert starts[-1] + 16 <= low + width + 0.51


@pytest.mark.parametrize(("low", "high", "expected"), [
    (32, 48, [32]),            # a window of the grid
    (40, 40, [32]),            # a frequency
    (41, 42, [34]),            # round half to even
    (30, 54, [34]),            # 1.5 windows: one, centred
    (30, 62, [30, 46]),        # two
    (30, 70, [34, 50]),        # two and a half: two, centred
    (0, 2, [0]),               # moved into the band
    (248, 254, [250]),         # moved into the coarse channel of its centre
    (230, 300, [232, 251, 267, 283]),  # one window in the first coarse channel's share, three in the second's
])
def test_examples(low: float, high: float, expected: list[int]) -> None:
    assert window_starts(tiling(), *mhz(low, high)) == expected


def test_a_range_over_an_edge_that_holds_no_whole_window_gets_one() -> None:
    assert window_starts(tiling(), *mhz(236, 261)) == [234]
    assert window_starts(tiling(), *mhz(239, 264)) == [250]


def test_a_piece_narrower_than_a_window_is_refused() -> None:
    with pytest.raises(QueryError, match="has 8 channels, a window has 16"):
        window_starts(tiling(254), *mhz(1020, 1022))


@pytest.mark.parametrize(("low", "high"), [(-5, 20), (1000, 1030), (2000, 2100), (-100, -50)])
def test_a_range_outside_the_band_is_refused_naming_the_band(low: float, high: float) -> None:
    with pytest.raises(QueryError, match=r"not within the band of x\.h5: 1529\.997140–1530\.000001 MHz"):
        check_range(Range(*mhz(low, high)), tiling(), "x.h5")


@pytest.mark.parametrize(("low", "high"), [(1530.0, 1529.999), (float("nan"), 1530.0), (1529.999, float("inf"))])
def test_what_is_no_range_is_refused(low: float, high: float) -> None:
    with pytest.raises(QueryError, match="no range"):
        check_range(Range(low, high), tiling(), "x.h5")


def test_the_whole_band_is_a_range() -> None:
    check_range(Range(*mhz(0, 1024)), tiling(), "x.h5")
    check_range(Range(round(FINE.f_min_mhz, 6), round(FINE.f_max_mhz, 6)), tiling(), "x.h5")


@given(step=st.sampled_from([4, 16, 20]), offset=st.sampled_from([0, 10, 40]), number=st.integers(0, 10_000),
       cover=st.booleans())
def test_numbers_and_places_are_inverses(step: int, offset: int, number: int, cover: bool) -> None:
    grid = tiling(250, step, offset, cover)
    window = grid.window("A", number % grid.n_windows)
    assert number_at(grid, grid.block_at(window.spectrum_start), window.channel_start) == window.number


def test_a_place_off_the_grid_has_no_number() -> None:
    assert number_at(tiling(), 0, 33) == -1
    assert number_at(tiling(), 0, 240) == -1  # on the step, but past the last window of the coarse channel
    covering = tiling(cover=True)
    assert [number_at(covering, 0, channel) for channel in (224, 233, 234, 235, 240, 250)] == [14, -1, 15, -1, -1, 16]


@pytest.mark.parametrize(("start", "stop", "expected", "covered"), [
    (None, None, range(0, 2), range(0, 3)),   # nine spectra in blocks of four
    (0.0, 4.0, range(0, 1), range(0, 1)),
    (0.4, 4.4, range(0, 1), range(0, 1)),     # rounded to whole spectra
    (3.0, 4.6, range(0, 2), range(0, 2)),
    (4.0, 4.1, range(1, 2), range(1, 2)),     # at least one spectrum
    (None, 3.0, range(0, 1), range(0, 1)),
    (5.0, None, range(1, 2), range(1, 3)),
    (5.0, 8.0, range(1, 2), range(1, 2)),     # the overlapping block is not needed
    (7.9, 100.0, None, range(2, 3)),          # in the last spectrum
    (9.0, None, None, None),
])
@pytest.mark.parametrize("cover", [False, True])
def test_times_choose_the_blocks_that_hold_them(
    start: float | None, stop: float | None, expected: range | None, covered: range | None, cover: bool
) -> None:
    expected = covered if cover else expected
    t_start_s, t_stop_s = (None if at is None else at * FINE.tsamp_s for at in (start, stop))
    wanted = Range(1530.0, 1530.0, t_start_s, t_stop_s)
    if expected is None:
        with pytest.raises(QueryError, match="which end at 164" if cover else "which end at 146"):
            time_blocks(tiling(cover=cover), wanted, "x.h5")
        return
    assert time_blocks(tiling(cover=cover), wanted, "x.h5") == expected
