"""Coarse channels from settings, headers, products and DC spikes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import Reason, SourceError
from pipeline.grid.coarse_layout import (
    MAX_HEADER_WIDTH,
    MAX_PIECE_CHANNELS,
    MIN_SPIKE_PERIOD,
    coarse_layout,
    known_layout,
    product_width,
    remark_on_nfpc,
    spike_period,
)
from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, WindowGrid

from .test_tiling import FINE_MHZ, header_of


@pytest.mark.parametrize(("width", "n_coarse"), [(2**20, 308), (1_033_216, 64), (1024, 704), (8, 704)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_products_have_known_coarse_channels(width: int, n_coarse: int, sign: int) -> None:
    header = header_of(width * n_coarse, foff_mhz=sign * 187.5 / 64 / width)

    assert product_width(header) == width
    if width >= 256:
        assert coarse_layout(header, window_channels=256) == CoarseLayout(width, "product")


def test_headers_state_the_channel_width_with_few_digits() -> None:
    assert product_width(header_of(2**20, foff_mhz=-2.7939677e-06)) == 2**20
    assert product_width(header_of(1024 * 3, foff_mhz=-2.861e-03)) == 1024


@pytest.mark.parametrize(("nchans", "foff_mhz"), [
    (2**20 + 1, FINE_MHZ), (512, FINE_MHZ),  # not whole coarse channels
    (2**20, 1e-6),  # a coarse channel would be 2,929,688 wide
    (7 * 30, 0.1), (2 * 10, 1.3),  # a coarse channel is not a whole number of fine channels
    (1, 2.9296875), (10, 5.0),  # one fine channel per coarse channel, or less
])
def test_other_bands_are_not_a_product(nchans: int, foff_mhz: float) -> None:
    assert product_width(header_of(nchans, foff_mhz=foff_mhz)) is None


def test_a_coarse_channel_narrower_than_a_window_is_refused() -> None:
    header = header_of(8 * 704, foff_mhz=-187.5 / 64 / 8)
    with pytest.raises(SourceError, match=r"8 fine channels of 3.662e\+05 Hz, a window has 256; .* --window") as caught:
        coarse_layout(header, window_channels=256)
    assert caught.value.reason is Reason.TOO_FEW_CHANNELS

    assert coarse_layout(header, window_channels=8) == CoarseLayout(8, "product")
    assert coarse_layout(header, window_channels=256, window_is_given=True) == CoarseLayout(8 * 704, "whole-band")


@pytest.mark.parametrize("given_", [False, True])
@pytest.mark.parametrize("width", [None, 100, 2**20])
def test_a_band_narrower_than_a_window_is_refused(given_: bool, width: int | None) -> None:
    with pytest.raises(SourceError, match="have 100 fine channels") as caught:
        coarse_layout(header_of(100), window_channels=256, width=width, window_is_given=given_)
    assert caught.value.reason is Reason.TOO_FEW_CHANNELS


def test_a_given_width_takes_precedence() -> None:
    assert coarse_layout(header_of(2**20), window_channels=256, width=65536) == CoarseLayout(65536, "flag")


def test_a_band_within_one_coarse_channel_has_no_dc_bin() -> None:
    header = header_of(2**18)
    layout = coarse_layout(header, window_channels=256, width=2**20)

    assert not Tiling(header, WindowGrid(), layout).is_whole(0)


def test_a_band_without_coarse_channels_is_cut_into_pieces() -> None:
    assert coarse_layout(header_of(1000), window_channels=256) == CoarseLayout(1000, "whole-band")
    assert not coarse_layout(header_of(1000), window_channels=256).has_dc_spike
    assert coarse_layout(header_of(5_000_000), window_channels=256) == CoarseLayout(MAX_PIECE_CHANNELS, "whole-band")


# ------------------------------------------------------------------------------------------------------------ nfpc

@pytest.mark.parametrize(("nfpc", "nchans"), [(8192, 16384), (5000, 5000), (2**18, 2**20)])
def test_the_header_tells_the_width(nfpc: int, nchans: int) -> None:
    header = replace(header_of(nchans, foff_mhz=1e-3), nfpc=nfpc)

    assert coarse_layout(header, window_channels=256) == CoarseLayout(nfpc, "header")
    assert coarse_layout(header, window_channels=256).has_dc_spike
    assert coarse_layout(header, window_channels=256, width=1000) == CoarseLayout(1000, "flag")


def test_the_header_counts_more_than_the_product() -> None:
    assert known_layout(header_of(2**20)) == CoarseLayout(2**20, "product")
    assert known_layout(replace(header_of(2**20), nfpc=2**19)) == CoarseLayout(2**19, "header")


@pytest.mark.parametrize(("nfpc", "nchans", "remark"), [
    (0, 1000, None), (-8, 1000, "nfpc is -8, which is no width"), (1, 1000, "nfpc is 1, which is no width"),
    # a part cut out together with the header of the whole
    (2**20, 512, "nfpc is 1,048,576, which does not divide its 512 channels"),
    (300, 1000, "nfpc is 300, which does not divide its 1,000 channels"),
    (2 * MAX_HEADER_WIDTH, 2 * MAX_HEADER_WIDTH, "nfpc is 4,194,304, which is more than 2,097,152"),
])
def test_a_header_that_tells_no_usable_width_is_not_followed_but_remarked_on(
    nfpc: int, nchans: int, remark: str | None
) -> None:
    header = replace(header_of(nchans, foff_mhz=1e-3), nfpc=nfpc)
    assert known_layout(header) is None
    remarks = remark_on_nfpc(header, CoarseLayout(nchans, "whole-band"))
    assert remarks == {} if remark is None else remarks["nfpc"].startswith(remark)
    assert remark_on_nfpc(header, CoarseLayout(500, "flag")) == {}, "the user has told the width"


def test_a_width_that_is_used_is_not_remarked_on() -> None:
    header = replace(header_of(16384, foff_mhz=1e-3), nfpc=8192)
    assert remark_on_nfpc(header, coarse_layout(header, window_channels=256)) == {}


def test_a_width_below_a_window_is_refused_like_that_of_a_product() -> None:
    header = replace(header_of(1024, foff_mhz=1e-3), nfpc=64)
    with pytest.raises(SourceError, match="have 64 fine channels") as caught:
        coarse_layout(header, window_channels=256)
    assert caught.value.reason is Reason.TOO_FEW_CHANNELS


# -------------------------------------------------------------------------------------------------------- DC spikes

PERIOD = 10_000


def spikes_of(layout_start: int, nchans: int, *, dc: int = PERIOD // 2) -> list[int]:
    return [c for c in range(layout_start + dc - PERIOD, nchans, PERIOD) if c >= 0]


def interference(n: int, nchans: int) -> list[int]:
    return [int(c) for c in np.random.default_rng(5).choice(nchans, n, replace=False)]


@pytest.mark.parametrize("dc", [PERIOD // 2 - 1, PERIOD // 2])  # ascending, and in a mirrored band
@pytest.mark.parametrize("rfi", [0, 40])
def test_dc_spikes_give_the_coarse_channels(dc: int, rfi: int) -> None:
    header = header_of(20 * PERIOD, foff_mhz=1e-6)
    spikes = spikes_of(0, header.nchans, dc=dc) + interference(rfi, header.nchans)

    assert coarse_layout(header, window_channels=256, dc_spikes=spikes) == CoarseLayout(PERIOD, "dc-spikes", 0)


@pytest.mark.parametrize("start", [1, 2500, PERIOD - 2])
def test_a_cropped_band_begins_with_a_piece(start: int) -> None:
    header = header_of(20 * PERIOD, foff_mhz=1e-6)
    spikes = spikes_of(start, header.nchans) + interference(10, header.nchans)

    layout = coarse_layout(header, window_channels=256, dc_spikes=spikes)

    assert layout == CoarseLayout(PERIOD, "dc-spikes", start)
    tiling = Tiling(header, WindowGrid(), layout)
    assert tiling.coarse_span(0) == (0, start)
    assert tiling.coarse_span(1) == (start, start + PERIOD)
    assert tiling.coarse_span(tiling.n_coarse - 1) == (header.nchans - PERIOD + start, header.nchans)


@pytest.mark.parametrize("rfi", [0, 30])
def test_some_spikes_may_be_missing(rfi: int) -> None:
    spikes = [s for s in spikes_of(0, 20 * PERIOD) if s // PERIOD not in (0, 3, 7, 19)]  # 16 of 20

    assert spike_period(spikes + interference(rfi, 20 * PERIOD), 20 * PERIOD) == (PERIOD, PERIOD // 2)


def test_too_few_spikes_are_not_a_series() -> None:
    first, second, _, _, fifth = spikes_of(0, 5 * PERIOD)
    assert spike_period([first, second, fifth], 5 * PERIOD) is None
    assert spike_period([5000, 15000], 20_000) is None
    assert spike_period([], 20_000) is None


def test_interference_alone_is_not_a_series() -> None:
    assert spike_period(interference(64, 2**23), 2**23) is None
    comb = list(range(100, 200_000, MIN_SPIKE_PERIOD - 1))[:20]
    assert spike_period(comb[:2], 200_000) is None


def test_spikes_need_only_be_searched_at_the_bottom_of_a_wide_band() -> None:
    header = header_of(100 * PERIOD + 17, foff_mhz=1e-6)
    searched = 8 * PERIOD

    layout = coarse_layout(header, window_channels=256, dc_spikes=spikes_of(0, searched), spikes_searched=searched)

    assert layout == CoarseLayout(PERIOD, "dc-spikes", 0)
