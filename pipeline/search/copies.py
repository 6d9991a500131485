"""Windows of several sources that hold the same pixels.

One recording may be in a corpus as several sources, such as the files of single nodes and the file that was spliced of
them. Each has an id of its own. Windows of two sources hold the same pixels if they come from one telescope, overlap in
time and frequency, have channels and spectra of the same size with the same edges, and agree pixel by pixel. The last
condition tells copies from the beams of one receiver: these lie at the same place, but their noise differs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import floor, isclose

import numpy as np
from numpy.typing import NDArray

from pipeline.grid.places import Places
from pipeline.model import SECONDS_PER_DAY, Header, Window
from pipeline.search.merge import Candidate, Merged
from pipeline.search.query import Query, Region
from pipeline.search.snapshot import OpenCorpus
from pipeline.views import scan_of

MAX_MISALIGNMENT = 0.25
"""Maximum distance between the edges of pixels that count as the same edge, in pixels. Start times and frequencies in
headers are rounded."""
MIN_COMPARED_PIXELS = 64
"""Minimum number of common pixels, masked ones left out, that decide whether two cutouts agree."""
MAX_CODE_DIFFERENCE = 8
"""Maximum median difference of the codes of common pixels. It is 0 or 1 for copies, and more where a copy has fewer
bits or another band around the window. For the noise of different data it is about 21."""
MAX_LOOKED_UP_SOURCES = 32
"""Maximum number of other sources in which the pixels of a hit are looked up."""


def do_overlap(a: Window, b: Window) -> bool:
    """Tell whether two windows of any sources overlap in frequency and time by more than half a pixel of the first."""
    channel_mhz, spectrum_s = _pixel(a)
    after_s = (b.mjd - a.mjd) * SECONDS_PER_DAY
    return (
        b.f_start_mhz < a.f_stop_mhz - channel_mhz / 2
        and a.f_start_mhz < b.f_stop_mhz - channel_mhz / 2
        and after_s < a.t_stop_s - a.t_start_s - spectrum_s / 2
        and -after_s < b.t_stop_s - b.t_start_s - spectrum_s / 2
    )


def offset_of(a: Window, b: Window) -> tuple[int, int] | None:
    """Return how many spectra and channels ``b`` begins after ``a``; None if their pixels differ in size or edges."""
    (channel_mhz, spectrum_s), others = _pixel(a), _pixel(b)
    if not (isclose(channel_mhz, others[0], rel_tol=1e-3) and isclose(spectrum_s, others[1], rel_tol=1e-3)):
        return None
    spectra = (b.mjd - a.mjd) * SECONDS_PER_DAY / spectrum_s
    channels = (b.f_start_mhz - a.f_start_mhz) / channel_mhz
    if max(abs(spectra - round(spectra)), abs(channels - round(channels))) > MAX_MISALIGNMENT:
        return None
    return round(spectra), round(channels)


def _pixel(window: Window) -> tuple[float, float]:
    """Return the width of a channel in MHz and the length of a spectrum in seconds."""
    return ((window.f_stop_mhz - window.f_start_mhz) / (window.channel_stop - window.channel_start),
            (window.t_stop_s - window.t_start_s) / (window.spectrum_stop - window.spectrum_start))


def do_agree(a: NDArray[np.uint8], b: NDArray[np.uint8], offset: tuple[int, int]) -> bool | None:
    """Tell whether two cutouts (T, F) agree in their common pixels; None if these are too few.

    Parameters
    ----------
    offset : (int, int)
        Spectra and channels by which ``b`` begins after ``a``.
    """
    first, second = (
        cutout[tuple(slice(max(0, shift), max(0, size + min(0, shift)))
                     for shift, size in zip(shifts, cutout.shape, strict=True))].astype(np.int64)
        for cutout, shifts in ((a, offset), (b, (-offset[0], -offset[1]))))
    is_valid = (first > 0) & (second > 0)
    if np.count_nonzero(is_valid) < MIN_COMPARED_PIXELS:
        return None
    return bool(np.median(np.abs(first - second)[is_valid]) <= MAX_CODE_DIFFERENCE)


class Copies:
    """Finds windows that hold the same pixels as the query or as a hit.

    Each search makes its own, because it keeps cutouts in memory.
    """

    def __init__(self, corpus: OpenCorpus, query: Query) -> None:
        self._corpus, self._query = corpus, query
        self._cutouts: dict[tuple[str, int], NDArray[np.uint8]] = {}
        self._agree: dict[tuple[str, str], bool] = {}
        """Pair of source ids → whether they agree in the windows that were compared."""
        self._of_query: dict[str, bool] = {}
        """Source id → whether it agrees with the query where both have windows."""

    def is_of_query(self, window: Window) -> bool:
        """Tell whether a window overlaps the query, in the query's own source or in another source of its recording."""
        return any(self._is_of_region(region, window) for region in self._query.regions)

    def _is_of_region(self, region: Region, window: Window) -> bool:
        if window.source_id == region.source_id:
            return region.overlaps(window)
        if scan_of(window.source_id) == scan_of(region.source_id):  # another view of the query's own pixels
            return do_overlap(region.extent, window)
        return (do_overlap(region.extent, window) and self._header(window).telescope_id == region.telescope_id
                and self._agrees_with_query(window.source_id))

    def _agrees_with_query(self, source_id: str) -> bool:
        if source_id not in self._of_query:
            verdicts = (self._compare(query, self._query.cutouts[i], self._corpus.window(source_id, number))
                        for i, query in enumerate(self._query.windows)
                        for number in self.stored_at(source_id, query).tolist())
            self._of_query[source_id] = next((one for one in verdicts if one is not None), False)
        return self._of_query[source_id]

    def _compare(self, a: Window, cutout: NDArray[np.uint8] | None, b: Window) -> bool | None:
        """Tell whether two windows agree; None if this is unknown.

        Parameters
        ----------
        a, b : Window
            The second one is stored.
        cutout : (T, F) uint8, optional
            The cutout of ``a``. By default, the stored one.
        """
        grid, offset = self._corpus.config.scan.grid, offset_of(a, b)
        if offset is None:
            return None
        common = max(0, grid.integrations - abs(offset[0])) * max(0, grid.channels - abs(offset[1]))
        if common < MIN_COMPARED_PIXELS:  # too few to decide: the cutouts need not be read
            return None
        return do_agree(self._cutout(a) if cutout is None else cutout, self._cutout(b), offset)

    def _cutout(self, window: Window) -> NDArray[np.uint8]:
        key = window.source_id, window.number
        if key not in self._cutouts:
            row = self._corpus.rows(window.source_id, np.array([window.number]))
            self._cutouts[key] = self._corpus.windows(window.source_id).cutouts(row)[0]
        return self._cutouts[key]

    def _header(self, window: Window) -> Header:
        return self._corpus.manifest.sources[window.source_id].header

    def stored_at(self, source_id: str, window: Window) -> NDArray[np.int64]:
        """Return the numbers of the stored windows of a source that overlap a window of any source, ascending."""
        tiling, numbers = self._corpus.tiling(source_id), self._corpus.numbers(source_id)
        if not len(numbers):
            return numbers
        header, grid = tiling.header, tiling.grid
        channel = header.channel_at(window.f_start_mhz)
        spectrum = (window.mjd - header.tstart_mjd) * SECONDS_PER_DAY / header.tsamp_s
        places = Places.of(tiling, numbers)
        is_there = (np.abs(places.channel - channel) < grid.channels - 0.5) & (
            np.abs(places.spectrum - spectrum) < grid.integrations - 0.5)
        return np.sort(numbers[is_there])

    def join(self, hits: Sequence[Merged], known: Mapping[tuple[str, int], Candidate]) -> list[Merged]:
        """Leave out hits that hold pixels of a better hit from another source, and name them in that hit.

        Parameters
        ----------
        hits : sequence of Merged
            By descending score.
        known : mapping
            Source id and window number → the window, for all windows of the hits.
        """
        if len({hit.best.window.source_id for hit in hits}) < 2:
            return list(hits)
        places = _Places(self._corpus)
        joined: list[Merged] = []
        for hit in hits:
            window = hit.best.window
            better = min((i for other, i in places.around(window) if self._are_same(other, window)), default=None)
            if better is None:
                for number in (window.number, *hit.others):
                    places.add(known[window.source_id, number].window, len(joined))
                joined.append(hit)
            elif window.source_id not in {source_id for source_id, _ in joined[better].copies}:
                copies = (*joined[better].copies, (window.source_id, window.number))
                joined[better] = replace(joined[better], copies=copies)
        return joined

    def _are_same(self, a: Window, b: Window) -> bool:
        if a.source_id == b.source_id or not do_overlap(a, b):
            return False
        pair = min(a.source_id, b.source_id), max(a.source_id, b.source_id)
        if pair not in self._agree:
            verdict = self._compare(a, None, b)
            if verdict is None:
                return False
            self._agree[pair] = verdict
        return self._agree[pair]

    def elsewhere(self, window: Window) -> Iterator[str]:
        """Yield the ids of other sources that may hold the pixels of a window: same telescope, time and frequency.

        A source whose header has the same time, band, bits and target is left out. If it had the same samples, it would
        be the same source.
        """
        header = self._header(window)
        sources = self._corpus.manifest.sources
        ids = self._corpus.keep_object("ids of sources", lambda: tuple(sources))
        start, stop, telescope = self._corpus.keep_array("times of sources", self._times).T
        middle = window.mjd + (window.t_stop_s - window.t_start_s) / SECONDS_PER_DAY / 2
        there = np.flatnonzero((start < middle) & (middle < stop) & (telescope == header.telescope_id))
        found = 0
        for i in there.tolist():
            entry = sources[ids[i]]
            if (found < MAX_LOOKED_UP_SOURCES and entry.resolution == sources[window.source_id].resolution
                    and entry.header.f_min_mhz < window.f_stop_mhz and window.f_start_mhz < entry.header.f_max_mhz
                    and _facts(entry.header) != _facts(header)):
                found += 1
                yield ids[i]

    def _times(self) -> NDArray[np.float64]:
        """Return start and stop, as MJD, and telescope of every source: (sources, 3)."""
        headers = [entry.header for entry in self._corpus.manifest.sources.values()]
        return np.array([(header.tstart_mjd, header.tstart_mjd + header.duration_s / SECONDS_PER_DAY,
                          header.telescope_id) for header in headers])


