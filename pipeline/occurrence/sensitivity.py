"""How strong a signal must be to be kept: what "not seen" is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from pipeline.model import WindowGrid
from pipeline.occurrence.searched import SearchedScan

SURE = 0.95
"""Probability at which a signal counts as one that would have been kept."""
SNRS = (6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0)
"""SNRs for which the probability is listed."""
_TRIED = np.arange(3.0, 60.01, 0.1)


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Probability that the gate keeps a signal, by its SNR: the lowest over all shapes that the gate looks for.

    A signal's SNR is that of its window without noise: the largest box sum of the signal alone, in standard deviations
    of the noise.
    """

    snrs: tuple[float, ...]
    kept: tuple[float, ...]
    """Probability for each of ``snrs``, averaged over all windows that were searched."""
    snr_sure: float | None
    """SNR from which on it is at least :data:`SURE`; None if no SNR up to 60 is enough."""

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary."""
        return {"snr": list(self.snrs), "kept": [round(one, 4) for one in self.kept], "sure": SURE,
                "snr_sure": self.snr_sure}


def sensitivity_of(scans: Sequence[SearchedScan], grid: WindowGrid, false_alarm: float) -> Sensitivity | None:
    """Return how strong a signal must be to be kept, over all windows searched; None if there are none.

    Parameters
    ----------
    scans : sequence of SearchedScan
    grid : WindowGrid
        Shape of a window.
    false_alarm : float
        Share of windows of pure noise that the gate keeps.
    """
    by_noise: dict[float, float] = {}
    for scan in scans:
        for noise, windows in zip(scan.noise_spectra.tolist(), scan.windows.tolist(), strict=True):
            key = float(f"{noise:.2g}")  # thresholds hardly depend on it, and are slow to compute
            by_noise[key] = by_noise.get(key, 0.0) + windows
    whole = sum(by_noise.values())
    if not whole:
        return None
    kept = sum(windows / whole * _kept(noise, grid.channels, grid.integrations, false_alarm)
               for noise, windows in by_noise.items())
    sure = np.flatnonzero(np.asarray(kept) >= SURE)
    return Sensitivity(SNRS, tuple(float(np.interp(snr, _TRIED, kept)) for snr in SNRS),
                       round(float(_TRIED[sure[0]]), 1) if len(sure) else None)


@lru_cache(maxsize=64)
def _kept(noise_spectra: float, channels: int, integrations: int, false_alarm: float) -> Any:
    """Return the probability (n,) that a signal of each of the tried SNRs is kept, for the worst shape.

    The signal fills a box. Its power fluctuates as noise does, so that of n pixels and N noise spectra, the sum over
    the box has a Gamma distribution of shape n N around the mean that the signal raises. A steady carrier fluctuates
    less, and is kept more surely.
    """
    from scipy.special import gammaincc

    from pipeline.gate import BOX_WIDTHS, thresholds  # loads numba

    sigmas = thresholds(noise_spectra, channels, integrations, false_alarm).sigmas
    worst = np.ones(len(_TRIED))
    for width, row in zip(BOX_WIDTHS, sigmas, strict=False):
        for level, threshold in enumerate(row):
            shape = width * min(2**level, integrations) * noise_spectra
            root = np.sqrt(shape)
            worst = np.minimum(worst, gammaincc(shape, shape * (1 + threshold / root) / (1 + _TRIED / root)))
    return worst
