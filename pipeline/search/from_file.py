"""Queries from files: a window of the corpus, or a range of any file."""

from __future__ import annotations

import os

from pipeline.errors import QueryError
from pipeline.model import Window
from pipeline.search.description import QueryDescription
from pipeline.search.finer_view import Sight, see_pattern
from pipeline.search.frequency_range import Range, check_range
from pipeline.search.origin import origin_of_path, origin_of_source
from pipeline.search.query import Query, Region
from pipeline.search.query_windows import QueryWindows, region_of_range, windows_of_range
from pipeline.search.snapshot import OpenCorpus
from pipeline.search.views import finer_views, view_of_range, views_with_vectors
from pipeline.support.text import counted
from pipeline.views import PLAIN, View


def query_of_window(corpus: OpenCorpus, encoder_key: str, text: str) -> Query:
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
    return windows.query(corpus, encoder_key, used, region, description.with_notes(no_signal))


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
    wanted: Range,
    polarisation: int | None = None,
    view: View | None = None,
) -> Query:
    """Make a query of a range of frequency and time of a file.

    Parameters
    ----------
    file : str
        A path; or the id, the beginning of the id, or the file name of a source of the corpus. If the file of such a
        source cannot be read, the query consists of the windows in range that the corpus has kept.
    wanted : Range
        Lower and upper end of the range. Time blocks are searched for whole.
    polarisation : int, optional
        Default: the one the corpus was made of.
    view : View, optional
        Default: the view of the corpus whose windows are about as large as the range, or a finer one if that shows the
        pattern (:func:`pipeline.search.finer_view.see_pattern`).

    Raises
    ------
    QueryError
        There is no such file, it is no filterbank file, the range is not in its band, or nothing is there to search
        for.
    """
    polarisation = corpus.config.scan.polarisation if polarisation is None else polarisation
    by_path = os.path.isfile(file)
    find = origin_of_path if by_path else origin_of_source
    origin = find(corpus, file if by_path else corpus.find_source(file), polarisation)
    check_range(wanted, origin.tiling, origin.name)

    def see(one: View) -> QueryWindows:
        seen = origin if one == origin.view else origin.seen_through(corpus, one)
        return windows_of_range(corpus, seen, wanted, may_lack_file=not by_path)

    if origin.view != PLAIN or view is not None:
        windows = see(origin.view if origin.view != PLAIN else view or PLAIN)
        used, no_signal = windows.signals(corpus)
        sight = Sight(windows, used, (no_signal,))
    else:
        held = views_with_vectors(corpus.manifest, encoder_key, origin.tiling.header)
        sight = see_pattern(corpus, origin, finer_views(view_of_range(wanted, origin.tiling, held), held), see)
    windows = sight.windows
    description = QueryDescription(
        kind="file", source=windows.origin.source_id, file=origin.name, target=origin.tiling.header.source_name,
        f_start_mhz=wanted.f_start_mhz, f_stop_mhz=wanted.f_stop_mhz, t_start_s=wanted.t_start_s,
        t_stop_s=wanted.t_stop_s, polarisation=polarisation).with_notes(*origin.remarks, *sight.notes)
    region = region_of_range(windows.origin, wanted, windows.windows)
    return windows.query(corpus, encoder_key, sight.used, region, description)
