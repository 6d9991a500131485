"""How much work a task gets: pure decisions, which touch no disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.grid.tiling import Tiling
from pipeline.model import WindowGrid
from pipeline.tasks import Work

PART_CHANNELS = 2**24
"""Fine channels × time blocks of a scan task: some seconds of work, 1 GB of decoded samples, never held at once."""
EMBED_BYTES = 2**22
"""Largest slice of a source's cutouts, in bytes: 1,024 windows of 16 × 256. On a processor, an embed task has no more.
It takes a fraction of a second to a minute, short enough that all workers end at about the same time."""
GPU_EMBED_BYTES = 2**26
"""Cutouts of an embed task on a GPU, in bytes, of any number of sources. That is several batches, so that the GPU need
not wait while tasks come and go."""
EMBED_PIECES = 64
"""Largest number of slices in an embed task on a GPU. Their description goes through the scheduler, and each slice
waits for the others."""
SHARED_SOURCES = 16
"""Largest number of small sources that share a task on a processor. A task costs the scheduler some milliseconds, as
much as the scan of a source of a few hundred windows."""
SHARES_LEFT = 4
"""Minimum number of shared tasks that the waiting sources must fill, for each task that the engine takes at a time."""


def parts_of(tiling: Tiling) -> list[range]:
    """Divide a source's coarse channels into parts, one for each scan task. Each coarse channel is in one part."""
    work = tiling.coarse.width * max(1, tiling.n_blocks)
    size = max(1, PART_CHANNELS // work)
    return [range(first, min(first + size, tiling.n_coarse)) for first in range(0, tiling.n_coarse, size)]


def slices_of(count: int, grid: WindowGrid) -> list[tuple[int, int]]:
    """Divide a source's stored windows into slices of rows [start, stop). Without windows, return one empty slice."""
    size = max(1, EMBED_BYTES // _cutout_bytes(grid))
    return [(first, min(first + size, count)) for first in range(0, max(count, 1), size)]


def is_small(slices: Sequence[tuple[int, int]], grid: WindowGrid) -> bool:
    """Tell whether one embed task can take all slices (rows [start, stop)) of a source and its views."""
    return sum(stop - start for start, stop in slices) * _cutout_bytes(grid) <= EMBED_BYTES


def _cutout_bytes(grid: WindowGrid) -> int:
    """Return the size of the cutout of one window: a byte for each pixel."""
    return grid.integrations * grid.channels


def share_of(works: Iterable[Work], n_waiting: int, capacity: int) -> int:
    """Return how many of the waiting sources, in this order, share one scan task: small ones of one part each.

    Parameters
    ----------
    works : iterable of Work
        The first of the waiting sources.
    n_waiting : int
        Number of waiting sources. The fewer are left, the fewer share a task, so that all workers end at about the
        same time.
    capacity : int
        Number of tasks that the engine takes at a time.

    Returns
    -------
    int
        0 if no two of them can share a task.
    """
    most, room, taken = min(SHARED_SOURCES, n_waiting // (SHARES_LEFT * max(1, capacity))), PART_CHANNELS, 0
    for work in works:
        header = work.source.header
        room -= header.nchans * max(1, header.nsamples // work.scan.integrations)
        if work.is_stored or len(work.parts) > 1 or taken == most or room < 0:
            break
        taken += 1
    return taken if taken > 1 else 0


def embed_limits(on_gpu: bool) -> tuple[int, int]:
    """Return the largest number of slices in an embed task, and the largest size of their cutouts in bytes."""
    return (EMBED_PIECES, GPU_EMBED_BYTES) if on_gpu else (SHARED_SOURCES, EMBED_BYTES)


def batch_of(counts: Iterable[int], grid: WindowGrid, most: int, most_bytes: int) -> tuple[int, bool]:
    """Return how many of the waiting slices, in this order, make one embed task.

    Parameters
    ----------
    counts : iterable of int
        Number of windows of each slice that :func:`slices_of` made.
    most, most_bytes : int
        See :func:`embed_limits`.

    Returns
    -------
    int, bool
        Number of slices, at least one if any waits; and True if they fill the task.
    """
    room = max(1, most_bytes // _cutout_bytes(grid))
    taken = 0
    for count in counts:
        if taken and count > room:
            return taken, True
        taken, room = taken + 1, room - count
        if room <= 0 or taken == most:
            return taken, True
    return taken, False
