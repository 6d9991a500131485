"""How much of each frequency holds signals: windows searched and windows kept, in bins of frequency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray

from pipeline.errors import ParameterError
from pipeline.search import channel_starts
from pipeline.web.archive import Pinned
from pipeline.web.parts import ItsParts

routes = APIRouter(prefix="/api/v1", tags=["corpus"])
MAX_SCANS = 200
"""Largest number of scans that are counted. Of more, these are spread evenly over all that touch the range."""
Mhz = Annotated[float, Query(ge=-1e9, le=1e9, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Windows by frequency, of the plain view."""

    edges: list[float]
    """Edges of the bins in MHz."""
    searched: list[float]
    """Windows searched for signals in each bin. Those of a coarse channel are spread evenly over it."""
    kept: list[float]
    """Windows kept in each bin. Each is spread evenly over its channels."""
    scans: int
    """Scans that touch the range."""
    scans_counted: int
    """Scans among them that were counted."""


@routes.get("/occupancy")
def occupancy(parts: ItsParts, f_start_mhz: Mhz, f_stop_mhz: Mhz,
              bins: Annotated[int, Query(ge=1, le=1000)] = 200) -> Occupancy:
    """Windows searched and kept by frequency, of up to 200 scans."""
    return occupancy_of(parts.archive.pinned, f_start_mhz, f_stop_mhz, bins)


def occupancy_of(pinned: Pinned, f_start_mhz: float, f_stop_mhz: float, bins: int) -> Occupancy:
    """Count windows by frequency.

    Parameters
    ----------
    f_start_mhz, f_stop_mhz : float
        Ends of the range.
    bins : int
        Number of bins.

    Raises
    ------
    ParameterError
        The range does not run upwards.
    """
    if not f_start_mhz < f_stop_mhz:
        raise ParameterError(f"{f_start_mhz}–{f_stop_mhz} MHz is no range: give the lower frequency first, as "
                             "f_start_mhz")
    sources = pinned.opened.manifest.sources
    touching = [scan_id for scan_id in pinned.scans if sources[scan_id].header.f_min_mhz < f_stop_mhz
                and f_start_mhz < sources[scan_id].header.f_max_mhz]
    chosen = [touching[i] for i in np.unique(np.linspace(0, len(touching) - 1, min(len(touching), MAX_SCANS)).round()
                                             .astype(int))]
    edges = np.linspace(f_start_mhz, f_stop_mhz, bins + 1)
    searched, kept = np.zeros(bins), np.zeros(bins)
    for scan_id in chosen:
        searched += _searched(pinned, scan_id, edges)
        kept += _kept(pinned, scan_id, edges)
    return Occupancy(edges.tolist(), searched.round(3).tolist(), kept.round(3).tolist(), len(touching), len(chosen))


def _searched(pinned: Pinned, scan_id: str, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the windows of a scan that were searched in each bin."""
    tiling = pinned.opened.tiling(scan_id)
    coarse, counts = (pinned.opened.exposure(scan_id, name) for name in ("coarse_channel", "windows_searched"))
    # the number of windows below each edge: it rises evenly through each coarse channel
    below = np.zeros(len(edges))
    for i, count in enumerate(np.bincount(coarse, counts).tolist()):
        low, high = (tiling.header.channel_edge_mhz(channel) for channel in tiling.coarse_span(i))
        below += count * np.clip((edges - low) / (high - low), 0, 1)
    return np.diff(below)


def _kept(pinned: Pinned, scan_id: str, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the kept windows of a scan in each bin."""
    if not len(pinned.opened.numbers(scan_id)):
        return np.zeros(len(edges) - 1)
    tiling = pinned.opened.tiling(scan_id)
    starts = np.sort(channel_starts(pinned.opened, scan_id)).astype(np.float64)
    at = (edges - tiling.header.f_min_mhz) / tiling.header.channel_width_mhz
    width = tiling.grid.channels
    return np.diff((_begun(starts, at) - _begun(starts, at - width)) / width)


def _begun(starts: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for each channel, the distance from all ``starts`` below it, added up. ``starts`` ascend."""
    sums = np.concatenate([[0.0], np.cumsum(starts)])
    below = np.searchsorted(starts, at)
    distances: NDArray[np.float64] = below * at - sums[below]
    return distances
