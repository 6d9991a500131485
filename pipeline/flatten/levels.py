"""Levels and spread of noise that need not be positive: robust against signals, missing values and coarse steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

QUANTILES = ((0.1, 0.3), (0.4, 0.6), (0.7, 0.9))
"""Low, middle and high values of the noise are means between these quantiles. Means do not jump if values are quantised
to few levels, and signals that fill less than a tenth of a block do not affect them."""
MAX_DEVIATION = 4.0
"""The spread is the root mean square of the deviations up to this many spreads. Larger ones may be signals."""
MEAN_SQUARE = 0.99893
"""Mean square of the deviations of a normal distribution up to :data:`MAX_DEVIATION`, in units of the variance."""
ITERATIONS = 6
"""Number of iterations. Each one computes the spread with the limit of deviations that follows from the last one."""


def levels_of(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return low, middle and high level, and the spread, of the noise in each row of pixels: (rows, 4).

    NaN is left out. A row that consists of it mostly has only NaN.
    """
    ordered = np.sort(pixels, axis=-1)  # NaN last
    levels = np.full((len(ordered), len(QUANTILES) + 1), np.nan)
    levels[:, :-1] = quantile_means(ordered, QUANTILES)
    known = np.isfinite(levels[:, 0])
    levels[known, -1] = _spreads(ordered[known], levels[known])
    return levels


def quantile_means(
    ordered: NDArray[np.float32], quantiles: Sequence[tuple[float, float]]
) -> NDArray[np.float64]:
    """Return the means between quantiles of values that are sorted along the last axis, NaN last.

    Returns
    -------
    (…, quantiles) float64
        NaN where at least half of the values are NaN.
    """
    counts = np.isfinite(ordered).sum(axis=-1)
    sums = np.zeros((*ordered.shape[:-1], ordered.shape[-1] + 1))
    np.cumsum(np.nan_to_num(ordered), axis=-1, dtype=np.float64, out=sums[..., 1:])
    means = np.full((*counts.shape, len(quantiles)), np.nan)
    enough = 2 * counts > ordered.shape[-1]
    for k, (first, last) in enumerate(quantiles):
        start = (first * counts).astype(np.int64)
        stop = np.maximum(start + 1, (last * counts).astype(np.int64))
        ends = np.take_along_axis(sums, np.stack([start, stop], axis=-1), axis=-1)
        means[enough, k] = ((ends[..., 1] - ends[..., 0]) / (stop - start))[enough]
    return means


def medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the medians of values along the last axis, leaving out NaN; NaN where there is nothing else."""
    ordered = np.sort(values, axis=-1)  # NaN last
    counts = np.isfinite(ordered).sum(axis=-1, keepdims=True)
    middle = np.take_along_axis(ordered, np.concatenate([np.maximum(counts - 1, 0) // 2, counts // 2], axis=-1), -1)
    medians: NDArray[np.float64] = middle.mean(axis=-1)
    return medians


def _spreads(values: NDArray[np.float32], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the spread (blocks,) of values (blocks, pixels), which may be NaN, given their levels.

    Unlike the distance of levels, it is right for values that are quantised to few levels, too.
    """
    low, middle, high = levels[:, :3].T
    squares = (values - middle[:, None]) ** 2
    spread: NDArray[np.float64] = (high - low) / 1.722  # exact for normal noise
    for _ in range(ITERATIONS):
        near = squares <= (MAX_DEVIATION * spread[:, None]) ** 2
        mean = np.where(near, squares, 0).sum(axis=1) / np.maximum(near.sum(axis=1), 1)
        spread = np.sqrt(mean / MEAN_SQUARE)
    return spread
