"""A first look at windows, in few bits: nearly all noise is told from what it cannot be mistaken for.

The gate (:mod:`pipeline.gate`) wants exact sums of the few windows that it keeps. Of the others it is enough to know
that no sum can reach its threshold, and for that power may be rounded: to 16 bits, of which wider boxes are made, and
these to 8 where a window has few spectra, so that sums take a quarter of the time. What rounding can amount to is taken
off the thresholds, so a window that would pass is never lost here, and the answer of the gate does not depend on this
module. Noise stays so far below the thresholds (its largest sum reaches 65 % of one) that 8 bits tell it from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import empty_boxes, places_of, raise_peaks, row_length, rows_of
from pipeline.compiled import njit
from pipeline.lanes import (
    COUNT,
    LINE_BYTES,
    backwards,
    count_of,
    counted,
    larger,
    largest_of,
    load,
    multiply,
    prefetch,
    smaller,
    spread,
    store,
    store_halves,
    store_rounded,
    subtract,
    truncated,
)

AHEAD = 2
"""Windows until one is looked at whose pixels are asked for now."""
LINE = LINE_BYTES // 4
"""Pixels that come together."""
MOST = 2**15 - 1
ROWS_IN_BYTES = 16
"""Sums of more rows than these are of 16 bits: what rounding to 8 takes from each would add up to too much."""
HEADROOM = 1.01
"""Pixels are clipped so much above the threshold of a single one: what is clipped passes."""

_compiled = njit(cache=True, nogil=True)


@dataclass(frozen=True, slots=True)
class Limits:
    """The gate's thresholds (:class:`pipeline.gate.Thresholds`) in units of rounded power."""

    units: np.float32
    """A power of 1."""
    most: np.float32
    """Where pixels are clipped: no box overflows."""
    places: NDArray[np.int64]
    """Where boxes of each width lie (:func:`pipeline.boxes.places_of`)."""
    shifts: NDArray[np.int64]
    """(widths,): by so many bits are boxes of each width shortened …"""
    sums: NDArray[np.integer[Any]]
    """(durations × columns,): … and this is what sums of that duration, beginning in that column, then reach wherever
    exact ones reach their threshold; elsewhere what none reaches."""
    pixel: int
    """Pixels below this add nothing to the excess."""
    share_of_excess: NDArray[np.float32]
    """(most + 1,): what a pixel so large adds to the excess at most, as a share of the gate's threshold."""


