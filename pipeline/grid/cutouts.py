"""8-bit cutouts: log power in units of the noise, compressed with asinh.

``x`` is power divided by its baseline, so noise is near 1. σ = 1/√N is the relative standard deviation of the noise, by
the radiometer equation. Then::

        u    = ln(x) / σ                                   ≈ (x − 1)/σ near the baseline, logarithmic far above it
        code = 1 + round(254 · (asinh(u) − ASINH_MIN) / (ASINH_MAX − ASINH_MIN)),  clipped to 1…255
        code = 0                                           masked pixel, treated as u = 0 (the baseline)

One step is 0.04 σ at the baseline and 4 % of u far above it. ``level`` (power at the baseline) and ``spread`` (σ) are
stored with every cutout. :func:`power_of_cutouts` recovers linear power from them. If a window of a file is constant or
mostly masked, it has no cutout, because the gate counts it as masked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.flatten.noise import measure_noise_spectra, middle_of

ASINH_MIN, ASINH_MAX = -3.0, 7.0
"""Range of asinh(u) that codes can express: u from −10 to 548. At N = 102, u = 548 is 10²³ times the baseline."""

_STEP = (ASINH_MAX - ASINH_MIN) / 254
"""Difference in asinh(u) between neighbouring codes."""
IMAGE_OF_CODE = np.concatenate([[0.0], ASINH_MIN + _STEP * np.arange(255)]).astype(np.float32)
"""(256,) float32: asinh(u) of each code; 0 for code 0."""
_MIN_POWER = 1e-30
"""Power below this is raised to it, so that its logarithm is finite."""


def quantise(power: NDArray[np.floating[Any]], spread: float) -> NDArray[np.uint8]:
    """Turn power over baseline into 8-bit codes.

    Parameters
    ----------
    power : (...) float32 or float64
        Power divided by its baseline. Values ≤ 0 are masked pixels.
    spread : float
        Relative standard deviation σ of the noise in one pixel.

    Returns
    -------
    (...) uint8
        Codes; 0 for masked pixels.
    """
    u: NDArray[Any] = np.maximum(power, np.float32(_MIN_POWER))
    np.log(u, out=u)
    u *= np.float32(1 / spread)
    if u.dtype == np.float32:
        from pipeline.grid.code_table import look_up  # loads numba, which searches do not need

        codes = look_up(u, _codes_of)
    else:
        codes = _codes_of(u).astype(np.uint8)
    codes[power <= 0] = 0
    return codes


def _codes_of(u: NDArray[Any]) -> NDArray[Any]:
    """Return the codes of ``u`` = ln(x) / σ as floating-point numbers."""
    codes: NDArray[Any] = np.arcsinh(u)
    codes -= np.float32(ASINH_MIN)
    codes *= np.float32(1 / _STEP)
    np.rint(codes, out=codes)
    codes += np.float32(1)
    return np.clip(codes, 1, 255, out=codes)


def image_of_cutouts(cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return asinh(u) of each code, which is what encoders receive.

    Parameters
    ----------
    cutouts : (...) uint8

    Returns
    -------
    (...) float32
        Masked pixels are 0.
    """
    return IMAGE_OF_CODE[cutouts]


def power_of_cutouts(cutouts: NDArray[np.uint8], level: Any, spread: Any) -> NDArray[np.float64]:
    """Recover linear power from cutouts, to the accuracy of one quantisation step.

    Parameters
    ----------
    cutouts : (n, T, F) uint8
    level, spread : scalar or (n,)
        As stored with the cutouts.

    Returns
    -------
    (n, T, F) float64
        Power in the file's unit. Masked pixels are at the baseline. Changes of gain from row to row were divided out
        before quantisation and are not restored.
    """
    u = np.sinh(IMAGE_OF_CODE.astype(np.float64))[cutouts]
    power: NDArray[np.float64] = np.asarray(level)[..., None, None] * np.exp(u * np.asarray(spread)[..., None, None])
    return power


def cutouts_of_power(power: NDArray[Any]) -> NDArray[np.uint8]:
    """Make cutouts of windows whose surrounding band is not known.

    Parameters
    ----------
    power : (n, T, F) array
        Linear power. :func:`flatten_windows` flattens it.

    Returns
    -------
    (n, T, F) uint8
        All pixels of a constant window have the same code.

    Raises
    ------
    ValueError
        ``power`` is not three-dimensional.
    """
    return quantise_windows(*flatten_windows(power))


