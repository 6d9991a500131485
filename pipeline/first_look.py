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

from pipeline.boxes import empty_boxes, raise_peaks

NARROW, WIDE = 8, 64
"""Windows side by side in boxes of a channel, and in wider ones: enough for long loops, few enough for the caches."""
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
    sums: NDArray[np.int32]
    """(widths, durations): what rounded sums reach wherever exact ones reach their threshold."""
    pixel: int
    """Pixels below this add nothing to the excess."""
    share_of_excess: NDArray[np.float32]
    """(most + 1,): what a pixel so large adds to the excess at most, as a share of the gate's threshold."""


def rounded(
    sigmas: NDArray[np.float32],
    noise_spectra: float,
    spectra: int,
    pixel: float,
    share_of_excess: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Limits:
    """Round the gate's thresholds down, by as much as rounding can take from what is compared with them.

    A pixel is rounded towards zero, by less than a unit; boxes four times as wide hold a quarter of the sum of four,
    rounded down. So a sum of m boxes of 4^i channels falls short by less than m (i + 1) units.
    """
    rows = len(empty_boxes(spectra, 1, 1, np.int16)[0])
    most = (2**15 - 1) // rows
    units = noise_spectra**0.5 * most / (HEADROOM * float(sigmas[0, 0]))
    i, level = np.indices(sigmas.shape)
    boxes = np.minimum(2**level, spectra)
    exact = sigmas.astype(np.float64) * (boxes / noise_spectra / 4.0**i) ** 0.5 * units
    sums = np.floor(exact * (1 - 1e-6) - boxes * (i + 1.0) - 1).astype(np.int32)
    above = (np.arange(most + 1) + 2) / units + 1  # no pixel of so many units is stronger
    share = share_of_excess(above).astype(np.float32)
    return Limits(np.float32(units), np.float32(most), sums, int((pixel - 1) * units) - 1, share)


@_compiled
def mark_possible(  # type: ignore[no-untyped-def]
    power, row_scale, channel_scale, is_whole, starts, channels, units, most, limits, pixel, share_of_excess, passes
):
    """Set ``passes`` (n,) True for windows that may pass the gate, False for those that cannot.

    Parameters
    ----------
    power : (spectra, channels) float32
    row_scale, channel_scale : float32
        By what it is to be multiplied to be 1 on average.
    is_whole : (channels,) bool
        False where a pixel is masked: windows with any are not looked at here.
    starts : (n,) int64
        First channel of each window.
    units, most, limits, pixel, share_of_excess
        As :class:`Limits` has them.
    """
    spectra, columns = power.shape[0], channels
    boxes, one, two, peaks = empty_boxes(spectra, NARROW, channels, np.int16)
    rows = len(boxes)
    # boxes of all other widths lie behind one another in the same rows
    offsets = np.zeros(len(limits), np.int64)
    for i in range(1, len(limits)):
        columns //= 4
        offsets[i] = offsets[i - 1] + (WIDE * (4 * columns + rows) if i > 1 else rows)
    wide, wide_one, wide_two, wide_peaks = empty_boxes(spectra, 1, offsets[-1] + WIDE * (columns + rows), np.int16)
    for first in range(0, len(starts), WIDE):
        count = min(WIDE, len(starts) - first)
        for near in range(0, count, NARROW):
            some = min(NARROW, count - near)
            for k in range(some):
                start, at = starts[first + near + k], rows + k * (channels + rows)
                scale = channel_scale[start : start + channels]
                improbable, top = 0, np.int16(0)
                for t in range(spectra):
                    row = boxes[t, at : at + channels]
                    _round(power[t, start : start + channels], row_scale[t] * units, scale, units, most, row)
                    row_top = _top(row)
                    if row_top >= pixel:
                        improbable, top = improbable + _count(row, pixel), max(top, row_top)
                    for i in range(1, len(limits)):
                        columns = len(row) // 4
                        at_wide = offsets[i] + (near + k) * (columns + rows)
                        _widen(row, wide[t, at_wide : at_wide + columns])
                        row = wide[t, at_wide : at_wide + columns]
                passes[first + near + k] = not is_whole[start : start + channels].all() or (
                    improbable * share_of_excess[top] >= 1
                    and _share_of_excess(boxes[:spectra, at : at + channels], pixel, share_of_excess) >= 1
                )
            raise_peaks(boxes, one, two, peaks, some * (channels + rows) - rows)
            _compare(peaks, limits[0], channels, rows, passes[first + near : first + near + some])
        if len(limits) > 1:
            raise_peaks(wide, wide_one, wide_two, wide_peaks, wide.shape[1] - 2 * rows)
        columns = channels
        for i in range(1, len(limits)):
            columns //= 4
            _compare(wide_peaks[:, offsets[i] - rows :], limits[i], columns, rows, passes[first : first + count])


@_compiled
def _round(row, row_units, scale, one, most, out):  # type: ignore[no-untyped-def]
    """Write a row's power over baseline, less 1, in whole units."""
    for c in range(len(out)):
        value = row[c] * (row_units * scale[c])
        value = min(value, most + one) - one
        value = max(value, -most)
        out[c] = np.int32(value)


@_compiled
def _top(values):  # type: ignore[no-untyped-def]
    top = np.int16(0)
    for c in range(len(values)):
        top = max(top, values[c])
    return top


@_compiled
def _count(values, least):  # type: ignore[no-untyped-def]
    count = np.int16(0)
    for c in range(len(values)):
        count = np.int16(count + np.int16(values[c] >= least))
    return count


@_compiled
def _share_of_excess(window, pixel, share_of_excess):  # type: ignore[no-untyped-def]
    """Add up what the pixels of a window add to the excess at most: only where a rougher bound does not do."""
    total = np.float32(0)
    for t in range(len(window)):
        for value in window[t]:
            if value >= pixel:
                total += share_of_excess[value]
    return total


@_compiled
def _compare(peaks, limits, columns, rows, passes):  # type: ignore[no-untyped-def]
    """Let windows pass whose largest sum, of any duration, reaches its limit."""
    for level in range(len(limits)):
        for k in range(len(passes)):
            start = k * (columns + rows)
            passes[k] |= _top(peaks[level, start : start + columns]) >= limits[level]


@_compiled
def _widen(narrow, wide):  # type: ignore[no-untyped-def]
    """Write a quarter of the sum of each four boxes, rounded down."""
    for c in range(len(wide)):
        wide[c] = np.int16((narrow[4 * c] + narrow[4 * c + 1] + narrow[4 * c + 2] + narrow[4 * c + 3]) >> 2)
