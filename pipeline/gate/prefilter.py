"""A fast first test of windows: it rejects nearly all noise without exact sums.

The gate (:mod:`pipeline.gate`) needs exact sums only for the few windows that it keeps. For the others, it is enough to
know that no sum can reach its threshold. For that, power may be rounded to 16-bit integers. Wider boxes are made from
these. If a window has few spectra, boxes are then rounded to 8 bits, and sums take a quarter of the time.

The thresholds are lowered by the largest error that rounding can cause. So a window that would pass the gate is never
rejected here, and the result of the gate does not depend on this module. The lowered thresholds still reject noise,
because its largest sum reaches only 65 % of a threshold.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.gate.box_tree import allocate_boxes, box_offsets, find_peaks, padded_rows, row_pitch
from pipeline.gate.rounded_boxes import copy_scale, round_to_boxes, units_of
from pipeline.support.compiled import njit
from pipeline.support.simd import LANES, broadcast, load, max_of, maximum, subtract

PREFETCH_WINDOWS = 2
"""Number of windows between the one that is tested and the one whose pixels are prefetched."""
MAX_INT16 = 2**15 - 1
"""Largest 16-bit integer."""
MAX_ROWS_FOR_INT8 = 16
"""Maximum number of rows whose sums have 8 bits. With more rows, the rounding errors of a sum would be too large."""
ROUNDING = 1e-3
"""Margin by which the limit for a bound on the excess is lowered, because the bound itself is rounded."""
CLIP_HEADROOM = 1.01
"""Power at which pixels are clipped, relative to the threshold of a single pixel. So one clipped pixel is
enough for a window to pass."""

_compiled = njit(cache=True, nogil=True)


_Room = tuple[NDArray[Any], ...]
"""Memory for one window, as :func:`_mark_possible` takes it."""


class _Rooms(threading.local):
    """The memory of each thread, by the shape of a window. Allocating it takes as long as several windows."""

    def __init__(self) -> None:
        self.by_shape: dict[tuple[int, int, int, type[Any]], _Room] = {}


_rooms = _Rooms()


@dataclass(frozen=True, slots=True)
class RoundedThresholds:
    """The gate's thresholds (:class:`pipeline.gate.gate.Thresholds`), in the units of rounded power."""

    one: np.float32
    """Number of units that represent a power of 1 (the baseline)."""
    max_units: np.float32
    """Number of units at which pixels are clipped, so that no box overflows."""
    offsets: NDArray[np.int64]
    """(widths + 1,): first column of the boxes of each width (:func:`pipeline.gate.box_tree.box_offsets`)."""
    shifts: NDArray[np.int64]
    """(widths,): number of bits by which boxes of each width are shifted right when they are rounded."""
    limits: NDArray[np.integer[Any]]
    """(durations × columns,): limits of rounded sums, by duration and first column. If an exact sum reaches its
    threshold, the rounded sum reaches its limit. Columns between the widths have a limit that no sum exceeds."""
    pixel: int
    """Number of units below which a pixel adds nothing to the excess."""
    share_of_excess: NDArray[np.float32]
    """(max_units + 1,): for each number of units, the most that such a pixel adds to the excess, relative to the gate's
    threshold."""


