"""Sums over drifting boxes: the compiled part of the gate.

A tree after Taylor (1974): sums of 2^level spectra are pairs of sums of half as many, at every drift of whole columns.
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
    power, starts, channels, root_n, pixel, table_power, table_excess, best, excess, masked
):
    """Fill ``best`` (n, widths, levels) in sigmas, ``excess`` (n,) and ``masked`` (n,).

    Windows lie side by side in rows of boxes, with as many empty boxes between them as there are rows: no drift reaches
    from one window into the next.
    """
    spectra, levels = power.shape[0], best.shape[2]
    rows = 1 << (levels - 1)  # spectra, padded to a power of two with empty rows
    full = rows + SIDE_BY_SIDE * (channels + rows)
    boxes = np.zeros((rows, full), np.float32)
    one, two = np.zeros_like(boxes), np.zeros_like(boxes)
    peak = np.zeros(full, np.float32)
    for first in range(0, len(starts), SIDE_BY_SIDE):
        count = min(SIDE_BY_SIDE, len(starts) - first)
        boxes[:] = 0
        for k in range(first, first + count):
            window = power[:, starts[k] : starts[k] + channels]
            masked[k] = _subtract_baseline(window, boxes[:, rows + (k - first) * (channels + rows) :])
            excess[k] = _excess(window, pixel, table_power, table_excess)
        columns, width = channels, 1
        for i in range(best.shape[1]):
            length = rows + count * (columns + rows)
            for falling in (False, True):
                below, above = boxes, one
                for level in range(levels):
                    peak[:length] = 0
                    if level == 0:
                        _raise_peak(boxes, peak, length)
                    else:
                        _add_pairs(below, above, peak, length, level, falling)
                        below, above = (one, two) if level % 2 else (two, one)
                    sigmas = root_n / np.sqrt(np.float32(width * min(1 << level, spectra)))
                    for k in range(count):
                        start = rows + k * (columns + rows)
                        largest = _largest(peak[start : start + columns]) * sigmas
                        best[first + k, i, level] = max(best[first + k, i, level], largest)
            if i + 1 < best.shape[1]:
                _widen(boxes, columns, columns // 4, count)
                columns, width = columns // 4, width * 4


@_compiled
def _subtract_baseline(window, boxes):  # type: ignore[no-untyped-def]
    """Write power − 1 into boxes, 0 for masked pixels; return how many are masked."""
    masked = 0
    for t in range(window.shape[0]):
        row, out = window[t], boxes[t]
        for c in range(len(row)):
            value = row[c]
            out[c] = value - np.float32(1) if value > 0 else np.float32(0)
        for c in range(len(row)):
            masked += not row[c] > 0
    return masked


@_compiled
def _excess(window, pixel, table_power, table_excess):  # type: ignore[no-untyped-def]
    """Add up the excess of all pixels above ``pixel``."""
    total = np.float32(0)
    for t in range(window.shape[0]):
        row = window[t]
        rare = 0
        for c in range(len(row)):
            rare += row[c] > pixel
        if rare:  # few rows have any: the count above is vectorised, this is not
            for c in range(len(row)):
                if row[c] > pixel:
                    total += _excess_of(row[c], table_power, table_excess)
    return total


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
def _raise_peak(boxes, peak, length):  # type: ignore[no-untyped-def]
    for t in range(boxes.shape[0]):
        row = boxes[t]
        for c in range(length):
            peak[c] = max(peak[c], row[c])


@_compiled
def _add_pairs(below, above, peak, length, level, falling):  # type: ignore[no-untyped-def]
    """Add drifting sums of 2^(level−1) rows to sums of 2^level rows, and raise ``peak`` to the largest in each column.

    In a group of 2^level rows, row d holds sums that drift by d columns from the group's first spectrum to its last.
    """
    size = 1 << level
    for group in range(0, below.shape[0], size):
        for d in range(size):
            shift = (d + 1) // 2
            early, late = below[group + d // 2], below[group + size // 2 + d // 2]
            if falling:
                early, late = early[shift:length], late[: length - shift]
                out, top = above[group + d, shift:length], peak[shift:length]
            else:
                early, late = early[: length - shift], late[shift:length]
                out, top = above[group + d, : length - shift], peak[: length - shift]
            for c in range(length - shift):
                total = early[c] + late[c]
                out[c] = total
                top[c] = max(top[c], total)


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
