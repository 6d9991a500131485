"""Adding signals to the power of a filterbank. Power is in units of the noise: a bin of pure noise has mean 1."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate.signals import FWHM_PER_SIGMA, Axes, Signal
from pipeline.support.compiled import njit

_FOOTPRINT_LEVEL = 0.1  # a signal's footprint is where it reaches this share of its brightest bin
PROFILES = {"box": 0, "gaussian": 1, "lorentzian": 2}


@dataclass(frozen=True, slots=True)
class Footprint:
    """Range of bins in an array in which a signal reaches a tenth of its brightest bin."""

    spectrum_start: int
    spectrum_stop: int
    channel_start: int
    channel_stop: int

    def __or__(self, other: Footprint) -> Footprint:
        """Return the smallest footprint that contains both."""
        return Footprint(
            min(self.spectrum_start, other.spectrum_start),
            max(self.spectrum_stop, other.spectrum_stop),
            min(self.channel_start, other.channel_start),
            max(self.channel_stop, other.channel_stop),
        )

    def shifted(self, channels: int) -> Footprint:
        """Return the footprint moved up by ``channels``."""
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
    """Add a signal to an array in place. Only the channels that it reaches are changed.

    Parameters
    ----------
    power : (spectra, channels) float32
        Noise of mean 1 (see :func:`~pipeline.simulate.noise`), ascending frequency.
    signal : Signal
        The signal to add.
    axes : Axes
        Resolution of the array.
    channel : float
        Position of the lowest line at ``t_s``; bin k covers k to k + 1.
    rng : Generator
        Draws scintillation, random hops and noise. The noise is that of a coherent signal, which beats against the
        noise of the sky: an excess e adds 2e/N to a bin's variance, where N is ``axes.noise_spectra``.
    t_s : float
        Time 0 of the signal, in seconds after the start of the array's first spectrum.
    circular : bool
        True: parts of the signal beyond one end of the band are added at the other end. False: they are cut off.

    Returns
    -------
    Footprint or None
        Part of the array that the signal covers; None if it lies outside.
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
        image = _fold(first, image, channels)
        first = 0
    return _add_image(power, first, image, signal, axes, rng)


def _add_image(
    power: NDArray[np.float32],
    first: int,
    image: NDArray[np.float32],
    signal: Signal,
    axes: Axes,
    rng: np.random.Generator,
) -> Footprint | None:
    """Add the image of a signal, and its beat against the noise, to power from channel ``first`` on."""
    start, stop = max(first, 0), min(first + image.shape[1], power.shape[1])
    if start >= stop:
        return None
    excess = image[:, start - first : stop - first]
    beat = np.sqrt(excess * np.float32(2 / axes.noise_spectra)) * rng.standard_normal(excess.shape)
    target = power[:, start:stop]
    target[:] = np.maximum(target + excess + beat, 0.01 * target)  # power stays positive
    footprint = seen_bins(excess, signal.snr * axes.sigma)
    return footprint.shifted(start) if footprint is not None else None