def _facts(header: Header) -> tuple[float | str, ...]:
    return (header.fch1_mhz, header.foff_mhz, header.nchans, header.tstart_mjd, header.nsamples, header.nbits,
            header.source_name)


class _Places:
    """Windows of hits, found by their place in time and frequency, whatever their source."""

    def __init__(self, corpus: OpenCorpus) -> None:
        self._sources = corpus.manifest.sources
        self._sizes: dict[str, tuple[float, float]] = {}
        """Resolution class → width of a cell in MHz and length in days. Both are those of the first window."""
        self._columns: dict[tuple[str, int, int], list[tuple[int, Window, int]]] = defaultdict(list)
        """Resolution class, telescope and column of cells → row of each window, the window, and its hit."""

    def add(self, window: Window, hit: int) -> None:
        """Add a window of a hit, which is given by its index."""
        resolution, telescope, column, row = self._cell(window)
        self._columns[resolution, telescope, column].append((row, window, hit))

    def around(self, window: Window) -> Iterator[tuple[Window, int]]:
        """Yield the windows that were added in the cell of a window and in the cells around it."""
        resolution, telescope, column, row = self._cell(window)
        for near in (column - 1, column, column + 1):
            for of_other, other, hit in self._columns.get((resolution, telescope, near), ()):
                if abs(of_other - row) <= 1:
                    yield other, hit

    def _cell(self, window: Window) -> tuple[str, int, int, int]:
        entry = self._sources[window.source_id]
        width_mhz, days = self._sizes.setdefault(entry.resolution, (
            window.f_stop_mhz - window.f_start_mhz, (window.t_stop_s - window.t_start_s) / SECONDS_PER_DAY))
        return (entry.resolution, entry.header.telescope_id, floor(window.f_start_mhz / width_mhz),
                floor(window.mjd / days))
