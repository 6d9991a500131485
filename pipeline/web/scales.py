"""What the 8-bit codes of tiles and windows mean, as tables of 256 values.

Both kinds of stored codes have 0 for a masked pixel and 1 to 255 for values. Here each code is one less, so masked
pixels have 255, and neighbouring values stay neighbours.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.grid.cutouts import power_of_cutouts
from pipeline.overview import decode
from pipeline.web.records import ScaleRecord

MASKED = 255
"""Code of a masked pixel."""
_STORED = np.arange(1, 256, dtype=np.uint8)
_LEAST_POWER = 1e-3
"""Power below this, relative to the noise, has no decibels."""


def sent(stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the codes that are sent for stored ones."""
    return stored - np.uint8(1)  # 0 becomes 255


@lru_cache(maxsize=256)
def scale_of_tiles(noise_spectra: float) -> ScaleRecord:
    """Return the scale of the tiles of a scan whose noise has a relative standard deviation of 1 / √N."""
    sigma = decode(_STORED).astype(np.float64)
    return _scale(1 + sigma / noise_spectra**0.5, sigma, noise_spectra)


@lru_cache(maxsize=256)
def scale_of_windows(spread: float) -> ScaleRecord:
    """Return the scale of windows whose noise has this relative standard deviation."""
    power = power_of_cutouts(_STORED[None, None], 1.0, spread).ravel()
    return _scale(power, (power - 1) / spread, noise_spectra_of(spread))


def noise_spectra_of(spread: float) -> float:
    """Return N for noise whose relative standard deviation is ``spread``: it is 1 / √N."""
    return round(spread**-2, 4)


def _scale(power: NDArray[np.float64], sigma: NDArray[np.float64], noise_spectra: float) -> ScaleRecord:
    has_db = (power > _LEAST_POWER) & np.isfinite(power)
    with np.errstate(all="ignore"):
        db = 10 * np.log10(power)
    values = [round(float(one), 4) if good else None for one, good in zip(db, has_db, strict=True)]
    given = [one for one in values if one is not None]
    return ScaleRecord([*values, None], [*(float(f"{one:.5g}") for one in sigma), None], given[0], given[-1],
                       noise_spectra)
