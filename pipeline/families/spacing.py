"""Whether the frequencies of windows are multiples of one spacing, compared with a scrambled null. Uses no files.

The differences between all frequencies of a scan are counted, summed over scans. If the frequencies are teeth of one
comb, the differences are multiples of its spacing, whether or not all teeth are there. The *comb power* of a spacing is
the Fourier component of these counts. The null is made of the same number of frequencies, drawn from those at which the
scans hold any signal. The strongest comb power among all spacings is compared with the strongest one of each drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_POSITIONS = 300
"""Largest number of frequencies of a scan that are compared. Of more, this number is drawn at random."""
MAX_SCANS = 64
"""Largest number of scans that are compared, those with most frequencies."""
MAX_BINS = 1 << 16
"""Largest number of bins of frequency. Wider bands get wider bins."""
DRAWINGS = 199
"""Number of drawings of the null. The smallest p-value is one in this number plus one."""
MIN_POSITIONS = 4
"""Smallest number of frequencies in all scans with at least two for which a spacing is looked for."""
MIN_SPACING_BINS = 3
"""Smallest spacing, in bins. Frequencies are known to a bin."""
FIRST_COMPONENT = 2
"""First Fourier component that is looked at: the spacing is then at most half the length of the transform."""
CONVINCING_P = 0.01
SHOWN_BINS, SHOWN_TEETH = 64, 8.5


@dataclass(frozen=True, slots=True)
class Spacing:
    """How the frequencies of a family differ within scans."""

    scans: int
    """Number of scans with at least two different frequencies, of which the differences are."""
    differences: int
    """Number of differences."""
    spacing_mhz: float | None
    """The spacing of which the differences are multiples best; None if there are too few."""
    p: float | None
    """Share of drawings in which some spacing fits as well."""
    resolution_mhz: float
    """How well a frequency is known."""
    edges_mhz: tuple[float, ...] = ()
    """(b + 1,) edges of the bins of the histogram of differences."""
    counts: tuple[int, ...] = ()
    """(b,) number of differences in each bin."""
    expected: tuple[float, ...] = ()
    """(b,) mean number in the drawings."""

    @property
    def is_comb(self) -> bool:
        """True if a spacing fits better than chance allows (p of at most :data:`CONVINCING_P`)."""
        return self.p is not None and self.p <= CONVINCING_P

    def __str__(self) -> str:
        if self.spacing_mhz is None or self.p is None:
            return "too few frequencies in one scan to look for a spacing"
        value = f"{1e6 * self.spacing_mhz:,.0f} Hz" if self.spacing_mhz < 0.1 else f"{self.spacing_mhz:.6f} MHz"
        if self.is_comb:
            return f"frequencies are multiples of {value} apart (p = {self.p:.3g}): perhaps harmonics of one emitter"
        return f"frequencies have no common spacing; the best is {value} (p = {self.p:.2g})"

    def to_json(self) -> dict[str, Any]:
        """Return the record that ``families --json`` prints."""
        return {"scans": self.scans, "differences": self.differences,
                "spacing_mhz": None if self.spacing_mhz is None else round(self.spacing_mhz, 9),
                "p": self.p, "is_comb": self.is_comb, "resolution_mhz": round(self.resolution_mhz, 9),
                "edges_mhz": [round(edge, 9) for edge in self.edges_mhz], "counts": list(self.counts),
                "expected": [round(value, 3) for value in self.expected]}


def spacing_of(
    frequencies: Sequence[NDArray[np.float64]], any_signal: Sequence[NDArray[np.float64]], resolution_mhz: float,
    seed: int = 0,
) -> Spacing:
    """Find the spacing that fits the frequencies best, and how often chance fits as well.

    Parameters
    ----------
    frequencies : sequence of (n,) arrays
        MHz of the windows of a family, for each scan.
    any_signal : sequence of (m,) arrays
        MHz of all windows with a signal, for each of these scans; those of the family among them.
    resolution_mhz : float
        Width of a window.
    seed : int
        Seed of the drawings.
    """
    rng = np.random.default_rng(seed)
    low = min((float(one.min()) for one in any_signal if len(one)), default=0.0)
    band = max((float(one.max()) for one in any_signal if len(one)), default=0.0) - low
    bin_mhz = max(resolution_mhz, band / (MAX_BINS - 1))
    held = [(np.unique(np.round((one - low) / bin_mhz).astype(np.int64)),
             np.unique(np.round((every - low) / bin_mhz).astype(np.int64)))
            for one, every in zip(frequencies, any_signal, strict=True)]
    held = sorted((pair for pair in held if len(pair[0]) > 1), key=lambda pair: -len(pair[0]))[:MAX_SCANS]
    held = [(rng.choice(one, MAX_POSITIONS, replace=False) if len(one) > MAX_POSITIONS else one, every)
            for one, every in held]
    found = _differences([one for one, _ in held])
    if sum(len(one) for one, _ in held) < MIN_POSITIONS or not len(found):
        return Spacing(len(held), len(found), None, None, bin_mhz)
    size = 1 << (2 * max(int(every.max()) for _, every in held) + 2).bit_length()
    positions = sum(len(one) for one, _ in held)
    draws = [_differences([_drawn(rng, one, every) for one, every in held]) for _ in range(DRAWINGS)]
    null = np.stack([_comb_power(one, positions, size).astype(np.float32) for one in draws])
    scale = np.maximum(null.mean(axis=0), 1e-3 * positions)
    excess, best_of_null = _comb_power(found, positions, size) / scale, (null / scale).max(axis=1)
    p = (1 + int((best_of_null >= excess.max()).sum())) / (DRAWINGS + 1)
    spacing = size / (_largest_peak(excess) + FIRST_COMPONENT) * bin_mhz
    limit = SHOWN_TEETH * spacing if p <= CONVINCING_P else float(found.max()) * bin_mhz
    edges = np.linspace(0, max(limit, bin_mhz), SHOWN_BINS + 1)
    counts = np.histogram(found * bin_mhz, edges)[0]
    expected = np.histogram(np.concatenate(draws) * bin_mhz, edges)[0] / DRAWINGS
    return Spacing(len(held), len(found), spacing, p, bin_mhz, tuple(edges.tolist()), tuple(counts.tolist()),
                   tuple(expected.tolist()))


def _drawn(rng: np.random.Generator, one: NDArray[np.int64], every: NDArray[np.int64]) -> NDArray[np.int64]:
    """Draw as many different frequencies as a family has in a scan.

    They are drawn from those with any signal, if these are at least three times as many. Otherwise a drawing would
    repeat the family; then all frequencies between the lowest and the highest one may be drawn.
    """
    if len(every) >= 3 * len(one):
        return rng.choice(every, len(one), replace=False)
    first, last = int(every.min()), int(every.max())
    return np.unique(rng.integers(first, last + 1, len(one)))


def _differences(positions: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return all positive differences within each list of positions, except those of neighbouring bins."""
    out = [np.empty(0, np.int64)]
    for one in positions:
        every = one[:, None] - one
        out.append(every[every >= 2])
    return np.concatenate(out)


def _comb_power(differences: NDArray[np.int64], positions: int, size: int) -> NDArray[np.float64]:
    """Return the comb power of each spacing of ``size / i`` bins, from i = :data:`FIRST_COMPONENT` on."""
    counts = np.bincount(differences, minlength=size)[:size].astype(np.float64)
    power = positions + 2 * np.fft.rfft(counts).real[FIRST_COMPONENT : size // MIN_SPACING_BINS]
    return np.asarray(np.maximum(power, 0.0), np.float64)


def _largest_peak(excess: NDArray[np.float64]) -> int:
    """Return the first component that is nearly as strong as the strongest one, at the top of its peak.

    A comb of spacing s also fits s/2, s/3 and so on. The first component belongs to the largest spacing.
    """
    at = int(np.flatnonzero(excess >= 0.9 * excess.max())[0])
    while at + 1 < len(excess) and excess[at + 1] > excess[at]:
        at += 1
    return at
