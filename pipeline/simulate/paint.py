"""Drawing of patterns: lines, clouds and gains are drawn at random and added to a window of noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate.draw import PROFILES, Footprint, draw_lines, seen_bins
from pipeline.simulate.patterns import Cloud, Gains, Lines, Pattern
from pipeline.simulate.signals import FWHM_PER_SIGMA, Axes, Envelope, Path, Signal

_MOMENTS_PER_ROW = 4
_MOST_MOMENTS = 24
_LOWEST_GAIN = 0.2


def add_pattern(
    power: NDArray[np.float32], pattern: Pattern, *, axes: Axes, rng: np.random.Generator
) -> Footprint | None:
    """Add a pattern to a window in place. It covers the window from end to end.

    Parameters
    ----------
    power : (spectra, channels) float32
        Noise of mean 1 (see :func:`~pipeline.simulate.noise`), ascending frequency.
    pattern : Pattern
        The pattern to add. The brightest bin of each part has the SNR that the pattern asks for, before noise and
        gains.
    axes : Axes
        Resolution of the window.
    rng : Generator
        Draws all that the pattern leaves to chance, and noise. Coherent lines beat against the noise of the sky; lines
        and clouds that are noise also fluctuate by themselves: an excess e adds (2e + e²)/N to a bin's variance, where
        N is ``axes.noise_spectra``.

    Returns
    -------
    Footprint or None
        Part of the window that lines and clouds cover; None if there are none.
    """
    place = rng.random()  # combs of the same spacing stand at the same place
    total = np.zeros_like(power)
    for part in pattern.parts:
        if isinstance(part, Gains):
            continue
        image = _lines(part, axes, power.shape, place, rng) if isinstance(part, Lines) else _cloud(
            part, axes, power.shape, rng)
        if part.grain:
            image *= np.exp(np.float32(part.grain) * rng.standard_normal(power.shape, np.float32))
        peak = float(image.max())
        if peak <= 0:
            continue
        image *= np.float32(pattern.snr * part.strength * axes.sigma / peak)
        variance = image * np.float32(2 / axes.noise_spectra)
        if isinstance(part, Cloud) or part.is_noise:
            variance += image * image * np.float32(1 / axes.noise_spectra)
        power += image + np.sqrt(variance) * rng.standard_normal(power.shape, np.float32)
        total += image
    np.maximum(power, np.float32(0.01), out=power)  # power stays positive
    for part in pattern.parts:
        if isinstance(part, Gains):
            power *= _gains(part, axes, len(power), rng)[:, None]
    return seen_bins(total, float(total.max()))


def add_pattern_at(
    power: NDArray[np.float32], pattern: Pattern, *, axes: Axes, channel: float, t_s: float, rng: np.random.Generator
) -> Footprint | None:
    """Add a pattern in place to the part of an array that it covers.

    Parameters
    ----------
    power, pattern, axes, rng
        As for :func:`add_pattern`.
    channel : float
        Lower edge of the pattern. It is rounded to a whole channel.
    t_s : float
        Start of the pattern, in seconds after the start of the array's first spectrum; rounded to a whole spectrum.

    Returns
    -------
    Footprint or None
        Part of the array that lines and clouds cover; None if the pattern does not begin in the array.
    """
    first, row = round(channel), round(t_s / axes.tsamp_s)
    if not (0 <= first < power.shape[1] and 0 <= row < len(power)):
        return None
    rows = slice(row, row + max(round(pattern.duration_s / axes.tsamp_s), 1))
    channels = slice(first, first + max(round(pattern.band_hz / axes.channel_width_hz), 1))
    part = power[rows, channels].copy()
    seen = add_pattern(part, pattern, axes=axes, rng=rng)
    power[rows, channels] = part
    return None if seen is None else replace(
        seen.shifted(first), spectrum_start=seen.spectrum_start + row, spectrum_stop=seen.spectrum_stop + row)


def _lines(
    lines: Lines, axes: Axes, shape: tuple[int, int], place: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw lines as brightness (spectra, channels)."""
    moments = _moments_per_row(lines, axes, shape[0])
    times_s = _middles(shape[0] * moments, axes.tsamp_s / moments)
    motion = Signal("motion", drift_hz_per_s=lines.drift_hz_per_s, curvature_hz_per_s2=lines.curvature_hz_per_s2,
                    path=_at_any_time(rng, lines.path))
    track_hz = motion.track_hz(times_s, rng)
    places_hz, strengths = _places_hz(lines, track_hz, shape[1] * axes.channel_width_hz, place, rng)
    count = len(places_hz)
    faster = 1 + lines.drift_spread * rng.standard_normal((count, 1)) if lines.drift_spread else np.ones((count, 1))
    centres = (places_hz[:, None] + track_hz * faster) / axes.channel_width_hz
    widths = lines.width_hz * np.exp(lines.width_spread * rng.standard_normal(count)) / axes.channel_width_hz
    reaches = widths * Signal("reach", profile=lines.profile).reach_per_width
    envelopes = [_brightness(lines.envelope, times_s, rng) for _ in range(count if lines.one_by_one else 1)]
    brightness = strengths[:, None] * np.stack(envelopes)
    scale = 1 / FWHM_PER_SIGMA if lines.profile == "gaussian" else 0.5
    image = np.zeros(shape, np.float32)
    draw_lines(image, centres, brightness, np.tile((widths * scale)[:, None], len(times_s)),
               np.tile(reaches[:, None], len(times_s)), moments, PROFILES[lines.profile])
    return image


