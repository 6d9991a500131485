"""Intervals of 95 % for rates and shares."""

from __future__ import annotations

CONFIDENCE = 0.95
"""Confidence of all intervals."""


def rate_interval(count: int, exposure: float) -> tuple[float, float]:
    """Return the exact interval of a Poisson rate, from the number of events that came in an exposure.

    It is that of Garwood (1936): each end leaves 2.5 % to its side. It covers the true rate in at least 95 % of cases,
    whatever the rate is.

    Parameters
    ----------
    count : int
        Number of events.
    exposure : float
        What was searched, above 0. The unit of the rate is its inverse.
    """
    from scipy.stats import chi2  # here, because the command line waits for scipy only where it needs it

    tail = (1 - CONFIDENCE) / 2
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return low / exposure, float(chi2.isf(tail, 2 * count + 2)) / 2 / exposure


def share_interval(count: int, total: int) -> tuple[float, float]:
    """Return the exact interval of a share, from ``count`` of ``total`` (above 0).

    It is that of Clopper and Pearson (1934): each end leaves at most 2.5 % to its side. It covers the true share in at
    least 95 % of cases, whatever the share is.
    """
    from scipy.stats import binomtest

    found = binomtest(count, total).proportion_ci(CONFIDENCE, method="exact")
    return float(found.low), float(found.high)
