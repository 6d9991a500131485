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

import numpy as np
from numpy.typing import NDArray

from pipeline.support.compiled import njit
from pipeline.support.simd import (
    CACHE_LINE_BYTES,
    LANES,
    add,
    broadcast,
    load,
    maximum,
    store,
)

# fastmath without "reassoc": sums keep their order, so statistics are bit for bit the same on every machine
compiled = njit(cache=True, nogil=True, fastmath={"nnan", "ninf", "nsz"})


def padded_rows(spectra: int) -> int:
    """Return the number of rows of boxes: ``spectra``, padded with empty rows to a power of four."""
    rows = 1
    while rows < spectra:
        rows *= 4
    return rows


def box_offsets(spectra: int, channels: int, widths: int) -> NDArray[np.int64]:
    """Return (widths + 1,): the first column of the boxes of each width, and the end of the widest ones."""
    rows = padded_rows(spectra)
    columns = [-(-rows // LANES) * LANES, *(channels // 4**i + rows for i in range(widths))]
    return np.cumsum(columns)


def row_pitch(spectra: int, offsets: NDArray[np.int64]) -> int:
    """Return the number of columns from one row to the next.

    After the last boxes there is room for the largest drift and the lanes of a vector.
    """
    # a multiple of a vector's length, so that rows are aligned
    return int(-(-(offsets[-1] + 2 * padded_rows(spectra) + LANES) // LANES) * LANES)


def allocate_boxes(
    spectra: int, offsets: NDArray[np.int64], kind: type[np.generic]
) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Allocate memory for one window: its boxes with two levels of sums behind them, and the peaks of each level.

    Boxes and sums share an array, because passing arrays by name would count references, and that takes longer than the
    sums.
    """
    rows, pitch = padded_rows(spectra), row_pitch(spectra, offsets)
    return _aligned_zeros(3 * rows * pitch, kind), _aligned_zeros(rows.bit_length() * pitch, kind)


def _aligned_zeros(count: int, kind: type[np.generic]) -> NDArray[np.generic]:
    """Return ``count`` zeros whose memory begins at a cache line."""
    room = np.zeros(count + CACHE_LINE_BYTES, kind)
    first = -room.ctypes.data % CACHE_LINE_BYTES // room.itemsize
    return room[first : first + count]


@compiled
def find_peaks(boxes, peaks, rows, pitch, start, stop):  # type: ignore[no-untyped-def]
    """Set ``peaks`` (levels, columns) to the largest of all sums that begin in each column, at least 0.

    Sums of ``size`` rows drift by 0 to ``size`` − 1 columns from the first spectrum of their group to the last. Row d
    of a group holds the sums that drift by d columns. One tree has upward drifts, a second one downward drifts.

    Parameters
    ----------
    boxes, peaks
        See :func:`allocate_boxes`.
    rows, pitch : int
        Number of rows, and columns from one to the next.
    start, stop : int
        First column of the narrowest boxes, and end of the widest ones.
    """
    nothing = broadcast(boxes.dtype.type(0))
    for x in range(start, stop, LANES):
        largest = nothing
        for row in range(rows):
            largest = maximum(largest, load(boxes, x + row * pitch))
        store(peaks, x, largest)
        for level in range(1, len(peaks) // pitch):
            store(peaks, x + level * pitch, nothing)
    _climb(boxes, peaks, rows, pitch, start, stop, 1)
    _climb(boxes, peaks, rows, pitch, start, stop, -1)


@njit(inline="always")
def _climb(boxes, peaks, rows, pitch, start, stop, sign):  # type: ignore[no-untyped-def]
    """Add up the tree for one sign of drift. Calls pass sign and size as literals, so that addresses cost little."""
    below, above, size, level = rows * pitch, 2 * rows * pitch, 16, 4
    if rows > 1:
        _add_fours(boxes, 0, below, peaks, 4, rows, pitch, start, stop, 2, sign)
    while size <= rows:
        _add_fours(boxes, below, above, peaks, size, rows, pitch, start, stop, level, sign)
        below, above, size, level = above, below, size * 4, level + 2


@compiled
def _add_fours(boxes, from_, to, peaks, size, rows, pitch, start, stop, level, sign):  # type: ignore[no-untyped-def]
    """Add sums of four successive groups with the same drift, which gives sums of ``size`` rows.

    Sums are read at ``from_`` and written at ``to``. One level up, pairs of groups are added, with twice the drift or
    one column more, and raise the peaks of that level. Two levels up, all four groups are added, raise the next peaks
    and become four rows at ``to``. The last sums, of all rows, are not needed later and are not written.
    """
    quarter, low, high = size // 4, (level - 1) * pitch, level * pitch
    groups, apart = rows // size, quarter * pitch
    for x in range(start, stop, LANES):
        lows, highs, first = load(peaks, low + x), load(peaks, high + x), from_ + x
        for _ in range(groups):
            for k in range(quarter):
                drift = sign * k
                a, b, c, d = first, first + apart + drift, first + 2 * apart, first + 3 * apart + drift
                of_a, of_c = load(boxes, a), load(boxes, c)
                early, early_drifted = add(of_a, load(boxes, b)), add(of_a, load(boxes, b + sign))
                late, late_drifted = add(of_c, load(boxes, d)), add(of_c, load(boxes, d + sign))
                lows = maximum(lows, maximum(maximum(early, early_drifted), maximum(late, late_drifted)))
                # in the four sums, the two later groups are shifted by 2 × drift plus 0, 1 or 2 columns
                c, d = c + 2 * drift, d + 2 * drift
                c0, c1, c2 = load(boxes, c), load(boxes, c + sign), load(boxes, c + 2 * sign)
                d0, d1 = load(boxes, d), load(boxes, d + sign)
                d2, d3 = load(boxes, d + 2 * sign), load(boxes, d + 3 * sign)
                sum0, sum1 = add(early, add(c0, d0)), add(early, add(c1, d1))
                sum2, sum3 = add(early_drifted, add(c1, d2)), add(early_drifted, add(c2, d3))
                highs = maximum(highs, maximum(maximum(sum0, sum1), maximum(sum2, sum3)))
                if size < rows:
                    into = to - from_ + first + 3 * k * pitch
                    store(boxes, into, sum0)
                    store(boxes, into + pitch, sum1)
                    store(boxes, into + 2 * pitch, sum2)
                    store(boxes, into + 3 * pitch, sum3)
                first += pitch
            first += 3 * apart
        store(peaks, low + x, lows)
        store(peaks, high + x, highs)
