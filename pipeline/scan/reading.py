"""Which channels and spectra a scan reads at once. The next piece is read in a thread while one is scanned."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence

from pipeline.filterbank import Ascending, Buffer, Filterbank
from pipeline.grid.tiling import Tiling
from pipeline.support.prefetch import prefetch

READ_CHANNELS = 2**20
"""Coarse channels narrower than this are read several at once: storage chunks may be wider than they are."""
READ_PIXELS = 2**24
"""Most pixels (spectra × channels) of one read: 64 MB. One block of one coarse channel may be more."""
_SPARE_ROOMS: deque[Buffer] = deque()
"""Buffers of earlier scans of this process. Reusing them saves the system from zeroing new memory."""


def _spare_room() -> Buffer:
    """Take a buffer of an earlier scan, or make one. ``deque.pop`` is atomic, so threads never share a buffer."""
    try:
        return _SPARE_ROOMS.pop()
    except IndexError:
        return Buffer()


def fetch_ahead(
    filterbank: Filterbank, tiling: Tiling, wanted: Sequence[tuple[range, range]]
) -> Iterator[tuple[Ascending, float]]:
    """Fetch coarse channels × time blocks in turn; give each, and the seconds it took, until the next is asked for."""
    rows = tiling.grid.integrations
    rooms = [_spare_room() for _ in range(2)]

    def fetch(number: int) -> tuple[Ascending, float]:
        began = time.perf_counter()
        group, run = wanted[number]
        start, stop = tiling.coarse_span(group[0])[0], tiling.coarse_span(group[-1])[1]
        fetched = filterbank.fetch(run.start * rows, run.stop * rows, start, stop, rooms[number % 2])
        return fetched, time.perf_counter() - began

    yield from prefetch(fetch, len(wanted))  # by one, as there are two rooms
    _SPARE_ROOMS.extend(rooms)


def block_runs(filterbank: Filterbank, tiling: Tiling, group: range) -> list[range]:
    """Cut the time blocks into runs that are read at once: as many as a storage chunk spans, if memory allows it."""
    spectra = filterbank.chunk_shape[0] if filterbank.chunk_shape else 1
    channels = tiling.coarse_span(group[-1])[1] - tiling.coarse_span(group[0])[0]
    integrations = tiling.grid.integrations
    size = max(1, min(-(-spectra // integrations), READ_PIXELS // (channels * integrations)))
    return [range(first, min(first + size, tiling.n_blocks)) for first in range(0, tiling.n_blocks, size)]


def read_groups(tiling: Tiling, coarse: range) -> Iterator[range]:
    """Cut ``coarse`` into runs that are read at once; channels outside the searched band are left out."""
    searched = [i for i in coarse if len(tiling.positions(i))]
    most = max(1, READ_CHANNELS // tiling.coarse.width)
    first = 0
    for k in range(1, len(searched) + 1):
        if k == len(searched) or k - first == most or searched[k] != searched[k - 1] + 1:
            yield range(searched[first], searched[k - 1] + 1)
            first = k
