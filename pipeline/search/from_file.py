"""Queries from files: a window of the corpus, or a range of any file."""

from __future__ import annotations

import os

from pipeline.errors import QueryError, SourceError
from pipeline.model import Header, Window
from pipeline.search.description import QueryDescription
from pipeline.search.draft import Draft
from pipeline.search.finer_view import Sight, see_pattern
from pipeline.search.frequency_range import Range, check_range
from pipeline.search.origin import Origin, origin_of_path, origin_of_source
from pipeline.search.query import Region
from pipeline.search.query_windows import QueryWindows, lacking_windows, region_of_range, windows_of_range
from pipeline.search.snapshot import OpenCorpus
from pipeline.search.views import finer_views, view_of_range, views_with_vectors
from pipeline.support.text import counted
from pipeline.views import PLAIN, View


def draft_of_window(corpus: OpenCorpus, encoder_key: str, text: str) -> Draft:
    """Make a query of a window of the corpus, named ``SOURCE/NUMBER``.

    A window that was not kept is cut from its file.

    Raises
    ------
    QueryError
        There is no such window; or it was not kept, and the file cannot be read.
    """
    window = find_window(corpus, text)
    origin = origin_of_source(corpus, window.source_id, corpus.config.scan.polarisation)
    description = QueryDescription(
        kind="window", source=origin.source_id, file=origin.name, target=origin.tiling.header.source_name,
        window=window.number,
        f_start_mhz=round(window.f_start_mhz, 9), f_stop_mhz=round(window.f_stop_mhz, 9),
        t_start_s=round(window.t_start_s, 6), t_stop_s=round(window.t_stop_s, 6),
    )
    region = Region(window, origin.tiling.header.telescope_id)
    windows = QueryWindows.of(corpus, origin, [window])
    used, no_signal = windows.signals(corpus)
    return windows.draft(corpus, encoder_key, used, region, description.with_notes(no_signal))


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


def origin_of_file(corpus: OpenCorpus, file: str, polarisation: int | None = None) -> Origin:
    """Find the scan that a user names.

    Parameters
    ----------
    file : str
        A path; or the id, the beginning of the id, or the file name of a source of the corpus.
    polarisation : int, optional
        Default: the one the corpus was made of.

    Raises
    ------
    QueryError
        There is no such file, or it is no filterbank file.
    """
    polarisation = corpus.config.scan.polarisation if polarisation is None else polarisation
    if os.path.isfile(file):
        return origin_of_path(corpus, file, polarisation)
    return origin_of_source(corpus, corpus.find_source(file), polarisation)


def header_of_file(corpus: OpenCorpus, file: str) -> Header:
    """Return the header of a file that a user names. No samples are read, unlike by :func:`origin_of_file`."""
    if not os.path.isfile(file):
        return corpus.manifest.sources[corpus.find_source(file)].header
    from pipeline.filterbank import open_filterbank

    try:
        with open_filterbank(file, accept_truncated=True) as filterbank:
            return filterbank.header
    except SourceError as error:
        raise QueryError(str(error)) from error


def first_windows(corpus: OpenCorpus, encoder_key: str, origin: Origin, wanted: Range) -> list[Window]:
    """Return the windows that :func:`draft_of_range` looks at first, unless the corpus holds them.

    An empty list stands for a range that cannot be used.
    """
    try:
        check_range(wanted, origin.tiling, origin.name)
        if origin.view != PLAIN or _views_of(corpus, encoder_key, origin, wanted)[0] != PLAIN:
            return []
        return lacking_windows(corpus, origin, wanted)
    except QueryError:
        return []


def _views_of(corpus: OpenCorpus, encoder_key: str, origin: Origin, wanted: Range) -> list[View]:
    """Return the views through which a range is looked at, in turn."""
    header = origin.tiling.header
    held = corpus.keep_object(("views", encoder_key, header),
                              lambda: views_with_vectors(corpus.manifest, encoder_key, header))
    return finer_views(view_of_range(wanted, origin.tiling, held), held)


def draft_of_range(
    corpus: OpenCorpus, encoder_key: str, origin: Origin, wanted: Range, view: View | None = None
) -> Draft:
    """Make a query of a range of frequency and time of a scan.

    If no file of a stored scan can be read, the query consists of the windows in range that the corpus has kept.

    Parameters
    ----------
    origin : Origin
        The scan, as :func:`origin_of_file` finds it.
    wanted : Range
        Lower and upper end of the range. Time blocks are searched for whole.
    view : View, optional
        Default: the view of the corpus whose windows are about as large as the range, or a finer one if that shows the
        pattern (:func:`pipeline.search.finer_view.see_pattern`).

    Raises
    ------
    QueryError
        The range is not in the band, the file cannot be read, or nothing is there to search for.
    """
    check_range(wanted, origin.tiling, origin.name)

    def see(one: View) -> QueryWindows:
        seen = origin if one == origin.view else origin.seen_through(corpus, one)
        return windows_of_range(corpus, seen, wanted, may_lack_file=not origin.by_path)

    if origin.view != PLAIN or view is not None:
        windows = see(origin.view if origin.view != PLAIN else view or PLAIN)
        used, no_signal = windows.signals(corpus)
        sight = Sight(windows, used, (no_signal,))
    else:
        sight = see_pattern(corpus, origin, _views_of(corpus, encoder_key, origin, wanted), see)
    windows = sight.windows
    description = QueryDescription(
        kind="file", source=windows.origin.source_id, file=origin.name, target=origin.tiling.header.source_name,
        f_start_mhz=wanted.f_start_mhz, f_stop_mhz=wanted.f_stop_mhz, t_start_s=wanted.t_start_s,
        t_stop_s=wanted.t_stop_s, polarisation=origin.polarisation).with_notes(*origin.remarks, *sight.notes)
    region = region_of_range(windows.origin, wanted, windows.windows)
    return windows.draft(corpus, encoder_key, sight.used, region, description)
