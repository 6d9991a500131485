"""How a signal is added to the power of a filterbank, in units of the noise: a bin of pure noise has mean 1."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import njit
from pipeline.simulate.signals import FWHM_PER_SIGMA, Axes, Signal

_VISIBLE = 0.1  # share of its brightest bin from which on a signal counts as present, for the truth table
_PROFILES = {"box": 0, "gaussian": 1, "lorentzian": 2}


@dataclass(frozen=True, slots=True)
class Footprint:
    """The bins of an array in which a signal reaches a tenth of its brightest one."""

    spectrum_start: int
    spectrum_stop: int
    channel_start: int
    channel_stop: int

    def __or__(self, other: Footprint) -> Footprint:
        """Smallest footprint that holds both."""
        return Footprint(
            min(self.spectrum_start, other.spectrum_start),
            max(self.spectrum_stop, other.spectrum_stop),
            min(self.channel_start, other.channel_start),
            max(self.channel_stop, other.channel_stop),
        )

    def shifted(self, channels: int) -> Footprint:
        """Footprint as seen from ``channels`` further down."""
        start, stop = self.channel_start + channels, self.channel_stop + channels
        return Footprint(self.spectrum_start, self.spectrum_stop, start, stop)


def add_signal(
    power: NDArray[np.float32],
    signal: Signal,
    *,
    axes: Axes,
    channel: float,
    rng: np.random.Generator,
    t_s: float = 0.0,
    circular: bool = False,
) -> Footprint | None:
    """Add a signal in place, touching only the channels it reaches.

    Parameters
    ----------
    power : (spectra, channels) float32
        Noise of mean 1 (see :func:`~pipeline.simulate.noise`), ascending frequency.
    channel : float
        Where the lowest line is at ``t_s``: bin k covers k to k + 1. What falls outside is cut off.
    t_s : float
        The signal's zero of time, in seconds after the array's first spectrum.
    rng : Generator
        A coherent signal beats against the noise: an excess e adds 2e/N to a bin's variance.
    circular : bool
        What falls outside comes in again at the other end.

    Returns
    -------
    Footprint or None
        What the signal covers of the array; None where it misses it.
    """
    spectra, channels = power.shape
    low, high = np.array(signal.extent_hz(-t_s, spectra * axes.tsamp_s - t_s)) / axes.channel_width_hz + channel
    if not circular and (high < 0 or low > channels):
        return None
    first, image = _draw(signal, axes, spectra, channel, t_s, rng)
    peak = float(image.max())
    if peak <= 0:
        return None
    image *= np.float32(signal.snr * axes.sigma / peak)
    if circular:
        image = _wrapped(first, image, channels)
        first = 0
    start, stop = max(first, 0), min(first + image.shape[1], channels)
    if start >= stop:
        return None
    excess = image[:, start - first : stop - first]
    beat = np.sqrt(excess * np.float32(2 / axes.noise_spectra)) * rng.standard_normal(excess.shape)
    target = power[:, start:stop]
    target[:] = np.maximum(target + excess + beat, 0.01 * target)  # power stays positive
    seen = excess >= _VISIBLE * signal.snr * axes.sigma
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if rows.size == 0:
        return None
    return Footprint(int(rows[0]), int(rows[-1]) + 1, start + int(columns[0]), start + int(columns[-1]) + 1)


def _draw(
    signal: Signal, axes: Axes, spectra: int, channel: float, t_s: float, rng: np.random.Generator
) -> tuple[int, NDArray[np.float32]]:
    """Draw every line whole: (first channel, brightness (spectra, channels from it on))."""
    ends_s = np.array([-t_s, spectra * axes.tsamp_s - t_s])
    slope = np.abs(signal.drift_hz_per_s + signal.curvature_hz_per_s2 * ends_s).max() + signal.path.fastest_hz_per_s
    slope += abs(signal.fan_hz_per_s) * (len(signal.amplitudes) - 1)
    # moments closer than half a channel, lest a fast line fall apart into dots
    unchanging = signal.envelope.kind == "steady" and signal.path.kind == "straight"
    moments = max(1 if unchanging else 8, math.ceil(2 * slope * axes.tsamp_s / axes.channel_width_hz))
    times_s = (np.arange(spectra * moments) + 0.5) * (axes.tsamp_s / moments) - t_s
    widths = signal.widths_hz(times_s) / axes.channel_width_hz
    track = channel + signal.track_hz(times_s, rng) / axes.channel_width_hz
    lines = range(len(signal.amplitudes))
    fans = [k * signal.fan_hz_per_s / axes.channel_width_hz * times_s for k in lines]
    centres = np.stack([track + offset / axes.channel_width_hz + fan
                        for offset, fan in zip(signal.offsets_hz(), fans, strict=True)])
    brightness = _brightness(signal, times_s, rng)
    reach = signal.reach_per_width * widths
    first = math.floor((centres - reach).min())
    image = np.zeros((spectra, math.ceil((centres + reach).max()) - first), np.float32)
    scale = 1 / FWHM_PER_SIGMA if signal.profile == "gaussian" else 0.5
    _draw_lines(image, centres - first, brightness, widths * scale, reach, moments, _PROFILES[signal.profile])
    return first, image


def _brightness(signal: Signal, times_s: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Brightness (lines, times) of each line."""
    amplitudes = np.array(signal.amplitudes)[:, None]
    if signal.stagger_s == 0:
        return amplitudes * signal.envelope.at(times_s, rng)
    return amplitudes * np.stack([signal.envelope.at(times_s - k * signal.stagger_s, rng)
                                  for k in range(len(amplitudes))])


def _wrapped(first: int, image: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Fold an image that begins at channel ``first`` into ``channels`` channels."""
    before = first % channels
    padded = np.pad(image, ((0, 0), (before, -(before + image.shape[1]) % channels)))
    return np.ascontiguousarray(padded.reshape(len(image), -1, channels).sum(axis=1))


@njit(cache=True, nogil=True)
def _draw_lines(image, centres, brightness, scales, reaches, moments, profile):  # type: ignore[no-untyped-def]
    """Add to each row what its moments leave in its channels: differences of the profile's integral at their edges."""
    for line in range(centres.shape[0]):
        for moment in range(centres.shape[1]):
            bright = brightness[line, moment] / moments
            if bright == 0:
                continue
            row, centre, scale = moment // moments, centres[line, moment], scales[moment]
            low = max(math.floor(centre - reaches[moment]), 0)
            high = min(math.ceil(centre + reaches[moment]), image.shape[1])
            below = _integral((low - centre) / scale, profile)
            for channel in range(low, high):
                above = _integral((channel + 1 - centre) / scale, profile)
                # peak brightness of a line does not depend on its width: its integral grows with it
                image[row, channel] += bright * scale * (above - below)
                below = above


@njit(cache=True, nogil=True)
def _integral(x, profile):  # type: ignore[no-untyped-def]
    """Integral up to ``x`` of a profile of height 1: box from -1 to 1, gaussian of sigma 1, lorentzian 1/(1 + x²)."""
    if profile == 0:
        return min(max(x, -1.0), 1.0)
    if profile == 1:
        return math.sqrt(math.pi / 2) * math.erf(x / math.sqrt(2.0))
    return math.atan(x)
