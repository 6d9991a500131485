"""Window positions agree with loops that cut the band channel by channel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.grid.coarse_layout import coarse_layout
from pipeline.grid.places import Places, first_channels, first_spectra
from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, Header, Window, WindowGrid

FINE_MHZ = 187.5 / 64 / 2**20


def header_of(nchans: int, nsamples: int = 16, foff_mhz: float = -FINE_MHZ, fch1_mhz: float = 1500.0) -> Header:
    return Header(fch1_mhz=fch1_mhz, foff_mhz=foff_mhz, nchans=nchans, nifs=1, nbits=32, tsamp_s=18.25,
                  nsamples=nsamples, tstart_mjd=57436.25)


def mirrored(header: Header) -> Header:
    """Return the header of the same band with its channels in the opposite order."""
    last = header.fch1_mhz + (header.nchans - 1) * header.foff_mhz
    return replace(header, fch1_mhz=last, foff_mhz=-header.foff_mhz)


# ---------------------------------------------------------------------------------------------------- naive twin

@dataclass(frozen=True)
class Place:
    block: int
    piece: int
    position: int
    channel: int
    spectrum: int


def naive_pieces(tiling: Tiling) -> list[tuple[int, int]]:
    """Return the pieces of the band. A new piece begins at every channel that equals the offset modulo the width."""
    starts = [c for c in range(tiling.header.nchans) if c == 0 or (c - tiling.coarse.offset) % tiling.coarse.width == 0]
    return list(zip(starts, [*starts[1:], tiling.header.nchans], strict=True))


def naive_starts(start: int, stop: int, size: int, step: int, cover: bool) -> list[int]:
    """Return where windows begin between two channels, or blocks between two spectra."""
    inside = [at for at in range(start, stop, step) if at + size <= stop]
    if cover and inside and inside[-1] + size < stop:
        inside.append(stop - size)
    return inside


def naive_places(tiling: Tiling) -> list[Place]:
    """Return all windows in the order of their numbers."""
    grid, places = tiling.grid, []
    blocks = naive_starts(0, tiling.header.nsamples, grid.integrations, grid.integrations, grid.cover)
    for block, spectrum in enumerate(blocks):
        for piece, (start, stop) in enumerate(naive_pieces(tiling)):
            inside = naive_starts(start, stop, grid.channels, grid.step, grid.cover)
            places += [Place(block, piece, k, c, spectrum) for k, c in enumerate(inside)]
    return places


@st.composite
def tilings(draw: st.DrawFn) -> Tiling:
    nchans, width = draw(st.integers(1, 120)), draw(st.integers(1, 50))
    header = header_of(nchans, draw(st.integers(0, 20)), draw(st.sampled_from([-0.25, 0.25, -FINE_MHZ, FINE_MHZ])))
    grid = WindowGrid(draw(st.integers(1, 30)), draw(st.integers(1, 40)), draw(st.integers(1, 7)), draw(st.booleans()))
    # offsets are inside the band, because coarse_layout needs to see DC bins in three coarse channels
    offset = draw(st.integers(0, min(width, nchans) - 1))
    return Tiling(header, grid, CoarseLayout(width, "flag", offset))


EDGE_CASES = [
    Tiling(header_of(100, 4, 0.25), WindowGrid(10, 10, 2), CoarseLayout(40, "dc-spikes", 39)),
    Tiling(header_of(100, 4, 0.25), WindowGrid(10, 10, 2), CoarseLayout(40, "dc-spikes", 5)),  # first piece empty
    Tiling(header_of(85, 4, 0.25), WindowGrid(10, 10, 2), CoarseLayout(40, "flag")),  # last piece empty
    Tiling(header_of(30, 4, 0.25), WindowGrid(10, 3, 2), CoarseLayout(40, "flag")),  # wider than the band
    Tiling(header_of(5, 4, 0.25), WindowGrid(10, 10, 2), CoarseLayout(40, "flag")),  # no window at all
    Tiling(header_of(95, 5, 0.25), WindowGrid(10, 10, 2, True), CoarseLayout(45, "dc-spikes", 5)),
    Tiling(header_of(119, 16, 0.25), WindowGrid(10, 25, 7, True), CoarseLayout(45, "dc-spikes", 11)),  # gaps
    Tiling(header_of(32, 3, 0.25), WindowGrid(10, 3, 4, True), CoarseLayout(16, "flag")),  # fewer spectra than a block
]


def with_edge_cases(test):  # type: ignore[no-untyped-def]
    for tiling in EDGE_CASES:
        test = example(tiling)(test)
    return given(tilings())(test)


# ----------------------------------------------------------------------------------------------- covering invariant

@with_edge_cases
def test_every_channel_is_in_a_window_or_counted(tiling: Tiling) -> None:
    one_block = replace(tiling, header=replace(tiling.header, nsamples=tiling.grid.integrations))
    covered = {place.channel + k for place in naive_places(one_block) for k in range(tiling.grid.channels)}

    assert len(covered) + tiling.channels_skipped == tiling.header.nchans


@with_edge_cases
def test_every_spectrum_is_in_a_block_or_counted(tiling: Tiling) -> None:
    seen = np.zeros(tiling.header.nsamples, int)
    for block in range(tiling.n_blocks):
        start = tiling.spectrum_of(block)
        shared = tiling.shared_spectra(block)
        assert tiling.block_at(start) == block
        assert seen[start : start + shared].all()
        assert not seen[start + shared : start + tiling.grid.integrations].any()
        seen[start : start + tiling.grid.integrations] += 1

    assert seen.max(initial=0) <= 1 + tiling.grid.cover
    skipped = (seen == 0).sum()
    assert skipped == tiling.spectra_skipped < tiling.grid.integrations
    assert seen[: len(seen) - skipped].all()


@with_edge_cases
def test_a_grid_that_covers_leaves_no_pixel_out(tiling: Tiling) -> None:
    """Check each coarse channel that is as wide as a window, if windows have no gaps between them."""
    step = min(tiling.grid.step, tiling.grid.channels)
    tiling = replace(tiling, grid=replace(tiling.grid, step=step, cover=True))
    seen = np.zeros((tiling.header.nsamples, tiling.header.nchans), bool)
    for number in range(tiling.n_windows):
        window = tiling.window("s", number)
        seen[window.spectrum_start : window.spectrum_stop, window.channel_start : window.channel_stop] = True

    for start, stop in naive_pieces(tiling):
        has_window = stop - start >= tiling.grid.channels and len(seen) >= tiling.grid.integrations
        assert seen[:, start:stop].all() if has_window else not seen[:, start:stop].any()


@with_edge_cases
def test_what_is_left_over_adds_windows_and_moves_none(tiling: Tiling) -> None:
    """Check that the windows of a grid that does not cover remainders are among those of one that does."""
    plain, covering = (replace(tiling, grid=replace(tiling.grid, cover=cover)) for cover in (False, True))
    places = [{(w.spectrum_start, w.channel_start) for w in (one.window("s", n) for n in range(one.n_windows))}
              for one in (plain, covering)]

    assert places[0] <= places[1]
    assert [len(found) for found in places] == [plain.n_windows, covering.n_windows]
    if not (plain.channels_skipped or plain.spectra_skipped):
        assert [plain.window("s", n) for n in range(plain.n_windows)] == [
            covering.window("s", n) for n in range(plain.n_windows)]


@with_edge_cases
def test_arrays_of_numbers_have_the_same_places(tiling: Tiling) -> None:
    numbers = np.arange(tiling.n_windows)[::-1]
    places = Places.of(tiling, numbers)
    windows = [tiling.window("s", int(number)) for number in numbers]

    assert places.spectrum.tolist() == first_spectra(tiling, numbers).tolist() == [w.spectrum_start for w in windows]
    assert places.channel.tolist() == first_channels(tiling, numbers).tolist() == [w.channel_start for w in windows]
    assert list(zip(places.block, places.coarse, strict=True)) == [tiling.locate(int(n))[:2] for n in numbers]


@with_edge_cases
def test_windows_are_those_of_the_naive_loop(tiling: Tiling) -> None:
    places = naive_places(tiling)

    assert tiling.n_windows == len(places)
    assert tiling.n_blocks * tiling.windows_per_block == len(places)
    for number, place in enumerate(places):
        assert tiling.locate(number) == (place.block, place.piece, place.position)
        assert tiling.number(place.block, place.piece, place.position) == number
        window = tiling.window("s", number)
        assert (window.channel_start, window.channel_stop) == (place.channel, place.channel + tiling.grid.channels)
        assert window.spectrum_start == place.spectrum
        assert window.spectrum_stop - window.spectrum_start == tiling.grid.integrations
        assert tiling.window_at("s", window.spectrum_start, window.channel_start, number) == window


@with_edge_cases
def test_coarse_channels_are_those_of_the_naive_loop(tiling: Tiling) -> None:
    pieces = naive_pieces(tiling)

    assert [tiling.coarse_span(i) for i in range(tiling.n_coarse)] == pieces
    assert [tiling.is_whole(i) for i in range(tiling.n_coarse)] == [b - a == tiling.coarse.width for a, b in pieces]
    for i, (start, stop) in enumerate(pieces):
        assert {tiling.coarse_at(c) for c in range(start, stop)} == {i}
    in_a_block = [place.piece for place in naive_places(tiling) if place.block == 0]
    if tiling.n_blocks:
        numbers = range(tiling.n_coarse)
        assert [tiling.windows_in(i) for i in numbers] == [in_a_block.count(i) for i in numbers]


@with_edge_cases
def test_numbers_outside_the_source_are_refused(tiling: Tiling) -> None:
    for number in (-1, tiling.n_windows):
        with pytest.raises(IndexError, match=f"window {number} is not among the source's {tiling.n_windows}"):
            tiling.locate(number)


# ------------------------------------------------------------------------------------------------------ real units

def naive_window_mhz(header: Header, window: Window) -> tuple[float, float]:
    """Return a window's edges by sigproc's definition: file channel j is centred on fch1 + j · foff."""
    centres = np.sort(header.fch1_mhz + np.arange(header.nchans) * header.foff_mhz)
    half = abs(header.foff_mhz) / 2
    return centres[window.channel_start] - half, centres[window.channel_stop - 1] + half


@given(tilings())
def test_windows_in_mhz_and_seconds(tiling: Tiling) -> None:
    tsamp = tiling.header.tsamp_s
    for number in range(tiling.n_windows):
        window = tiling.window("GBT", number)
        assert (window.source_id, window.number) == ("GBT", number)
        edges_mhz = naive_window_mhz(tiling.header, window)
        assert (window.f_start_mhz, window.f_stop_mhz) == pytest.approx(edges_mhz, rel=1e-13)
        assert window.t_start_s == pytest.approx(window.spectrum_start * tsamp)
        assert window.t_stop_s == pytest.approx(window.spectrum_stop * tsamp)
        assert window.mjd == pytest.approx(57436.25 + window.t_start_s / 86400, rel=1e-14)


@given(tilings())
def test_a_mirrored_file_has_the_same_windows(tiling: Tiling) -> None:
    other = replace(tiling, header=mirrored(tiling.header))

    assert other.n_windows == tiling.n_windows
    assert other.channels_skipped == tiling.channels_skipped
    for number in range(tiling.n_windows):
        one, two = tiling.window("s", number), other.window("s", number)
        assert (one.channel_start, one.spectrum_start) == (two.channel_start, two.spectrum_start)
        assert (one.f_start_mhz, one.f_stop_mhz) == pytest.approx((two.f_start_mhz, two.f_stop_mhz), rel=1e-13)


@given(tilings(), st.data())
def test_positions_within_a_frequency_range(tiling: Tiling, data: st.DataObject) -> None:
    quarter = st.none() | st.integers(-8, 4 * tiling.header.nchans + 8).map(lambda n: n / 4)
    low, high = data.draw(quarter, "low"), data.draw(quarter, "high")
    if low is not None and high is not None and low > high:
        low, high = high, low
    edges_mhz = [None if channel is None else tiling.header.channel_edge_mhz(channel) for channel in (low, high)]
    tiling = replace(tiling, f_start_mhz=edges_mhz[0], f_stop_mhz=edges_mhz[1])

    for i in range(tiling.n_coarse):
        start, stop = tiling.coarse_span(i)
        inside = [
            k for k, c in enumerate(naive_starts(start, stop, tiling.grid.channels, tiling.grid.step,
                                                 tiling.grid.cover))
            if (low is None or c >= low) and (high is None or c + tiling.grid.channels <= high)
        ]
        assert list(tiling.positions(i)) == inside


@given(st.integers(0, 308 * 4096 - 1), st.sampled_from([-FINE_MHZ, FINE_MHZ]), st.floats(900, 12_000))
def test_a_window_is_found_again_from_its_printed_edges(number: int, foff_mhz: float, fch1_mhz: float) -> None:
    header = header_of(308 * 2**20, foff_mhz=foff_mhz, fch1_mhz=fch1_mhz)
    tiling = Tiling(header, WindowGrid(), coarse_layout(header, window_channels=256))
    window = tiling.window("s", number)
    asked = replace(tiling, f_start_mhz=round(window.f_start_mhz, 9), f_stop_mhz=round(window.f_stop_mhz, 9))
    _, i, position = tiling.locate(number)

    assert list(asked.positions(i)) == [position]
