"""A first look at windows, in 16 bits: nearly all noise is told from what it cannot be mistaken for.

The gate (:mod:`pipeline.gate`) wants exact sums of the few windows that it keeps. Of the others it is enough to know
that no sum can reach its threshold, and for that power may be rounded: sums of 16-bit numbers take half the time. What
rounding can amount to is taken off the thresholds, so a window that would pass is never lost here, and the answer of
the gate does not depend on this module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.boxes import empty_boxes, places_of, raise_peaks, row_length, rows_of
from pipeline.lanes import (
    COUNT,
    backwards,
    counted,
    larger,
    load,
    multiply,
    prefetch,
    smaller,
    spread,
    store,
    store_quarters,
    subtract,
    truncated,
)

AHEAD = 2
"""Windows until one is looked at whose pixels are asked for now."""
LINE = 16
"""Pixels that come together."""
MOST = 2**15 - 1
HEADROOM = 1.01
"""Pixels are clipped so much above the threshold of a single one: what is clipped passes."""

_compiled = njit(cache=True, nogil=True)


@dataclass(frozen=True, slots=True)
class Limits:
    """The gate's thresholds (:class:`pipeline.gate.Thresholds`) in units of rounded power."""

    units: np.float32
    """A power of 1."""
    most: np.float32
    """Where pixels are clipped: no sum overflows."""
    places: NDArray[np.int64]
    """Where boxes of each width lie (:func:`pipeline.boxes.places_of`)."""
    sums: NDArray[np.int16]
    """(durations × columns,): what rounded sums of that duration, beginning in that column, reach wherever exact ones
    reach their threshold; elsewhere what none reaches."""
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

    A pixel is rounded towards zero, by less than a unit; boxes four times as wide hold a quarter of the sum of four,
    rounded down. So a sum of m boxes of 4^i channels falls short by less than m (i + 1) units.
    """
    most = MOST // rows_of(spectra)
    units = noise_spectra**0.5 * most / (HEADROOM * float(sigmas[0, 0]))
    i, level = np.indices(sigmas.shape)
    boxes = np.minimum(2**level, spectra)
    exact = sigmas.astype(np.float64) * (boxes / noise_spectra / 4.0**i) ** 0.5 * units
    limits = np.clip(np.floor(exact * (1 - 1e-6) - boxes * (i + 1.0) - 1), 0, MOST).astype(np.int16)
    places = places_of(spectra, channels, len(sigmas))
    sums = np.full_like(empty_boxes(spectra, places, np.int16)[3], MOST)  # more than any sum between the widths
    of_level = sums.reshape(-1, row_length(spectra, places))
    for width, start in enumerate(places[:-1]):
        of_level[: limits.shape[1], start : start + channels // 4**width] = limits[width][:, None]
    above = (np.arange(most + 1) + 2) / units + 1  # no pixel of so many units is stronger
    share = share_of_excess(above).astype(np.float32)
    return Limits(np.float32(units), np.float32(most), places, sums, int((pixel - 1) * units) - 1, share)


@_compiled
def mark_possible(  # type: ignore[no-untyped-def]
    power, is_mirrored, row_scale, channel_scale, is_whole, starts, channels, units, most, places, limits, pixel,
    share_of_excess, passes
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
    units, most, places, limits, pixel, share_of_excess
        As :class:`Limits` has them.
    """
    spectra, stride = power.shape
    power = power.reshape(-1)
    boxes, one, two, peaks = empty_boxes(spectra, places, np.int16)
    full = row_length(spectra, places)
    lanes = np.empty(COUNT, np.int16)
    for k in range(len(starts)):
        start = starts[k]
        dead = np.uint8(0)
        for c in range(start, start + channels):
            dead |= np.uint8(not is_whole[c])
        passes[k] = dead > 0
        if passes[k]:
            continue
        lanes[:] = 0
        at, ahead = start, starts[min(k + AHEAD, len(starts) - 1)]
        if is_mirrored:
            at, ahead = stride - channels - at, stride - channels - ahead
        for t in range(spectra):
            for c in range(0, channels, LINE):
                prefetch(power, t * stride + ahead + c)
            _round(power, t * stride + at, is_mirrored, row_scale[t] * units, channel_scale, start, channels, units,
                   most, boxes, t * full + places[0], np.int16(pixel), lanes)
        improbable = lanes.sum()
        columns = channels
        for i in range(1, len(places) - 1):
            columns //= 4
            for at in range(0, spectra * full, full):  # row after row: what was written last is not read at once
                _widen(boxes, at + places[i - 1], at + places[i], columns)
        raise_peaks(boxes, one, two, peaks, spectra, places)
        _compare(peaks, limits, full, places, lanes)
        passes[k] = lanes.max() >= 0 or (
            improbable * share_of_excess[_top(peaks, places[0], channels)] >= 1
            and _share_of_excess(boxes, full, spectra, places[0], channels, pixel, share_of_excess) >= 1
        )


