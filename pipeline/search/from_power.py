"""Queries from arrays of power."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.model import WindowGrid
from pipeline.search.opened import OpenCorpus
from pipeline.search.query import Query, embed, usable, with_note, with_signal

MOST_NEGATIVE = 0.1
"""Share of an array. Of power in dB, or less its mean, about half is; of power only what is broken, and masked."""


def query_of_power(corpus: OpenCorpus, encoder_key: str, power: Any) -> Query:
    """Make a query of linear power (spectra, channels), channels in ascending frequency.

    A larger array is cut into whole windows: in time from its first row on, in frequency in the middle. A smaller one
    is put in the middle of a window that is masked around it. What is not finite or not positive is masked. Of several
    windows, those that hold a signal are searched for.

    Raises
    ------
    QueryError
        It is no such array, shows nothing, lies on its side, or holds decibels or differences from a mean.
    """
    from pipeline.cutouts import flatten_windows, quantise_windows  # loads scipy

    array = np.ma.filled(power, 0) if isinstance(power, np.ma.MaskedArray) else np.asarray(power)
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        raise QueryError("power must be a two-dimensional array of numbers (spectra, channels), got one of "
                         f"{array.dtype} and shape {array.shape}")
    wide = array.astype(np.float64)
    valid = np.isfinite(wide) & (wide > 0)
    if not valid.any():
        raise QueryError(f"the array of shape {array.shape} holds no number above zero: give linear power, not dB")
    _check_power(wide)
    note = _check_axes(array.shape, corpus.config.scan.grid)
    pieces = cut_array(np.where(valid, wide, np.nan), corpus.config.scan.grid)
    flat, spreads = flatten_windows(pieces)
    cutouts = quantise_windows(flat, spreads)
    found = usable(cutouts, f"the array of shape {array.shape}")
    found, is_noise = with_signal(corpus, cutouts, spreads, found, np.zeros(len(cutouts), np.bool_))
    vectors, in_float32 = embed(corpus, encoder_key, cutouts[found])

    def power_of(i: int) -> NDArray[np.float64]:
        piece: NDArray[np.float64] = pieces[found[i]]
        return piece / np.nanmedian(piece)

    return Query(
        vectors=vectors,
        cutouts=cutouts[found],
        windows=(),
        power_of=power_of,
        region=None,
        resolution="",
        record=with_note({"kind": "array", "shape": list(array.shape), "windows": len(found)}, note, is_noise,
                         in_float32),
    )


def _check_power(array: NDArray[np.float64]) -> None:
    """Raise :class:`QueryError` where so much of an array is negative that it cannot be power."""
    finite = np.isfinite(array)
    share = np.count_nonzero(array[finite] < 0) / np.count_nonzero(finite)
    if share > MOST_NEGATIVE:
        raise QueryError(f"{share:.0%} of the array of shape {array.shape} is negative: that is dB, or power less its "
                         "mean; give linear power, such as 10**(dB/10), with nothing subtracted")


def _check_axes(shape: tuple[int, ...], grid: WindowGrid) -> str:
    """Return a note where an array may lie on its side; :class:`QueryError` where it plainly does."""
    spectra, channels = shape
    if not channels < grid.channels or spectra <= channels or grid.integrations >= grid.channels:
        return ""
    said = (f"the array has {spectra} spectra of {channels} channels, windows have {grid.integrations} of "
            f"{grid.channels}")
    if channels <= grid.integrations and spectra >= grid.channels:
        raise QueryError(f"{said}: it lies on its side; give array.T")
    return f"{said}: if it lies on its side, give array.T"


def cut_array(array: NDArray[np.float64], grid: WindowGrid) -> NDArray[np.float64]:
    """Cut an array into windows (n, T, F), time blocks first, padded with NaN where it is smaller than one."""
    t, f = grid.integrations, grid.channels
    rows, columns = max(array.shape[0], t), max(array.shape[1], f)
    padded = np.full((rows, columns), np.nan)
    top, left = (rows - array.shape[0]) // 2, (columns - array.shape[1]) // 2
    padded[top : top + array.shape[0], left : left + array.shape[1]] = array
    blocks, across = rows // t, columns // f
    rest = (columns - across * f) // 2
    whole = padded[: blocks * t, rest : rest + across * f]
    return whole.reshape(blocks, t, across, f).swapaxes(1, 2).reshape(blocks * across, t, f)
