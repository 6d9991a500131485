"""How often, when and where a pattern occurs: the windows of a corpus that count, and what was searched.

The windows are those of convincing hits of a search, some windows that the caller names, or all that were kept. What
was searched follows from the exposure of the sources (:mod:`pipeline.occurrence`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParameterError, parameter
from pipeline.grid.places import Places
from pipeline.interference import bands_named, touching
from pipeline.model import SECONDS_PER_DAY, Header, Hit, Window
from pipeline.occurrence import (
    Axis,
    AxisName,
    Occurrence,
    Occurrences,
    SearchedScan,
    Sensitivity,
    allowed_ranges,
    axis_of,
    bands_of,
    has_local_time,
    sensitivity_of,
    tally_along,
    total,
)
from pipeline.search.filters import Filters
from pipeline.search.from_file import find_window
from pipeline.search.label_filter import LabelFilter
from pipeline.search.occurrence_settings import OccurrenceSettings
from pipeline.search.request import SearchRequest
from pipeline.search.result import SearchResult
from pipeline.search.snapshot import OpenCorpus
from pipeline.significance import MAX_CONVINCING_EXPECTED, MAX_CONVINCING_Q, are_convincing
from pipeline.store import undoing
from pipeline.support.text import counted, short_number
from pipeline.views import is_plain, scan_of

FIRST_FETCH, MAX_FETCH = 200, 12_800
"""Number of hits that are asked for at first, and at most. It is doubled while all of them count."""

Answer = Callable[[SearchRequest], SearchResult]
Numbers = Mapping[str, NDArray[np.int64]]
"""Source id → numbers of its windows."""


def count_occurrence(
    corpus: OpenCorpus, answer: Answer, request: SearchRequest | None, windows: Iterable[str | tuple[str, int]] | None,
    filters: Filters | None, settings: Mapping[str, Any],
) -> Occurrence:
    """Count what the caller asks for, as :meth:`pipeline.search.Corpus.occurrence` says."""
    try:
        made = OccurrenceSettings(**settings)
    except TypeError as error:
        raise ParameterError(f"occurrence: {error}") from error
    if request is not None:
        if windows is not None or filters is not None:
            raise ParameterError(f"{parameter('request')} goes with neither {parameter('windows')} nor "
                                 f"{parameter('filters')}: a request has filters of its own")
        return occurrence_of_query(corpus, request, made, answer)
    with corpus.outlived():
        if windows is None:
            return occurrence_of_all(corpus, filters or Filters(), made)
        named = [_window_named(corpus, one) if isinstance(one, str) else one for one in windows]
        return occurrence_of_windows(corpus, named, filters or Filters(), made)


def _window_named(corpus: OpenCorpus, text: str) -> tuple[str, int]:
    window = find_window(corpus, text)
    return window.source_id, window.number


def occurrence_of_query(
    corpus: OpenCorpus, request: SearchRequest, settings: OccurrenceSettings, answer: Answer
) -> Occurrence:
    """Count where a pattern occurs: the hits of a search that are more than chance.

    Parameters
    ----------
    corpus : OpenCorpus
    request : SearchRequest
        With ``expected_below`` or ``min_score``, hits within these limits count. Otherwise, convincing ones do.
    settings : OccurrenceSettings
    answer : callable
        Carries out a search.

    Raises
    ------
    ParameterError
        Nothing is known about chance, and ``min_score`` is not given. Or the number of hits is limited.
    """
    if request.limits:
        raise ParameterError(f"{parameter('per_file')} and {parameter('per_mhz')} do not go with a count of all hits")
    result, hits = _hits_that_count(request, answer)
    filters = request.filters or Filters()
    sources = corpus.manifest.sources
    searched = [source_id for source_id, entry in sources.items() if entry.resolution in result.resolutions
                and result.encoder in entry.vectors and filters.accept_source(source_id, entry)]
    notes = [] if len(hits) < MAX_FETCH else [f"counting stopped at {counted(len(hits), 'hit')}; there may be more"]
    windows = [one for hit in hits for one in _windows_of(hit)]
    own, query = _scans_of_query(corpus, result, searched), result.query_window
    if settings.with_query and query is not None and query.number >= 0 and query.source_id in sources:
        windows.append((query.source_id, query.number))
    elif own and not settings.with_query:
        searched = [source_id for source_id in searched if scan_of(source_id) not in own]
        notes.append(f"{counted(len(own), 'scan')} left out: that of the query, and others of the same time and place")
    return _counted(corpus, _numbers_of(windows), _one_of_each_scan(searched), filters, settings,
                    (f"what looks like {result.description}", _words_of_limits(request), notes))


def occurrence_of_windows(
    corpus: OpenCorpus, windows: Iterable[tuple[str, int]], filters: Filters, settings: OccurrenceSettings
) -> Occurrence:
    """Count where some windows lie, such as the members of a family.

    Parameters
    ----------
    windows : iterable of (source id, number)
        Kept windows of the corpus. What was searched are all sources of their resolutions.
    """
    given, sources = _numbers_of(windows), corpus.manifest.sources
    resolutions = {sources[source_id].resolution for source_id in given}
    numbers, notes = _with_labels(corpus, filters, given)
    searched = [source_id for source_id, entry in sources.items()
                if entry.resolution in resolutions and filters.accept_source(source_id, entry)]
    what = f"the {counted(sum(map(len, given.values())), 'given window')}"
    return _counted(corpus, numbers, _one_of_each_scan(searched), filters, settings, (what, "it is one of them", notes))


def occurrence_of_all(corpus: OpenCorpus, filters: Filters, settings: OccurrenceSettings) -> Occurrence:
    """Count where signals of any kind are: all windows that the plain view has kept."""
    sources = corpus.manifest.sources
    filters.check(corpus.manifest, undoing(corpus.root))
    searched = [source_id for source_id, entry in sources.items()
                if is_plain(source_id) and filters.accept_source(source_id, entry)]
    numbers = {source_id: corpus.numbers(source_id) for source_id in searched if sources[source_id].windows_kept}
    passing = {source_id: stored[filters.accept_windows(corpus.tiling(source_id), stored)]
               for source_id, stored in numbers.items()}
    keeps_all = corpus.config.scan.keep_all
    words = ("windows of any kind", "it is stored") if keeps_all else ("signals of any kind", "the gate has kept it")
    labelled, notes = _with_labels(corpus, filters, passing)
    if keeps_all:
        notes.append("the corpus keeps all windows, whether they hold a signal or not")
    return _counted(corpus, labelled, searched, filters, settings, (*words, notes))


def _with_labels(corpus: OpenCorpus, filters: Filters, numbers: Numbers) -> tuple[Numbers, list[str]]:
    """Return the windows whose labels the filters let pass, and a note that says how many are left out."""
    labels = LabelFilter.of(corpus, filters)
    if labels is None:
        return numbers, []
    passing = {source_id: labels.passing(source_id, some) for source_id, some in numbers.items()}
    before, after = (sum(map(len, of.values())) for of in (numbers, passing))
    return passing, [f"labels leave out {before - after:,} of {counted(before, 'window')}"]


def _hits_that_count(request: SearchRequest, answer: Answer) -> tuple[SearchResult, list[Hit]]:
    """Return the last answer, and all its hits that count."""
    fetch = FIRST_FETCH
    while True:
        result = answer(replace(request, k=fetch))
        if result.background.reason and request.min_score is None:
            raise ParameterError(f"which hits count is unknown, because {result.background.reason}; give "
                                 f"{parameter('min_score')}, the lowest score that counts")
        hits = list(result)
        if request.expected_below is None and request.min_score is None:
            counts = are_convincing([np.inf if hit.expected is None else hit.expected for hit in hits])
            hits = [hit for hit, does_count in zip(hits, counts, strict=True) if does_count]
        if len(hits) < fetch or fetch >= MAX_FETCH:
            return result, hits
        fetch *= 2


def _words_of_limits(request: SearchRequest) -> str:
    if request.expected_below is None and request.min_score is None:
        return (f"its hit is convincing: at most {MAX_CONVINCING_EXPECTED:g} expected by chance, and a false discovery "
                f"rate of at most {MAX_CONVINCING_Q:g}")
    below, score = request.expected_below, request.min_score
    limits = [] if below is None else [f"at most {short_number(below)} are expected by chance"]
    return " and ".join(limits + ([] if score is None else [f"its score is at least {score:g}"]))


def _windows_of(hit: Hit) -> list[tuple[str, int]]:
    """Return all windows of a hit: those that were merged, and those that hold the same pixels in other sources."""
    copies = [(source_id, int(number)) for source_id, _, number in (copy.rpartition("/") for copy in hit.copies)]
    return [(hit.source_id, number) for number in (hit.window.number, *hit.merged)] + copies


def _numbers_of(windows: Iterable[tuple[str, int]]) -> dict[str, NDArray[np.int64]]:
    found: dict[str, set[int]] = {}
    for source_id, number in windows:
        found.setdefault(source_id, set()).add(number)
    return {source_id: np.array(sorted(numbers), np.int64) for source_id, numbers in found.items()}


def _scans_of_query(corpus: OpenCorpus, result: SearchResult, searched: Sequence[str]) -> set[str]:
    """Return the scans that observed the query itself: its own, and those of its telescope, time and frequency."""
    own = {scan_of(result.description.source)} & {scan_of(source_id) for source_id in searched}
    query, sources = result.query_window, corpus.manifest.sources
    if query is None:
        return own
    mine = sources.get(query.source_id)
    return own | {scan_of(source_id) for source_id in searched if _observes(sources[source_id].header, query) and (
        mine is None or mine.header.telescope_id == sources[source_id].header.telescope_id)}


def _observes(header: Header, query: Window) -> bool:
    """Tell whether a scan was looking at the frequency of a query's window in the middle of its time."""
    mjd = query.mjd + (query.t_stop_s - query.t_start_s) / 2 / SECONDS_PER_DAY
    f_mhz = (query.f_start_mhz + query.f_stop_mhz) / 2
    return header.mjd_at(0) <= mjd < header.mjd_at(header.duration_s) and header.f_min_mhz <= f_mhz < header.f_max_mhz