def round_thresholds(
    sigmas: NDArray[np.float32],
    noise_spectra: float,
    spectra: int,
    channels: int,
    pixel: float,
    share_of_excess: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> RoundedThresholds:
    """Convert the gate's thresholds to units of rounded power, lowered by the largest possible rounding error.

    A pixel is rounded towards zero, so it loses less than one unit. A box four times as wide is half the sum of four
    boxes, rounded down, so that its noise stays about the same. A box of 4^i channels therefore falls short by less
    than 2^(i+1) − 1 units. If boxes are shifted right, each may lose half the value of the new last bit. A sum
    that exceeds the range of its bits saturates and passes, because no limit is above that range.

    Parameters
    ----------
    sigmas : (widths, durations) float32
        Exact thresholds of box sums, in standard deviations of the box's noise.
    noise_spectra : float
        N: one pixel of noise is the mean of N exponentially distributed values.
    spectra, channels : int
        Shape of a window.
    pixel : float
        Power (baseline 1) above which a pixel adds to the excess.
    share_of_excess : callable
        Returns how much pixels of given powers add to the excess, relative to its threshold.
    """
    max_units = MAX_INT16 // 2 ** (len(sigmas) - 1)  # wide boxes do not overflow
    one = noise_spectra**0.5 * max_units / (CLIP_HEADROOM * float(sigmas[0, 0]))
    i, level = np.indices(sigmas.shape)
    boxes = np.minimum(2**level, spectra)
    exact = sigmas.astype(np.float64) * (boxes / noise_spectra) ** 0.5 * one
    kind = np.int8 if padded_rows(spectra) <= MAX_ROWS_FOR_INT8 else np.int16
    highest = np.iinfo(kind).max
    shifts = np.ceil(np.log2(np.maximum(1, exact.max(axis=1) / highest))).astype(np.int64)
    last_bit = 2.0 ** shifts[:, None]
    limits = (exact * (1 - 1e-6) - boxes * (2.0 ** (i + 1) - 1) - 1) / last_bit - boxes * np.where(last_bit > 1, 0.5, 0)
    limits = np.clip(np.floor(limits), 0, highest)
    offsets = box_offsets(spectra, channels, len(sigmas))
    sums = np.full_like(allocate_boxes(spectra, offsets, kind)[1], highest)  # no sum is higher
    of_level = sums.reshape(-1, row_pitch(spectra, offsets))
    for width, start in enumerate(offsets[:-1]):
        of_level[: limits.shape[1], start : start + channels // 4**width] = limits[width][:, None]
    above = (np.arange(max_units + 1) + 2) / one + 1  # upper bound of the power of a pixel, by its units
    share = share_of_excess(above).astype(np.float32)
    lowest = int((pixel - 1) * one) - 1
    return RoundedThresholds(np.float32(one), np.float32(max_units), offsets, shifts, sums, lowest, share)


def mark_possible(
    power: NDArray[np.float32], is_mirrored: bool, row_scale: NDArray[np.float32], channel_scale: NDArray[np.float32],
    is_unmasked: NDArray[np.bool_], starts: NDArray[np.int64], channels: int, limits: RoundedThresholds,
) -> NDArray[np.bool_]:
    """Tell which windows may pass the gate.

    Parameters
    ----------
    power : (spectra, channels) float32
        C-contiguous. Ascending, or descending if ``is_mirrored``: the largest sum over all drifts is the same.
    row_scale, channel_scale : float32
        Factors that bring the noise to 1. Channels ascend.
    is_unmasked : (channels,) bool
        False if a pixel of the channel is masked. Windows with masked pixels are never rejected here.
    starts : (n,) int64
        First channel of each window, ascending.
    channels : int
        Channels in a window.
    limits : RoundedThresholds

    Returns
    -------
    (n,) bool
    """
    spectra, passes = len(power), np.zeros(len(starts), np.bool_)
    _mark_possible(
        power.reshape(-1), power.shape[1], is_mirrored, row_scale, channel_scale, is_unmasked, bool(is_unmasked.all()),
        starts, channels, limits.one, limits.max_units, limits.offsets, limits.shifts, limits.limits, limits.pixel,
        limits.share_of_excess, padded_rows(spectra), row_pitch(spectra, limits.offsets),
        *_room(spectra, channels, limits), passes)
    return passes


def _room(spectra: int, channels: int, limits: RoundedThresholds) -> _Room:
    """Return memory for one window of this shape, the same for all calls of a thread."""
    shape = spectra, channels, len(limits.offsets), limits.limits.dtype.type
    if shape not in _rooms.by_shape:
        fine, _ = allocate_boxes(spectra, limits.offsets, np.int16)
        boxes, peaks = allocate_boxes(spectra, limits.offsets, limits.limits.dtype.type)
        _rooms.by_shape[shape] = (fine, boxes, peaks, np.empty(channels, np.float32), np.empty(2 * LANES, np.int16))
    return _rooms.by_shape[shape]


@_compiled
def _mark_possible(  # type: ignore[no-untyped-def]
    power, stride, is_mirrored, row_scale, channel_scale, is_unmasked, are_whole, starts, channels, one, max_units,
    offsets, shifts, limits, pixel, share_of_excess, rows, pitch, fine, boxes, peaks, scale, seen, passes
):
    """Set ``passes`` to True for windows that may pass the gate. The other arrays are memory for one window."""
    for k in range(len(starts)):
        start = starts[k]
        if not are_whole:
            for c in range(start, start + channels):
                passes[k] |= not is_unmasked[c]
        if passes[k]:
            continue
        at, ahead = start, starts[min(k + PREFETCH_WINDOWS, len(starts) - 1)]
        if is_mirrored:
            at, ahead = stride - channels - at, stride - channels - ahead
        copy_scale(channel_scale, start, is_mirrored, scale)
        round_to_boxes(power, stride, at, ahead, row_scale, scale, one, max_units, fine, boxes, pitch, offsets, shifts,
                       np.int16(pixel), seen)
        find_peaks(boxes, peaks, rows, pitch, offsets[0], offsets[-1] - rows)
        passes[k] = _is_reached(peaks, limits, pitch, offsets) or _has_excess(
            power, stride, at, row_scale, scale, channels, one, max_units, pixel, share_of_excess, seen)


@_compiled
def _is_reached(peaks, limits, pitch, offsets):  # type: ignore[no-untyped-def]
    """Tell whether any peak reaches its limit."""
    beyond = broadcast(limits.dtype.type(-1))
    for level in range(0, len(peaks), pitch):
        for at in range(level + offsets[0], level + offsets[-1], LANES):
            beyond = maximum(beyond, subtract(load(peaks, at), load(limits, at)))
    return max_of(beyond) >= 0


@_compiled
def _has_excess(  # type: ignore[no-untyped-def]
    power, stride, at, row_scale, scale, channels, one, max_units, pixel, share_of_excess, seen
):
    """Tell whether the excess of a window may reach the gate's threshold.

    All pixels are added up only for windows that two faster, rougher bounds cannot reject. ``seen`` is what
    :func:`pipeline.gate.rounded_boxes.round_to_boxes` wrote.
    """
    count, bound, total = 0, np.float32(0), np.float32(0)
    for lane in range(LANES):
        count += seen[lane]
    if count * share_of_excess[max_of(load(seen, LANES))] < 1:
        return False
    for lane in range(LANES):
        bound += seen[lane] * share_of_excess[seen[LANES + lane]]
    if bound < 1 - ROUNDING:
        return False
    for t in range(len(row_scale)):
        for c in range(channels):
            units = units_of(power[t * stride + at + c], scale[c] * (row_scale[t] * one), one, max_units)
            if units >= pixel:
                total += share_of_excess[units]
    return total >= 1


LAST_COMPILED = _mark_possible
"""The compiled function that calls the others of this module."""
