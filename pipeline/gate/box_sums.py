"""Measures windows exactly: the compiled part of the gate. :mod:`pipeline.gate.box_tree` adds up the boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.gate.box_tree import allocate_boxes, box_offsets, compiled, find_peaks, padded_rows, row_pitch
from pipeline.support.compiled import njit
from pipeline.support.simd import (
    LANES,
    broadcast,
    is_any_outside,
    load,
    multiply,
    store,
    subtract,
    where_positive,
)
from pipeline.support.simd_stores import store_sums_of_four


def measure_windows(
    power: NDArray[np.float32], row_scale: NDArray[np.float32], channel_scale: NDArray[np.float32],
    starts: NDArray[np.int64], channels: int, root_n: np.float32, pixel: np.float32, table_power: NDArray[np.float32],
    table_excess: NDArray[np.float32], best: NDArray[np.float32], excess: NDArray[np.float32],
    masked: NDArray[np.uint32],
) -> None:
    """Find the largest box sums of windows, and add up their excess and masked pixels.

    Parameters
    ----------
    power : (spectra, channels) float32
        C-contiguous, ascending.
    row_scale, channel_scale : float32
        Factors that bring the noise to 1.
    starts : (n,) int64
        First channel of each window.
    channels : int
        Channels in a window.
    root_n : float32
        √N: one pixel of noise is the mean of N exponentially distributed values.
    pixel, table_power, table_excess
        See :class:`pipeline.gate.gate.Thresholds`.
    best : (n, widths, levels) float32
        Receives the largest sum of each width and duration, in standard deviations of the box's noise.
    excess, masked : (n,)
        Zeros; the results are added.
    """
    spectra, offsets = len(power), box_offsets(len(power), channels, best.shape[1])
    boxes, peaks = allocate_boxes(spectra, offsets, np.float32)
    _measure_windows(power.reshape(-1), power.shape[1], row_scale, channel_scale, starts, channels, root_n, pixel,
                     table_power, table_excess, offsets, padded_rows(spectra), row_pitch(spectra, offsets), boxes,
                     peaks, np.empty(LANES, np.float32), best, excess, masked)


@compiled
def _measure_windows(  # type: ignore[no-untyped-def]
    power, stride, row_scale, channel_scale, starts, channels, root_n, pixel, table_power, table_excess, offsets, rows,
    pitch, boxes, peaks, pixels, best, excess, masked
):
    """Measure windows. ``boxes``, ``peaks`` and ``pixels`` are memory for one window."""
    spectra, (_, widths, levels) = len(row_scale), best.shape
    for k in range(len(starts)):
        for t in range(spectra):
            excess[k], masked[k] = _flatten_row(
                power, t * stride + starts[k], row_scale[t], channel_scale, starts[k], channels, boxes,
                t * pitch + offsets[0], pixels, pixel, table_power, table_excess, excess[k], masked[k])
        columns = channels
        for i in range(1, widths):
            columns //= 4
            _widen_boxes(boxes, spectra, pitch, offsets[i - 1], offsets[i], columns)
        find_peaks(boxes, peaks, rows, pitch, offsets[0], offsets[-1] - rows)
        columns, width = channels, 1
        for i in range(widths):
            for level in range(levels):
                sigmas = root_n / np.sqrt(np.float32(width * min(1 << level, spectra)))
                best[k, i, level] = _largest(peaks, level * pitch + offsets[i], columns) * sigmas
            columns, width = columns // 4, width * 4


# fastmath must be off explicitly, or numba inherits the caller's: a file may contain NaN
@njit(cache=True, nogil=True, fastmath=False)
def _flatten_row(  # type: ignore[no-untyped-def]
    power, at, row_scale, channel_scale, start, channels, boxes, to, pixels, pixel, table_power, table_excess, excess,
    masked
):
    """Divide one row of a window by its baseline, subtract 1, and write the result into boxes. Masked pixels are 0.

    Returns
    -------
    excess, masked
        The given values plus those of this row.
    """
    whole, nothing, one = channels - channels % LANES, np.float32(0), broadcast(np.float32(1))
    for c in range(0, whole, LANES):
        stored, scale = load(power, at + c), multiply(load(channel_scale, start + c), broadcast(row_scale))
        value = where_positive(subtract(broadcast(np.float32(np.inf)), stored), multiply(stored, scale))
        value = where_positive(scale, where_positive(stored, value))
        store(boxes, to + c, where_positive(value, subtract(value, one)))
        if is_any_outside(value, nothing, pixel):
            store(pixels, 0, value)
            excess, masked = _account_for_pixels(pixels, pixel, table_power, table_excess, excess, masked)
    for c in range(whole, channels):
        stored, scale = power[at + c], channel_scale[start + c] * row_scale
        value = stored * scale if (stored > 0) & (stored < np.float32(np.inf)) & (scale > 0) else nothing
        boxes[to + c] = value - np.float32(1) if value > 0 else nothing
        for other in range(1, len(pixels)):
            pixels[other] = np.float32(1)
        pixels[0] = value
        excess, masked = _account_for_pixels(pixels, pixel, table_power, table_excess, excess, masked)
    return excess, masked


@compiled
def _account_for_pixels(pixels, pixel, table_power, table_excess, excess, masked):  # type: ignore[no-untyped-def]
    """Return excess and masked, increased by the excess of pixels above ``pixel`` and by the number of masked pixels.
    """
    for c in range(len(pixels)):
        if pixels[c] > pixel:
            excess += _excess_of(pixels[c], table_power, table_excess)
        elif not pixels[c] > 0:
            masked += np.uint32(1)
    return excess, masked


@compiled
def _excess_of(value, table_power, table_excess):  # type: ignore[no-untyped-def]
    """Return the excess of a pixel, interpolated in the table and extrapolated beyond its end."""
    last = len(table_power) - 1
    if value >= table_power[last]:
        slope = (table_excess[last] - table_excess[last - 1]) / (table_power[last] - table_power[last - 1])
        return table_excess[last] + (value - table_power[last]) * slope
    # first guess of the index: powers in the table grow roughly as the square of the index
    j = max(1, int(last * np.sqrt((value - table_power[0]) / (table_power[last] - table_power[0]))))
    while table_power[j] < value:
        j += 1
    while j > 1 and table_power[j - 1] >= value:
        j -= 1
    part = (value - table_power[j - 1]) / (table_power[j] - table_power[j - 1])
    return table_excess[j - 1] + part * (table_excess[j] - table_excess[j - 1])


@compiled
def _largest(values, start, count):  # type: ignore[no-untyped-def]
    """Return the largest of ``count`` values. They are folded in halves, which overwrites them."""
    while count > 1:
        half = (count + 1) // 2
        for c in range(start, start + count - half):
            values[c] = max(values[c], values[half + c])
        count = half
    return values[start]


@compiled
def _widen_boxes(boxes, spectra, pitch, narrow, wide, columns):  # type: ignore[no-untyped-def]
    """Write the sum of every four boxes as one wider box."""
    whole = columns - columns % (LANES // 4)
    for row in range(0, spectra * pitch, pitch):
        for c in range(0, whole, LANES // 4):
            store_sums_of_four(boxes, row + wide + c, load(boxes, row + narrow + 4 * c))
        for c in range(whole, columns):
            at = row + narrow + 4 * c
            boxes[row + wide + c] = (boxes[at] + boxes[at + 1]) + (boxes[at + 2] + boxes[at + 3])


LAST_COMPILED = _measure_windows
"""The compiled function that calls the others of this module."""
