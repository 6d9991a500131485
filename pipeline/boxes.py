"""Sums over drifting boxes: the compiled part of the gate.

A tree after Taylor (1974): sums of 2^level spectra are pairs of sums of half as many, at every drift of whole columns.
Two levels are computed at once (:func:`_add_fours`): the lower of each two is looked at, never stored.
"""

from __future__ import annotations

import numpy as np
from numba import njit

SIDE_BY_SIDE = 8
"""Windows summed at once: enough for long inner loops, few enough to stay in a core's cache."""

# no reassociation of sums: statistics come out bit for bit the same on every machine
_compiled = njit(cache=True, nogil=True, fastmath={"nnan", "ninf", "nsz"})


@_compiled
def measure_windows(  # type: ignore[no-untyped-def]
    power, is_mirrored, row_scale, channel_scale, starts, channels, root_n, pixel, table_power, table_excess, best,
    excess, masked
):
    """Fill ``best`` (n, widths, levels) in sigmas; add up ``excess`` (n,) and ``masked`` (n,), which come as zeros.

    Windows lie side by side in rows of boxes, with as many empty boxes around them as there are rows: no drift reaches
    from one window into the next.
    """
    spectra, levels = power.shape[0], best.shape[2]
    boxes, one, two, peaks = empty_boxes(spectra, SIDE_BY_SIDE, channels, np.float32)
    rows = len(boxes)
    row, scratch = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    widened = rows + SIDE_BY_SIDE * (channels // 4 + rows)
    for first in range(0, len(starts), SIDE_BY_SIDE):
        count = min(SIDE_BY_SIDE, len(starts) - first)
        boxes[:, :widened] = 0  # where wider boxes lay; beyond, nothing but windows was ever written
        for t in range(spectra):
            for k in range(first, first + count):
                at = rows + (k - first) * (channels + rows)
                first_stored = power.shape[1] - channels - starts[k] if is_mirrored else starts[k]
                _take(power[t, first_stored : first_stored + channels], is_mirrored, row_scale[t],
                      channel_scale[starts[k] : starts[k] + channels], boxes[t, at : at + channels], row, scratch)
                if _largest(scratch) > pixel:
                    masked[k], excess[k] = _account(row, pixel, table_power, table_excess, masked[k], excess[k])
        columns, width = channels, 1
        for i in range(best.shape[1]):
            raise_peaks(boxes, one, two, peaks, count * (columns + rows) - rows)
            for level in range(levels):
                sigmas = root_n / np.sqrt(np.float32(width * min(1 << level, spectra)))
                for k in range(count):
                    start = k * (columns + rows)
                    best[first + k, i, level] = _largest(peaks[level, start : start + columns]) * sigmas
            if i + 1 < best.shape[1]:
                _widen(boxes, columns, columns // 4, count)
                columns, width = columns // 4, width * 4


@njit(cache=True, nogil=True)  # what comes from a file may be neither finite nor a number
def _take(stored, is_mirrored, row_scale, channel_scale, out, row, scratch):  # type: ignore[no-untyped-def]
    """Write a row's power over baseline, masked pixels 0; into boxes, that less 1; into scratch, masked ones huge."""
    last = len(stored) - 1
    for c in range(len(stored)):
        value = stored[last - c] if is_mirrored else stored[c]
        scale = row_scale * channel_scale[c]
        value = value * scale if (value > 0) & (value < np.float32(np.inf)) & (scale > 0) else np.float32(0)
        row[c] = value
        out[c] = value - np.float32(1) if value > 0 else np.float32(0)
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
def empty_boxes(spectra, windows, channels, kind):  # type: ignore[no-untyped-def]
    """Make room for windows side by side, for two levels of their sums and for what is largest of each level."""
    rows, levels = 1, 1
    while rows < spectra:  # padded to a power of four with empty rows
        rows, levels = rows * 4, levels + 2
    full = rows + windows * (channels + rows)
    boxes, one, two = np.zeros((rows, full), kind), np.zeros((rows, full), kind), np.zeros((rows, full), kind)
    return boxes, one, two, np.zeros((levels, full), kind)


@_compiled
def raise_peaks(boxes, one, two, peaks, length):  # type: ignore[no-untyped-def]
    """Set ``peaks`` (levels, columns) to the largest of all sums that begin in each of ``length`` columns, at least 0.

    In a group of ``size`` rows, row d of ``above`` holds sums that drift by d columns from the group's first spectrum
    to its last: upwards, then, in a tree of its own, downwards.
    """
    rows = boxes.shape[0]
    peaks[:, :length] = 0
    one[:, rows + length : 2 * rows + length] = 0  # wider boxes left their sums there
    two[:, rows + length : 2 * rows + length] = 0
    for t in range(rows):
        row, peak = boxes[t, rows : rows + length], peaks[0, :length]
        for c in range(length):
            peak[c] = max(peak[c], row[c])
    for sign in (1, -1):
        below, above, level, size = boxes, one, 2, 4
        while size <= rows:
            quarter = size // 4
            for group in range(0, rows, size):
                for d in range(quarter):
                    at = group + d
                    _add_fours(below[at], below[at + quarter], below[at + 2 * quarter], below[at + 3 * quarter],
                               above[group + 4 * d : group + 4 * d + 4], d * sign, sign, rows, length, size < rows,
                               peaks[level - 1], peaks[level])
            below, above = (one, two) if level % 4 else (two, one)
            level, size = level + 2, size * 4


@_compiled
def _add_fours(a, b, c, d, above, drift, sign, start, length, is_stored, low, high):  # type: ignore[no-untyped-def]
    """Add sums of four successive groups, each of the same ``drift``, as two levels of the tree do.

    One level up there are two sums of two groups each, of twice the drift or a column more: they raise ``low``. Two
    levels up there are four of all groups: they raise ``high`` and, if they ``is_stored``, become the rows of
    ``above``.
    """
    a0, c0 = a[start : start + length], c[start : start + length]
    at = start + drift
    b0, b1 = b[at : at + length], b[at + sign : at + sign + length]
    d0, d1 = d[at : at + length], d[at + sign : at + sign + length]
    # the later two groups as the four sums meet them: 2 × drift and 0, 1 or 2 columns on
    at += drift
    c2, c3, c4 = c[at : at + length], c[at + sign : at + sign + length], c[at + 2 * sign : at + 2 * sign + length]
    at += drift
    d3, d4 = d[at : at + length], d[at + sign : at + sign + length]
    d5, d6 = d[at + 2 * sign : at + 2 * sign + length], d[at + 3 * sign : at + 3 * sign + length]
    out0, out1 = above[0, start : start + length], above[1, start : start + length]
    out2, out3 = above[2, start : start + length], above[3, start : start + length]
    low, high = low[:length], high[:length]
    kind = a.dtype.type  # sums of 16 bits stay such: more of them are added at once
    for x in range(length):
        early, early_drifted = kind(a0[x] + b0[x]), kind(a0[x] + b1[x])
        late, late_drifted = kind(c0[x] + d0[x]), kind(c0[x] + d1[x])
        low[x] = max(low[x], max(max(early, early_drifted), max(late, late_drifted)))
        sum0, sum1 = kind(early + kind(c2[x] + d3[x])), kind(early + kind(c3[x] + d4[x]))
        sum2, sum3 = kind(early_drifted + kind(c3[x] + d5[x])), kind(early_drifted + kind(c4[x] + d6[x]))
        high[x] = max(high[x], max(max(sum0, sum1), max(sum2, sum3)))
        if is_stored:
            out0[x], out1[x], out2[x], out3[x] = sum0, sum1, sum2, sum3


@_compiled
def _largest(values):  # type: ignore[no-untyped-def]
    """Return the largest of ``values`` by folding them in halves, which overwrites them."""
    n = len(values)
    while n > 1:
        half = (n + 1) // 2
        for c in range(n - half):
            values[c] = max(values[c], values[half + c])
        n = half
    return values[0]


@_compiled
def _widen(boxes, columns, wider, count):  # type: ignore[no-untyped-def]
    """Make boxes four times as wide, in place: windows move together, and between them all is empty again."""
    rows = boxes.shape[0]
    for t in range(rows):
        for k in range(count):
            old = boxes[t, rows + k * (columns + rows) :]
            new = boxes[t, rows + k * (wider + rows) :]
            for c in range(wider):
                new[c] = (old[4 * c] + old[4 * c + 1]) + (old[4 * c + 2] + old[4 * c + 3])
            new[wider : wider + rows] = 0