def _one_of_each_scan(source_ids: Iterable[str]) -> list[str]:
    """Return one source of each scan: its plain view if that is among them, otherwise the first."""
    chosen: dict[str, str] = {}
    for source_id in sorted(source_ids, key=lambda one: (not is_plain(one), one)):
        chosen.setdefault(scan_of(source_id), source_id)
    return list(chosen.values())


def _counted(
    corpus: OpenCorpus, numbers: Numbers, searched: Sequence[str], filters: Filters, settings: OccurrenceSettings,
    words: tuple[str, str, Sequence[str]],
) -> Occurrence:
    """Count some windows in the scans that were searched, of which each is named by one source."""
    what, counts_if, notes = words[0], words[1], list(words[2])
    every = (_searched_part(corpus, source_id, filters) for source_id in searched)
    scans = [scan for scan in every if len(scan.share)]
    gap_mhz = max([settings.emitter_khz / 1000, *(_window_mhz(corpus, source_id) for source_id in numbers)])
    seen, outside = _seen(corpus, numbers, scans)
    if outside:
        notes.append(f"{counted(outside, 'window')} left out, whose middle lies beyond the filters")
    whole = total(scans, seen, gap_mhz)
    is_view = bool(searched) and not is_plain(searched[0])
    return Occurrence(
        what=what, counts_if=counts_if, whole=whole,
        tables={name: tally_along(_axis(name, scans, settings), scans, seen, gap_mhz) if scans else ()
                for name in settings.by},
        windows_counted=sum(len(one.mjd) for one in seen.values()),
        windows_searched=round(sum(float(scan.windows.sum()) for scan in scans)),
        bands_mhz=bands_of(scans), emitter_gap_mhz=gap_mhz, sensitivity=_sensitivity(corpus, scans, is_view),
        notes=tuple(notes))


