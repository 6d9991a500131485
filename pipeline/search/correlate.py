"""A second look at the best hits: their cutouts laid over the query's, in every position. Pure.

Vectors say what kind of pattern a window holds; where two patterns lie over each other pixel by pixel, they are of one
kind indeed. From each cutout the gain of rows and a slope of the band are taken, it is smoothed, and what does not rise
above the smoothed noise is set to zero; the correlation of two such images a and b, at a shift of s channels and r
spectra, is ::

    Σ a(t, f) · b(t + r, f + s) / (|a| |b|)

and the best shift's counts. The norms are those of whole images, so bright things that only one of the two has lower
the correlation. In frequency, what is shifted out of the window meets nothing; in time the window is a ring, for pulses
and bursts come at any moment.
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
"""Of the correlation in the order of hits, against the cosine of their vectors."""
DRIFTS = tuple(sorted((k / 4 for k in range(-4, 5)), key=abs))
"""Extra drifts to try, in channels a spectrum: finer steps than a line of two channels can tell apart."""
THRESHOLD = 0.53
"""Of the smoothed image; noise alone has a spread of 0.29 there."""

_QUIET = 1.0  # clipped there, noise still tells its level and a signal hardly moves it
_ALONG_CHANNELS = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
_ALONG_SPECTRA = (1 / 6, 4 / 6, 1 / 6)
_BETTER = 1 + 1e-4  # by less a later pattern wins by rounding alone
_AT_ONCE = 64  # candidates transformed together: their spectra fit the cache
_FAST = 64  # Fourier transforms of a multiple of it are fast

_Spectrum = NDArray[np.complexfloating[Any, Any]]


@dataclass(frozen=True, slots=True)
class Matches:
    """How well candidates lie over a query, and where they do so best; every array has one entry a candidate."""

    correlation: NDArray[np.float32]
    """From 0, nothing in common, to 1; an image in which nothing rises above the noise has 0."""
    channels: NDArray[np.int64]
    """The candidate's pattern lies so many channels higher than the query's."""
    spectra: NDArray[np.int64]
    """And so many spectra later, or earlier, whichever way round is shorter."""
    drift: NDArray[np.float32]
    """It drifts by so many channels a spectrum more, the query being mirrored first if it is."""
    mirrored: NDArray[np.bool_]
    """True where the query fits better with frequency reversed."""


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
        Drifts to add to the query's, in channels a spectrum, about the window's middle; of equally good ones, the first
        counts.
    mirror : bool
        Compare with the query's mirror image, too: frequency reversed.

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
    parts = [_best(patterns, norm, _image(candidates[first : first + _AT_ONCE]), length)
             for first in range(0, len(candidates), _AT_ONCE)]
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
    """Return what hits are ordered by: the mean of cosine and correlation, weighted."""
    out: NDArray[np.float64] = (1 - weight) * np.asarray(score, np.float64) + weight * np.asarray(correlation)
    return out


def _image(cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What rises above the noise, (n, T, F)."""
    image = _smooth(_smooth(_flat(image_of_cutouts(cutouts)), _ALONG_CHANNELS, axis=2), _ALONG_SPECTRA, axis=1)
    out: NDArray[np.float32] = np.maximum(image - np.float32(THRESHOLD), 0)
    return out


def _flat(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract each row's mean and each window's slope along the channels, bright and dark pixels counting little."""
    along = np.linspace(-1, 1, image.shape[2], dtype=np.float32)
    quiet = np.clip(image, -_QUIET, _QUIET)
    slope = (quiet @ along).mean(axis=1) / (along @ along)
    flat: NDArray[np.float32] = image - quiet.mean(axis=2, keepdims=True) - slope[:, None, None] * along
    return flat


def _smooth(image: NDArray[np.float32], kernel: Sequence[float], axis: int) -> NDArray[np.float32]:
    """Convolve with a symmetric kernel, zeros around."""
    image = np.swapaxes(image, axis, 0)
    middle = len(kernel) // 2
    out = image * np.float32(kernel[middle])
    for reach in range(1, middle + 1):
        weight = np.float32(kernel[middle + reach])
        out[reach:] += weight * image[:-reach]
        out[:-reach] += weight * image[reach:]
    return np.swapaxes(out, axis, 0)


def _padded(shape: tuple[int, ...], drifts: Sequence[float]) -> int:
    """Length of rows with so many zeros that nothing comes round to the other side, however it drifts."""
    spectra, channels = shape
    needed = 2 * channels + max(abs(drift) for drift in drifts) * (spectra - 1)
    return math.ceil(needed / _FAST) * _FAST


def _spectrum(image: NDArray[np.float32], length: int, drift: float = 0.0) -> _Spectrum:
    """Fourier transform over the last two axes, rows moved about the middle one by ``drift`` channels a spectrum."""
    rows = np.fft.rfft(image, length, axis=-1)
    if drift:
        spectra = image.shape[-2]
        moved = drift * (np.arange(spectra) - (spectra - 1) / 2)
        rows *= np.exp(-2j * np.pi / length * np.outer(moved, np.arange(length // 2 + 1))).astype(np.complex64)
    return np.fft.fft(rows, axis=-2)


def _best(
    patterns: Sequence[_Spectrum], norm: np.floating, images: NDArray[np.float32], length: int
) -> tuple[NDArray[np.float64], ...]:
    """Return (n,) each: the best correlation, the pattern it is of, and its shifts, counted from 0 upwards."""
    spectrum, here = _spectrum(images, length), np.arange(len(images))
    score, kind, place = np.zeros(len(images)), np.zeros(len(images)), np.zeros(len(images), np.int64)
    for i, pattern in enumerate(patterns):
        surface = np.fft.irfft(np.fft.ifft(spectrum * pattern, axis=1), length, axis=2).reshape(len(images), -1)
        highest = surface.argmax(axis=1)
        better = surface[here, highest] > score * _BETTER
        score[better], kind[better], place[better] = surface[here, highest][better], i, highest[better]
    norms = norm * np.linalg.norm(images, axis=(1, 2))
    score = np.divide(score, norms, out=np.zeros_like(score), where=norms > 0)
    return np.minimum(score, 1), kind, *np.divmod(place, length)


def _signed(shift: NDArray[np.int64], period: int) -> NDArray[np.int64]:
    """Take a shift around a ring the shorter way."""
    return np.where(2 * shift > period, shift - period, shift)
