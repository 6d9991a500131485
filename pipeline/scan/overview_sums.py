"""Sums up flattened power over the cells of an overview, while it is in the caches of a core."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.flatten.flattened import FlattenedChannel
from pipeline.overview import CELL_CHANNELS, Cells, OverviewLayout
from pipeline.support.compiled import njit
from pipeline.support.simd import LANES, add, load, max_of, maximum, multiply, sum_of


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
    """Add power cell by cell. ``offset`` is the first channel, counted from the first cell."""
    (spectra, width), flat = stored.shape, stored.reshape(-1)
    scale = np.empty(CELL_CHANNELS, np.float32)
    rows = np.empty(spectra, np.int64)
    for t in range(spectra):
        rows[t] = (spectrum + t) // spectra_per_row
    done = 0
    while done < channels:
        cell = (offset + done) // CELL_CHANNELS
        n = min((cell + 1) * CELL_CHANNELS - offset, channels) - done
        n_unmasked = 0
        for c in range(n):
            scale[c] = channel_scale[done + n - 1 - c] if is_mirrored else channel_scale[done + c]
            n_unmasked += is_unmasked[done + c]
        start = width - done - n if is_mirrored else done
        if n_unmasked == n and n % LANES == 0:
            _add_valid(flat, start, width, scale, n, row_scale, per_noise, rows, total[cell], largest[cell],
                       count[cell])
        else:
            _add_any(stored[:, start : start + n], scale, row_scale, per_noise, rows, total[cell], largest[cell],
                     count[cell])
        done += n


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_valid(
    flat: NDArray[np.float32], start: int, width: int, scale: NDArray[np.float32], n: int,
    row_scale: NDArray[np.float32], per_noise: np.float32, rows: NDArray[np.int64], total: NDArray[np.float32],
    largest: NDArray[np.float32], count: NDArray[np.uint32],
) -> None:
    """Add ``n`` channels, a multiple of the lanes, without a masked pixel to one cell."""
    for t in range(len(rows)):
        first = start + t * width
        added = most = multiply(load(flat, first), load(scale, 0))
        for c in range(LANES, n, LANES):
            value = multiply(load(flat, first + c), load(scale, c))
            added, most = add(added, value), maximum(most, value)
        row, gain = rows[t], row_scale[t]
        total[row] += (sum_of(added) * gain - np.float32(n)) * per_noise
        largest[row] = max(largest[row], (max_of(most) * gain - np.float32(1)) * per_noise)
        count[row] += np.uint32(n)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_any(
    power: NDArray[np.float32], scale: NDArray[np.float32], row_scale: NDArray[np.float32], per_noise: np.float32,
    rows: NDArray[np.int64], total: NDArray[np.float32], largest: NDArray[np.float32], count: NDArray[np.uint32],
) -> None:
    """Add channels to one cell, without their masked pixels. Slower than :func:`_add_valid`."""
    for t in range(len(rows)):
        for c in range(power.shape[1]):
            factor = row_scale[t] * scale[c]
            if (power[t, c] > 0) & (power[t, c] < np.inf) & (factor > 0):
                value = (power[t, c] * factor - np.float32(1)) * per_noise
                total[rows[t]] += value
                largest[rows[t]] = max(largest[rows[t]], value)
                count[rows[t]] += np.uint32(1)
