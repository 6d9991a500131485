"""So many hits and no more of one file, or of one MHz: one transmitter shall not fill the list. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.grid.tiling import Tiling
from pipeline.model import Header, Hit, Window
from pipeline.search.frequency_range import first_channels
from pipeline.support.text import counted

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Full:
    """Places of which no more hits are wanted."""

    sources: frozenset[str] = frozenset()
    mhz: frozenset[int] = frozenset()
    """Whole MHz: 1532 is what begins from 1532 MHz on and below 1533."""

    def __bool__(self) -> bool:
        return bool(self.sources or self.mhz)

    def share_of(self, source_id: str, header: Header) -> float:
        """Return how much of a source is full, as far as can be told without its windows: 0 for nothing, 1 for all."""
        if source_id in self.sources:
            return 1.0
        band = range(math.floor(header.f_min_mhz), math.floor(header.f_max_mhz) + 1)
        return sum(number in self.mhz for number in band) / len(band)

    def leaves(self, tiling: Tiling, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which windows of a source begin in a MHz that is not full, (n,)."""
        header = tiling.header
        begins_mhz = header.f_min_mhz + first_channels(tiling, numbers) * header.channel_width_mhz
        return ~np.isin(np.floor(begins_mhz), sorted(self.mhz))


@dataclass(frozen=True, slots=True)
class AtMost:
    """How many hits one place may give; None for any number.

    Raises
    ------
    QueryError
        A number is below 1.
    """

    per_file: int | None = None
    """Hits of one source."""
    per_mhz: int | None = None
    """Hits that begin in one MHz, of whatever source."""

    def __post_init__(self) -> None:
        for name in ("per_file", "per_mhz"):
            most = getattr(self, name)
            if most is not None and most < 1:
                raise QueryError(f"{name} must be at least 1, got {most}")

    def __bool__(self) -> bool:
        return self != AtMost()

    def pick(self, hits: Iterable[_T], k: int, window_of: Callable[[_T], Window]) -> tuple[list[_T], int, Full]:
        """Pick the first ``k`` hits, passing over those of places that have given their number.

        Returns
        -------
        picked, seen, full
            What is picked; how many hits had to be looked at; the places that have given their number.
        """
        picked: list[_T] = []
        files: Counter[str] = Counter()
        mhz: Counter[int] = Counter()
        seen = 0
        for hit in hits:
            if len(picked) == k:
                break
            seen += 1
            window = window_of(hit)
            begins = math.floor(window.f_start_mhz)
            if not (_is_full(files[window.source_id], self.per_file) or _is_full(mhz[begins], self.per_mhz)):
                picked.append(hit)
                files[window.source_id] += 1
                mhz[begins] += 1
        return picked, seen, Full(
            frozenset(name for name, count in files.items() if _is_full(count, self.per_file)),
            frozenset(number for number, count in mhz.items() if _is_full(count, self.per_mhz)))

    def said_of(self, hits: Sequence[Hit], k: int) -> str:
        """Say that there are fewer than ``k`` hits because places have given their number; nothing if it is not so."""
        if len(hits) >= k or not self.pick(hits, k, lambda hit: hit.window)[2]:
            return ""
        most = [f"{number} {words}" for number, words in ((self.per_file, "a file"), (self.per_mhz, "a MHz")) if number]
        return f"{counted(len(hits), 'hit')}, not {k}: at most {' and '.join(most)} leave no more"


def _is_full(count: int, most: int | None) -> bool:
    return most is not None and count >= most