def seen_bins(excess: NDArray[np.float32], peak: float) -> Footprint | None:
    """Return the footprint of an excess whose brightest bin is ``peak``; None if no bin reaches a tenth of it."""
    seen = excess >= _FOOTPRINT_LEVEL * peak
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if rows.size == 0 or peak <= 0:
        return None
    return Footprint(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def moments_of(signal: Signal, axes: Axes, spectra: int, t_s: float) -> int:
    """Return the number of moments in each spectrum at which a signal is drawn.

    A line moves less than half a channel from one moment to the next, so that a fast line has no gaps.

    Parameters
    ----------
    t_s : float
        Time 0 of the signal, in seconds after the start of the first spectrum.
    """
    ends_s = np.array([-t_s, spectra * axes.tsamp_s - t_s])
    slope = float(np.abs(signal.drift_hz_per_s + signal.curvature_hz_per_s2 * ends_s).max())
    slope += signal.path.fastest_hz_per_s + abs(signal.fan_hz_per_s) * (len(signal.amplitudes) - 1)
    unchanging = signal.envelope.kind == "steady" and signal.path.kind == "straight"
    return max(1 if unchanging else 8, math.ceil(2 * slope * axes.tsamp_s / axes.channel_width_hz))


def _draw(
    signal: Signal, axes: Axes, spectra: int, channel: float, t_s: float, rng: np.random.Generator
) -> tuple[int, NDArray[np.float32]]:
    """Draw all lines without cutting them off.

    Returns
    -------
    first : int
        Channel of the array at which the image begins; may be negative.
    image : (spectra, channels) float32
        Brightness.
    """
    moments = moments_of(signal, axes, spectra, t_s)
    times_s = np.asarray((np.arange(spectra * moments) + 0.5) * (axes.tsamp_s / moments) - t_s, np.float64)
    widths = signal.widths_hz(times_s) / axes.channel_width_hz
    track = channel + signal.track_hz(times_s, rng) / axes.channel_width_hz
    lines = range(len(signal.amplitudes))
    fans = [k * signal.fan_hz_per_s / axes.channel_width_hz * times_s for k in lines]
    centres = np.stack([track + offset / axes.channel_width_hz + fan
                        for offset, fan in zip(signal.offsets_hz(), fans, strict=True)])
    brightness = _line_brightness(signal, times_s, rng)
    reach = signal.reach_per_width * widths
    first = math.floor((centres - reach).min())
    image = np.zeros((spectra, math.ceil((centres + reach).max()) - first), np.float32)
    scale = 1 / FWHM_PER_SIGMA if signal.profile == "gaussian" else 0.5
    scales, reaches = np.tile(widths * scale, (len(centres), 1)), np.tile(reach, (len(centres), 1))
    draw_lines(image, centres - first, brightness, scales, reaches, moments, PROFILES[signal.profile])
    return first, image


def _line_brightness(signal: Signal, times_s: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the brightness (lines, times) of each line."""
    amplitudes = np.array(signal.amplitudes)[:, None]
    if signal.stagger_s == 0:
        return amplitudes * signal.envelope.at(times_s, rng)
    return amplitudes * np.stack([signal.envelope.at(times_s - k * signal.stagger_s, rng)
                                  for k in range(len(amplitudes))])


def _fold(first: int, image: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Fold an image that begins at channel ``first`` into ``channels`` channels, as a circle."""
    before = first % channels
    padded = np.pad(image, ((0, 0), (before, -(before + image.shape[1]) % channels)))
    return np.ascontiguousarray(padded.reshape(len(image), -1, channels).sum(axis=1))


@njit(cache=True, nogil=True)
def draw_lines(image, centres, brightness, scales, reaches, moments, profile):  # type: ignore[no-untyped-def]
    """Add the power of each line at each moment to the row of that moment.

    A channel receives the integral of the line's profile between the edges of the channel.
    """
    for line in range(centres.shape[0]):
        for moment in range(centres.shape[1]):
            bright = brightness[line, moment] / moments
            if bright == 0:
                continue
            row, centre, scale = moment // moments, centres[line, moment], scales[line, moment]
            low = max(math.floor(centre - reaches[line, moment]), 0)
            high = min(math.ceil(centre + reaches[line, moment]), image.shape[1])
            below = _integrate_profile((low - centre) / scale, profile)
            for channel in range(low, high):
                above = _integrate_profile((channel + 1 - centre) / scale, profile)
                # the factor scale makes the peak brightness of a line independent of its width
                image[row, channel] += bright * scale * (above - below)
                below = above


@njit(cache=True, nogil=True)
def _integrate_profile(x, profile):  # type: ignore[no-untyped-def]
    """Integrate a profile of height 1 up to ``x``: box from -1 to 1, gaussian of sigma 1, lorentzian 1/(1 + x²)."""
    if profile == 0:
        return min(max(x, -1.0), 1.0)
    if profile == 1:
        return math.sqrt(math.pi / 2) * math.erf(x / math.sqrt(2.0))
    return math.atan(x)
