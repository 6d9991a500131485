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
from numba import njit

from pipeline.lanes import COUNT, add, larger, load, spread, store

# no reassociation of sums: statistics come out bit for bit the same on every machine
_compiled = njit(cache=True, nogil=True, fastmath={"nnan", "ninf", "nsz"})


@_compiled
def measure_windows(  # type: ignore[no-untyped-def]
    power, is_mirrored, row_scale, channel_scale, starts, channels, root_n, pixel, table_power, table_excess, best,
    excess, masked
):
    """Fill ``best`` (n, widths, levels) in sigmas; add up ``excess`` (n,) and ``masked`` (n,), which come as zeros."""
    (spectra, stride), widths, levels = power.shape, best.shape[1], best.shape[2]
    power = power.reshape(-1)
    places = places_of(spectra, channels, widths)
    boxes, one, two, peaks = empty_boxes(spectra, places, np.float32)
    full = row_length(spectra, places)
    row, scratch = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    for k in range(len(starts)):
        first = stride - channels - starts[k] if is_mirrored else starts[k]
        for t in range(spectra):
            _take(power, t * stride + first, is_mirrored, row_scale[t], channel_scale, starts[k], boxes,
                  t * full + places[0], row, scratch)
            if _largest(scratch, 0, channels) > pixel:
                masked[k], excess[k] = _account(row, pixel, table_power, table_excess, masked[k], excess[k])
            columns = channels
            for i in range(1, widths):
                columns //= 4
                _widen(boxes, t * full + places[i - 1], t * full + places[i], columns)
        raise_peaks(boxes, one, two, peaks, spectra, places)
        columns, width = channels, 1
        for i in range(widths):
            for level in range(levels):
                sigmas = root_n / np.sqrt(np.float32(width * min(1 << level, spectra)))
                best[k, i, level] = _largest(peaks, level * full + places[i], columns) * sigmas
            columns, width = columns // 4, width * 4


@njit(cache=True, nogil=True)  # what comes from a file may be neither finite nor a number
def _take(  # type: ignore[no-untyped-def]
    power, at, is_mirrored, row_scale, channel_scale, start, boxes, to, row, scratch
):
    """Write a row's power over baseline, masked pixels 0; into boxes, that less 1; into scratch, masked ones huge."""
    last = len(row) - 1
    for c in range(len(row)):
        value = power[at + last - c] if is_mirrored else power[at + c]
        scale = row_scale * channel_scale[start + c]
        value = value * scale if (value > 0) & (value < np.float32(np.inf)) & (scale > 0) else np.float32(0)
        row[c] = value
        boxes[to + c] = value - np.float32(1) if value > 0 else np.float32(0)
        scratch[c] = value if value > 0 else np.float32(3e38)


@_compiled
def _account(row, pixel, table_power, table_excess, masked, excess):  # type: ignore[no-untyped-def]
    """Add a row's masked pixels, and the excess of others above ``pixel``: few rows have any."""
    for c in range(len(row)):
        if row[c] > pixel:
            excess += _excess_of(row[c], table_power, table_excess)
        elif not row[c] > 0:
            masked += 1
    return masked, excess