def _axis(name: AxisName, scans: Sequence[SearchedScan], settings: OccurrenceSettings) -> Axis:
    if name == "local hour" and not has_local_time(scans):
        raise ParameterError(f"{parameter('by')}: the local time of a telescope is unknown; count by hour, in UTC")
    try:
        return axis_of(name, scans, bin_mhz=settings.bin_mhz, bin_days=settings.bin_days)
    except ValueError as error:
        raise ParameterError(f"{parameter('bin_days' if name == 'date' else 'bin_mhz')} {error}") from error


def _searched_part(corpus: OpenCorpus, source_id: str, filters: Filters) -> SearchedScan:
    """Return what was searched of a source, within the filters."""
    scan = SearchedScan.of(scan_of(source_id), corpus.tiling(source_id),
                           lambda name: corpus.exposure(source_id, name))
    if not filters:
        return scan
    header = scan.header
    known = [(band.f_start_mhz, band.f_stop_mhz) for name in filters.not_known
             for band in touching(bands_named(name), header.f_min_mhz, header.f_max_mhz, header.telescope)]
    allowed = allowed_ranges(filters.only_mhz, [*filters.not_mhz, *known])
    return scan.within(allowed, filters.after_mjd, filters.before_mjd)


def _window_mhz(corpus: OpenCorpus, source_id: str) -> float:
    return corpus.tiling(source_id).grid.channels * corpus.manifest.sources[source_id].header.channel_width_mhz


