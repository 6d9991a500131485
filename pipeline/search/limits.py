"""Limits on the number of hits per file or per MHz, so that one transmitter does not fill the list. Uses no files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParameterError, parameter
from pipeline.grid.places import first_channels
from pipeline.grid.tiling import Tiling
from pipeline.model import Header, Hit
from pipeline.support.text import counted

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class FullPlaces:
    """Sources and MHz that have reached their limit."""

    sources: frozenset[str] = frozenset()
    mhz: frozenset[int] = frozenset()
    """Whole MHz. 1532 stands for windows that begin at 1532 MHz or above, and below 1533 MHz."""

    def __bool__(self) -> bool:
        return bool(self.sources or self.mhz)

    def share_of(self, source_id: str, header: Header) -> float:
        """Return the share of a source's MHz that are full, from 0 to 1; 1 if the source itself is full."""
        if source_id in self.sources:
            return 1.0
        band = range(math.floor(header.f_min_mhz), math.floor(header.f_max_mhz) + 1)
        return sum(number in self.mhz for number in band) / len(band)

    def accept_windows(self, tiling: Tiling, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which windows (n,) of a source begin in a MHz that is not full."""
        header = tiling.header
        begins_mhz = header.f_min_mhz + first_channels(tiling, numbers) * header.channel_width_mhz
        return ~np.isin(np.floor(begins_mhz), sorted(self.mhz))


@dataclass(frozen=True, slots=True)
class HitLimits:
    """Maximum number of hits per file and per MHz. None means no limit.

    Raises
    ------
    ParameterError
        A limit is below 1.
    """

    per_file: int | None = None
    """Maximum number of hits from one source. A hit that is in several sources counts for each of them."""
    per_mhz: int | None = None
    """Maximum number of hits that begin in one MHz, over all sources."""

    def __post_init__(self) -> None:
        for name in ("per_file", "per_mhz"):
            limit = getattr(self, name)
            if limit is not None and limit < 1:
                raise ParameterError(f"{parameter(name)} must be at least 1, got {limit}")

    def __bool__(self) -> bool:
        return self != HitLimits()

    def pick(
        self, hits: Iterable[_T], k: int, place_of: Callable[[_T], tuple[float, Sequence[str]]],
        wants: Callable[[_T], bool] | None = None,
    ) -> tuple[list[_T], int, FullPlaces]:
        """Pick the first ``k`` hits, passing over those that are not wanted, or from places that are full.

        Parameters
        ----------
        place_of : callable
            Gives the frequency at which a hit begins, in MHz, and the ids of the sources that it was found in.
        wants : callable, optional
            Tells whether a hit is wanted. By default, all are.

        Returns
        -------
        picked : list
        seen : int
            Number of hits that were looked at.
        full : FullPlaces
            Places that reached their limit.
        """
        picked: list[_T] = []
        files: Counter[str] = Counter()
        mhz: Counter[int] = Counter()
        seen = 0
        for hit in hits:
            if len(picked) == k:
                break
            seen += 1
            if wants is not None and not wants(hit):
                continue
            f_mhz, source_ids = place_of(hit)
            begins = math.floor(f_mhz)
            is_from_full = any(_is_full(files[source_id], self.per_file) for source_id in source_ids)
            if not (is_from_full or _is_full(mhz[begins], self.per_mhz)):
                picked.append(hit)
                files.update(source_ids)
                mhz[begins] += 1
        return picked, seen, FullPlaces(
            frozenset(name for name, count in files.items() if _is_full(count, self.per_file)),
            frozenset(number for number, count in mhz.items() if _is_full(count, self.per_mhz)))

    def note_on(self, hits: Sequence[Hit], k: int) -> str:
        """Return a note where the limits are the reason for fewer than ``k`` hits; otherwise an empty text."""
        if len(hits) >= k or not self.pick(hits, k, lambda hit: (hit.window.f_start_mhz, hit.source_ids))[2]:
            return ""
        limits = [f"{number} {words}" for number, words in ((self.per_file, "a file"), (self.per_mhz, "a MHz"))
                  if number]
        return f"{counted(len(hits), 'hit')}, not {k}: the limits ({' and '.join(limits)}) leave no more"


def _is_full(count: int, limit: int | None) -> bool:
    return limit is not None and count >= limit
