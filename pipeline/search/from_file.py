"""Queries from files: a window of the corpus, or a range of any file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParameterError, QueryError, Reason, SourceError, parameter
from pipeline.grid.places import first_channels
from pipeline.grid.tiling import Tiling
from pipeline.model import Window
from pipeline.search.description import QueryDescription
from pipeline.search.frequency_range import check_range, number_at, window_starts
from pipeline.search.query import Query, Region, embed, find_seen, find_signals, find_usable, relative_power
from pipeline.search.snapshot import OpenCorpus
from pipeline.search.views import view_of_range, views_with_vectors
from pipeline.support.text import counted
from pipeline.views import PLAIN, View, scan_of, view_of

if TYPE_CHECKING:
    from pipeline.filterbank import Filterbank

# pipeline.scan loads numba and scipy, and pipeline.filterbank all readers of files. They are imported only where a
# window must be cut, so that a search for a stored window does not wait for them.

MAX_QUERY_WINDOWS = 65_536
"""Maximum number of windows of one query: sixteen coarse channels of the fine product."""


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
    remarks: tuple[str, ...] = ()
    """What the user should know of the file."""


def query_of_window(corpus: OpenCorpus, encoder_key: str, text: str) -> Query:
    """Make a query of a window of the corpus, named ``SOURCE/NUMBER``.

    A window that was not kept is cut from its file.

    Raises
    ------
    QueryError
        There is no such window; or it was not kept, and the file cannot be read.
    """
    window = find_window(corpus, text)
    origin = _origin_of_source(corpus, window.source_id, corpus.config.scan.polarisation)
    description = QueryDescription(
        kind="window", source=origin.source_id, file=origin.name, target=origin.tiling.header.source_name,
        window=window.number,
        f_start_mhz=round(window.f_start_mhz, 9), f_stop_mhz=round(window.f_stop_mhz, 9),
        t_start_s=round(window.t_start_s, 6), t_stop_s=round(window.t_stop_s, 6),
    )
    region = Region(window, origin.tiling.header.telescope_id)
    return _query(corpus, encoder_key, origin, [window], region, description)


def find_window(corpus: OpenCorpus, text: str) -> Window:
    """Return the window named ``SOURCE/NUMBER``, whether or not it was kept.

    Parameters
    ----------
    text : str
        The source is named by its id, the beginning of its id, or a file name.

    Raises
    ------
    QueryError
        There is no such window.
    """
    source_text, _, digits = text.rpartition("/")
    if not source_text or not (digits.isascii() and digits.isdecimal()):
        raise QueryError(f"{text!r} names no window: give SOURCE/NUMBER, such as GBT_57436_51432_HIP77257/3015")
    source_id, number = corpus.find_source(source_text), int(digits)
    tiling = corpus.tiling(source_id)
    if number >= tiling.n_windows:
        raise QueryError(f"{text}: {source_id} has {counted(tiling.n_windows, 'window')}, numbered from 0")
    return tiling.window(source_id, number)


def query_of_range(
    corpus: OpenCorpus,
    encoder_key: str,
    file: str,
    f_start_mhz: float,
    f_stop_mhz: float,
    polarisation: int | None = None,
    view: View | None = None,
) -> Query:
    """Make a query of a range of frequency, in all time blocks of a file.

    Parameters
    ----------
    file : str
        A path; or the id, the beginning of the id, or the file name of a source of the corpus. If the file of such a
        source cannot be read, the query consists of the windows in range that the corpus has kept.
    f_start_mhz, f_stop_mhz : float
        Lower and upper end of the range.
    polarisation : int, optional
        Default: the one the corpus was made of.
    view : View, optional
        Default: the view of the corpus whose windows are about as wide as the range.

    Raises
    ------
    QueryError
        There is no such file, it is no filterbank file, the range is not in its band, or nothing is there to search
        for.
    """
    wanted = corpus.config.scan.polarisation if polarisation is None else polarisation
    by_path = os.path.isfile(file)
    find = _origin_of_path if by_path else _origin_of_source
    origin = find(corpus, file if by_path else corpus.find_source(file), wanted)
    if origin.view == PLAIN:
        view = view or view_of_range(f_start_mhz, f_stop_mhz, origin.tiling, views_with_vectors(
            corpus.manifest, encoder_key, origin.tiling.header))
        origin = _seen_through(corpus, origin, view)
    tiling = origin.tiling
    check_range(f_start_mhz, f_stop_mhz, tiling, origin.name)
    low, high = tiling.header.channel_at(f_start_mhz), tiling.header.channel_at(f_stop_mhz)
    count = int(high - low) // tiling.grid.channels * tiling.n_blocks  # the list of windows may be too long to be made
    starts = window_starts(tiling, f_start_mhz, f_stop_mhz) if count <= 2 * MAX_QUERY_WINDOWS else []
    count = len(starts) * tiling.n_blocks if starts else count
    if count > MAX_QUERY_WINDOWS:
        raise QueryError(f"{f_start_mhz}–{f_stop_mhz} MHz of {origin.name} make {count} windows: ask for at most "
                         f"{MAX_QUERY_WINDOWS} at once")
    first, stop = min(starts[0], math.floor(low)), max(starts[-1] + tiling.grid.channels, math.ceil(high))
    region = Region(_extent(origin, first, stop), tiling.header.telescope_id)
    description = QueryDescription(
        kind="file", source=origin.source_id, file=origin.name, target=tiling.header.source_name,
        f_start_mhz=f_start_mhz, f_stop_mhz=f_stop_mhz, polarisation=wanted).with_notes(*origin.remarks)
    windows = [_window_at(origin, block, start) for block in range(tiling.n_blocks) for start in starts]
    try:
        return _query(corpus, encoder_key, origin, windows, region, description)
    except FileGone as error:
        if by_path or not origin.is_stored:
            raise
        windows = _kept_windows(corpus, origin, low, high, error)
        note = f"{error}: searched for {counted(len(windows), 'window')} in range that the corpus has kept"
        return _query(corpus, encoder_key, origin, windows, region, description.with_notes(note))


class FileGone(QueryError):
    """No file of a source can be read."""


def _origin_of_path(corpus: OpenCorpus, path: str, polarisation: int) -> Origin:
    """Find out which observation a file holds. The corpus may have it, from this path or another."""
    from pipeline.scan import tiling_of

    try:
        with _opened(corpus, path, polarisation) as (filterbank, source_id):
            remarks = tuple(filterbank.remarks.values())
            if source_id in corpus.manifest.sources:
                origin = _origin_of_source(corpus, source_id, polarisation)
                return replace(origin, name=path, paths=(path,), remarks=remarks)
            tiling = tiling_of(filterbank, corpus.config.scan)
    except SourceError as error:
        raise QueryError(str(error)) from error
    return Origin(source_id, path, tiling, (path,), polarisation, is_stored=False, remarks=remarks)


def _origin_of_source(corpus: OpenCorpus, source_id: str, polarisation: int) -> Origin:
    """Describe a source of the corpus as the origin of a query."""
    entry = corpus.manifest.sources[source_id]
    paths, is_stored = (entry.path, *entry.also_at), polarisation == corpus.config.scan.polarisation
    return Origin(source_id, entry.path, corpus.tiling(source_id), paths, polarisation, is_stored,
                  View.named(view_of(source_id)))


def _seen_through(corpus: OpenCorpus, origin: Origin, view: View) -> Origin:
    """Return a scan as a view shows it; raise :class:`ParameterError` if no window of the view fits into it."""
    tiling = origin.tiling
    if view != PLAIN and not view.suits(tiling.header, tiling.coarse, tiling.grid):
        raise ParameterError(f"{parameter('view')} {view.name}: no window of this view fits into {origin.name}")
    source_id = view.id_of(origin.source_id)
    return replace(origin, source_id=source_id, tiling=tiling.seen_through(view), view=view,
                   is_stored=origin.is_stored and source_id in corpus.manifest.sources)


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


def _extent(origin: Origin, first: int, stop: int) -> Window:
    """Return the channels [first, stop) in all time blocks as one window."""
    header, spectra = origin.tiling.header, origin.tiling.header.nsamples - origin.tiling.spectra_skipped
    return Window(origin.source_id, -1, first, stop, 0, spectra, header.channel_edge_mhz(first),
                  header.channel_edge_mhz(stop), 0.0, spectra * header.tsamp_s, header.tstart_mjd)


def _window_at(origin: Origin, block: int, channel: int) -> Window:
    tiling = origin.tiling
    return tiling.window_at(origin.source_id, tiling.spectrum_of(block), channel, number_at(tiling, block, channel))


def _kept_windows(corpus: OpenCorpus, origin: Origin, low: float, high: float, error: FileGone) -> list[Window]:
    """Return the stored windows of a source that overlap a range of channels; raise a QueryError if there are none."""
    numbers = np.sort(corpus.numbers(origin.source_id))
    if len(numbers):
        first = first_channels(origin.tiling, numbers)
        numbers = numbers[(first < max(high, low + 1)) & (first + origin.tiling.grid.channels > low)]
    if not len(numbers):
        raise QueryError(f"{error}, and the corpus has kept no window there; give the path of a copy") from error
    return [origin.tiling.window(origin.source_id, int(number)) for number in numbers]


def _query(
    corpus: OpenCorpus,
    encoder_key: str,
    origin: Origin,
    windows: Sequence[Window],
    region: Region,
    description: QueryDescription,
) -> Query:
    """Make a query of some windows of one source.

    Stored windows are taken from the corpus; the others are cut from the file and encoded. Windows that show nothing
    are left out. Windows without a signal are left out, too, unless no window has one.
    """
    grid, source_id = origin.tiling.grid, origin.source_id
    rows = np.full(len(windows), -1, np.int64)
    has_vectors = np.zeros(len(windows), np.bool_)
    if origin.is_stored:
        rows = corpus.rows(source_id, np.array([window.number for window in windows]))
        has_vectors = (rows >= 0) & (encoder_key in corpus.manifest.sources[source_id].vectors)
    kept, missing = np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0)
    stored = corpus.cutouts(source_id, rows[kept]) if len(kept) else None  # first: this checks the shape of the grid
    cutouts = np.zeros((len(windows), grid.integrations, grid.channels), np.uint8)
    vectors = np.zeros((len(windows), corpus.manifest.encoders[encoder_key].dimension), np.float32)
    spreads = np.zeros(len(windows))
    if stored is not None:
        cutouts[kept] = stored
        spreads[kept] = corpus.column(source_id, "spread", rows[kept])
    if len(missing):
        cutouts[missing], spreads[missing] = _cut(corpus, origin, [windows[int(i)] for i in missing])
    usable = find_usable(cutouts, f"{origin.name}, {windows[0].f_start_mhz:.6f}–{windows[-1].f_stop_mhz:.6f} MHz")
    used, no_signal = find_signals(corpus, cutouts, spreads, usable, rows >= 0)
    if has_vectors.any():
        vectors[has_vectors] = corpus.vectors_of(source_id, encoder_key, rows[has_vectors])
    lacking, other_precision = used[~has_vectors[used]], ""
    if len(lacking):
        vectors[lacking], other_precision = embed(corpus, encoder_key, cutouts[lacking])
    used = used[find_seen(corpus, encoder_key, vectors[used])]
    return Query(
        vectors=vectors[used],
        cutouts=cutouts[used],
        positions=np.array([(windows[int(i)].spectrum_start, windows[int(i)].channel_start) for i in used]),
        windows=tuple(windows[int(i)] for i in used),
        power_of=lambda i: relative_power(cutouts[used[i]], spreads[used[i]]),
        region=region,
        resolution=corpus.manifest.resolution_of(origin.tiling.header),
        description=replace(description.with_notes(no_signal, other_precision), windows=len(used)),
    )


def _cut(
    corpus: OpenCorpus, origin: Origin, windows: Sequence[Window]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Cut windows from the first file of an origin that still holds its observation.

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
    from pipeline.scan import AveragedFile, cut_windows

    tiling, view = origin.tiling, origin.view
    places = [(tiling.block_at(window.spectrum_start), window.channel_start) for window in windows]
    problem = ""
    for path in origin.paths:
        try:
            with _opened(corpus, path, origin.polarisation) as (filterbank, source_id):
                if source_id != scan_of(origin.source_id):
                    raise SourceError(Reason.BUSY, f"{path}: now holds another scan, {source_id}; ingest it")
                file = filterbank if view == PLAIN else AveragedFile(filterbank, view, tiling.grid.integrations)
                cut = cut_windows(file, tiling, places)
                filterbank.check_unchanged()
                return cut
        except SourceError as error:
            problem = problem or error.message
    raise FileGone(f"{origin.source_id} cannot be read from its file any more ({problem})")
