"""8-bit cutouts: robust log power in units of the noise spread, compressed by asinh.

For power ``x`` relative to its baseline (baseline 1) and the radiometer's relative spread σ = 1/√N::

    u    = ln(x) / σ                                   ≈ (x − 1)/σ near the baseline, logarithmic far above it
    code = 1 + round(254 · (asinh(u) − LOW) / (HIGH − LOW)),  clipped to 1…255
    code = 0                                           masked pixel, defined as u = 0 (the baseline)

One step is 0.04 σ at the baseline and 4 % of u far above it. ``level`` (power at the baseline) and ``spread`` (σ) are
stored with every cutout, so that linear power can be recovered (:func:`power_of_cutouts`). A window of a file that is
constant or mostly masked has no cutout: the gate counts it as masked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.flatten.noise import middle_of, noise_spectra_of

LOW, HIGH = -3.0, 7.0
"""Range of asinh(u): from u = −10 to u = 548, which at N = 102 is 10²³ times the baseline."""

_STEP = (HIGH - LOW) / 254
IMAGE_OF_CODE = np.concatenate([[0.0], LOW + _STEP * np.arange(255)]).astype(np.float32)
"""asinh(u) of each of the 256 codes."""
_UNCLIPPED_MIN = 1e-30


def quantise(power: NDArray[np.floating[Any]], spread: float) -> NDArray[np.uint8]:
    """Quantise power relative to its baseline.

    Parameters
    ----------
    power : (...) float32 or float64
        Power over baseline; values ≤ 0 are masked pixels.
    spread : float
        Relative spread σ of one pixel of noise.

    Returns
    -------
    (...) uint8
        Codes, 0 for masked pixels.
    """
    codes: NDArray[Any] = np.maximum(power, np.float32(_UNCLIPPED_MIN))
    np.log(codes, out=codes)
    codes *= np.float32(1 / spread)
    np.arcsinh(codes, out=codes)
    codes -= np.float32(LOW)
    codes *= np.float32(1 / _STEP)
    np.rint(codes, out=codes)
    codes += np.float32(1)
    np.clip(codes, 1, 255, out=codes)
    codes[power <= 0] = 0
    return codes.astype(np.uint8)


def image_of_cutouts(cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return asinh(u) of codes, float32 of the same shape: what encoders see. Masked pixels are 0."""
    return IMAGE_OF_CODE[cutouts]


def power_of_cutouts(cutouts: NDArray[np.uint8], level: Any, spread: Any) -> NDArray[np.float64]:
    """Recover linear power, within the quantisation step.

    Parameters
    ----------
    cutouts : (n, T, F) uint8
    level, spread : scalar or (n,)
        As stored with the cutouts. Whole-row gain changes were divided out and stay so.

    Returns
    -------
    (n, T, F) float64
        In the file's unit. Masked pixels lie at the baseline.
    """
    u = np.sinh(IMAGE_OF_CODE.astype(np.float64)[cutouts])
    power: NDArray[np.float64] = np.asarray(level)[..., None, None] * np.exp(u * np.asarray(spread)[..., None, None])
    return power


def cutouts_of_power(power: NDArray[Any]) -> NDArray[np.uint8]:
    """Make cutouts (n, T, F) of windows that come without the band around them, flattened by :func:`flatten_windows`.

    A constant window has one code throughout.
    """
    return quantise_windows(*flatten_windows(power))


def quantise_windows(flat: NDArray[np.float64], spreads: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Quantise windows (n, T, F) of power over baseline, each of its own spread (n,)."""
    out = np.zeros(flat.shape, np.uint8)
    for window, spread, codes in zip(flat, spreads, out, strict=True):
        codes[:] = quantise(window, spread)
    return out


def flatten_windows(power: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flatten windows that come without the band around them (arrays, pictures).

    Rows are divided by their own middles and the spread is the window's own, from the pixels *below* the baseline,
    which signals leave alone. A signal that fills more than two fifths of a row cannot be told from the noise this way:
    windows cut from files are measured against their whole coarse channel instead.

    Parameters
    ----------
    power : (n, T, F) array
        Linear power. Values that are not finite or not positive are masked.

    Returns
    -------
    (n, T, F) float64, (n,) float64
        Power over baseline, masked pixels 0; and the relative spread of each window's noise, 1 where all is masked.

    Raises
    ------
    ValueError
        Where an array is not three-dimensional.
    """
    if power.ndim != 3:
        raise ValueError(f"expected windows of shape (n, spectra, channels), got shape {power.shape}")
    out, spreads = np.zeros(power.shape), np.ones(len(power))
    for i, window in enumerate(np.asarray(power, np.float64)):
        valid = np.isfinite(window) & (window > 0)
        rows = valid.any(axis=1)
        if not rows.any():
            continue
        gain = np.ones(len(window))
        gain[rows] = [middle_of(row[ok]) for row, ok in zip(window[rows], valid[rows], strict=True)]
        out[i] = np.where(valid, window / gain[:, None], 0.0)
        spreads[i] = noise_spectra_of(out[i][valid]) ** -0.5
    return out, spreads
