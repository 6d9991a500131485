"""Decides which windows hold a signal: many box sums, one false-alarm rate.

In each window, power is summed over boxes of 1, 4, 16, 64 or 256 channels and 1, 2, 4, 8, 16 … spectra, for every drift
from −1 to +1 box width per spectrum. The sums are made by the tree of Taylor (1974): each level adds pairs of the level
below. So narrow, drifting, pulsed, wide and broadband signals each have a box of about their own shape. In a window of
256 channels, the fastest drift is 64 channels per spectrum (179 Hz at 2.79 Hz).

One more statistic, the *excess*, adds up how improbable single pixels are. It detects impulses that are scattered
anywhere in the window.

In noise, a pixel is the mean of N exponentially distributed values. So the sum of m pixels has exactly a Gamma
distribution with parameter m·N, and every threshold follows from its false-alarm probability. Only the number of
*independent* trials is not exact, because boxes of one width and duration (a *family*) overlap. It
was counted in simulated noise, as a share of all boxes. The share depends on the shape of the window, but not on N
(:data:`INDEPENDENT_SHARES`, :data:`ALARM_OVERLAP`). ``benchmarks/calibrate_gate.py`` counts it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, gammainccinv, gammaln

from pipeline.flatten.flattened import FlattenedChannel
from pipeline.gate import box_sums, prefilter
from pipeline.gate.box_sums import measure_windows
from pipeline.gate.prefilter import RoundedThresholds, mark_possible, round_thresholds
from pipeline.model import WindowGrid
from pipeline.support import compiled

BOX_WIDTHS = (1, 4, 16, 64, 256)
"""Channels in a box. Only widths up to the window's are used."""
MAX_EXCESS_PROBABILITY = 1e-3
"""Maximum probability, in noise, of a pixel that adds to the excess."""
MAX_MASKED_SHARE = 0.5
"""Maximum share of masked pixels in a window that is searched."""

