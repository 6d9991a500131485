from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, Header, WindowGrid
from pipeline.views import (
    PLAIN,
    View,
    check_setting,
    is_plain,
    scan_of,
    split_id,
    views_of,
)
from tests.run.small import header

GRID = WindowGrid()
VIEWS = [View(f, t) for f in (1, 4, 16, 64) for t in (1, 4, 16)]


@st.composite
def headers(draw: st.DrawFn) -> Header:
    like = header(nchans=draw(st.integers(64, 5000)), nsamples=draw(st.integers(16, 400)))
    sign = draw(st.sampled_from((1, -1)))
    return replace(like, foff_mhz=sign * draw(st.floats(1e-6, 1e-2)), fch1_mhz=draw(st.floats(100, 10_000)),
                   tsamp_s=draw(st.floats(1e-4, 20)))


def file_channel(like: Header, ascending: int) -> int:
    """Return the channel as the file counts."""
    return ascending if like.foff_mhz > 0 else like.nchans - 1 - ascending


@given(headers(), st.sampled_from(VIEWS), st.data())
def test_an_averaged_pixel_lies_where_its_pixels_lie(like: Header, view: View, data: st.DataObject) -> None:
    averaged = view.header_of(like)
    assert averaged.nchans == like.nchans // view.frequency
    assert averaged.nsamples == like.nsamples // view.time
    channel = data.draw(st.integers(0, averaged.nchans - 1))
    # the centre of an averaged channel, from fch1 and foff alone, is the mean of the centres of its channels
    of_pixels = [like.fch1_mhz + file_channel(like, channel * view.frequency + k) * like.foff_mhz
                 for k in range(view.frequency)]
    centre = averaged.fch1_mhz + file_channel(averaged, channel) * averaged.foff_mhz
    assert math.isclose(centre, sum(of_pixels) / len(of_pixels), rel_tol=1e-12, abs_tol=1e-9)
    assert math.isclose(averaged.channel_edge_mhz(channel), like.channel_edge_mhz(channel * view.frequency),
                        rel_tol=1e-12, abs_tol=1e-9)
    if averaged.nsamples:
        spectrum = data.draw(st.integers(0, averaged.nsamples - 1))
        assert math.isclose(averaged.mjd_at(spectrum * averaged.tsamp_s),
                            like.mjd_at(spectrum * view.time * like.tsamp_s), rel_tol=1e-15)


@given(headers(), st.sampled_from(VIEWS), st.integers(64, 3000), st.integers(0, 2000), st.data())
def test_coarse_channels_of_a_view_hold_the_same_frequencies(
    like: Header, view: View, width: int, offset: int, data: st.DataObject
) -> None:
    width -= width % view.frequency
    coarse = CoarseLayout(width, "flag", offset % width - offset % width % view.frequency)
    if like.nchans <= coarse.offset:
        return
    plain = Tiling(like, WindowGrid(8, 8, 16), coarse)
    averaged = plain.seen_through(view)
    assert plain.n_coarse - averaged.n_coarse in (0, 1)  # a rest of less than one averaged channel is lost
    for i in range(averaged.n_coarse):
        (start, stop), (first, last) = averaged.coarse_span(i), plain.coarse_span(i)
        assert start * view.frequency == first
        assert stop * view.frequency <= last < (stop + 1) * view.frequency


@pytest.mark.parametrize("view", VIEWS)
def test_names_and_ids_can_be_taken_apart_again(view: View) -> None:
    assert View.named(view.name) == view
    for scan in ("GBT_57436_51432_HIP77257_0123456789", "GBT_57436_51432_B0329+f4_0123456789", "a"):
        assert split_id(view.id_of(scan)) == (scan, view.name)
        assert scan_of(view.id_of(scan)) == scan
        assert is_plain(view.id_of(scan)) == (view == PLAIN)


@pytest.mark.parametrize("name", ["f2", "t64", "t4f4", "f", "4", "f4 ", "f4t", "F4", "f16f4", "f256"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no view: give f and t"):
        View.named(name)
    assert split_id(f"scan+{name}") == (f"scan+{name}", "")


def test_a_setting_names_each_view_once() -> None:
    for setting in ((), ("auto",), ("f4", "f16", "t4", "f4t4")):
        check_setting(setting)
    for bad in (("f4", "f4"), ("",), ("f4", "auto"), ("f3",)):
        with pytest.raises(ConfigError, match="view"):
            check_setting(bad)


def test_automatic_views_depend_on_the_product() -> None:
    fine = header(nchans=2**20, nsamples=16)
    coarse = CoarseLayout(2**20, "product")

    def names(like: Header, layout: CoarseLayout = coarse, setting: tuple[str, ...] = ("auto",)) -> list[str]:
        return [view.name for view in views_of(setting, like, layout, GRID)]

    assert fine.channel_width_mhz < 1e-4
    assert names(fine) == ["f4", "f16"]
    assert names(replace(fine, nsamples=63)) == ["f4", "f16"]
    assert names(replace(fine, nsamples=64)) == ["f4", "t4", "f16"]
    assert names(replace(fine, nsamples=256)) == ["f4", "t4", "f16", "t16"]
    medium = replace(fine, foff_mhz=-2.86e-3, nchans=2048, nsamples=279)
    assert names(medium, CoarseLayout(1024, "product")) == ["t4", "t16"]
    # views that do not suit a file are left out: too few channels or spectra, or averages across coarse channels
    assert names(fine, setting=("f4", "f64", "t4")) == ["f4", "f64"]
    assert names(fine, CoarseLayout(2**12, "flag"), ("f16", "f64")) == ["f16"]
    assert names(fine, CoarseLayout(2**18 + 4, "flag"), ("f4", "f16")) == ["f4"]
    assert names(fine, CoarseLayout(2**18, "dc-spikes", 8), ("f4", "f16")) == ["f4"]
    assert names(replace(fine, nchans=2001), CoarseLayout(2001, "whole-band"), ("f4", "f16")) == ["f4"]
    assert views_of(("t4",), replace(fine, nsamples=400), coarse, WindowGrid(integrations=10)) == ()
