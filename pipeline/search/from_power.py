"""Queries from arrays of power."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.model import WindowGrid
from pipeline.search.description import QueryDescription
from pipeline.search.draft import Draft
from pipeline.search.encoder import count_vectors
from pipeline.search.query import Query, find_signals, find_usable
from pipeline.search.snapshot import OpenCorpus

MAX_NEGATIVE_SHARE = 0.1
"""Maximum share of negative numbers in an array of power: broken pixels, which are masked.

In decibels, or with the mean subtracted, about half of the numbers are negative."""
MAX_RANGE_DB = 100.0
"""Maximum difference between the highest and the lowest number of an array that may be in decibels."""


def is_waterfall(value: Any) -> bool:
    """Tell whether a value is a ``blimpy.Waterfall``, without loading blimpy."""
    return isinstance(getattr(value, "header", None), Mapping) and hasattr(value, "data")


def array_of(power: Any) -> Any:
    """Return power as it is, or the first polarisation of a ``blimpy.Waterfall`` in ascending frequency.

    Raises
    ------
    QueryError
        The ``Waterfall`` has no samples in memory, or its header does not say which way its channels run.
    """
    if not is_waterfall(power):
        return power
    data, foff = power.data, power.header.get("foff")
    if getattr(data, "ndim", 0) != 3:
        raise QueryError("the Waterfall has no samples: read them with load_data=True, such as a range with f_start "
                         "and f_stop")
    if not isinstance(foff, int | float) or not math.isfinite(foff) or not foff:
        raise QueryError(f"the header of the Waterfall has foff {foff!r}, which does not say which way its channels "
                         "run")
    return data[:, 0, ::-1] if foff < 0 else data[:, 0]


def draft_of_power(corpus: OpenCorpus, encoder_key: str, power: Any) -> Draft:
    """Make a query of an array of linear power.

    An array larger than a window is cut into whole windows: in time from its first row on, in frequency in the middle.
    A smaller array is put in the middle of a window that is masked around it. Pixels that are not finite or not
    positive are masked. If there are several windows, only those with a signal are used.

    Parameters
    ----------
    power : (spectra, channels) array or blimpy.Waterfall
        Channels in ascending frequency. A masked array keeps its mask.

    Raises
    ------
    QueryError
        The value is no such array, shows nothing, or has its axes swapped; or it holds decibels, or power with the mean
        subtracted.
    """
    from pipeline.grid.cutouts import flatten_windows, quantise_windows  # loads scipy

    power = array_of(power)
    array = np.ma.filled(power, 0) if isinstance(power, np.ma.MaskedArray) else np.asarray(power)
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        raise QueryError("power must be a two-dimensional array of numbers (spectra, channels), got one of "
                         f"{array.dtype} and shape {array.shape}")
    wide = array.astype(np.float64)
    valid = np.isfinite(wide) & (wide > 0)
    if not valid.any():
        raise QueryError(f"the array of shape {array.shape} holds no number above zero: give linear power, not dB")
    _check_power(wide)
    axes_note = _check_axes(array.shape, corpus.config.scan.grid)
    pieces = cut_array(np.where(valid, wide, np.nan), corpus.config.scan.grid)
    flat, spreads = flatten_windows(pieces)
    cutouts = quantise_windows(flat, spreads)
    usable = find_usable(cutouts, f"the array of shape {array.shape}")
    used, no_signal = find_signals(corpus, cutouts, spreads, usable, np.zeros(len(cutouts), np.bool_))
    db_note = _note_on_decibels(wide[valid], float(np.median(spreads)), _nominal_spreads(corpus, encoder_key))
    description = QueryDescription(kind="array", shape=array.shape, windows=len(used))

    def power_of(i: int) -> NDArray[np.float64]:
        piece: NDArray[np.float64] = pieces[used[i]]
        return piece / np.nanmedian(piece)

    return Draft(Query(
        vectors=np.zeros((len(used), corpus.manifest.encoders[encoder_key].dimension), np.float32),
        cutouts=cutouts[used],
        positions=positions_of(array.shape, corpus.config.scan.grid)[used],
        windows=(),
        power_of=power_of,
        regions=(),
        resolution="",
        description=description.with_notes(axes_note, db_note, no_signal),
    ), np.arange(len(used)))


def _check_power(array: NDArray[np.float64]) -> None:
    """Raise :class:`QueryError` if too many numbers of an array are negative for power."""
    finite = np.isfinite(array)
    share = np.count_nonzero(array[finite] < 0) / np.count_nonzero(finite)
    if share > MAX_NEGATIVE_SHARE:
        raise QueryError(f"{share:.0%} of the array of shape {array.shape} is negative: that is dB, or power less its "
                         "mean; give linear power, such as 10**(dB/10), with nothing subtracted")


def _note_on_decibels(
    values: NDArray[np.float64], spread: float, nominal: NDArray[np.float64]
) -> str:
    """Return a note if an array may hold decibels, all of them positive; otherwise "".

    Decibels lie within a few tens of one another, whatever the unit of power. Their noise agrees with the radiometer
    equation only once they are turned into linear power.

    Parameters
    ----------
    values : (n,) float64
        Numbers of the array that are above zero.
    spread : float
        Relative standard deviation of the noise in its windows.
    nominal : (c,) float64
        Relative standard deviations of noise, by the radiometer equation, in the data that the corpus holds.
    """
    from pipeline.flatten.noise import middle_of

    if np.ptp(values) > MAX_RANGE_DB:
        return ""
    spread_of_db = spread * middle_of(values) * math.log(10) / 10
    as_linear, as_db = (np.abs(np.log(one / nominal)).min() for one in (spread, spread_of_db))
    if as_linear <= as_db:
        return ""
    return (f"the array may hold decibels: its numbers go from {values.min():.4g} to {values.max():.4g}, and their "
            "noise is like that of decibels; if so, give linear power, 10**(array/10)")


def _nominal_spreads(corpus: OpenCorpus, encoder_key: str) -> NDArray[np.float64]:
    """Return the relative spread of noise by the radiometer equation, for each resolution class with vectors."""
    from pipeline.flatten.noise import nominal_noise_spectra  # loads scipy

    classes = count_vectors(corpus.manifest, encoder_key)
    headers = {entry.resolution: entry.header for entry in corpus.manifest.sources.values()
               if entry.resolution in classes}
    return np.array([nominal_noise_spectra(header) ** -0.5 for header in headers.values()])


def _check_axes(shape: tuple[int, ...], grid: WindowGrid) -> str:
    """Return a note if time and frequency of an array may be swapped; raise :class:`QueryError` if they surely are."""
    spectra, channels = shape
    if not channels < grid.channels or spectra <= channels or grid.integrations >= grid.channels:
        return ""
    sizes = (f"the array has {spectra} spectra of {channels} channels, windows have {grid.integrations} of "
             f"{grid.channels}")
    if channels <= grid.integrations and spectra >= grid.channels:
        raise QueryError(f"{sizes}: its axes are swapped; give array.T")
    return f"{sizes}: if its axes are swapped, give array.T"


def positions_of(shape: tuple[int, ...], grid: WindowGrid) -> NDArray[np.int64]:
    """Return first spectrum and channel of each window of an array, from the first window on; see :func:`cut_array`."""
    counts = max(shape[0] // grid.integrations, 1), max(shape[1] // grid.channels, 1)
    down, across = np.indices(counts)
    return np.column_stack([down.ravel() * grid.integrations, across.ravel() * grid.channels])


def cut_array(array: NDArray[np.float64], grid: WindowGrid) -> NDArray[np.float64]:
    """Cut an array into windows (n, T, F), one time block after the other. A smaller array is padded with NaN."""
    t, f = grid.integrations, grid.channels
    rows, columns = max(array.shape[0], t), max(array.shape[1], f)
    padded = np.full((rows, columns), np.nan)
    top, left = (rows - array.shape[0]) // 2, (columns - array.shape[1]) // 2
    padded[top : top + array.shape[0], left : left + array.shape[1]] = array
    blocks, across = rows // t, columns // f
    rest = (columns - across * f) // 2
    whole = padded[: blocks * t, rest : rest + across * f]
    return whole.reshape(blocks, t, across, f).swapaxes(1, 2).reshape(blocks * across, t, f)
