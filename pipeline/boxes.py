"""Sums over drifting boxes: the compiled part of the gate.

A tree after Taylor (1974): sums of 2^level spectra are pairs of sums of half as many, at every drift of whole columns.
Two levels are computed at once: the lower of each two is looked at, never stored.

Boxes of one window lie in rows, one a spectrum: those of a channel, then those of four, of sixteen …, with as many
empty columns around each width as there are rows, so that no drift reaches from one into the next. All of it fits into
a core's nearest cache. Rows lie behind one another in flat arrays: a view of a row, counted as a reference, would cost
more than what is done with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.compiled import njit
from pipeline.lanes import (
    COUNT,
    COUNT_OF_BYTES,
    LINE_BYTES,
    add,
    count_of,
    is_any_outside,
    larger,
    load,
    multiply,
    spread,
    store,
    store_fours,
    subtract,
    where_positive,
)

# no reassociation of sums: statistics come out bit for bit the same on every machine
_compiled = njit(cache=True, nogil=True, fastmath={"nnan", "ninf", "nsz"})


@_compiled
def measure_windows(  # type: ignore[no-untyped-def]
    power, row_scale, channel_scale, starts, channels, root_n, pixel, table_power, table_excess, best, excess, masked
):
    """Fill ``best`` (n, widths, levels) in sigmas; add up ``excess`` (n,) and ``masked`` (n,), which come as zeros."""
    (spectra, stride), widths, levels = power.shape, best.shape[1], best.shape[2]
    power = power.reshape(-1)
    places = places_of(spectra, channels, widths)
    boxes, sums, peaks = empty_boxes(spectra, places, np.float32)
    full = row_length(spectra, places)
    few = np.empty(COUNT, np.float32)
    for k in range(len(starts)):
        for t in range(spectra):
            excess[k], masked[k] = _take(
                power, t * stride + starts[k], row_scale[t], channel_scale, starts[k], channels, boxes,
                t * full + places[0], few, pixel, table_power, table_excess, excess[k], masked[k])
        columns = channels
        for i in range(1, widths):
            columns //= 4
            _widen(boxes, spectra, full, places[i - 1], places[i], columns)
        raise_peaks(boxes, sums, peaks, spectra, places)
        columns, width = channels, 1
        for i in range(widths):
            for level in range(levels):
                sigmas = root_n / np.sqrt(np.float32(width * min(1 << level, spectra)))
                best[k, i, level] = _largest(peaks, level * full + places[i], columns) * sigmas
            columns, width = columns // 4, width * 4


@njit(cache=True, nogil=True, fastmath=False)  # what a file holds may be no number; numba would take over the caller's
def _take(  # type: ignore[no-untyped-def]
    power, at, row_scale, channel_scale, start, channels, boxes, to, few, pixel, table_power, table_excess, excess,
    masked
):
    """Write a row's power over baseline, less 1, into boxes, 0 where masked; return excess and masked pixels so far."""
    whole, nothing, one = channels - channels % COUNT, np.float32(0), spread(np.float32(1))
    for c in range(0, whole, COUNT):
        stored, scale = load(power, at + c), multiply(load(channel_scale, start + c), spread(row_scale))
        value = where_positive(subtract(spread(np.float32(np.inf)), stored), multiply(stored, scale))
        value = where_positive(scale, where_positive(stored, value))
        store(boxes, to + c, where_positive(value, subtract(value, one)))
        if is_any_outside(value, nothing, pixel):
            store(few, 0, value)
            excess, masked = _account(few, pixel, table_power, table_excess, excess, masked)
    for c in range(whole, channels):
        stored, scale = power[at + c], channel_scale[start + c] * row_scale
        value = stored * scale if (stored > 0) & (stored < np.float32(np.inf)) & (scale > 0) else nothing
        boxes[to + c] = value - np.float32(1) if value > 0 else nothing
        few[0], few[1:] = value, np.float32(1)
        excess, masked = _account(few, pixel, table_power, table_excess, excess, masked)
    return excess, masked


@_compiled
def _account(few, pixel, table_power, table_excess, excess, masked):  # type: ignore[no-untyped-def]
    """Add the excess of pixels above ``pixel``, and count masked ones."""
    for c in range(len(few)):
        if few[c] > pixel:
            excess += _excess_of(few[c], table_power, table_excess)
        elif not few[c] > 0:
            masked += np.uint32(1)
    return excess, masked


