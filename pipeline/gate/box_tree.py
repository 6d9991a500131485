"""Sums over drifting boxes of one window: where boxes are in memory, and the tree that adds them up. Compiled.

The sums are made by a tree (Taylor 1974). A sum over 2^level spectra is a pair of sums over half as many, for every
drift by whole columns. Two levels are computed at a time. The lower one of the two is compared with the peaks but never
stored.

The boxes of one window are stored in rows, one row per spectrum. A row holds boxes of one channel, then boxes of four,
of sixteen and so on. Around each width there are as many empty columns as there are rows, so that no drift leads from
one width into the next. All of this fits into a core's first-level cache.

The rows are stored one after another in flat arrays. A view of each row would be counted as a reference, and that would
take longer than the sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.support.compiled import njit
from pipeline.support.simd import (
    BYTE_LANES,
    CACHE_LINE_BYTES,
    add,
    broadcast,
    lane_count,
    load,
    maximum,
    store,
)

# fastmath without "reassoc": sums keep their order, so statistics are bit for bit the same on every machine
compiled = njit(cache=True, nogil=True, fastmath={"nnan", "ninf", "nsz"})


@compiled
def padded_rows(spectra):  # type: ignore[no-untyped-def]
    """Return the number of rows of boxes: ``spectra``, padded with empty rows to a power of four."""
    rows = 1
    while rows < spectra:
        rows *= 4
    return rows


@compiled
def box_offsets(spectra, channels, widths):  # type: ignore[no-untyped-def]
    """Return (widths + 1,) int64: the first column of the boxes of each width, and the end of the widest ones."""
    offsets = np.empty(widths + 1, np.int64)
    offsets[0] = -(-padded_rows(spectra) // BYTE_LANES) * BYTE_LANES
    for i in range(widths):
        offsets[i + 1] = offsets[i] + channels + padded_rows(spectra)
        channels //= 4
    return offsets


@compiled
def row_pitch(spectra, offsets):  # type: ignore[no-untyped-def]
    """Return the number of columns from one row to the next.

    After the last boxes there is room for the largest drift and the lanes of a vector.
    """
    # a multiple of a vector's length, so that rows are aligned
    return -(-(offsets[-1] + 2 * padded_rows(spectra) + BYTE_LANES) // BYTE_LANES) * BYTE_LANES


@compiled
def allocate_boxes(spectra, offsets, kind):  # type: ignore[no-untyped-def]
    """Allocate memory for one window: its boxes, two levels of sums, and the peaks of each level.

    Both levels of sums share an array, because passing arrays by name would count references, and that takes longer
    than the sums.
    """
    rows, levels = padded_rows(spectra), 1
    while 1 << levels <= rows:
        levels += 1
    pitch = row_pitch(spectra, offsets)
    size = rows * pitch
    return _aligned_zeros(size, kind), _aligned_zeros(2 * size, kind), _aligned_zeros(levels * pitch, kind)


@compiled
def _aligned_zeros(count, kind):  # type: ignore[no-untyped-def]
    """Return ``count`` zeros whose memory begins at a cache line."""
    room = np.zeros(count + CACHE_LINE_BYTES, kind)
    first = -room.ctypes.data % CACHE_LINE_BYTES // room.itemsize
    return room[first : first + count]


@compiled
def find_peaks(boxes, sums, peaks, spectra, offsets):  # type: ignore[no-untyped-def]
    """Set ``peaks`` (levels, columns) to the largest of all sums that begin in each column, at least 0.

    Sums of ``size`` rows drift by 0 to ``size`` − 1 columns from the first spectrum of their group to the last. Row d
    of a group in ``sums`` holds the sums that drift by d columns. One tree has upward drifts, a second one downward
    drifts.
    """
    rows, pitch = padded_rows(spectra), row_pitch(spectra, offsets)
    start, stop = offsets[0], offsets[-1] - rows
    nothing = broadcast(boxes.dtype.type(0))
    for x in range(start, stop, lane_count(boxes)):
        largest = nothing
        for row in range(rows):
            largest = maximum(largest, load(boxes, x + row * pitch))
        store(peaks, x, largest)
        for level in range(1, len(peaks) // pitch):
            store(peaks, x + level * pitch, nothing)
    _climb_upwards(boxes, sums, peaks, rows, pitch, start, stop)
    _climb_downwards(boxes, sums, peaks, rows, pitch, start, stop)


def _make_climb(sign: int) -> Any:
    """Compile the tree for one sign of drift. A constant sign makes addresses cheap to compute."""
    add_first = _make_addition(sign, is_first=True, is_last=False)
    add_only = _make_addition(sign, is_first=True, is_last=True)
    add_next = _make_addition(sign, is_first=False, is_last=False)
    add_last = _make_addition(sign, is_first=False, is_last=True)

    @compiled
    def climb(boxes, sums, peaks, rows, pitch, start, stop):  # type: ignore[no-untyped-def]
        if rows == 4:
            add_only(boxes, 0, sums, 0, peaks, 4, rows, pitch, start, stop, 2)
        if rows <= 4:
            return
        add_first(boxes, 0, sums, 0, peaks, 4, rows, pitch, start, stop, 2)
        below, above, level, size = 0, rows * pitch, 4, 16
        while size < rows:
            add_next(sums, below, sums, above, peaks, size, rows, pitch, start, stop, level)
            below, above, level, size = above, below, level + 2, size * 4
        add_last(sums, below, sums, above, peaks, size, rows, pitch, start, stop, level)

    return climb


def _make_addition(sign: int, is_first: bool, is_last: bool) -> Any:
    """Compile the step that adds two levels, for one sign of drift.

    ``is_first``: the step starts from single spectra. ``is_last``: its sums are not needed later, so they are not
    stored.
    """

    @compiled
    def add_fours(  # type: ignore[no-untyped-def]
        below, from_, above, to, peaks, size, rows, pitch, start, stop, level
    ):
        """Add sums of four successive groups with the same drift, which gives sums of ``size`` rows.

        Sums are read from ``below``, at ``from_``, and written to ``above``, at ``to``. One level up, pairs of groups
        are added, with twice the drift or one column more, and raise the peaks of that level. Two levels up, all four
        groups are added, raise the next peaks and become four rows of ``above``.
        """
        quarter, low, high = 1 if is_first else size // 4, (level - 1) * pitch, level * pitch
        groups, apart = rows // (4 * quarter), quarter * pitch
        for x in range(start, stop, lane_count(below)):
            lows, highs, first = load(peaks, low + x), load(peaks, high + x), from_ + x
            for _ in range(groups):
                for k in range(quarter):
                    drift = sign * k
                    a, b, c, d = first, first + apart + drift, first + 2 * apart, first + 3 * apart + drift
                    of_a, of_c = load(below, a), load(below, c)
                    early, early_drifted = add(of_a, load(below, b)), add(of_a, load(below, b + sign))
                    late, late_drifted = add(of_c, load(below, d)), add(of_c, load(below, d + sign))
                    lows = maximum(lows, maximum(maximum(early, early_drifted), maximum(late, late_drifted)))
                    # in the four sums, the two later groups are shifted by 2 × drift plus 0, 1 or 2 columns
                    c, d = c + 2 * drift, d + 2 * drift
                    c0, c1, c2 = load(below, c), load(below, c + sign), load(below, c + 2 * sign)
                    d0, d1 = load(below, d), load(below, d + sign)
                    d2, d3 = load(below, d + 2 * sign), load(below, d + 3 * sign)
                    sum0, sum1 = add(early, add(c0, d0)), add(early, add(c1, d1))
                    sum2, sum3 = add(early_drifted, add(c1, d2)), add(early_drifted, add(c2, d3))
                    highs = maximum(highs, maximum(maximum(sum0, sum1), maximum(sum2, sum3)))
                    if not is_last:
                        into = to - from_ + first + 3 * k * pitch
                        store(above, into, sum0)
                        store(above, into + pitch, sum1)
                        store(above, into + 2 * pitch, sum2)
                        store(above, into + 3 * pitch, sum3)
                    first += pitch
                first += 3 * apart
            store(peaks, low + x, lows)
            store(peaks, high + x, highs)

    return add_fours


_climb_upwards, _climb_downwards = _make_climb(1), _make_climb(-1)