def rounded(
    sigmas: NDArray[np.float32],
    noise_spectra: float,
    spectra: int,
    channels: int,
    pixel: float,
    share_of_excess: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Limits:
    """Round the gate's thresholds down, by as much as rounding can take from what is compared with them.

    A pixel is rounded towards zero, by less than a unit. Boxes four times as wide hold half of the sum of four, rounded
    down: their noise is as large, and one of 4^i channels falls short by less than 2^(i+1) − 1 units. Where boxes are
    shortened, each may lose half of what its last bit is then worth. A sum that is too large for its bits has passed on
    the way there, as all limits fit into them.
    """
    most = MOST // 2 ** (len(sigmas) - 1)  # wide boxes do not overflow
    units = noise_spectra**0.5 * most / (HEADROOM * float(sigmas[0, 0]))
    i, level = np.indices(sigmas.shape)
    boxes = np.minimum(2**level, spectra)
    exact = sigmas.astype(np.float64) * (boxes / noise_spectra) ** 0.5 * units
    kind = np.int8 if rows_of(spectra) <= ROWS_IN_BYTES else np.int16
    highest = np.iinfo(kind).max
    shifts = np.ceil(np.log2(np.maximum(1, exact.max(axis=1) / highest))).astype(np.int64)
    last_bit = 2.0 ** shifts[:, None]
    limits = (exact * (1 - 1e-6) - boxes * (2.0 ** (i + 1) - 1) - 1) / last_bit - boxes * np.where(last_bit > 1, 0.5, 0)
    limits = np.clip(np.floor(limits), 0, highest)
    places = places_of(spectra, channels, len(sigmas))
    sums = np.full_like(empty_boxes(spectra, places, kind)[2], highest)  # more than any sum between the widths
    of_level = sums.reshape(-1, row_length(spectra, places))
    for width, start in enumerate(places[:-1]):
        of_level[: limits.shape[1], start : start + channels // 4**width] = limits[width][:, None]
    above = (np.arange(most + 1) + 2) / units + 1  # no pixel of so many units is stronger
    share = share_of_excess(above).astype(np.float32)
    return Limits(np.float32(units), np.float32(most), places, shifts, sums, int((pixel - 1) * units) - 1, share)


@_compiled
def mark_possible(  # type: ignore[no-untyped-def]
    power, is_mirrored, row_scale, channel_scale, is_whole, starts, channels, units, most, places, shifts, limits,
    pixel, share_of_excess, passes
):
    """Set ``passes`` (n,) True for windows that may pass the gate, False for those that cannot.

    Parameters
    ----------
    power : (spectra, channels) float32
        Ascending, or descending where it ``is_mirrored``: sums, of all drifts, are the same from either end.
    row_scale, channel_scale : float32
        By what it is to be multiplied to be 1 on average; channels ascend.
    is_whole : (channels,) bool
        False where a pixel is masked: windows with any are not looked at here.
    starts : (n,) int64
        First channel of each window, ascending.
    units, most, places, shifts, limits, pixel, share_of_excess
        As :class:`Limits` has them.
    """
    spectra, stride = power.shape
    power = power.reshape(-1)
    fine, _, _ = empty_boxes(spectra, places, np.int16)
    boxes, sums, peaks = empty_boxes(spectra, places, limits.dtype.type)
    full = row_length(spectra, places)
    lanes = np.empty(2 * COUNT, np.int16)
    are_whole = is_whole.all()
    for k in range(len(starts)):
        start = starts[k]
        passes[k] = not are_whole and not is_whole[start : start + channels].all()
        if passes[k]:
            continue
        lanes[:] = 0
        at, ahead = start, starts[min(k + AHEAD, len(starts) - 1)]
        if is_mirrored:
            at, ahead = stride - channels - at, stride - channels - ahead
        _round(power, stride, at, ahead, is_mirrored, row_scale, channel_scale, start, channels, units, most, fine,
               full, places[0], np.int16(pixel), lanes)
        columns = channels
        for i in range(1, len(places) - 1):
            columns //= 4
            _widen(fine, spectra, full, places[i - 1], places[i], columns)
        _shorten(fine, boxes, spectra, full, places, shifts)
        raise_peaks(boxes, sums, peaks, spectra, places)
        passes[k] = _is_reached(peaks, limits, full, places) or (
            lanes[:COUNT].sum() * share_of_excess[largest_of(load(lanes, COUNT))] >= 1
            and _share_of_excess(fine, full, spectra, places[0], channels, pixel, share_of_excess) >= 1
        )


@_compiled
def _round(  # type: ignore[no-untyped-def]
    power, stride, at, ahead, is_mirrored, row_scale, scale, start, channels, one, most, out, full, to, pixel, seen
):
    """Write a window's power over baseline, less 1, in whole units; ask for the pixels of one that lies ``ahead``.

    What has been ``seen``, lane by lane, is how many are from ``pixel`` on, and the largest.
    """
    whole, last = channels - channels % COUNT, start + channels - 1
    count, top, least = load(seen, 0), load(seen, COUNT), spread(pixel)
    for t in range(len(row_scale)):
        row, into, row_units = t * stride + at, t * full + to, row_scale[t] * one
        for c in range(0, channels, LINE):
            prefetch(power, t * stride + ahead + c)
        for c in range(0, whole, COUNT):
            of_channel = backwards(load(scale, last - c - COUNT + 1)) if is_mirrored else load(scale, start + c)
            value = multiply(load(power, row + c), multiply(of_channel, spread(row_units)))
            value = larger(subtract(smaller(value, spread(most + one)), spread(one)), spread(-most))
            units = truncated(value)
            count, top = counted(count, units, least), larger(top, units)
            store(out, into + c, units)
    store(seen, 0, count)
    store(seen, COUNT, top)
    for t in range(len(row_scale)):
        for c in range(whole, channels):
            value = power[t * stride + at + c] * (scale[last - c if is_mirrored else start + c] * (row_scale[t] * one))
            units = np.int16(max(min(value, most + one) - one, -most))
            seen[0], seen[COUNT] = seen[0] + np.int16(units >= pixel), max(seen[COUNT], units)
            out[t * full + to + c] = units


@_compiled
def _widen(boxes, spectra, full, narrow, wide, columns):  # type: ignore[no-untyped-def]
    """Write half of the sum of each four boxes, rounded down."""
    whole = columns - columns % (COUNT // 4)
    for row in range(0, spectra * full, full):  # row after row: what was written last is not read at once
        for c in range(0, whole, COUNT // 4):
            store_halves(boxes, row + wide + c, load(boxes, row + narrow + 4 * c))
        for c in range(whole, columns):
            at = row + narrow + 4 * c
            boxes[row + wide + c] = np.int16((boxes[at] + boxes[at + 1] + boxes[at + 2] + boxes[at + 3]) >> 1)


@_compiled
def _shorten(fine, boxes, spectra, full, places, shifts):  # type: ignore[no-untyped-def]
    """Round boxes to the bits of others."""
    for row in range(0, spectra * full, full):
        for i in range(len(shifts)):  # from narrow to wide: lanes that reach too far are overwritten, or empty
            for at in range(row + places[i], row + places[i + 1], COUNT):
                store_rounded(boxes, at, load(fine, at), shifts[i])


@_compiled
def _is_reached(peaks, limits, full, places):  # type: ignore[no-untyped-def]
    """Tell whether any peak reaches its limit."""
    beyond = spread(limits.dtype.type(-1))
    for level in range(0, len(peaks), full):
        for at in range(level + places[0], level + places[-1], count_of(peaks)):
            beyond = larger(beyond, subtract(load(peaks, at), load(limits, at)))
    return largest_of(beyond) >= 0


@_compiled
def _share_of_excess(boxes, full, spectra, start, channels, pixel, share_of_excess):  # type: ignore[no-untyped-def]
    """Add up what the pixels of a window add to the excess at most: only where a rougher bound does not do."""
    total = np.float32(0)
    for row in range(start, start + spectra * full, full):
        for at in range(row, row + channels):
            if boxes[at] >= pixel:
                total += share_of_excess[boxes[at]]
    return total