def _at_any_time(rng: np.random.Generator, path: Path) -> Path:
    """Give a path that repeats a random phase."""
    if not path.is_periodic:
        return path
    return replace(path, phase_s=rng.uniform(0, path.period_s * max(len(path.hops), 1)))


def _moments_per_row(lines: Lines, axes: Axes, spectra: int) -> int:
    """Return how often a line is drawn per row, so that a fast line has no gaps."""
    curving = abs(lines.curvature_hz_per_s2) * spectra * axes.tsamp_s
    slope = abs(lines.drift_hz_per_s) + curving + lines.path.fastest_hz_per_s
    step_hz = max(axes.channel_width_hz, 0.5 * lines.width_hz)
    fewest = 1 if lines.envelope.kind == "steady" and lines.path.kind == "straight" else _MOMENTS_PER_ROW
    return min(max(fewest, math.ceil(1.5 * slope * axes.tsamp_s / step_hz)), _MOST_MOMENTS)


def _places_hz(
    lines: Lines, track_hz: NDArray[np.float64], band_hz: float, place: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw the frequencies of all lines at time 0, and their strengths. At least one group is in the window."""
    spacing_hz = lines.spacing_hz
    if lines.groups:
        # the middle of the groups crosses the window at some time
        middle_hz = rng.uniform(0.02, 0.98) * band_hz - track_hz[rng.integers(len(track_hz))]
        groups_hz = middle_hz + spacing_hz * (np.arange(lines.groups) - (lines.groups - 1) / 2)
    else:
        first = math.floor(-track_hz.max() / spacing_hz) - 1
        last = math.ceil((band_hz - track_hz.min()) / spacing_hz) + 1
        groups_hz = (np.arange(first, last + 1) + place) * spacing_hz + lines.shift_hz
    groups_hz = groups_hz + spacing_hz * lines.irregularity * rng.uniform(-1, 1, len(groups_hz))
    strengths = np.exp(lines.strength_spread * rng.standard_normal(len(groups_hz)))
    if lines.missing:
        kept = rng.random(len(groups_hz)) >= lines.missing
        kept[rng.integers(len(kept))] |= not kept.any()
        groups_hz, strengths = groups_hz[kept], strengths[kept]
    within = np.arange(lines.lines_per_group) - (lines.lines_per_group - 1) / 2
    within = within + lines.line_jitter * rng.uniform(-1, 1, (len(groups_hz), len(within)))
    relative = np.exp(lines.line_strength_spread * rng.standard_normal(lines.lines_per_group))
    return (groups_hz[:, None] + lines.line_spacing_hz * within).ravel(), np.outer(strengths, relative).ravel()


def _cloud(cloud: Cloud, axes: Axes, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a cloud as brightness (spectra, channels)."""
    spectra, channels = shape
    band_hz = channels * axes.channel_width_hz
    times_s = _middles(spectra, axes.tsamp_s)
    moved_hz = _middles(channels, axes.channel_width_hz) - cloud.drift_hz_per_s * times_s[:, None]
    moments_s = _middles(spectra * _MOMENTS_PER_ROW, axes.tsamp_s / _MOMENTS_PER_ROW)
    rows = _brightness(cloud.envelope, moments_s, rng).reshape(spectra, -1).mean(axis=1)
    image = np.repeat(rows[:, None], channels, axis=1)
    if cloud.contrast:
        image *= np.exp(cloud.contrast * _smooth_field(moved_hz / cloud.scale_hz, times_s / cloud.scale_s, rng))
    if cloud.band_hz < math.inf:
        middle_hz = rng.uniform(0, band_hz) - cloud.drift_hz_per_s * times_s[rng.integers(spectra)]
        inside_hz = 0.5 * cloud.band_hz - np.abs(moved_hz - middle_hz)
        image *= _smooth_step(np.clip(0.5 + inside_hz / max(cloud.edge_hz, axes.channel_width_hz), 0, 1))
    return image.astype(np.float32)


def _smooth_field(
    x: NDArray[np.float64], t: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw a field that is normal at integer coordinates, and smooth between.

    Parameters
    ----------
    x : (rows, columns) array
        Coordinates along a row.
    t : (rows,) array
        Coordinate of each row.
    rng : Generator
    """
    left, before = np.floor(x).astype(np.int64), np.floor(t).astype(np.int64)
    columns, lines = left - left.min(), before - before.min()
    knots = rng.standard_normal((lines.max() + 2, columns.max() + 2))
    later = _smooth_step(t - before)[:, None]
    by_row = knots[lines] * (1 - later) + knots[lines + 1] * later
    right = _smooth_step(x - left)
    low = np.take_along_axis(by_row, columns, axis=1)
    return np.asarray(low + right * (np.take_along_axis(by_row, columns + 1, axis=1) - low), np.float64)


def _smooth_step(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rise from 0 to 1 between 0 and 1, without a bend at either end."""
    return np.asarray(x * x * (3 - 2 * x), np.float64)


def _middles(count: int, step: float) -> NDArray[np.float64]:
    """Return the middles of ``count`` steps from 0 on."""
    return np.asarray((np.arange(count) + 0.5) * step, np.float64)


def _brightness(
    envelope: Envelope, times_s: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the brightness at ``times_s``: with a random phase, and a pulse at a random time."""
    duration_s = float(times_s[-1] + times_s[0])
    if envelope.kind in ("burst", "decay"):
        on_s = min(envelope.on_s, duration_s)
        start_s = rng.uniform(0, max(duration_s - on_s, 0))
        return envelope.at(times_s - start_s, rng)
    if envelope.is_periodic or envelope.kind == "random":
        whole_s = envelope.period_s * max(len(envelope.dashes), 1)
        return envelope.at(times_s + rng.uniform(0, whole_s), rng)
    return envelope.at(times_s, rng)


def _gains(gains: Gains, axes: Axes, spectra: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the gain (spectra,) of each row: it steps now and then."""
    steps = rng.random(spectra) < -math.expm1(-axes.tsamp_s / gains.hold_s)
    levels = np.exp(gains.spread * rng.standard_normal(spectra))
    which = np.maximum.accumulate(np.where(steps, np.arange(spectra), 0))
    return np.maximum(levels[which], _LOWEST_GAIN).astype(np.float32)
