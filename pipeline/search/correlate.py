"""Compares the best hits with the query pixel by pixel: their cutouts are correlated at every shift. Uses no files.

Vectors say what kind of pattern a window holds. Two patterns that agree pixel by pixel are surely of one kind. Each
cutout is prepared in three steps: the gain of its rows and the slope of its band are removed, it is smoothed, and
pixels that do not rise above the smoothed noise are set to zero. The correlation of two such images a and b, at a shift
of s channels and r spectra, is ::

    Σ a(t, f) · b(t + r, f + s) / (|a| |b|)

The highest correlation over all shifts counts. The norms are those of the whole images. So bright pixels lower the
correlation if only one image has them. In frequency, pixels that are shifted out of the window meet zeros. In time, the
window is treated as a ring, because pulses and bursts begin at any moment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.grid.cutouts import image_of_cutouts

WEIGHT = 0.25
"""Weight of the correlation in the order of hits. The weight of the cosine of the vectors is 1 − WEIGHT."""
DRIFTS = tuple(sorted((k / 4 for k in range(-4, 5)), key=abs))
"""Extra drifts to try, in channels per spectrum. A line two channels wide looks the same at neighbouring ones."""
THRESHOLD = 0.53
"""Level in the smoothed image below which pixels are set to zero. Noise has a standard deviation of 0.29 there."""

_CLIP_LEVEL = 1.0  # pixels are clipped here before the level is measured, so that signals hardly change it
_ALONG_CHANNELS = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
_ALONG_SPECTRA = (1 / 6, 4 / 6, 1 / 6)
_MIN_IMPROVEMENT = 1 + 1e-4  # a later pattern that is better by less than this wins only by rounding
_CANDIDATES_AT_ONCE = 64  # transformed together: their spectra fit the processor's cache
_FFT_LENGTH_MULTIPLE = 64  # Fourier transforms of such lengths are fast

_Spectrum = NDArray[np.complexfloating[Any, Any]]


@dataclass(frozen=True, slots=True)
class Matches:
    """How well candidates match a query, and at which shift. Each array has one entry per candidate."""

    correlation: NDArray[np.float32]
    """(n,) from 0, nothing in common, to 1. An image in which nothing rises above the noise has 0."""
    channels: NDArray[np.int64]
    """(n,) number of channels by which the candidate's pattern lies higher than the query's."""
    spectra: NDArray[np.int64]
    """(n,) number of spectra by which it lies later; negative for earlier. The shorter way around the ring counts."""
    drift: NDArray[np.float32]
    """(n,) channels per spectrum by which it drifts more than the query, which is mirrored first if ``mirrored``."""
    mirrored: NDArray[np.bool_]
    """(n,) True where the query with reversed frequency matches better."""


def correlate(
    query: NDArray[np.uint8],
    candidates: NDArray[np.uint8],
    *,
    drifts: Sequence[float] = (0.0,),
    mirror: bool = False,
) -> Matches:
    """Compare one cutout with others by normalised cross-correlation.

    Parameters
    ----------
    query : (T, F) uint8
    candidates : (n, T, F) uint8
    drifts : sequence of float
        Drifts to add to the query's, in channels per spectrum, about the middle of the window. If several match equally
        well, the first counts.
    mirror : bool
        Also compare with the mirror image of the query, its frequency reversed.

    Returns
    -------
    Matches
        One entry per candidate.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    if candidates.ndim != 3 or query.shape != candidates.shape[1:]:
        raise ValueError(f"expected a cutout (T, F) and candidates (n, T, F), got {query.shape} and {candidates.shape}")
    length = _padded(query.shape, drifts)
    kinds = [(drift, mirrored) for mirrored in ((False, True) if mirror else (False,)) for drift in drifts]
    image = _image(query[None])[0]
    patterns = [_spectrum(image[:, ::-1] if mirrored else image, length, drift).conj() for drift, mirrored in kinds]
    norm = np.linalg.norm(image)
    parts = [_best(patterns, norm, _image(candidates[first : first + _CANDIDATES_AT_ONCE]), length)
             for first in range(0, len(candidates), _CANDIDATES_AT_ONCE)]
    score, kind, spectra, channels = (np.concatenate([part[i] for part in parts] or [np.zeros(0)]) for i in range(4))
    kind = kind.astype(np.int64)
    return Matches(
        correlation=score.astype(np.float32),
        channels=_signed(channels.astype(np.int64), length),
        spectra=_signed(spectra.astype(np.int64), query.shape[0]),
        drift=np.array([drift for drift, _ in kinds], np.float32)[kind],
        mirrored=np.array([mirrored for _, mirrored in kinds])[kind],
    )


