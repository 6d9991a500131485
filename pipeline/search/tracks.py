"""Tracks of a signal through frequency and time, and the power along them.

A track is a straight or slightly bent line. The power along it is summed in boxes, as the gate does: some channels
wide, some spectra long. Sums are in standard deviations of the noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_BOW, BOW_STEP = 4.0, 0.5
"""Largest bow of a track that is tried, and the step, in channels. The bow is how far the middle of a track lies from
the straight line between its ends."""
SAME_LIKELIHOOD = 12.0
"""Tracks whose squared sum is smaller than the best one's by less than this may be the true one: about three standard
deviations of a slope and a bow."""
SAME_SUM = 0.95
"""So may those whose sum is at least this share of the best one: no signal has exactly the shape of a box."""
MAX_PIXEL = 8.0
"""While a track is looked for, a pixel counts at most this many standard deviations: one bright pixel is no track."""
MAX_SLOPES = 60
"""Largest number of slopes that are tried where a signal is expected."""
MAX_MASKED_SHARE = 0.25
"""If more of the pixels are masked where a signal is expected, it may hide there."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Box:
    """Shape of the sums along a track."""

    width: int
    """Channels."""
    spectra: int
    """Spectra."""


@dataclass(frozen=True, slots=True)
class Tracks:
    """Tracks that a signal may have, by what was seen of it in a window. One entry of each array is one track."""

    box: Box
    snr: float
    """Largest sum along any of them, in standard deviations."""
    middle: Floats
    """(n,) channel in the middle of the window's time."""
    slope: Floats
    """(n,) slope there, in channels per spectrum."""
    bend: Floats
    """(n,) change of the slope, in channels per spectrum squared."""

    def later(self, spectra: float) -> Tracks:
        """Return the same tracks some spectra later, or earlier if the number is negative."""
        return replace(self, middle=self.middle + self.slope * spectra + self.bend * spectra**2 / 2,
                       slope=self.slope + self.bend * spectra)

    def moved(self, channels: float) -> Tracks:
        """Return the same tracks with channels counted from another one."""
        return replace(self, middle=self.middle + channels)


class Strongest(NamedTuple):
    """What was measured where a signal is expected."""

    snr: float
    """Largest sum, in standard deviations."""
    sums: float
    """Number of independent sums that it is the largest of."""
    is_whole: bool
    """True if all places were searched at which the signal may be."""


def sums_along(excess: Floats, slope: float, bend: float, first: int, stop: int, box: Box) -> Floats:
    """Return the largest sum, over all times, along each track of one slope and bend.

    Parameters
    ----------
    excess : (T, F) float64
        Power above the noise, in standard deviations of the noise of one pixel. Pixels beyond it count as noise.
    slope, bend : float
        Of the tracks, in the middle of the time.
    first, stop : int
        Channels [first, stop) that the tracks have in the middle of the time.
    box : Box

    Returns
    -------
    (stop − first,) float64
    """
    spectra, channels = excess.shape
    times = np.arange(spectra) - (spectra - 1) / 2
    offsets = np.rint(slope * times + bend * times**2 / 2).astype(int) - box.width // 2
    at = np.arange(first, stop + box.width - 1) + offsets[:, None]
    inside = (at >= 0) & (at < channels)
    aligned = np.where(inside, np.take_along_axis(excess, np.clip(at, 0, channels - 1), axis=1), 0.0)
    if box.width > 1:
        summed = np.cumsum(np.pad(aligned, ((0, 0), (1, 0))), axis=1)
        aligned = summed[:, box.width :] - summed[:, : -box.width]
    groups = np.add.reduceat(aligned, np.arange(0, spectra, box.spectra), axis=0)
    return np.asarray(groups.max(axis=0) / np.sqrt(box.width * box.spectra))