@_compiled
def _excess_of(value, table_power, table_excess):  # type: ignore[no-untyped-def]
    last = len(table_power) - 1
    if value >= table_power[last]:
        slope = (table_excess[last] - table_excess[last - 1]) / (table_power[last] - table_power[last - 1])
        return table_excess[last] + (value - table_power[last]) * slope
    # powers lie about as the squares of their places
    j = max(1, int(last * np.sqrt((value - table_power[0]) / (table_power[last] - table_power[0]))))
    while table_power[j] < value:
        j += 1
    while j > 1 and table_power[j - 1] >= value:
        j -= 1
    part = (value - table_power[j - 1]) / (table_power[j] - table_power[j - 1])
    return table_excess[j - 1] + part * (table_excess[j] - table_excess[j - 1])


@_compiled
def rows_of(spectra):  # type: ignore[no-untyped-def]
    """Return the rows of boxes: so many spectra, padded to a power of four with empty ones."""
    rows = 1
    while rows < spectra:
        rows *= 4
    return rows


@_compiled
def places_of(spectra, channels, widths):  # type: ignore[no-untyped-def]
    """Return (widths + 1,): the column where boxes of each width begin in a row, and where all end."""
    places = np.empty(widths + 1, np.int64)
    places[0] = -(-rows_of(spectra) // COUNT_OF_BYTES) * COUNT_OF_BYTES
    for i in range(widths):
        places[i + 1] = places[i] + channels + rows_of(spectra)
        channels //= 4
    return places


@_compiled
def row_length(spectra, places):  # type: ignore[no-untyped-def]
    """Return the columns of a row: behind the last boxes is as much room as drifts and lanes reach."""
    # rows begin where lanes do
    return -(-(places[-1] + 2 * rows_of(spectra) + COUNT_OF_BYTES) // COUNT_OF_BYTES) * COUNT_OF_BYTES


@_compiled
def empty_boxes(spectra, places, kind):  # type: ignore[no-untyped-def]
    """Make room for the boxes of a window, for two levels of their sums and for what is largest of each level.

    Both levels share an array: to call the one or the other by a name counts references, which costs more than it does.
    """
    rows, levels = rows_of(spectra), 1
    while 1 << levels <= rows:
        levels += 1
    full = row_length(spectra, places)
    size = rows * full
    return _zeros(size, kind), _zeros(2 * size, kind), _zeros(levels * full, kind)


@_compiled
def _zeros(count, kind):  # type: ignore[no-untyped-def]
    """Return so many zeros that begin where a line of the cache does."""
    room = np.zeros(count + LINE_BYTES, kind)
    first = -room.ctypes.data % LINE_BYTES // room.itemsize
    return room[first : first + count]


@_compiled
def raise_peaks(boxes, sums, peaks, spectra, places):  # type: ignore[no-untyped-def]
    """Set ``peaks`` (levels, columns) to the largest of all sums that begin in each column, at least 0.

    In a group of ``size`` rows, row d of ``above`` holds sums that drift by d columns from the group's first spectrum
    to its last: upwards, then, in a tree of its own, downwards.
    """
    rows, full = rows_of(spectra), row_length(spectra, places)
    start, stop = places[0], places[-1] - rows
    nothing = spread(boxes.dtype.type(0))
    for x in range(start, stop, count_of(boxes)):
        largest = nothing
        for row in range(rows):
            largest = larger(largest, load(boxes, x + row * full))
        store(peaks, x, largest)
        for level in range(1, len(peaks) // full):
            store(peaks, x + level * full, nothing)
    _climb_upwards(boxes, sums, peaks, rows, full, start, stop)
    _climb_downwards(boxes, sums, peaks, rows, full, start, stop)


def _climbing(sign: int) -> Any:
    """Return the climb of a tree of one sign of drift: where that is known, addresses are cheap."""
    add_first, add_only = _adding(sign, is_first=True, is_last=False), _adding(sign, is_first=True, is_last=True)
    add_next, add_last = _adding(sign, is_first=False, is_last=False), _adding(sign, is_first=False, is_last=True)

    @_compiled
    def climb(boxes, sums, peaks, rows, full, start, stop):  # type: ignore[no-untyped-def]
        if rows == 4:
            add_only(boxes, 0, sums, 0, peaks, 4, rows, full, start, stop, 2)
        if rows <= 4:
            return
        add_first(boxes, 0, sums, 0, peaks, 4, rows, full, start, stop, 2)
        below, above, level, size = 0, rows * full, 4, 16
        while size < rows:
            add_next(sums, below, sums, above, peaks, size, rows, full, start, stop, level)
            below, above, level, size = above, below, level + 2, size * 4
        add_last(sums, below, sums, above, peaks, size, rows, full, start, stop, level)

    return climb


def _adding(sign: int, is_first: bool, is_last: bool) -> Any:
    """Return what climbs two levels: from single spectra if it ``is_first``; what it adds is not kept if it is last."""

    @_compiled
    def add_fours(  # type: ignore[no-untyped-def]
        below, from_, above, to, peaks, size, rows, full, start, stop, level
    ):
        """Add sums of four successive groups of the same drift, which are to be one of ``size`` rows.

        Sums ``below`` begin in a place of their array, those ``above`` in another of theirs.

        One level down from there are two sums of two groups each, of twice the drift or a column more: they raise the
        peaks of that level. Four sums are of all groups: they raise the next peaks and become four rows ``above``.
        """
        quarter, low, high = 1 if is_first else size // 4, (level - 1) * full, level * full
        groups, apart = rows // (4 * quarter), quarter * full
        for x in range(start, stop, count_of(below)):
            lows, highs, first = load(peaks, low + x), load(peaks, high + x), from_ + x
            for _ in range(groups):
                for k in range(quarter):
                    drift = sign * k
                    a, b, c, d = first, first + apart + drift, first + 2 * apart, first + 3 * apart + drift
                    of_a, of_c = load(below, a), load(below, c)
                    early, early_drifted = add(of_a, load(below, b)), add(of_a, load(below, b + sign))
                    late, late_drifted = add(of_c, load(below, d)), add(of_c, load(below, d + sign))
                    lows = larger(lows, larger(larger(early, early_drifted), larger(late, late_drifted)))
                    # the later two groups as the four sums meet them: 2 × drift and 0, 1 or 2 columns on
                    c, d = c + 2 * drift, d + 2 * drift
                    c0, c1, c2 = load(below, c), load(below, c + sign), load(below, c + 2 * sign)
                    d0, d1 = load(below, d), load(below, d + sign)
                    d2, d3 = load(below, d + 2 * sign), load(below, d + 3 * sign)
                    sum0, sum1 = add(early, add(c0, d0)), add(early, add(c1, d1))
                    sum2, sum3 = add(early_drifted, add(c1, d2)), add(early_drifted, add(c2, d3))
                    highs = larger(highs, larger(larger(sum0, sum1), larger(sum2, sum3)))
                    if not is_last:
                        into = to - from_ + first + 3 * k * full
                        store(above, into, sum0)
                        store(above, into + full, sum1)
                        store(above, into + 2 * full, sum2)
                        store(above, into + 3 * full, sum3)
                    first += full
                first += 3 * apart
            store(peaks, low + x, lows)
            store(peaks, high + x, highs)

    return add_fours


_climb_upwards, _climb_downwards = _climbing(1), _climbing(-1)


@_compiled
def _largest(values, start, count):  # type: ignore[no-untyped-def]
    """Return the largest of some ``values`` by folding them in halves, which overwrites them."""
    while count > 1:
        half = (count + 1) // 2
        for c in range(start, start + count - half):
            values[c] = max(values[c], values[half + c])
        count = half
    return values[start]


@_compiled
def _widen(boxes, spectra, full, narrow, wide, columns):  # type: ignore[no-untyped-def]
    """Add up each four boxes."""
    whole = columns - columns % (COUNT // 4)
    for row in range(0, spectra * full, full):
        for c in range(0, whole, COUNT // 4):
            store_fours(boxes, row + wide + c, load(boxes, row + narrow + 4 * c))
        for c in range(whole, columns):
            at = row + narrow + 4 * c
            boxes[row + wide + c] = (boxes[at] + boxes[at + 1]) + (boxes[at + 2] + boxes[at + 3])