def fused(
    score: NDArray[np.floating], correlation: NDArray[np.floating], weight: float = WEIGHT
) -> NDArray[np.float64]:
    """Return the weighted mean (n,) of cosines and correlations (n,), by which hits are ordered."""
    out: NDArray[np.float64] = (1 - weight) * np.asarray(score, np.float64) + weight * np.asarray(correlation)
    return out


def _image(cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the parts of cutouts (n, T, F) that rise above the noise, as images (n, T, F)."""
    image = _smooth(_smooth(_flat(image_of_cutouts(cutouts)), _ALONG_CHANNELS, axis=2), _ALONG_SPECTRA, axis=1)
    out: NDArray[np.float32] = np.maximum(image - np.float32(THRESHOLD), 0)
    return out


def _flat(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract each row's mean and each window's slope along the channels. Extreme pixels count little."""
    along = np.linspace(-1, 1, image.shape[2], dtype=np.float32)
    quiet = np.clip(image, -_CLIP_LEVEL, _CLIP_LEVEL)
    slope = (quiet @ along).mean(axis=1) / np.float32(along @ along)
    flat: NDArray[np.float32] = image - quiet.mean(axis=2, keepdims=True) - slope[:, None, None] * along
    return flat


def _smooth(image: NDArray[np.float32], kernel: Sequence[float], axis: int) -> NDArray[np.float32]:
    """Convolve with a symmetric kernel. Pixels outside the image count as zero."""
    image = np.swapaxes(image, axis, 0)
    middle = len(kernel) // 2
    out = image * np.float32(kernel[middle])
    for reach in range(1, middle + 1):
        weight = np.float32(kernel[middle + reach])
        out[reach:] += weight * image[:-reach]
        out[:-reach] += weight * image[reach:]
    return np.swapaxes(out, axis, 0)


def _padded(shape: tuple[int, ...], drifts: Sequence[float]) -> int:
    """Return the length of rows padded with zeros so that no shift or drift wraps around to the other side."""
    spectra, channels = shape
    needed = 2 * channels + max(abs(drift) for drift in drifts) * (spectra - 1)
    return math.ceil(needed / _FFT_LENGTH_MULTIPLE) * _FFT_LENGTH_MULTIPLE


def _spectrum(image: NDArray[np.float32], length: int, drift: float = 0.0) -> _Spectrum:
    """Return the Fourier transform over the last two axes.

    Rows are shifted first, by ``drift`` channels per spectrum about the middle row.
    """
    rows = np.fft.rfft(image, length, axis=-1)
    if drift:
        spectra = image.shape[-2]
        moved = drift * (np.arange(spectra) - (spectra - 1) / 2)
        rows *= np.exp(-2j * np.pi / length * np.outer(moved, np.arange(length // 2 + 1))).astype(np.complex64)
    return np.fft.fft(rows, axis=-2)


def _best(
    patterns: Sequence[_Spectrum], norm: np.floating, images: NDArray[np.float32], length: int
) -> tuple[NDArray[np.float64], ...]:
    """Return the best correlation of each image, its pattern, and its shifts in spectra and channels: (n,) each.

    Shifts are counted from 0 upwards.
    """
    spectrum, here = _spectrum(images, length), np.arange(len(images))
    score, kind, place = np.zeros(len(images)), np.zeros(len(images)), np.zeros(len(images), np.int64)
    for i, pattern in enumerate(patterns):
        surface = np.fft.irfft(np.fft.ifft(spectrum * pattern, axis=1), length, axis=2).reshape(len(images), -1)
        highest = surface.argmax(axis=1)
        better = surface[here, highest] > score * _MIN_IMPROVEMENT
        score[better], kind[better], place[better] = surface[here, highest][better], i, highest[better]
    norms = norm * np.linalg.norm(images, axis=(1, 2))
    score = np.divide(score, norms, out=np.zeros_like(score), where=norms > 0)
    return np.minimum(score, 1), kind, *np.divmod(place, length)


def _signed(shift: NDArray[np.int64], period: int) -> NDArray[np.int64]:
    """Return shifts around a ring of length ``period`` the shorter way: negative ones for more than half of it."""
    return np.where(2 * shift > period, shift - period, shift)