def quantise_windows(flat: NDArray[np.float64], spreads: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Turn windows of power over baseline into 8-bit codes, each window with its own noise.

    Parameters
    ----------
    flat : (n, T, F) float64
        Power divided by its baseline.
    spreads : (n,) float64
        Relative standard deviation σ of the noise in each window.

    Returns
    -------
    (n, T, F) uint8
    """
    out = np.zeros(flat.shape, np.uint8)
    for window, spread, codes in zip(flat, spreads, out, strict=True):
        codes[:] = quantise(window, spread)
    return out

MIDDLE_ERROR = 1.2
"""Standard error of the middle of n pixels of noise, in units of their spread / √n."""
MIN_BURST_SIGMAS = 5.0
"""Standard errors by which the level of a row exceeds that of the quiet rows if the row has a burst."""


def flatten_windows(power: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flatten windows whose surrounding band is not known, such as arrays and pictures.

    Each row is divided by its own level, its :func:`~pipeline.flatten.noise.middle_of`. A row with a burst is divided
    by the level of the quiet rows instead, so that the burst stays. The lowest 3/8 of the rows are the quiet ones.
    Their level is the mean without the lowest quarter, because a few rows may have lost gain. A row has a burst if its
    level exceeds that by :data:`MIN_BURST_SIGMAS`. It may also have a higher gain; this method cannot tell. The noise
    is measured in the rows without a burst, from the pixels *below* their level, because signals only add power.

    If a signal fills more than two fifths of most rows, or bursts fill more than 5/8 of the rows, this method cannot
    tell them from the noise. Windows from files do not have this limit: they are compared with their whole coarse
    channel.

    The masks are those of a scan: pixels that are not finite or not positive, rows of which at least half is masked,
    and channels that always have the same value. The last rule has two exceptions. The largest value of a window stays,
    because a saturated signal is constant, too. And if most channels are constant, the window was drawn without noise.

    Parameters
    ----------
    power : (n, T, F) array
        Linear power.

    Returns
    -------
    (n, T, F) float64
        Power over baseline; masked pixels are 0.
    (n,) float64
        Relative standard deviation of each window's noise; 1 if all pixels are masked.

    Raises
    ------
    ValueError
        ``power`` is not three-dimensional.
    """
    if power.ndim != 3:
        raise ValueError(f"expected windows of shape (n, spectra, channels), got shape {power.shape}")
    out, spreads = np.zeros(power.shape), np.ones(len(power))
    for i, window in enumerate(np.asarray(power, np.float64)):
        valid = _unmasked(window)
        rows = np.flatnonzero(valid.any(axis=1))
        if not len(rows):
            continue
        levels = np.array([middle_of(window[row, valid[row]]) for row in rows])
        lower = len(rows) // 4
        quiet = np.argsort(levels)[: max(3 * len(rows) // 8, lower + 1)]
        level = levels[quiet[lower:]].mean()
        error = MIDDLE_ERROR * _spread_of(window, valid, rows[quiet], levels[quiet]) / np.sqrt(valid[rows].sum(axis=1))
        is_burst = levels > level * (1 + MIN_BURST_SIGMAS * error)
        spreads[i] = _spread_of(window, valid, rows[~is_burst], levels[~is_burst])
        gains = np.ones(len(window))
        gains[rows] = np.where(is_burst, level, levels)
        out[i] = np.where(valid, window / gains[:, None], 0.0)
    return out, spreads


def _spread_of(
    window: NDArray[np.float64], valid: NDArray[np.bool_], rows: NDArray[np.int64], levels: NDArray[np.float64]
) -> float:
    """Return the relative spread of the noise in some rows, each divided by its level."""
    noise = [window[row, valid[row]] / level for row, level in zip(rows, levels, strict=True)]
    return float(measure_noise_spectra(np.concatenate(noise)) ** -0.5)


def _unmasked(window: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which pixels (T, F) of a window are not masked, see :func:`flatten_windows`."""
    valid: NDArray[np.bool_] = np.isfinite(window) & (window > 0)
    live_channels = np.count_nonzero(valid.any(axis=0))  # the other channels are the margin around a small array
    valid[2 * valid.sum(axis=1) <= live_channels] = False
    values = np.where(valid, window, np.nan)[valid.any(axis=1)][:, valid.any(axis=0)]
    if len(values) > 1:
        lowest, highest = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        dead = (lowest == highest) & (highest < highest.max())
        if 2 * np.count_nonzero(lowest == highest) < len(dead):
            valid[:, np.flatnonzero(valid.any(axis=0))[dead]] = False
    return valid
