"""Which windows hold a signal: many box sums, one false-alarm rate.

A window is summed over boxes of 1, 4, 16, 64 … channels × 1, 2, 4, 8, 16 … spectra, at every drift from −1 to +1 box
width a spectrum (tree of Taylor 1974: each level adds pairs of the level below). So narrow, drifting, pulsed, wide and
broadband signals each meet a box of about their own shape: the widest drift is 64 channels (179 Hz at 2.79 Hz) a
spectrum. One more statistic, the *excess*, adds up how improbable single pixels are and sees impulses scattered
anywhere.

In noise, the sum of m pixels is Gamma(m·N) exactly, so every threshold follows from its false-alarm probability. What
is not exact is how many *independent* trials a family of overlapping boxes amounts to: that share was counted in
simulated noise, where it turned out to depend on the shape of the window alone and not on N (:data:`INDEPENDENT`,
:data:`JOINT`; ``benchmarks/calibrate_gate.py`` counts again).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, gammainccinv, gammaln

from pipeline.boxes import measure_windows
from pipeline.first_look import Limits, mark_possible, rounded
from pipeline.flat import Flat
from pipeline.model import WindowGrid

WIDTHS = (1, 4, 16, 64, 256)
"""Channels a box; those up to the window's width are used."""
EXCESS_PROBABILITY = 1e-3
"""Pixels less probable than this add to the excess."""
MOST_MASKED = 0.5
"""A window with a larger share of masked pixels is not searched."""

