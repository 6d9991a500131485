"""Boxes of a window's power, rounded to 16-bit and then to 8-bit integers. Compiled.

A box four times as wide is half the sum of four boxes, rounded down. The module :mod:`pipeline.gate.box_tree` says
where boxes are in memory, and :mod:`pipeline.gate.prefilter` what they are for. Windows of the usual shape have code of
their own: it keeps boxes in registers until they are stored, which takes two thirds of the time.
"""

from __future__ import annotations

import numpy as np

from pipeline.support.compiled import njit
from pipeline.support.simd import (
    CACHE_LINE_BYTES,
    LANES,
    broadcast,
    count_at_least,
    load,
    maximum,
    minimum,
    multiply,
    multiply_subtract,
    prefetch,
    reverse,
    store,
    truncate_to_int16,
)
from pipeline.support.simd_pairs import add_half_pairs, add_pairs, half
from pipeline.support.simd_stores import store_half_sums_of_four, store_rounded

PIXELS_PER_CACHE_LINE = CACHE_LINE_BYTES // 4
"""Number of float32 pixels in a cache line."""
USUAL_CHANNELS, USUAL_WIDTHS = 8 * LANES, 5
"""Channels of a window of the usual shape, and number of widths of its boxes: 1, 4, 16, 64 and 256 channels."""

_compiled = njit(cache=True, nogil=True)


@_compiled
def copy_scale(channel_scale, start, is_mirrored, scale):  # type: ignore[no-untyped-def]
    """Copy the factors of a window's channels from ``start`` on, in the order in which its pixels are stored."""
    channels = len(scale)
    whole = channels - channels % LANES
    if is_mirrored:
        for c in range(0, whole, LANES):
            store(scale, c, reverse(load(channel_scale, start + channels - LANES - c)))
    else:
        for c in range(0, whole, LANES):
            store(scale, c, load(channel_scale, start + c))
    for c in range(whole, channels):
        scale[c] = channel_scale[start + (channels - 1 - c if is_mirrored else c)]


@njit(inline="always")  # a call with these arrays would take a tenth of the time of a window
def round_to_boxes(  # type: ignore[no-untyped-def]
    power, stride, at, ahead, row_scale, scale, one, max_units, fine, boxes, pitch, offsets, shifts, pixel, seen
):
    """Round a window's power over baseline, less 1, to units; set ``boxes`` to its boxes; prefetch one at ``ahead``.

    ``fine`` is memory for boxes of 16 bits, and ``scale`` has the factor of each channel.

    ``seen`` has 2 × LANES numbers. The first half receives how many pixels have at least ``pixel`` units, lane by lane.
    The second half receives the largest pixel of each lane.
    """
    channels, spectra = len(scale), len(row_scale)
    if channels == USUAL_CHANNELS and len(shifts) == USUAL_WIDTHS:
        _round_usual(power, stride, at, ahead, row_scale, scale, one, max_units, boxes, pitch, offsets, shifts, pixel,
                     seen)
        return
    _round_pixels(power, stride, at, ahead, row_scale, scale, one, max_units, fine, boxes, pitch, offsets[0],
                  offsets[1], shifts[0], pixel, seen)
    columns, first = channels, (channels - channels % LANES) // 4
    for i in range(1, len(shifts)):
        columns //= 4
        _widen_boxes(fine, spectra, pitch, offsets[i - 1], offsets[i], first, columns)
        first = 0
    _shorten_boxes(fine, boxes, spectra, pitch, offsets, shifts, channels - channels % LANES)