def find_tracks(excess: Floats, first: int, stop: int, box: Box) -> Tracks:
    """Find the tracks that a signal may have.

    Parameters
    ----------
    excess : (T, F) float64
        As for :func:`sums_along`.
    first, stop : int
        Channels in which the signal lies in the middle of the time.
    box : Box
        Shape in which the gate saw it best.
    """
    spectra = len(excess)
    limited, whole = np.minimum(excess, MAX_PIXEL), Box(box.width, spectra)

    def sums(slope: float, bend: float) -> Floats:
        return sums_along(limited, slope, bend, first, stop, whole)

    span = max(spectra - 1, 1)
    per_step = max(1.0, box.width / 2)  # a wide box does not resolve finer slopes
    step = per_step / span
    steepest = round((stop - first) / per_step) if spectra > 1 else 0
    numbers = np.arange(-steepest, steepest + 1)
    best = np.array([sums(number * step, 0.0).max() for number in numbers])
    likely = numbers[_may_be_true(best)]
    bends = np.zeros(1)
    if 4 * len(likely) <= len(numbers) and spectra > 3:  # otherwise it is no line, and a bend means nothing
        likely = np.unique(likely[:, None] + np.array([-1, -0.5, 0, 0.5, 1]))
        most = MAX_BOW // (BOW_STEP * per_step)
        bends = np.arange(-most, most + 1) * BOW_STEP * per_step * 8 / span**2
    tried = [(number * step, bend) for number in likely for bend in bends]
    found = [sums(slope, bend) for slope, bend in tried]
    chosen = np.flatnonzero(_may_be_true(np.array([one.max() for one in found])))
    slope, bend = np.array([tried[i] for i in chosen], np.float64).T
    snr = max(float(sums_along(excess, s, b, first, stop, box).max()) for s, b in zip(slope, bend, strict=True))
    return Tracks(box, snr, np.array([first + found[i].argmax() for i in chosen], np.float64), slope, bend)


def _may_be_true(sums: Floats) -> NDArray[np.bool_]:
    best = max(float(sums.max()), 0.0)
    return np.asarray((np.maximum(sums, 0) ** 2 >= best**2 - SAME_LIKELIHOOD) | (sums >= SAME_SUM * best))


def strongest_near(excess: Floats, tracks: Tracks, margin: float, max_reach: float) -> Strongest:
    """Return the largest sum near some tracks.

    Parameters
    ----------
    excess : (T, F) float64
        As for :func:`sums_along`; masked pixels are NaN.
    tracks : Tracks
        As they are expected there (:meth:`Tracks.later`), with channels counted from the first of ``excess``.
    margin : float
        Channels that the signal may lie beyond the tracks.
    max_reach : float
        Largest distance from the middle one of the tracks that is searched, in channels.
    """
    spectra, channels = excess.shape
    middle = float(np.median(tracks.middle))
    ends = float(tracks.middle.min()) - margin, float(tracks.middle.max()) + margin
    low, high = max(ends[0], middle - max_reach, 0.0), min(ends[1], middle + max_reach, channels - 1.0)
    first, stop = int(np.floor(low)), int(np.ceil(high)) + 1
    if stop <= first:
        return Strongest(0.0, 1.0, False)
    is_whole = (low, high) == ends and np.isnan(excess[:, first:stop]).mean() <= MAX_MASKED_SHARE
    step = max(1.0, tracks.box.width / 2) / max(spectra - 1, 1)
    slopes = np.arange(tracks.slope.min() - 2 * step, tracks.slope.max() + 2.5 * step, step)
    slopes = slopes[:: -(-len(slopes) // MAX_SLOPES)]
    bends = np.unique([tracks.bend.min(), np.median(tracks.bend), tracks.bend.max()])
    filled = np.nan_to_num(excess)
    best = max(float(sums_along(filled, float(slope), float(bend), first, stop, tracks.box).max())
               for slope in slopes for bend in bends)
    groups = -(-spectra // tracks.box.spectra)
    sums = max(1.0, (stop - first) / tracks.box.width) * max(1.0, len(slopes) / 4) * groups
    return Strongest(best, sums, bool(is_whole))
