"""The 8-bit code of an overview, for power in standard deviations of the noise of one pixel.

Code = 61 + 11 · asinh(16 · x), rounded, where x = (power / baseline − 1) · √N. Noise has a mean of 0 and a standard
deviation of 1. The code is nearly linear up to the spread of a mean over 256 pixels of noise (1/16), and logarithmic
above it: neighbouring codes differ by 0.006 near 0, and by 9 % (0.4 dB) of x far from it. It reaches from −7.3 to 1.4
million. What is beyond gets the first or the last code.

Only the first 16 bits of x as a float32 are used, so that a table has all codes. They give x to within 0.4 %.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

MASKED = 0
"""Code of a cell without a single valid pixel."""
ZERO_CODE = 61
"""Code of the mean of the noise."""
CODES_PER_UNIT = 11.0
"""Codes in one unit of asinh."""
LINEAR_SCALE = 16.0
"""Values below 1 / this are coded linearly."""
DROPPED_BITS = np.uint32(16)
"""Last bits of a float32 that do not count."""


def encode(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Turn values into codes. NaN is masked.

    Parameters
    ----------
    values : array of float
        Power over baseline − 1, in standard deviations of the noise of one pixel.

    Returns
    -------
    array of uint8
        Of the same shape. Larger values never have smaller codes, apart from NaN.
    """
    codes: NDArray[np.uint8] = code_table()[np.ascontiguousarray(values, np.float32).view(np.uint32) >> DROPPED_BITS]
    return codes


def decode(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn codes into values; the inverse of :func:`encode`. Masked cells are NaN."""
    values: NDArray[np.float32] = _values()[codes]
    return values


@cache
def code_table() -> NDArray[np.uint8]:
    """Return the code of each value by its first 16 bits as a float32: (2^16,). Equal bits give equal codes."""
    bits = np.arange(1 << DROPPED_BITS, dtype=np.uint32) << DROPPED_BITS | 1 << (DROPPED_BITS - 1)
    with np.errstate(all="ignore"):  # some bits are NaN
        codes = np.rint(ZERO_CODE + CODES_PER_UNIT * np.arcsinh(LINEAR_SCALE * bits.view(np.float32).astype(float)))
        codes[bits >> DROPPED_BITS == 0x7F80] = 255  # infinity itself has no bits after these
        codes[bits >> DROPPED_BITS == 0xFF80] = 1
        return np.where(np.isnan(codes), MASKED, np.clip(codes, 1, 255)).astype(np.uint8)


@cache
def _values() -> NDArray[np.float32]:
    """Return the value of each code."""
    values = (np.sinh((np.arange(256) - ZERO_CODE) / CODES_PER_UNIT) / LINEAR_SCALE).astype(np.float32)
    values[MASKED] = np.nan
    return values
