"""Sums up flattened power over the cells of an overview, while it is in the caches of a core."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.flatten.flattened import FlattenedChannel
from pipeline.flatten.time_mean import MAX_FLOAT32
from pipeline.overview import CELL_CHANNELS, Cells, OverviewLayout
from pipeline.support.compiled import njit
from pipeline.support.simd import (
    LANES,
    add,
    broadcast,
    load,
    max_of,
    maximum,
    multiply,
    reverse,
    store,
    subtract,
    sum_of,
    where_positive,
)


def add_power(
    cells: Cells, layout: OverviewLayout, flat: FlattenedChannel, channels: int, channel: int, spectrum: int
) -> None:
    """Add flattened power to cells of level 0.

    Parameters
    ----------
    cells : Cells
        Changed in place.
    layout : OverviewLayout
    flat : FlattenedChannel
        One time block of some channels.
    channels : int
        Number of its channels that are added, from low frequency.
    channel : int
        Its first channel, counted in the scan from low frequency.
    spectrum : int
        Its first spectrum, counted in the scan.

    Raises
    ------
    IndexError
        Channels or spectra are not among the cells.
    """
    if not (0 < channels <= flat.stored.shape[1] and cells.first * CELL_CHANNELS <= channel
            and channel + channels <= (cells.first + len(cells.total)) * CELL_CHANNELS
            and spectrum >= 0 and spectrum + len(flat.stored) <= layout.nsamples):
        raise IndexError(f"{channels} channels from {channel} and {len(flat.stored)} spectra from {spectrum} are not "
                         "among the cells")
    _add_power(flat.stored, flat.is_mirrored, flat.row_scale, flat.channel_scale, flat.is_unmasked,
               np.float32(flat.noise_spectra**0.5), channels, channel - cells.first * CELL_CHANNELS, spectrum,
               layout.spectra_per_row, cells.total, cells.largest, cells.count)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_power(
    stored: NDArray[np.float32], is_mirrored: bool, row_scale: NDArray[np.float32],
    channel_scale: NDArray[np.float32], is_unmasked: NDArray[np.bool_], per_noise: np.float32, channels: int,
    offset: int, spectrum: int, spectra_per_row: int, total: NDArray[np.float32], largest: NDArray[np.float32],
    count: NDArray[np.uint32],
) -> None:
    """Add power cell by cell. ``offset`` is the first channel, counted from the first cell.

    The loop over whole cells is written out here, because a call for each cell would take as long as its pixels.
    """
    (spectra, width), flat, one = stored.shape, stored.reshape(-1), np.float32(1)
    scale, rows = np.empty(CELL_CHANNELS, np.float32), np.empty(spectra, np.int64)
    for t in range(spectra):
        rows[t] = (spectrum + t) // spectra_per_row
    done = 0
    while done < channels:
        cell = (offset + done) // CELL_CHANNELS
        n = min((cell + 1) * CELL_CHANNELS - offset, channels) - done
        start = width - done - n if is_mirrored else done
        if n == CELL_CHANNELS and not _copy_scale(channel_scale, is_unmasked, done, is_mirrored, scale):
            _add_masked(flat, start, width, scale, row_scale, per_noise, rows, total[cell], largest[cell], count[cell])
        elif n < CELL_CHANNELS:
            _add_part(stored[:, start : start + n], is_mirrored, channel_scale[done : done + n], row_scale, per_noise,
                     rows, total[cell], largest[cell], count[cell])
        else:
            for t in range(spectra):
                added = most = multiply(load(flat, start), load(scale, 0))
                for c in range(LANES, CELL_CHANNELS, LANES):
                    value = multiply(load(flat, start + c), load(scale, c))
                    added, most = add(added, value), maximum(most, value)
                row, gain, start = rows[t], row_scale[t], start + width
                total[cell, row] += (sum_of(added) * gain - np.float32(CELL_CHANNELS)) * per_noise
                largest[cell, row] = max(largest[cell, row], (max_of(most) * gain - one) * per_noise)
                count[cell, row] += np.uint32(CELL_CHANNELS)
        done += n


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _copy_scale(
    channel_scale: NDArray[np.float32], is_unmasked: NDArray[np.bool_], first: int, is_mirrored: bool,
    scale: NDArray[np.float32],
) -> bool:
    """Copy the scales of one cell in the order of its pixels; return False if one of these is masked."""
    n_unmasked = 0
    for c in range(first, first + CELL_CHANNELS):
        n_unmasked += is_unmasked[c]
    for c in range(0, CELL_CHANNELS, LANES):
        if is_mirrored:
            store(scale, c, reverse(load(channel_scale, first + CELL_CHANNELS - LANES - c)))
        else:
            store(scale, c, load(channel_scale, first + c))
    return n_unmasked == CELL_CHANNELS


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_masked(
    flat: NDArray[np.float32], start: int, width: int, scale: NDArray[np.float32], row_scale: NDArray[np.float32],
    per_noise: np.float32, rows: NDArray[np.int64], total: NDArray[np.float32], largest: NDArray[np.float32],
    count: NDArray[np.uint32],
) -> None:
    """Add a whole cell without its masked pixels."""
    one, limit = broadcast(np.float32(1)), broadcast(MAX_FLOAT32)
    for t in range(len(rows)):
        added = most = alive = broadcast(np.float32(0))
        for c in range(0, CELL_CHANNELS, LANES):
            value = multiply(load(flat, start + t * width + c), load(scale, c))
            value = where_positive(subtract(limit, value), where_positive(value, value))  # 0 if masked
            added, most, alive = add(added, value), maximum(most, value), add(alive, where_positive(value, one))
        row, gain, n_alive = rows[t], row_scale[t], sum_of(alive)
        if gain > 0 and n_alive > 0:
            total[row] += (sum_of(added) * gain - n_alive) * per_noise
            largest[row] = max(largest[row], (max_of(most) * gain - np.float32(1)) * per_noise)
            count[row] += np.uint32(n_alive)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_part(
    power: NDArray[np.float32], is_mirrored: bool, channel_scale: NDArray[np.float32], row_scale: NDArray[np.float32],
    per_noise: np.float32, rows: NDArray[np.int64], total: NDArray[np.float32], largest: NDArray[np.float32],
    count: NDArray[np.uint32],
) -> None:
    """Add a part of a cell without its masked pixels. Slow, but only cells at the ends of a stretch come in parts."""
    last = power.shape[1] - 1
    for t in range(len(rows)):
        for c in range(power.shape[1]):
            factor = row_scale[t] * channel_scale[last - c if is_mirrored else c]
            if (power[t, c] > 0) & (power[t, c] < np.inf) & (factor > 0):
                value = (power[t, c] * factor - np.float32(1)) * per_noise
                total[rows[t]] += value
                largest[rows[t]] = max(largest[rows[t]], value)
                count[rows[t]] += np.uint32(1)