def _seen(
    corpus: OpenCorpus, numbers: Numbers, scans: Sequence[SearchedScan]
) -> tuple[dict[str, Occurrences], int]:
    """Return the windows of each scan, by frequency, and how many lie in none of its rectangles."""
    searched = {scan.scan_id: scan for scan in scans}
    parts: dict[str, list[Occurrences]] = {}
    for source_id, stored in numbers.items():
        if scan_of(source_id) in searched:
            parts.setdefault(scan_of(source_id), []).append(_places(corpus, source_id, stored))
    seen, outside = {}, 0
    for scan_id, some in parts.items():
        joined = Occurrences(*(np.concatenate([getattr(one, name) for one in some])
                               for name in ("f_start_mhz", "f_stop_mhz", "mjd")))
        inside = searched[scan_id].holds(joined.middle_mhz, joined.mjd)
        outside += int((~inside).sum())
        seen[scan_id] = joined.rows(inside).rows(np.argsort(joined.f_start_mhz[inside], kind="stable"))
    return seen, outside


def _places(corpus: OpenCorpus, source_id: str, numbers: NDArray[np.int64]) -> Occurrences:
    tiling = corpus.tiling(source_id)
    header, places = tiling.header, Places.of(tiling, numbers)
    start: NDArray[np.float64] = header.f_min_mhz + places.channel.astype(np.float64) * header.channel_width_mhz
    stop = places.spectrum + tiling.grid.integrations
    begin = np.maximum(places.spectrum, places.block * tiling.grid.integrations)  # without what is in the block before
    middle_s = (begin + stop) / 2 * header.tsamp_s
    return Occurrences(start, start + tiling.grid.channels * header.channel_width_mhz,
                       header.tstart_mjd + middle_s / SECONDS_PER_DAY)


def _sensitivity(corpus: OpenCorpus, scans: Sequence[SearchedScan], is_view: bool) -> Sensitivity | None:
    scan = corpus.config.scan
    if scan.keep_all:
        return None
    from pipeline.scan import VIEW_FALSE_ALARM  # loads numba

    return sensitivity_of(scans, scan.grid, scan.false_alarm * (VIEW_FALSE_ALARM if is_view else 1))
