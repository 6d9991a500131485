"""Decides which channels and spectra a scan reads at once, and reads the next ones in a thread while it scans."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.filterbank import Ascending, Buffer, Filterbank
from pipeline.grid.tiling import Tiling
from pipeline.support.prefetch import prefetch

READ_CHANNELS = 2**20
"""Maximum number of channels in one read, unless one coarse channel is wider. Narrow coarse channels are read together,
because a storage chunk of the file may span several of them."""
MAX_READ_PIXELS = 2**24
"""Maximum number of pixels (spectra × channels) in one read: 64 MB of power. One time block of one coarse channel may
be larger."""
_SPARE_BUFFERS: deque[Buffer] = deque()
"""Buffers of earlier scans in this process. Reusing them saves the system from zeroing new memory."""


class Readable(Protocol):
    """Samples of a coarse channel: :class:`pipeline.filterbank.Ascending`, or averages of such samples."""

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest value that a sample can have; infinite if there are none."""

    @property
    def averaged(self) -> int:
        """Number of samples of the file that are averaged in each sample."""

    def read(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
             memory: NDArray[np.float32]) -> NDArray[np.float32]:
        """Read as :meth:`pipeline.filterbank.Ascending.read` does. ``memory`` need not be used."""


class Fetchable(Protocol):
    """An open file from which windows can be cut: :class:`pipeline.filterbank.Filterbank`, or a view of one."""

    def fetch(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
              room: Buffer) -> Readable:
        """Read a range as :meth:`pipeline.filterbank.Filterbank.fetch` does."""


class TimedReader:
    """Reads samples and adds up the seconds that this takes.

    Parameters
    ----------
    samples : Readable
    low : int
        First ascending channel of the coarse channel that is read.
    watch : callable, optional
        Called with all power that is read, and its first channel in the coarse channel. Its time is not counted.
    """

    def __init__(
        self, samples: Readable, low: int = 0, watch: Callable[[NDArray[np.float32], int], None] | None = None
    ) -> None:
        self._samples, self._low, self._watch = samples, low, watch
        self.limits, self.averaged = samples.limits, samples.averaged
        self.took_s = 0.0

    def read(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
             memory: NDArray[np.float32]) -> NDArray[np.float32]:
        """Read as :meth:`pipeline.filterbank.Ascending.read` does."""
        began = time.perf_counter()
        power = self._samples.read(spectrum_start, spectrum_stop, channel_start, channel_stop, memory)
        self.took_s += time.perf_counter() - began
        if self._watch is not None:
            self._watch(power, channel_start - self._low)
        return power


def _take_buffer() -> Buffer:
    """Return a buffer of an earlier scan, or a new one. ``deque.pop`` is atomic, so two threads never get the same one.
    """
    try:
        return _SPARE_BUFFERS.pop()
    except IndexError:
        return Buffer()


def fetch_ahead(
    filterbank: Filterbank, tiling: Tiling, wanted: Sequence[tuple[range, range]]
) -> Iterator[tuple[Ascending, float]]:
    """Fetch groups of coarse channels and runs of time blocks. While one is used, the next is fetched in a thread.

    Parameters
    ----------
    wanted : sequence of (range, range)
        Coarse channels and time blocks of each read.

    Yields
    ------
    Ascending
        The samples. They are valid until the next item is asked for.
    float
        Seconds that fetching took.
    """
    buffers = [_take_buffer() for _ in range(2)]

    def fetch(number: int) -> tuple[Ascending, float]:
        began = time.perf_counter()
        group, run = wanted[number]
        start, stop = tiling.coarse_span(group[0])[0], tiling.coarse_span(group[-1])[1]
        first, last = tiling.spectrum_of(run.start), tiling.spectrum_of(run.stop - 1) + tiling.grid.integrations
        fetched = filterbank.fetch(first, last, start, stop, buffers[number % 2])
        return fetched, time.perf_counter() - began

    yield from prefetch(fetch, len(wanted))  # depth 1, because there are two buffers
    _SPARE_BUFFERS.extend(buffers)


def block_runs(filterbank: Filterbank, tiling: Tiling, group: range) -> list[range]:
    """Divide the time blocks into runs that are read at once.

    A run spans one storage chunk, so that no chunk is decoded twice. If this exceeds :data:`MAX_READ_PIXELS`, runs are
    shorter, but at least one time block. Of a last block that overlaps the one before, chunks may be decoded twice.
    """
    spectra = filterbank.chunk_shape[0] if filterbank.chunk_shape else 1
    channels = tiling.coarse_span(group[-1])[1] - tiling.coarse_span(group[0])[0]
    integrations = tiling.grid.integrations
    size = max(1, min(-(-spectra // integrations), MAX_READ_PIXELS // (channels * integrations)))
    return [range(first, min(first + size, tiling.n_blocks)) for first in range(0, tiling.n_blocks, size)]


def read_groups(tiling: Tiling, coarse: range) -> Iterator[range]:
    """Divide coarse channels into groups that are read at once. Those outside the searched band are left out.

    Yields
    ------
    range
        Consecutive coarse channels.
    """
    searched = [i for i in coarse if len(tiling.positions(i))]
    most = max(1, READ_CHANNELS // tiling.coarse.width)
    first = 0
    for k in range(1, len(searched) + 1):
        if k == len(searched) or k - first == most or searched[k] != searched[k - 1] + 1:
            yield range(searched[first], searched[k - 1] + 1)
            first = k