INDEPENDENT_SHARES = {
    # boxes side by side: share for durations of 1, 2, 4, 8, 16 spectra (the last one also holds for longer ones)
    4: (1.0, 0.825, 0.55, 0.285, 0.13),
    16: (1.0, 0.96, 0.84, 0.725, 0.54),
    64: (1.0, 0.96, 0.85, 0.93, 0.87),
    256: (1.0, 0.96, 0.95, 1.0, 0.95),
}
"""Independent trials as a share of all boxes of one width and duration. The key is the number of boxes side by side in
a window. With few boxes side by side, most drifts leave the window. Only the boxes inside the window count, and sums of
several drifts have the same ones."""
ALARM_OVERLAP = 1.08
"""Mean number of families of boxes in which a window raises a false alarm, over the windows that raise any. Some raise
alarms in several families, so it is above 1."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a window must reach to pass, for one N and one window shape."""

    sigmas: NDArray[np.float32]
    """(widths, durations) float32: box sums, in standard deviations of the box's noise."""
    excess: float
    """Sum of the excess of all pixels."""
    pixel: float
    """Power (baseline 1) above which a pixel adds to the excess."""
    table_power: NDArray[np.float32]
    """(256,) power, ascending from ``pixel``."""
    table_excess: NDArray[np.float32]
    """(256,) excess of a pixel at each ``table_power``: −ln p + ln :data:`MAX_EXCESS_PROBABILITY`. Beyond the table, it
    is extrapolated linearly."""

    def share_of_excess(self, power: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how much pixels of given powers add to the excess, relative to the threshold."""
        x, y = self.table_power.astype(np.float64), self.table_excess.astype(np.float64)
        beyond = y[-1] + (power - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2])
        share: NDArray[np.float64] = np.where(power < x[-1], np.interp(power, x, y), beyond) / self.excess
        return share


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the gate measured. Each array has one entry per window."""

    keep: NDArray[np.bool_]
    """True for windows that pass."""
    snr: NDArray[np.float32]
    """Largest box sum, in standard deviations of that box's noise."""
    best_width: NDArray[np.uint16]
    """Channels in that box."""
    best_duration: NDArray[np.uint16]
    """Spectra in that box."""
    excess: NDArray[np.float32]
    """Sum of −ln p + ln :data:`MAX_EXCESS_PROBABILITY` over improbable pixels."""
    masked: NDArray[np.uint32]
    """Number of masked pixels."""
    searchable: NDArray[np.bool_]
    """False if most pixels are masked. Such a window is not kept and does not count as searched."""


def measure(flat: FlattenedChannel, starts: NDArray[np.int64], grid: WindowGrid, false_alarm: float) -> Statistics:
    """Measure windows of a flattened coarse channel, and decide which ones hold a signal.

    Parameters
    ----------
    flat : FlattenedChannel
        It must have as many spectra as the grid.
    starts : (n,) int64
        First channel of each window.
    grid : WindowGrid
        Shape of a window.
    false_alarm : float
        Share of pure-noise windows that pass, all statistics together.

    Returns
    -------
    Statistics
        Arrays of n entries.

    Raises
    ------
    IndexError
        A window is not completely inside the coarse channel.
    """
    limits = thresholds(round(flat.noise_spectra, 3), grid.channels, grid.integrations, false_alarm)
    n = len(starts)
    flat, starts = flat.in_ascending_order(starts, grid.channels)
    best = np.zeros((n, len(limits.sigmas), limits.sigmas.shape[1]), np.float32)
    excess, masked = np.zeros(n, np.float32), np.zeros(n, np.uint32)
    measure_windows(flat.stored, flat.row_scale, flat.channel_scale, starts, grid.channels,
                    np.float32(flat.noise_spectra**0.5), np.float32(limits.pixel), limits.table_power,
                    limits.table_excess, best, excess, masked)
    searchable = masked <= MAX_MASKED_SHARE * grid.channels * grid.integrations
    sigmas = best.reshape(n, limits.sigmas.size)
    where = sigmas.argmax(axis=1)
    width, level = np.divmod(where, limits.sigmas.shape[1])
    passes = (sigmas >= limits.sigmas.ravel()).any(axis=1) | (excess >= limits.excess)
    return Statistics(
        keep=passes & searchable,
        snr=sigmas[np.arange(n), where],
        best_width=np.asarray(BOX_WIDTHS, np.uint16)[width],
        best_duration=np.minimum(2**level, grid.integrations).astype(np.uint16),
        excess=excess,
        masked=masked,
        searchable=searchable,
    )


def may_pass(
    flat: FlattenedChannel, starts: NDArray[np.int64], grid: WindowGrid, false_alarm: float
) -> NDArray[np.bool_]:
    """Tell which windows may pass the gate, in half the time that :func:`measure` takes.

    :func:`measure` would keep none of the others. Any window with masked pixels may pass. The parameters are those
    of :func:`measure`.

    Returns
    -------
    (n,) bool
    """
    limits = _rounded_thresholds(round(flat.noise_spectra, 3), grid.channels, grid.integrations, false_alarm)
    # if the widest boxes do not fill a window, those counted from its upper end differ from those of `measure`
    if flat.is_mirrored and grid.channels % BOX_WIDTHS[len(limits.offsets) - 2]:
        return np.ones(len(starts), np.bool_)
    return mark_possible(flat.stored, flat.is_mirrored, flat.row_scale, flat.channel_scale, flat.is_unmasked, starts,
                         grid.channels, limits)


def images_pass(images: NDArray[np.float32], noise_spectra: float, false_alarm: float) -> NDArray[np.bool_]:
    """Tell which windows of flat power pass the gate.

    Parameters
    ----------
    images : (n, T, F) float32
        Power of each window: noise is at 1, masked pixels are 0.
    noise_spectra : float
        N of the noise.
    false_alarm : float
        Share of pure-noise windows that pass, all statistics together.

    Returns
    -------
    (n,) bool
    """
    _, integrations, channels = images.shape
    side_by_side = np.ascontiguousarray(images.swapaxes(0, 1)).reshape(integrations, -1)
    return flat_windows_pass(side_by_side, channels, noise_spectra, false_alarm)


def flat_windows_pass(
    side_by_side: NDArray[np.float32], channels: int, noise_spectra: float, false_alarm: float
) -> NDArray[np.bool_]:
    """Tell the same as :func:`images_pass` of windows that lie side by side, (T, n × ``channels``) float32."""
    integrations, count = len(side_by_side), side_by_side.shape[1] // channels
    grid = WindowGrid(channels=channels, step=channels, integrations=integrations)
    flat, starts = FlattenedChannel.from_flat(side_by_side, noise_spectra), np.arange(count) * channels
    passes = may_pass(flat, starts, grid, false_alarm)
    passes[passes] = measure(flat, starts[passes], grid, false_alarm).keep
    return passes


def is_compiled() -> bool:
    """Tell whether a scan on this machine finds the gate compiled. The gate is compiled last, after all other code."""
    return any(compiled.is_compiled(module.LAST_COMPILED) for module in (prefilter, box_sums))


@lru_cache(maxsize=256)
def _rounded_thresholds(
    noise_spectra: float, channels: int, integrations: int, false_alarm: float
) -> RoundedThresholds:
    """Return the thresholds of :func:`may_pass`."""
    exact = thresholds(noise_spectra, channels, integrations, false_alarm)
    return round_thresholds(exact.sigmas, noise_spectra, integrations, channels, exact.pixel, exact.share_of_excess)


@lru_cache(maxsize=256)
def thresholds(noise_spectra: float, channels: int, integrations: int, false_alarm: float) -> Thresholds:
    """Return thresholds that pure noise reaches with probability ``false_alarm``.

    Parameters
    ----------
    noise_spectra : float
        N: one pixel of noise is the mean of N exponentially distributed values.
    channels, integrations : int
        Shape of a window.
    false_alarm : float
        Probability that any statistic of a window reaches its threshold.
    """
    widths = [w for w in BOX_WIDTHS if w <= channels]
    levels = (integrations - 1).bit_length() + 1
    # each box family and the excess get an equal share of the false alarms; ALARM_OVERLAP corrects for their overlap
    share = ALARM_OVERLAP * false_alarm / (len(widths) * levels + 1)
    sigmas = np.empty((len(widths), levels), np.float32)
    for i, width in enumerate(widths):
        for level in range(levels):
            pixels = width * min(2**level, integrations)
            sigmas[i, level] = _gamma_sigmas(
                pixels * noise_spectra, share / independent_trials(width, level, channels, integrations)
            )
    pixel, table_power, table_excess = _pixel_table(noise_spectra)
    excess = _excess_threshold(channels * integrations * MAX_EXCESS_PROBABILITY, share)
    return Thresholds(sigmas, excess, pixel, table_power, table_excess)


def independent_trials(width: int, level: int, channels: int, integrations: int) -> float:
    """Estimate the number of independent sums among the boxes of ``width`` channels × 2^level spectra in a window."""
    boxes, columns = count_boxes(width, level, channels, integrations), channels // width
    if columns == 1:  # every drift sums the same pixels
        return boxes / ((2 << level) - 1)
    known = sorted(INDEPENDENT_SHARES)
    shares = [INDEPENDENT_SHARES[k][min(level, len(INDEPENDENT_SHARES[k]) - 1)] for k in known]
    return max(1.0, boxes * float(np.interp(np.log(columns), np.log(known), shares)))


def count_boxes(width: int, level: int, channels: int, integrations: int) -> int:
    """Count the boxes of ``width`` channels × 2^level spectra in a window, over all positions and drifts."""
    groups = -(-integrations >> level)
    return (channels // width) * groups * ((2 << level) - 1)


def _gamma_sigmas(shape: float, probability: float) -> float:
    """Return the value that a Gamma(``shape``) variable exceeds with ``probability``, in sigmas above its mean."""
    return float((gammainccinv(shape, probability) - shape) / np.sqrt(shape))


def _excess_threshold(expected: float, probability: float) -> float:
    """Return the excess that noise reaches with ``probability``.

    The number of pixels rarer than :data:`MAX_EXCESS_PROBABILITY` has a Poisson distribution with mean ``expected``.
    The excess of each such pixel has an Exponential(1) distribution. So the excess of k of them has a Gamma(k)
    distribution. The probability is averaged over k.
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
    """Tabulate the excess of a pixel against its power, up to a probability of 1e−150.

    Returns
    -------
    float, (256,) float32, (256,) float32
        Lowest power with an excess, powers, and their excess.
    """
    # dense where most noise is: the curve is convex there, and coarse straight lines would overestimate it
    log_p = np.log(MAX_EXCESS_PROBABILITY) + np.log(1e-147) * np.linspace(0, 1, 256) ** 2
    power = gammainccinv(noise_spectra, np.exp(log_p)) / noise_spectra
    return float(power[0]), power.astype(np.float32), (np.log(MAX_EXCESS_PROBABILITY) - log_p).astype(np.float32)