@_compiled
def _round_usual(  # type: ignore[no-untyped-def]
    power, stride, at, ahead, row_scale, scale, one, max_units, boxes, pitch, offsets, shifts, pixel, seen
):
    """Do what :func:`round_to_boxes` does for a window of the usual shape.

    A vector of wide boxes has zeros in its last lanes. They are stored where columns are empty, or where the next wider
    boxes are stored right after.
    """
    count = top = nothing = broadcast(np.int16(0))
    least, lowest = broadcast(pixel), broadcast(np.int16(-max_units))
    # read once: the compiler does not know that stores leave these arrays as they are
    to_1, to_4, to_16, to_64, to_256 = offsets[0], offsets[1], offsets[2], offsets[3], offsets[4]
    by_1, by_4, by_16, by_64, by_256 = shifts[0], shifts[1], shifts[2], shifts[3], shifts[4]
    for t in range(len(row_scale)):
        row, into, factor = t * stride + at, t * pitch, row_scale[t] * one
        for c in range(0, USUAL_CHANNELS, PIXELS_PER_CACHE_LINE):
            prefetch(power, t * stride + ahead + c)
        first_fours = fours = nothing
        for c in range(0, USUAL_CHANNELS, 4 * LANES):
            a = _read_units(power, row, scale, c, factor, one, max_units, lowest)
            b = _read_units(power, row, scale, c + LANES, factor, one, max_units, lowest)
            pairs = add_pairs(a, b)
            store_rounded(boxes, into + to_1 + c, a, by_1)
            store_rounded(boxes, into + to_1 + c + LANES, b, by_1)
            count, top = count_at_least(count_at_least(count, a, least), b, least), maximum(top, maximum(a, b))
            a = _read_units(power, row, scale, c + 2 * LANES, factor, one, max_units, lowest)
            b = _read_units(power, row, scale, c + 3 * LANES, factor, one, max_units, lowest)
            store_rounded(boxes, into + to_1 + c + 2 * LANES, a, by_1)
            store_rounded(boxes, into + to_1 + c + 3 * LANES, b, by_1)
            count, top = count_at_least(count_at_least(count, a, least), b, least), maximum(top, maximum(a, b))
            first_fours, fours = fours, half(add_pairs(pairs, add_pairs(a, b)))
            store_rounded(boxes, into + to_4 + c // 4, fours, by_4)
        wide = half(add_pairs(add_pairs(first_fours, fours), nothing))
        store_rounded(boxes, into + to_16, wide, by_16)
        wide = half(add_pairs(add_pairs(wide, nothing), nothing))
        store_rounded(boxes, into + to_64, wide, by_64)
        store_rounded(boxes, into + to_256, add_half_pairs(add_pairs(wide, nothing), nothing), by_256)
    store(seen, 0, count)
    store(seen, LANES, top)


@njit(inline="always")
def _read_units(power, row, scale, c, factor, one, max_units, lowest):  # type: ignore[no-untyped-def]
    """Return the units of the pixels from channel ``c`` of a window on, whose row begins at ``row``."""
    above = multiply_subtract(load(power, row + c), multiply(load(scale, c), broadcast(factor)), broadcast(one))
    return maximum(truncate_to_int16(minimum(above, broadcast(max_units))), lowest)


@_compiled
def _round_pixels(  # type: ignore[no-untyped-def]
    power, stride, at, ahead, row_scale, scale, one, max_units, fine, boxes, pitch, narrow, wide, shift, pixel, seen
):
    """Round pixels as :func:`round_to_boxes` does.

    ``boxes`` receives the narrow boxes, shifted and rounded, and ``fine`` the wide ones. Of the last channels, which do
    not fill a vector, ``fine`` receives the narrow boxes instead.
    """
    channels = len(scale)
    whole = channels - channels % LANES
    count = top = broadcast(np.int16(0))
    least, lowest = broadcast(pixel), broadcast(np.int16(-max_units))
    for t in range(len(row_scale)):
        row, into, into_wide, row_units = t * stride + at, t * pitch + narrow, t * pitch + wide, row_scale[t] * one
        for c in range(0, channels, PIXELS_PER_CACHE_LINE):
            prefetch(power, t * stride + ahead + c)
        for c in range(0, whole, LANES):
            units = _read_units(power, row, scale, c, row_units, one, max_units, lowest)
            count, top = count_at_least(count, units, least), maximum(top, units)
            store_rounded(boxes, into + c, units, shift)
            store_half_sums_of_four(fine, into_wide + c // 4, units)
    store(seen, 0, count)
    store(seen, LANES, top)
    for t in range(len(row_scale)):
        for c in range(whole, channels):
            units = units_of(power[t * stride + at + c], scale[c] * (row_scale[t] * one), one, max_units)
            seen[0], seen[LANES] = seen[0] + np.int16(units >= pixel), max(seen[LANES], units)
            fine[t * pitch + narrow + c] = units


@_compiled
def units_of(power, factor, one, max_units):  # type: ignore[no-untyped-def]
    """Return power over baseline, less 1, in units."""
    return np.int16(max(min(power * factor, max_units + one) - one, -max_units))


@_compiled
def _widen_boxes(boxes, spectra, pitch, narrow, wide, first, columns):  # type: ignore[no-untyped-def]
    """Write half the sum of every four boxes, rounded down, from column ``first`` on."""
    whole = columns - columns % (LANES // 4)
    for row in range(0, spectra * pitch, pitch):  # row by row, so that a value is not read right after it is written
        for c in range(first, whole, LANES // 4):
            store_half_sums_of_four(boxes, row + wide + c, load(boxes, row + narrow + 4 * c))
        for c in range(max(first, whole), columns):
            at = row + narrow + 4 * c
            boxes[row + wide + c] = np.int16((boxes[at] + boxes[at + 1] + boxes[at + 2] + boxes[at + 3]) >> 1)


@_compiled
def _shorten_boxes(fine, boxes, spectra, pitch, offsets, shifts, first):  # type: ignore[no-untyped-def]
    """Shift boxes right and round them to the bits of the sums, from the narrow box ``first`` on."""
    for row in range(0, spectra * pitch, pitch):
        for i in range(len(shifts)):  # narrow to wide: extra lanes are overwritten later or unused
            for at in range(row + offsets[i] + (first if i == 0 else 0), row + offsets[i + 1], LANES):
                store_rounded(boxes, at, load(fine, at), shifts[i])
