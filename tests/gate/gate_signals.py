"""Noise and signals for testing a gate, shared by tests and benchmarks. A mask says which bins a signal fills."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.flatten.flattened import FlattenedChannel
from pipeline.gate import Statistics, measure
from pipeline.model import WindowGrid

SPECTRA, CHANNELS = 16, 256

FALSE_ALARM = 1e-3

Power = NDArray[np.float32]
Mask = NDArray[np.bool_]
Family = Callable[[np.random.Generator], Mask]


def noise(n: float, spectra: int, channels: int, seed: int = 0) -> Power:
    rng = np.random.default_rng(seed)
    return rng.standard_gamma(n, (spectra, channels), dtype=np.float32) / np.float32(n)


def measured(power: Power, grid: WindowGrid, n: float = 102, false_alarm: float = FALSE_ALARM) -> Statistics:
    starts = np.arange(0, power.shape[1] - grid.channels + 1, grid.step, dtype=np.int64)
    return measure(FlattenedChannel.from_flat(power, n), starts, grid, false_alarm)


def track(channels: NDArray[np.float64], width: int = 1) -> Mask:
    """Fill ``width`` channels, starting at ``channels[t]``, in each spectrum t. Parts outside the window are cut off.
    """
    mask = np.zeros((SPECTRA, CHANNELS), bool)
    for t, channel in enumerate(np.floor(channels)):
        first, last = np.clip([channel, channel + width], 0, CHANNELS).astype(int)
        mask[t, first:last] = True
    return mask


def line(drift: float, width: int = 1) -> Family:
    """Return lines that drift ``drift`` channels per spectrum and stay inside the window."""
    def draw(rng: np.random.Generator) -> Mask:
        span = drift * (SPECTRA - 1)
        start = rng.uniform(max(0, -span), CHANNELS - width - max(0, span))
        return track(start + drift * np.arange(SPECTRA), width)
    return draw


def cut_off(drift: float, inside: int = 8) -> Family:
    """Return drifting lines that leave the window after ``inside`` spectra."""
    def draw(rng: np.random.Generator) -> Mask:
        edge = CHANNELS if drift > 0 else 0
        start = edge - drift * (inside - rng.uniform(0.01, 0.99))
        return track(start + drift * np.arange(SPECTRA))
    return draw


def pulsed(every: int, drift: float = 0) -> Family:
    """Return lines that are on in every ``every``-th spectrum."""
    def draw(rng: np.random.Generator) -> Mask:
        mask = line(drift)(rng)
        mask[np.arange(SPECTRA) % every != rng.integers(every)] = False
        return mask
    return draw


def block(spectra: int, channels: int) -> Family:
    """Return rectangles at random positions."""
    def draw(rng: np.random.Generator) -> Mask:
        mask = np.zeros((SPECTRA, CHANNELS), bool)
        t, c = rng.integers(SPECTRA - spectra + 1), rng.integers(CHANNELS - channels + 1)
        mask[t : t + spectra, c : c + channels] = True
        return mask
    return draw


def scattered(rng: np.random.Generator) -> Mask:
    """Fill eight bins at random positions."""
    mask = np.zeros(SPECTRA * CHANNELS, bool)
    mask[rng.choice(mask.size, 8, replace=False)] = True
    return mask.reshape(SPECTRA, CHANNELS)


def comb(spectra: int, teeth: int) -> Family:
    """Return equally spaced lines that begin and end together."""
    def draw(rng: np.random.Generator) -> Mask:
        mask = np.zeros((SPECTRA, CHANNELS), bool)
        spacing = int(rng.integers(5, CHANNELS // teeth))
        t, c = rng.integers(SPECTRA - spectra + 1), rng.integers(CHANNELS - spacing * (teeth - 1))
        mask[t : t + spectra, c : c + spacing * teeth : spacing] = True
        return mask
    return draw


def wave(rng: np.random.Generator) -> Mask:
    """Fill a line whose channel oscillates."""
    swing = 40 * np.sin(2 * np.pi * (np.arange(SPECTRA) / rng.uniform(6, 16) + rng.uniform()))
    return track(rng.uniform(40, CHANNELS - 41) + swing)


def hopping(rng: np.random.Generator) -> Mask:
    """Fill a line at a new random channel in each spectrum."""
    return track(rng.uniform(0, CHANNELS - 1, SPECTRA))


FAMILIES: dict[str, Family] = {
    "vertical line": line(0),
    "drift 0.3": line(0.3), "drift −1": line(-1), "drift 3": line(3), "drift −6.5": line(-6.5), "drift 15": line(15),
    "drift 1, 4 wide": line(1, 4),
    "line at the edge": lambda rng: track(np.full(SPECTRA, float(rng.choice([0, CHANNELS - 1])))),
    "cut off, drift 2": cut_off(2), "cut off, drift −6.5": cut_off(-6.5), "cut off, drift 0.5": cut_off(0.5),
    "half as long": block(8, 1),
    "pulsed, every 2nd": pulsed(2), "pulsed, every 2nd, drift −1.7": pulsed(2, -1.7),
    "wave": wave, "hopping": hopping,
    "hump 16 wide": line(0, 16), "hump 64 wide": line(0.5, 64), "hump 200 wide": line(0, 200),
    "stripe": block(1, CHANNELS), "short stripe": block(1, 8),
    "block 3 × 3": block(3, 3), "block 4 × 16": block(4, 16),
    "comb, 1 spectrum": comb(1, 8), "comb, 5 spectra": comb(5, 12),
    "scattered": scattered,
}
"""Signals by name. Each fills at least eight bins."""


def windows_with(family: Family, count: int, snr: tuple[float, float], n: float, seed: int) -> NDArray[np.float32]:
    """Return (spectra, count × channels) power over baseline: noise of N = ``n``, with one signal in each window.

    The bins of a signal are ``snr`` standard deviations of the noise above it. One value is drawn log-uniformly for
    each window.
    """
    rng = np.random.default_rng(seed)
    power = rng.standard_gamma(n, (SPECTRA, count * CHANNELS), dtype=np.float32) / np.float32(n)
    for k in range(count):
        strength = np.exp(rng.uniform(*np.log(snr))) * n**-0.5
        power[:, k * CHANNELS : (k + 1) * CHANNELS] += np.float32(strength) * family(rng)
    return power
