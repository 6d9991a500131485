"""The view through which a pattern is searched for, and hits of several views that show the same pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from pipeline.catalogue import Manifest
from pipeline.errors import ParameterError, QueryError, parameter
from pipeline.grid.tiling import Tiling
from pipeline.model import Header, Hit, Window
from pipeline.search.encoder import count_vectors
from pipeline.search.figures import kept, note_on_left_out, over_views
from pipeline.search.frequency_range import Range
from pipeline.search.request import SearchRequest
from pipeline.search.result import SearchResult
from pipeline.views import PLAIN, View, scan_of, shown_view, view_of


def views_held(manifest: Manifest) -> list[View]:
    """Return the views of a corpus, the plain one first, then by the size of an averaged pixel."""
    names = {view_of(source_id) for source_id in manifest.sources} | {PLAIN.name}
    return sorted(map(View.named, names), key=lambda view: view.order)


def views_with_vectors(manifest: Manifest, encoder_key: str, header: Header) -> list[View]:
    """Return the views of a scan with this ``header`` that can be compared with vectors of the corpus."""
    known = count_vectors(manifest, encoder_key)
    return [view for view in views_held(manifest) if manifest.resolution_of(view.header_of(header)) in known]


def view_named(name: str | None, manifest: Manifest) -> View | None:
    """Return the view of a name that a user gave, ``1x`` or an empty text for the plain one; None for None.

    Raises
    ------
    ParameterError
        The corpus has no such view.
    """
    if name is None:
        return None
    held = views_held(manifest)
    for view in held:
        if name in (view.name, shown_view(view.name)):
            return view
    raise ParameterError(f"{parameter('view')} {name}: the corpus has only "
                         f"{', '.join(shown_view(view.name) for view in held)}; ingest can add views")


def view_of_range(wanted: Range, tiling: Tiling, views: Iterable[View]) -> View:
    """Choose the view whose windows are about as large as a range.

    Views that average spectra are chosen only for a range with times: one without covers the whole file, however short
    its pattern is.

    Parameters
    ----------
    wanted : Range
    tiling : Tiling
        Windows of the plain view.
    views : iterable of View
        Views to choose from. The plain view is always one of them.
    """
    header, grid = tiling.header, tiling.grid
    channels = max(wanted.f_stop_mhz - wanted.f_start_mhz, header.channel_width_mhz) / header.channel_width_mhz
    spectra = float(grid.integrations)
    if wanted.has_times:
        stop_s = header.nsamples * header.tsamp_s if wanted.t_stop_s is None else wanted.t_stop_s
        spectra = max(stop_s - (wanted.t_start_s or 0.0), header.tsamp_s) / header.tsamp_s
    wide, long = channels / grid.channels, spectra / grid.integrations
    fitting = [view for view in views if (wanted.has_times or view.time == 1)
               and view.suits(header, tiling.coarse, grid)]
    return min([PLAIN, *fitting],
               key=lambda view: abs(math.log(wide / view.frequency)) + abs(math.log(long / view.time)))


def finer_views(view: View, views: Iterable[View]) -> list[View]:
    """Return a view and those that average less, both in frequency and in time, coarsest first; the plain one is last.
    """
    finer = [one for one in views if one.frequency <= view.frequency and one.time <= view.time]
    return sorted({view, *finer, PLAIN}, key=lambda one: one.order, reverse=True)


def through_all_views(
    request: SearchRequest, views: Sequence[View], answer: Callable[[SearchRequest], SearchResult],
    window_of: Callable[[str], Window],
) -> SearchResult:
    """Search through each of some views, and put the hits together.

    A window of the corpus is searched for as the range of frequency and time that it covers.

    Parameters
    ----------
    answer : callable
        Carries out a request for one view.
    window_of : callable
        Finds a window that is named ``SOURCE/NUMBER``.

    Raises
    ------
    QueryError
        No view can be searched; the error is that of the first one.
    """
    one = replace(request, all_views=False, min_score=None, expected_below=None, q=False)
    if one.window is not None:
        assert isinstance(one.window, str)  # a request through all views names no more than one
        window = window_of(one.window)
        one = replace(one, window=None, file=scan_of(window.source_id), f_start_mhz=window.f_start_mhz,
                      f_stop_mhz=window.f_stop_mhz, t_start_s=window.t_start_s, t_stop_s=window.t_stop_s)
    results, errors = [], []
    for view in views:
        try:
            results.append(answer(replace(one, view=shown_view(view.name))))
        except QueryError as error:  # such as: no window of the view fits into the file
            errors.append(error)
    if not results:
        raise errors[0]
    best = max(results, key=lambda result: max((hit.score for hit in result), default=-1.0))
    searched = {resolution for result in results for resolution in result.resolutions}
    count = sum(result.corpus["searched"] for result in results)
    hits = over_views(merged_views(results, request.k), len(results), count)
    chosen = kept(hits, request, best.background.reason)
    asked = replace(request, exact=all(result.request.exact for result in results))
    return replace(best, request=asked, corpus={**best.corpus, "searched": count},
                   hits=chosen, description=best.description.with_notes(note_on_left_out(hits, chosen)),
                   background=replace(best.background, searched=count),
                   resolutions=tuple(sorted(searched)),
                   resolutions_left_out=tuple(one for one in best.resolutions_left_out if one not in searched))


def merged_views(results: Sequence[SearchResult], k: int) -> tuple[Hit, ...]:
    """Return the best hits of searches through several views.

    Hits of one scan that overlap in time and frequency are one: the one with the best score stays, and names the
    others among its copies.
    """
    hits = sorted((hit for result in results for hit in result),
                  key=lambda hit: (-hit.final_score, hit.source_id, hit.rank))
    kept: list[Hit] = []
    for hit in hits:
        i = next((i for i, other in enumerate(kept) if _overlap(hit, other)), None)
        if i is None:
            kept.append(hit)
        elif hit.view != kept[i].view:
            kept[i] = replace(kept[i], copies=(*kept[i].copies, f"{hit.source_id}/{hit.window.number}"))
    return tuple(replace(hit, rank=rank) for rank, hit in enumerate(kept[:k], start=1))


def _overlap(a: Hit, b: Hit) -> bool:
    """Tell whether two hits of different views of a scan share pixels. Hits of one view are merged already."""
    one, other = a.window, b.window
    return (a.view != b.view and scan_of(a.source_id) == scan_of(b.source_id)
            and one.f_start_mhz < other.f_stop_mhz and other.f_start_mhz < one.f_stop_mhz
            and one.t_start_s < other.t_stop_s and other.t_start_s < one.t_stop_s)