@_compiled
def _excess_of(value, table_power, table_excess):  # type: ignore[no-untyped-def]
    last = len(table_power) - 1
    if value >= table_power[last]:
        slope = (table_excess[last] - table_excess[last - 1]) / (table_power[last] - table_power[last - 1])
        return table_excess[last] + (value - table_power[last]) * slope
    j = np.searchsorted(table_power, value)
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
    places[0] = -(-rows_of(spectra) // COUNT) * COUNT
    for i in range(widths):
        places[i + 1] = places[i] + channels + rows_of(spectra)
        channels //= 4
    return places


@_compiled
def row_length(spectra, places):  # type: ignore[no-untyped-def]
    """Return the columns of a row: behind the last boxes is as much room as drifts and lanes reach."""
    return -(-(places[-1] + 2 * rows_of(spectra) + COUNT) // COUNT) * COUNT  # rows begin where lanes do


@_compiled
def empty_boxes(spectra, places, kind):  # type: ignore[no-untyped-def]
    """Make room for the boxes of a window, for two levels of their sums and for what is largest of each level."""
    rows, levels = rows_of(spectra), 1
    while 1 << levels <= rows:
        levels += 1
    full = row_length(spectra, places)
    size = rows * full
    return np.zeros(size, kind), np.zeros(size, kind), np.zeros(size, kind), np.zeros(levels * full, kind)


@_compiled
def raise_peaks(boxes, one, two, peaks, spectra, places):  # type: ignore[no-untyped-def]
    """Set ``peaks`` (levels, columns) to the largest of all sums that begin in each column, at least 0.

    In a group of ``size`` rows, row d of ``above`` holds sums that drift by d columns from the group's first spectrum
    to its last: upwards, then, in a tree of its own, downwards.
    """
    rows, full = rows_of(spectra), row_length(spectra, places)
    start, stop = places[0], places[-1] - rows
    nothing = spread(boxes.dtype.type(0))
    for x in range(start, stop, COUNT):
        largest = nothing
        for at in range(x, x + rows * full, full):
            largest = larger(largest, load(boxes, at))
        store(peaks, x, largest)
        for at in range(x + full, len(peaks), full):
            store(peaks, at, nothing)
    _climb_upwards(boxes, one, two, peaks, rows, full, start, stop)
    _climb_downwards(boxes, one, two, peaks, rows, full, start, stop)


def _climbing(sign: int) -> Any:
    """Return the climb of a tree of one sign of drift: where signs are known, addresses are cheap."""

    @_compiled
    def climb(boxes, one, two, peaks, rows, full, start, stop):  # type: ignore[no-untyped-def]
        below, above, level, size = boxes, one, 2, 4
        while size <= rows:
            apart, low = size // 4 * full, (level - 1) * full
            for group in range(0, rows, size):
                for d in range(size // 4):
                    first, to = (group + d) * full, (group + 4 * d) * full
                    if size < rows:
                        add_fours(below, first, apart, d * sign, start, stop, peaks, low, full, above, to)
                    else:
                        add_fours(below, first, apart, d * sign, start, stop, peaks, low, full, None, to)
            below, above = (one, two) if level % 4 else (two, one)
            level, size = level + 2, size * 4

    @_compiled
    def add_fours(  # type: ignore[no-untyped-def]
        below, first, apart, drift, start, stop, peaks, low, full, above, to
    ):
        """Add sums of four successive groups, each of the same ``drift``: rows ``apart`` from the ``first`` on.

        One level up there are two sums of two groups each, of twice the drift or a column more: they raise the peaks
        at ``low``. Two levels up there are four of all groups: they raise the next peaks and, if wanted, become four
        rows ``above``.
        """
        a, b, c, d = first, first + apart, first + 2 * apart, first + 3 * apart
        for x in range(start, stop, COUNT):
            at = x + drift
            of_a, of_c = load(below, a + x), load(below, c + x)
            early, early_drifted = add(of_a, load(below, b + at)), add(of_a, load(below, b + at + sign))
            late, late_drifted = add(of_c, load(below, d + at)), add(of_c, load(below, d + at + sign))
            lows = larger(larger(early, early_drifted), larger(late, late_drifted))
            store(peaks, low + x, larger(load(peaks, low + x), lows))
            # the later two groups as the four sums meet them: 2 × drift and 0, 1 or 2 columns on
            at += c + drift
            c0, c1, c2 = load(below, at), load(below, at + sign), load(below, at + 2 * sign)
            at += d - c + drift
            d0, d1 = load(below, at), load(below, at + sign)
            d2, d3 = load(below, at + 2 * sign), load(below, at + 3 * sign)
            sum0, sum1 = add(early, add(c0, d0)), add(early, add(c1, d1))
            sum2, sum3 = add(early_drifted, add(c1, d2)), add(early_drifted, add(c2, d3))
            highs = larger(larger(sum0, sum1), larger(sum2, sum3))
            store(peaks, low + full + x, larger(load(peaks, low + full + x), highs))
            if above is not None:
                store(above, to + x, sum0)
                store(above, to + full + x, sum1)
                store(above, to + 2 * full + x, sum2)
                store(above, to + 3 * full + x, sum3)

    return climb


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
def _widen(boxes, narrow, wide, columns):  # type: ignore[no-untyped-def]
    """Add up each four boxes."""
    for c in range(columns):
        at = narrow + 4 * c
        boxes[wide + c] = (boxes[at] + boxes[at + 1]) + (boxes[at + 2] + boxes[at + 3])
