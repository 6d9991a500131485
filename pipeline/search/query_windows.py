"""The windows of one source that a query begins with: stored ones from the corpus, others from the file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.grid.places import Places
from pipeline.model import Window
from pipeline.search.description import QueryDescription
from pipeline.search.draft import Draft
from pipeline.search.frequency_range import Range, time_blocks, window_starts
from pipeline.search.origin import FileGone, Origin, cut
from pipeline.search.query import Query, Region, find_signals, find_usable, relative_power
from pipeline.search.snapshot import OpenCorpus
from pipeline.support.text import counted

MAX_QUERY_WINDOWS = 65_536
"""Maximum number of windows of one query: sixteen coarse channels of the fine product."""


@dataclass(frozen=True, slots=True)
class QueryWindows:
    """Windows of one source, and what they show."""

    origin: Origin
    windows: tuple[Window, ...]
    cutouts: NDArray[np.uint8]
    """(n, T, F)"""
    spreads: NDArray[np.float64]
    """(n,) relative standard deviation of the noise of each window."""
    rows: NDArray[np.int64]
    """(n,) row of each window in the group of its source; −1 for a window that is not stored."""
    usable: NDArray[np.int64]
    """Indices of the windows that show anything (:func:`pipeline.search.query.find_usable`)."""
    note: str = ""
    """What the user should know about them."""

    @classmethod
    def of(cls, corpus: OpenCorpus, origin: Origin, windows: Sequence[Window]) -> Self:
        """Take windows from the corpus, or cut them from the file.

        Raises
        ------
        FileGone
            Some are not stored, and no file can be read.
        QueryError
            There are only dead or constant pixels.
        """
        grid, source_id = origin.tiling.grid, origin.source_id
        rows = np.full(len(windows), -1, np.int64)
        if origin.is_stored:
            rows = corpus.rows(source_id, np.array([window.number for window in windows]))
        kept, missing = np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0)
        stored = corpus.cutouts(source_id, rows[kept]) if len(kept) else None  # first: this checks the grid's shape
        cutouts = np.zeros((len(windows), grid.integrations, grid.channels), np.uint8)
        spreads = np.zeros(len(windows))
        if stored is not None:
            cutouts[kept] = stored
            spreads[kept] = corpus.column(source_id, "spread", rows[kept])
        if len(missing):
            cutouts[missing], spreads[missing] = cut(corpus, origin, [windows[int(i)] for i in missing])
        usable = find_usable(cutouts, f"{origin.name}, {windows[0].f_start_mhz:.6f}–{windows[-1].f_stop_mhz:.6f} MHz")
        return cls(origin, tuple(windows), cutouts, spreads, rows, usable)

    def signals(self, corpus: OpenCorpus) -> tuple[NDArray[np.int64], str]:
        """Return the indices of the windows to search for, and a note (:func:`pipeline.search.query.find_signals`)."""
        return find_signals(corpus, self.cutouts, self.spreads, self.usable, self.rows >= 0)

    def draft(
        self, corpus: OpenCorpus, encoder_key: str, used: NDArray[np.int64], region: Region,
        description: QueryDescription,
    ) -> Draft:
        """Make a query of the windows whose indices are ``used``. Stored windows have vectors; others lack one."""
        source_id, rows = self.origin.source_id, self.rows[used]
        vectors = np.zeros((len(used), corpus.manifest.encoders[encoder_key].dimension), np.float32)
        has_vectors = rows >= 0
        if has_vectors.any():
            has_vectors &= encoder_key in corpus.manifest.sources[source_id].vectors
        if has_vectors.any():
            vectors[has_vectors] = corpus.vectors_of(source_id, encoder_key, rows[has_vectors])
        windows = tuple(self.windows[int(i)] for i in used)
        return Draft(Query(
            vectors=vectors,
            cutouts=self.cutouts[used],
            positions=np.array([(window.spectrum_start, window.channel_start) for window in windows]),
            windows=windows,
            power_of=lambda i: relative_power(self.cutouts[used[i]], self.spreads[used[i]]),
            regions=(region,),
            resolution=corpus.manifest.resolution_of(self.origin.tiling.header),
            description=description.with_notes(self.note),
        ), np.flatnonzero(~has_vectors))


def windows_of_range(corpus: OpenCorpus, origin: Origin, wanted: Range, *, may_lack_file: bool) -> QueryWindows:
    """Return the windows that cover a range.

    Parameters
    ----------
    may_lack_file : bool
        If the file of a stored source cannot be read, take the windows in range that the corpus has kept.

    Raises
    ------
    QueryError
        The range holds too many windows, or nothing to search for; or the file cannot be read.
    """
    blocks = time_blocks(origin.tiling, wanted, origin.name)
    starts = _starts(origin, wanted, blocks)
    try:
        return QueryWindows.of(corpus, origin, [origin.window_at(block, start) for block in blocks for start in starts])
    except FileGone as error:
        if not may_lack_file or not origin.is_stored:
            raise
        windows = _kept_windows(corpus, origin, wanted, blocks, error)
        note = f"{error}: searched for {counted(len(windows), 'window')} in range that the corpus has kept"
        return replace(QueryWindows.of(corpus, origin, windows), note=note)


def lacking_windows(corpus: OpenCorpus, origin: Origin, wanted: Range) -> list[Window]:
    """Return the windows that cover a range and that the corpus does not hold.

    Raises
    ------
    QueryError
        The range holds too many windows, or none.
    """
    blocks = time_blocks(origin.tiling, wanted, origin.name)
    starts = _starts(origin, wanted, blocks)
    windows = [origin.window_at(block, start) for block in blocks for start in starts]
    if not origin.is_stored:
        return windows
    rows = corpus.rows(origin.source_id, np.array([window.number for window in windows]))
    return [window for window, row in zip(windows, rows.tolist(), strict=True) if row < 0]


def region_of_range(origin: Origin, wanted: Range, windows: Sequence[Window]) -> Region:
    """Return the part of a source that a range covers, together with the windows that it is searched for with."""
    tiling = origin.tiling
    low, high = _channels(origin, wanted)
    first = min(math.floor(low), *(window.channel_start for window in windows))
    stop = max(math.ceil(high), *(window.channel_stop for window in windows))
    return Region(origin.extent(time_blocks(tiling, wanted, origin.name), first, stop), tiling.header.telescope_id)


def _channels(origin: Origin, wanted: Range) -> tuple[float, float]:
    header = origin.tiling.header
    return header.channel_at(wanted.f_start_mhz), header.channel_at(wanted.f_stop_mhz)


def _starts(origin: Origin, wanted: Range, blocks: range) -> list[int]:
    """Return the first channels of the windows that cover a range, if these are not too many."""
    low, high = _channels(origin, wanted)
    count = int(high - low) // origin.tiling.grid.channels * len(blocks)
    starts: list[int] = []
    if count <= 2 * MAX_QUERY_WINDOWS:  # the list may be too long to be made
        starts = window_starts(origin.tiling, wanted.f_start_mhz, wanted.f_stop_mhz)
        count = len(starts) * len(blocks)
    if count > MAX_QUERY_WINDOWS:
        raise QueryError(f"{wanted} of {origin.name} make {count} windows: ask for at most {MAX_QUERY_WINDOWS} at once")
    return starts


def _kept_windows(
    corpus: OpenCorpus, origin: Origin, wanted: Range, blocks: range, error: FileGone
) -> list[Window]:
    """Return the stored windows of a source that overlap a range; raise :class:`FileGone` if there are none."""
    numbers, tiling = np.sort(corpus.numbers(origin.source_id)), origin.tiling
    if len(numbers):
        low, high = _channels(origin, wanted)
        places = Places.of(tiling, numbers)
        first, block = places.channel, places.block
        numbers = numbers[(first < max(high, low + 1)) & (first + tiling.grid.channels > low)
                          & (block >= blocks.start) & (block < blocks.stop)]
    if not len(numbers):
        raise FileGone(f"{error}, and the corpus has kept no window there; give the path of a copy") from error
    return [tiling.window(origin.source_id, int(number)) for number in numbers]
