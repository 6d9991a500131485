"""The observation that a query comes from: its files, its view, and where its windows lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParameterError, QueryError, Reason, SourceError, parameter
from pipeline.grid.tiling import Tiling
from pipeline.model import Window
from pipeline.search.frequency_range import number_at
from pipeline.search.snapshot import OpenCorpus
from pipeline.views import PLAIN, View, scan_of, view_of

if TYPE_CHECKING:
    from pipeline.filterbank import Filterbank

_T = TypeVar("_T")

# pipeline.scan loads numba and scipy, and pipeline.filterbank all readers of files. They are imported only where a
# window must be cut, so that a search for a stored window does not wait for them.


CutWindows = dict[tuple[str, int, int], tuple[NDArray[np.uint8], float]]
"""View, first spectrum and first channel of a window → its cutout (T, F), and the relative spread of its noise."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The observation that a query comes from. The corpus may hold it."""

    source_id: str
    name: str
    """Path of its file, or the path that the user gave."""
    tiling: Tiling
    paths: tuple[str, ...]
    """Files from which its data may be read."""
    polarisation: int
    is_stored: bool
    """True where the corpus holds windows of this source and polarisation."""
    view: View = PLAIN
    """View through which the observation is seen. ``source_id`` and ``tiling`` are those of the view."""
    plain: Tiling | None = None
    """Where the windows of the plain view lie. None: ``tiling`` says it."""
    remarks: tuple[str, ...] = ()
    """What the user should know of the file."""
    by_path: bool = False
    """True where the user gave the path of a file, so that the windows of the corpus do not stand in for it."""
    cut_before: CutWindows = field(default_factory=dict)
    """Windows that were cut before, together with those of other queries. All views of the observation share them."""

    def window_at(self, block: int, channel: int) -> Window:
        """Return the window that begins at a channel in a time block. It may be off the grid."""
        tiling = self.tiling
        return tiling.window_at(self.source_id, tiling.spectrum_of(block), channel, number_at(tiling, block, channel))

    def extent(self, blocks: range, first: int, stop: int) -> Window:
        """Return the channels [first, stop) in some time blocks as one window."""
        header, begin = self.tiling.header, self.tiling.spectrum_of(blocks.start)
        end = self.tiling.spectrum_of(blocks.stop - 1) + self.tiling.grid.integrations
        t_start_s = begin * header.tsamp_s
        return Window(self.source_id, -1, first, stop, begin, end, header.channel_edge_mhz(first),
                      header.channel_edge_mhz(stop), t_start_s, end * header.tsamp_s, header.mjd_at(t_start_s))

    def seen_through(self, corpus: OpenCorpus, view: View) -> Origin:
        """Return a scan as a view shows it; raise :class:`ParameterError` if no window of the view fits into it."""
        tiling = self.tiling
        if view != PLAIN and not view.suits(tiling.header, tiling.coarse, tiling.grid):
            raise ParameterError(f"{parameter('view')} {view.name}: no window of this view fits into {self.name}")
        source_id = view.id_of(self.source_id)
        return replace(self, source_id=source_id, tiling=tiling.seen_through(view), view=view, plain=tiling,
                       is_stored=self.is_stored and source_id in corpus.manifest.sources)


class FileGone(QueryError):
    """No file of a source can be read."""


def origin_of_path(corpus: OpenCorpus, path: str, polarisation: int) -> Origin:
    """Find out which observation a file holds. The corpus may have it, from this path or another."""
    from pipeline.scan import tiling_of

    try:
        with _opened(corpus, path, polarisation) as (filterbank, source_id):
            remarks = tuple(filterbank.remarks.values())
            if source_id in corpus.manifest.sources:
                origin = origin_of_source(corpus, source_id, polarisation)
                return replace(origin, name=path, paths=(path,), remarks=remarks, by_path=True)
            tiling = tiling_of(filterbank, corpus.config.scan)
    except SourceError as error:
        raise QueryError(str(error)) from error
    return Origin(source_id, path, tiling, (path,), polarisation, is_stored=False, remarks=remarks,
                  by_path=True)


def origin_of_source(corpus: OpenCorpus, source_id: str, polarisation: int) -> Origin:
    """Describe a source of the corpus as the origin of a query."""
    entry = corpus.manifest.sources[source_id]
    paths, is_stored = (entry.path, *entry.also_at), polarisation == corpus.config.scan.polarisation
    return Origin(source_id, entry.path, corpus.tiling(source_id), paths, polarisation, is_stored,
                  View.named(view_of(source_id)), corpus.tiling(scan_of(source_id)))


