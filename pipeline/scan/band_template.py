"""The band template: the shape that all coarse channels of a scan have in common.

A narrow coarse channel has too few channels to tell the shape of its band from a wide signal. But a polyphase
filterbank gives all of its coarse channels the same shape, and a signal lies in few of them. So the template is a
trimmed mean over neighbouring coarse channels. What differs from coarse channel to coarse channel changes slowly with
frequency. It is estimated in each of them after division by the template (:mod:`pipeline.flatten.bandpass`).

What is at the same place of most coarse channels is taken for a part of the band.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.filterbank import Filterbank
from pipeline.flatten.bandpass import band_shape
from pipeline.flatten.flattened import in_memory_order
from pipeline.flatten.levels import medians, quantile_means
from pipeline.flatten.signed import is_signed
from pipeline.flatten.time_mean import time_mean
from pipeline.grid.tiling import Tiling

MAX_WIDTH = 2**13
"""Maximum width of a coarse channel that gets a template. Wider ones would make a query read gigabytes."""
GROUP = 32
"""Minimum number of coarse channels that share a template, if the scan has as many. A group has fewer than twice as
many. Groups depend on the file alone, not on what is scanned or asked for."""
MIN_COARSE = 8
"""Minimum number of coarse channels that are not dead in a group. With fewer, the noise of the template would count."""
MAX_SPECTRA = 512
"""Approximate maximum number of spectra that a template is made of. They are spread evenly over longer files."""
READ_PIXELS = 2**22
"""Samples that are read at once, at least one time block."""
MIN_LEVEL = 1e-6
"""Smallest level of a template. The band is masked at far larger ones."""
MIDDLE = (0.3, 0.7)
"""The template is the mean of the coarse channels between these quantiles."""
_LITTLE_NOISE = 1e6  # parameter of the Gamma distribution of an average over a file: its median is its mean


def templates_of(
    filterbank: Filterbank, tiling: Tiling, coarse: Iterable[int]
) -> dict[int, NDArray[np.float32]]:
    """Return the template of each of some coarse channels; without those that get none.

    Parameters
    ----------
    filterbank : Filterbank
        The open file. The groups of these coarse channels are read.
    tiling : Tiling
        Where its coarse channels are.
    coarse : iterable of int

    Returns
    -------
    dict of int to (channels,) float32
        Coarse channel → relative levels of its channels, ascending; their median is about 1. A piece of a coarse
        channel, at an end of the band, gets a piece of a template.

    Raises
    ------
    SourceError
        The file cannot be read.
    """
    lead, width = int(tiling.coarse.offset > 0), tiling.coarse.width
    count = (tiling.header.nchans - tiling.coarse.offset) // width
    if not tiling.coarse.has_dc_spike or width > MAX_WIDTH or count < MIN_COARSE:
        return {}
    n_groups = max(1, count // GROUP)
    by_group: dict[int, NDArray[np.float32] | None] = {}
    found = {}
    for i in sorted(set(coarse)):
        member = min(max(i - lead, 0), count - 1)
        group = ((member + 1) * n_groups - 1) // count
        if group not in by_group:
            first, stop = lead + group * count // n_groups, lead + (group + 1) * count // n_groups
            by_group[group] = _template(_means(filterbank, tiling, range(first, stop)))
        template = by_group[group]
        if template is not None:
            start, end = tiling.coarse_span(i)
            found[i] = template[width - (end - start) :] if i < lead else template[: end - start]
    return found


def _means(filterbank: Filterbank, tiling: Tiling, group: range) -> NDArray[np.float64]:
    """Return the mean power over time (coarse channels, channels) of a group; 0 for dead channels.

    If the values are not power, all are 0.
    """
    start, stop = tiling.coarse_span(group[0])[0], tiling.coarse_span(group[-1])[1]
    total, count = np.zeros(stop - start), np.zeros(stop - start)
    for first, last in _runs(tiling, stop - start):
        power, is_mirrored = in_memory_order(filterbank.read(first, last, start, stop))
        if is_signed(power):
            return np.zeros((len(group), tiling.coarse.width))
        mean, _ = time_mean(power, np.ones(last - first, np.float32), np.float32(np.inf))
        mean = mean[::-1] if is_mirrored else mean
        total += mean * np.float64(last - first)
        count += (mean > 0) * (last - first)
    means: NDArray[np.float64] = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return means.reshape(len(group), -1)


def _runs(tiling: Tiling, channels: int) -> Iterator[tuple[int, int]]:
    """Yield the spectra [first, last) that are read at once. Spectra after the last whole time block do not count."""
    rows = tiling.grid.integrations
    blocks = tiling.header.nsamples // rows
    most = max(1, MAX_SPECTRA // rows)
    chosen = np.arange(blocks) if blocks <= most else np.linspace(0, blocks - 1, most).astype(np.int64)
    step = max(1, READ_PIXELS // (rows * channels))
    for neighbours in np.split(chosen, np.flatnonzero(np.diff(chosen) > 1) + 1):
        for k in range(0, len(neighbours), step):
            part = neighbours[k : k + step]
            yield int(part[0]) * rows, int(part[-1] + 1) * rows


def _template(means: NDArray[np.float64]) -> NDArray[np.float32] | None:
    """Return the shape (channels,) that coarse channels have in common, given their power; None if too few have power.

    Parameters
    ----------
    means : (coarse channels, channels) float64
        0 for dead channels.
    """
    width = means.shape[1]
    power = np.where(means > 0, means, np.nan)
    power[:, width // 2 - 1 : width // 2 + 1] = np.nan  # the DC bin is no part of the shape
    power = power[2 * np.isfinite(power).sum(axis=1) > width]
    if len(power) < MIN_COARSE:
        return None
    shape = _in_common(power / medians(power)[:, None])
    spectra = np.nan_to_num(power).astype(np.float32)
    bands = np.array([band_shape(spectrum, _LITTLE_NOISE, width, shape) for spectrum in spectra])
    return shape * _in_common(power / bands)


def _in_common(relative: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the mean of the middle coarse channels in each channel. Straight lines bridge channels without power."""
    middle = quantile_means(np.sort(relative.T, axis=-1), (MIDDLE,))[:, 0]
    known = np.flatnonzero(middle > 0)
    return np.maximum(np.interp(np.arange(len(middle)), known, middle[known]), MIN_LEVEL).astype(np.float32)
