"""Estimates the gains of the rows of a coarse channel, and the spread of its noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.flatten.flattened import is_valid
from pipeline.flatten.middles import middles_and_squares
from pipeline.flatten.noise import noise_spectra_from_square

SPREAD_TOLERANCE = 0.01
"""Tolerance for the header's value of the noise. The measured spread replaces the header's if they differ by more than
this, and by more than the error of the measurement. The tolerance must be small: if the true spread is 5 % above the
assumed one, six times as many false alarms pass."""
MIN_PIXELS_FOR_NOISE = 4096
"""Minimum number of valid pixels in a run for measuring the noise in it."""
MIN_GAIN = 1e-20
"""Smallest gain of a row that is used, relative to the median row. A row below it holds memory that was never written.
The inverse of its gain may not be finite."""
MIN_FULL_SCALE = 4
"""A sample with the largest value of its type is saturated if that value is at least this. With 1 or 2 bits, the
largest value is one like any other."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Gains of the rows of a coarse channel, and its noise."""

    gain: NDArray[np.float32]
    """(spectra,): relative to the median row; 0 if at least half of the row is dead or its gain is below
    :data:`MIN_GAIN`."""
    scale: NDArray[np.float32]
    """(spectra,): 1 / gain; 0 for a dead row."""
    noise_spectra: float
    """N in use."""
    noise_is_measured: bool
    """True if the data contradicted the header's N."""


def saturated_rows(values: NDArray[np.float32], full_scale: float | np.float32) -> NDArray[np.bool_]:
    """Tell in which rows of values (spectra, channels) most have the largest value of their type.

    The gain of such a row is unknown, and no signal can be seen in it. ``full_scale`` is infinite if there is no
    largest value.
    """
    if not MIN_FULL_SCALE <= full_scale < np.inf:
        return np.zeros(len(values), np.bool_)
    saturated: NDArray[np.bool_] = 2 * np.count_nonzero(values >= full_scale, axis=1) > values.shape[1]
    return saturated


def estimate_rows(
    sample: NDArray[np.float32], spectrum: NDArray[np.float32], is_unmasked: NDArray[np.bool_],
    band: NDArray[np.float32], n_runs: int, nominal: float,
) -> Rows:
    """Estimate the gain of each row and the noise from runs of channels.

    Both are medians over the runs. So a signal, or a band that falls to nothing, affects only its own run.

    Parameters
    ----------
    sample : (spectra, channels) float32
        Power, ascending.
    spectrum : (channels,) float32
        Mean of the same power over time, with all gains at 1; 0 for dead channels.
    is_unmasked : (channels,) bool
        True if every pixel of the channel is valid.
    band : (channels,) float32
        First estimate of the band. Power is divided by it, so that the slope of the band does not count as noise.
    n_runs : int
        Number of runs in the sample, all of equal length.
    nominal : float
        N from the header.
    """
    shape = (len(sample), n_runs, sample.shape[1] // n_runs)
    is_alive = (spectrum > 0) & (band > 0)
    scale = np.divide(is_alive, band, out=np.zeros_like(band), where=is_alive)
    if (is_alive & is_unmasked).all():  # nearly always, and much faster
        counts = np.full(shape[:2], shape[-1])
        middle, square = middles_and_squares((sample * scale).reshape(shape))
    else:
        valid = is_valid(sample) & is_alive
        power, valid = (np.where(valid, sample, 0) * scale).reshape(shape), valid.reshape(shape)
        counts, middle, square = valid.sum(axis=-1), np.zeros(shape[:2]), np.zeros(shape[:2])
        for where in zip(*np.nonzero(2 * counts > shape[-1]), strict=True):
            middle[where], square[where] = middles_and_squares(power[where][valid[where]])
    counts[middle == 0] = 0
    if (middle > 0).all() and (2 * counts.sum(axis=-1) > n_runs * shape[-1]).all():  # nearly always, and faster
        gains = np.median(middle, axis=-1).astype(np.float32)
    else:
        gains = np.array([np.median(row[row > 0]) if 2 * alive > row.size * shape[-1] else 0
                          for row, alive in zip(middle, counts.sum(axis=-1), strict=True)], np.float32)
    if (gains > 0).any():
        gains /= np.median(gains[gains > 0])
        gains[gains < MIN_GAIN] = 0
    counts[gains == 0] = 0
    scale = np.divide(np.float32(1), gains, out=np.zeros_like(gains), where=gains > 0)
    return Rows(gains, scale, *_choose_noise_spectra(counts.sum(axis=0), (square * counts).sum(axis=0), nominal))


def _choose_noise_spectra(
    counts: NDArray[np.int64], squares: NDArray[np.float64], nominal: float
) -> tuple[float, bool]:
    """Decide between the header's N and the measured one. Return N, and True if it is the measured one.

    Parameters
    ----------
    counts : (runs,) int64
        Valid pixels in each run.
    squares : (runs,) float64
        Sum of squared distances below the middle in each run (:func:`pipeline.flatten.middles.middles_and_squares`).
    nominal : float
        N from the header.
    """
    is_enough = counts >= MIN_PIXELS_FOR_NOISE
    counts, squares = counts[is_enough], squares[is_enough]
    if not len(counts):
        return nominal, False
    measured = float(np.median([noise_spectra_from_square(square) for square in squares / counts]))
    # Spreads are proportional to 1/√N. The relative error of a measured spread is 1.4/√pixels, and a quarter more for
    # a median of several. The limit is about three such errors.
    error = 4 / counts.sum() ** 0.5 * (1 if len(counts) == 1 else 1.25)
    if abs((nominal / measured) ** 0.5 - 1) <= max(SPREAD_TOLERANCE, error):
        return nominal, False
    return measured, True