@_compiled
def _round(  # type: ignore[no-untyped-def]
    power, at, is_mirrored, row_units, scale, start, channels, one, most, out, to, pixel, improbable
):
    """Write a row's power over baseline, less 1, in whole units; count those from ``pixel`` on, lane by lane."""
    whole, last = channels - channels % COUNT, start + channels - 1
    count, least = load(improbable, 0), spread(pixel)
    for c in range(0, whole, COUNT):
        of_channel = backwards(load(scale, last - c - COUNT + 1)) if is_mirrored else load(scale, start + c)
        value = multiply(load(power, at + c), multiply(of_channel, spread(row_units)))
        value = larger(subtract(smaller(value, spread(most + one)), spread(one)), spread(-most))
        units = truncated(value)
        count = counted(count, units, least)
        store(out, to + c, units)
    store(improbable, 0, count)
    for c in range(whole, channels):
        value = power[at + c] * (scale[last - c if is_mirrored else start + c] * row_units)
        units = np.int16(max(min(value, most + one) - one, -most))
        improbable[0] += np.int16(units >= pixel)
        out[to + c] = units


@_compiled
def _widen(boxes, narrow, wide, columns):  # type: ignore[no-untyped-def]
    """Write a quarter of the sum of each four boxes, rounded down."""
    whole = columns - columns % (COUNT // 4)
    for c in range(0, whole, COUNT // 4):
        store_quarters(boxes, wide + c, load(boxes, narrow + 4 * c))
    for c in range(whole, columns):
        at = narrow + 4 * c
        boxes[wide + c] = np.int16((boxes[at] + boxes[at + 1] + boxes[at + 2] + boxes[at + 3]) >> 2)


@_compiled
def _compare(peaks, limits, full, places, lanes):  # type: ignore[no-untyped-def]
    """Write into ``lanes`` by how much peaks are beyond their limits at the most: below zero where none reaches it."""
    beyond = spread(np.int16(-MOST))
    for level in range(0, len(peaks), full):
        for at in range(level + places[0], level + places[-1], COUNT):
            beyond = larger(beyond, subtract(load(peaks, at), load(limits, at)))
    store(lanes, 0, beyond)


@_compiled
def _top(peaks, start, channels):  # type: ignore[no-untyped-def]
    top = np.int16(0)
    for c in range(start, start + channels):
        top = max(top, peaks[c])
    return top


@_compiled
def _share_of_excess(boxes, full, spectra, start, channels, pixel, share_of_excess):  # type: ignore[no-untyped-def]
    """Add up what the pixels of a window add to the excess at most: only where a rougher bound does not do."""
    total = np.float32(0)
    for row in range(start, start + spectra * full, full):
        for at in range(row, row + channels):
            if boxes[at] >= pixel:
                total += share_of_excess[boxes[at]]
    return total