def cut(
    corpus: OpenCorpus, origin: Origin, windows: Sequence[Window]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Cut windows from the first file of an origin that still holds its observation. Those in its ``cut_before`` are
    taken from there.

    Returns
    -------
    cutouts : (n, T, F) uint8
    spreads : (n,) float32
        Relative standard deviation of the noise of each window.

    Raises
    ------
    FileGone
        No file can be read, or none holds the observation.
    """
    grid = origin.tiling.grid
    cutouts = np.zeros((len(windows), grid.integrations, grid.channels), np.uint8)
    spreads = np.zeros(len(windows), np.float32)
    lacking = []
    for i, window in enumerate(windows):
        if (made := origin.cut_before.get(_place(origin, window))) is None:
            lacking.append(i)
        else:
            cutouts[i], spreads[i] = made
    if lacking:
        cutouts[lacking], spreads[lacking] = _cut(corpus, origin, [windows[i] for i in lacking])
    return cutouts, spreads


def cut_together(corpus: OpenCorpus, origin: Origin, windows: Sequence[Window]) -> None:
    """Cut windows for several queries into ``cut_before``, each once. What cannot be cut is left to each query.

    Each coarse channel of the file is read once.
    """
    distinct = {_place(origin, window): window for window in windows}
    lacking = [window for place, window in sorted(distinct.items()) if place not in origin.cut_before]
    if not lacking:
        return
    try:
        cutouts, spreads = _cut(corpus, origin, lacking)
    except FileGone:  # a query may do with windows that the corpus has kept
        return
    for window, cutout, spread in zip(lacking, cutouts, spreads.tolist(), strict=True):
        origin.cut_before[_place(origin, window)] = cutout, spread


def _place(origin: Origin, window: Window) -> tuple[str, int, int]:
    return origin.view.name, window.spectrum_start, window.channel_start


def _cut(
    corpus: OpenCorpus, origin: Origin, windows: Sequence[Window]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Cut windows from the first file of an origin that still holds its observation."""
    from pipeline.scan import AveragedFile, cut_windows, levels_of_channels

    tiling, view = origin.tiling, origin.view
    places = [(tiling.block_at(window.spectrum_start), window.channel_start) for window in windows]

    def cut_from(filterbank: Filterbank) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        file = filterbank if view == PLAIN else AveragedFile(filterbank, view, tiling.grid.integrations)
        coarse = {tiling.coarse_at(channel) for _, channel in places}
        levels = levels_of_channels(filterbank, origin.plain or tiling, coarse, corpus.config.scan)
        return cut_windows(file, tiling, places, levels)

    return read_from_file(corpus, origin, cut_from)[0]


def read_from_file(corpus: OpenCorpus, origin: Origin, read: Callable[[Filterbank], _T]) -> tuple[_T, str]:
    """Read from the first file of an origin that still holds its observation.

    Parameters
    ----------
    read : callable
        Gets the open file, and returns what it reads.

    Returns
    -------
    what was read, and the path of the file

    Raises
    ------
    FileGone
        No file can be read, or none holds the observation.
    """
    problem = ""
    for path in origin.paths:
        try:
            with _opened(corpus, path, origin.polarisation) as (filterbank, source_id):
                if source_id != scan_of(origin.source_id):
                    raise SourceError(Reason.BUSY, f"{path}: now holds another scan, {source_id}; ingest it")
                made = read(filterbank)
                filterbank.check_unchanged()
                return made, path
        except SourceError as error:
            problem = problem or error.message
    raise FileGone(f"{origin.source_id} cannot be read from its file any more ({problem})")


@contextmanager
def _opened(corpus: OpenCorpus, path: str, polarisation: int) -> Iterator[tuple[Filterbank, str]]:
    """Open a file; also give its source id, which depends on the polarisation that an ingest reads."""
    from pipeline.filterbank import open_filterbank

    own = corpus.config.scan.polarisation
    with open_filterbank(path, polarisation=polarisation, accept_truncated=True) as filterbank:
        if polarisation == own or own >= filterbank.header.nifs:
            yield filterbank, filterbank.source_id()
            return
        with open_filterbank(path, polarisation=own, accept_truncated=True) as ingested:
            source_id = ingested.source_id()
        yield filterbank, source_id