INDEPENDENT = {
    # columns: share by duration 1, 2, 4, 8, 16 … spectra (the last stands for longer ones)
    4: (1.0, 0.825, 0.55, 0.285, 0.13),
    16: (1.0, 0.96, 0.84, 0.725, 0.54),
    64: (1.0, 0.96, 0.85, 0.93, 0.87),
    256: (1.0, 0.96, 0.95, 1.0, 0.95),
}
"""Independent trials as a share of all boxes of one width and duration, by how many boxes lie side by side in the
window: where these are few, most drifts leave the window and repeat one another's sums."""
JOINT = 1.08
"""What the families' false alarms may add up to, relative to those of all together: some windows raise several."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a window must reach, for one N and one window shape."""

    sigmas: NDArray[np.float32]
    """(widths, durations): box sums, in standard deviations of the box's noise."""
    excess: float
    pixel: float
    """Power (baseline 1) from which a pixel adds to the excess."""
    table_power: NDArray[np.float32]
    """(256,) power, ascending from ``pixel`` …"""
    table_excess: NDArray[np.float32]
    """(256,) … against −ln p − −ln :data:`EXCESS_PROBABILITY`; continued linearly above."""

    def share_of_excess(self, power: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what a pixel adds to the excess, as a share of what passes."""
        x, y = self.table_power.astype(np.float64), self.table_excess.astype(np.float64)
        beyond = y[-1] + (power - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2])
        share: NDArray[np.float64] = np.where(power < x[-1], np.interp(power, x, y), beyond) / self.excess
        return share


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the gate measured, one entry a window."""

    keep: NDArray[np.bool_]
    snr: NDArray[np.float32]
    """Largest box sum, in standard deviations of that box's noise."""
    best_width: NDArray[np.uint16]
    """Channels of that box."""
    best_duration: NDArray[np.uint16]
    """Spectra of that box."""
    excess: NDArray[np.float32]
    masked: NDArray[np.uint32]
    """Masked pixels."""
    searchable: NDArray[np.bool_]
    """False where most pixels are masked: neither kept nor counted as exposure."""


def measure(flat: Flat, starts: NDArray[np.int64], grid: WindowGrid, false_alarm: float) -> Statistics:
    """Measure windows of one time block of a flattened coarse channel.

    Parameters
    ----------
    flat : Flat
        Of as many spectra as the grid has.
    starts : (n,) int64
        First channel of each window.
    grid : WindowGrid
    false_alarm : float
        Share of pure-noise windows to let pass, all statistics together.

    Returns
    -------
    Statistics
        With n entries each.
    """
    limits = thresholds(round(flat.noise_spectra, 3), grid.channels, grid.integrations, false_alarm)
    n = len(starts)
    flat, starts = flat.ascending(starts, grid.channels)
    best = np.zeros((n, len(limits.sigmas), limits.sigmas.shape[1]), np.float32)
    excess, masked = np.zeros(n, np.float32), np.zeros(n, np.uint32)
    measure_windows(flat.stored, flat.row_scale, flat.channel_scale, starts, grid.channels,
                    np.float32(flat.noise_spectra**0.5), np.float32(limits.pixel), limits.table_power,
                    limits.table_excess, best, excess, masked)
    searchable = masked <= MOST_MASKED * grid.channels * grid.integrations
    sigmas = best.reshape(n, limits.sigmas.size)
    where = sigmas.argmax(axis=1)
    width, level = np.divmod(where, limits.sigmas.shape[1])
    passes = (sigmas >= limits.sigmas.ravel()).any(axis=1) | (excess >= limits.excess)
    return Statistics(
        keep=passes & searchable,
        snr=sigmas[np.arange(n), where],
        best_width=np.asarray(WIDTHS, np.uint16)[width],
        best_duration=np.minimum(2**level, grid.integrations).astype(np.uint16),
        excess=excess,
        masked=masked,
        searchable=searchable,
    )


def may_pass(
    flat: Flat, starts: NDArray[np.int64], grid: WindowGrid, false_alarm: float
) -> NDArray[np.bool_]:
    """Tell, in half the time, which windows :func:`measure` is worth: all others it would not keep.

    Parameters and order as :func:`measure` has them. Windows with masked pixels always may pass.
    """
    limits = _rounded_thresholds(round(flat.noise_spectra, 3), grid.channels, grid.integrations, false_alarm)
    passes = np.ones(len(starts), np.bool_)
    if flat.is_mirrored and grid.channels % WIDTHS[len(limits.places) - 2]:  # boxes would be cut from the wrong end
        return passes
    mark_possible(flat.stored, flat.is_mirrored, flat.row_scale, flat.channel_scale, flat.is_whole, starts,
                  grid.channels, limits.units, limits.most, limits.places, limits.shifts, limits.sums,
                  limits.pixel, limits.share_of_excess, passes)
    return passes


@lru_cache(maxsize=256)
def _rounded_thresholds(noise_spectra: float, channels: int, integrations: int, false_alarm: float) -> Limits:
    exact = thresholds(noise_spectra, channels, integrations, false_alarm)
    return rounded(exact.sigmas, noise_spectra, integrations, channels, exact.pixel, exact.share_of_excess)


@lru_cache(maxsize=256)
def thresholds(noise_spectra: float, channels: int, integrations: int, false_alarm: float) -> Thresholds:
    """Return thresholds under which pure noise of N = ``noise_spectra`` passes with probability ``false_alarm``."""
    widths = [w for w in WIDTHS if w <= channels]
    levels = (integrations - 1).bit_length() + 1
    # each box family and the excess get an equal share of the false alarms; shares overlap, hence JOINT
    share = JOINT * false_alarm / (len(widths) * levels + 1)
    sigmas = np.empty((len(widths), levels), np.float32)
    for i, width in enumerate(widths):
        for level in range(levels):
            pixels = width * min(2**level, integrations)
            sigmas[i, level] = _gamma_sigmas(
                pixels * noise_spectra, share / independent_trials(width, level, channels, integrations)
            )
    pixel, table_power, table_excess = _pixel_table(noise_spectra)
    excess = _excess_threshold(channels * integrations * EXCESS_PROBABILITY, share)
    return Thresholds(sigmas, excess, pixel, table_power, table_excess)


def independent_trials(width: int, level: int, channels: int, integrations: int) -> float:
    """Estimate the independent sums among the boxes of ``width`` channels × 2^level spectra."""
    boxes, columns = trials(width, level, channels, integrations), channels // width
    if columns == 1:  # every drift sums the same pixels
        return boxes / ((2 << level) - 1)
    known = sorted(INDEPENDENT)
    shares = [INDEPENDENT[k][min(level, len(INDEPENDENT[k]) - 1)] for k in known]
    return max(1.0, boxes * float(np.interp(np.log(columns), np.log(known), shares)))


def trials(width: int, level: int, channels: int, integrations: int) -> int:
    """Count the boxes of ``width`` channels × 2^level spectra, all positions and drifts."""
    groups = -(-integrations >> level)
    return (channels // width) * groups * ((2 << level) - 1)


def _gamma_sigmas(shape: float, probability: float) -> float:
    """Return how many standard deviations above its mean a Gamma(``shape``) has the upper tail ``probability``."""
    return float((gammainccinv(shape, probability) - shape) / np.sqrt(shape))


def _excess_threshold(expected: float, probability: float) -> float:
    """Return the excess that noise reaches with ``probability``.

    Pixels rarer than :data:`EXCESS_PROBABILITY` number Poisson(``expected``), and −ln p of each lies Exponential(1)
    beyond: the sum is Gamma of that number.
    """
    counts = np.arange(1, int(expected + 40 * np.sqrt(expected + 1)) + 20)
    weights = np.exp(counts * np.log(expected) - expected - gammaln(counts + 1))
    low, high = 0.0, 1e4
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.sum(weights * gammaincc(counts, middle)) > probability else (low, middle)
    return high


@lru_cache(maxsize=64)
def _pixel_table(noise_spectra: float) -> tuple[float, NDArray[np.float32], NDArray[np.float32]]:
    """Tabulate excess against power, from the least excessive pixel to p = 1e−150."""
    # dense where noise lies: the curve is convex there and straight lines would overstate it
    log_p = np.log(EXCESS_PROBABILITY) + np.log(1e-147) * np.linspace(0, 1, 256) ** 2
    power = gammainccinv(noise_spectra, np.exp(log_p)) / noise_spectra
    return float(power[0]), power.astype(np.float32), (np.log(EXCESS_PROBABILITY) - log_p).astype(np.float32)
