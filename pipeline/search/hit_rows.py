"""Searches for all rows of a hit table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.errors import QueryError
from pipeline.hit_tables import HitRow, HitTable
from pipeline.model import Hit, OnOff
from pipeline.search.own_signal import RowRequest, own_regions, request_of_row
from pipeline.search.queries import Step
from pipeline.search.request import SearchRequest
from pipeline.search.result import SearchResult
from pipeline.search.row_answer import RowAnswer
from pipeline.search.row_scans import RowScan, ScanFinder
from pipeline.search.session_table import sessions_in
from pipeline.search.snapshot import OpenCorpus
from pipeline.views import scan_of

Answers = Callable[[Sequence[SearchRequest], Step | None], Iterator[SearchResult | QueryError]]
"""Carries out searches together (:meth:`pipeline.search.Corpus.answers`)."""


def row_answers(
    corpus: OpenCorpus, answers: Answers, table: HitTable, finder: ScanFinder, how: Mapping[str, Any],
    step: Step | None = None,
) -> Iterator[RowAnswer]:
    """Search for all rows of a hit table together; yield what each row gives, in their order.

    Parameters
    ----------
    answers : callable
    table : HitTable
    finder : ScanFinder
        Finds the scan of each row.
    how : mapping
        Parameters of the searches.
    step : callable, optional
        Is told of the progress.

    Raises
    ------
    ParameterError
        A parameter cannot be used.
    """
    SearchRequest(power=np.ones((1, 1)), **how)  # a parameter that cannot be used is no fault of each row
    given = {row.number: RowAnswer(row.number, reason=row.reason) for row in table.unusable}
    given |= {row.number: _scanned(row, finder) for row in table.rows}
    asked = {number: _request(one, finder, how) for number, one in given.items() if _can_be_asked(one)}
    found = zip(asked, answers(list(asked.values()), step), strict=True)
    own = _OwnSignals(corpus) if how.get("on_off") or how.get("on_only") else None
    for number in sorted(given):
        one = given[number]
        if number in asked:
            answered, result = next(found)
            one = _answered(given[answered], result, answers, finder, how)
            if own and one.result is not None and one.scan is not None:
                one = replace(one, on_off=own.on_off(one.scan, one.result))
        yield one


def _scanned(row: HitRow, finder: ScanFinder) -> RowAnswer:
    try:
        return RowAnswer(row.number, row, scan=finder.scan_of(row))
    except QueryError as error:
        return RowAnswer(row.number, row, reason=str(error))


def _can_be_asked(one: RowAnswer) -> bool:
    return one.row is not None and (one.scan is not None or one.row.pixels is not None)


def _request(one: RowAnswer, finder: ScanFinder, how: Mapping[str, Any]) -> RowRequest:
    """Return the search for a row by its scan, or by the pixels of its table. Its own signal is no look-alike."""
    row, scan = one.row, one.scan
    assert row is not None
    if scan is not None:
        low, high = scan.f_start_mhz, scan.f_stop_mhz
        own = own_regions(finder.corpus, finder.own_scans(row, scan), low, high)
        return RowRequest(file=scan.file, f_start_mhz=low, f_stop_mhz=high, own=own, **how)
    assert row.pixels is not None
    return request_of_pixels(row, finder, SearchRequest(power=row.pixels.power, **how))


def request_of_pixels(row: HitRow, finder: ScanFinder, request: SearchRequest) -> RowRequest:
    """Return a search for the pixels that a table holds of a row as one that leaves out the row's own signal.

    Parameters
    ----------
    row : HitRow
        Has pixels.
    finder : ScanFinder
        Finds the sources of the corpus that hold the scan of the row.
    request : SearchRequest
        The search, with these pixels as the pattern.
    """
    assert row.pixels is not None
    low, high = row.range_mhz(0.0)
    low, high = min(low, row.pixels.f_start_mhz), max(high, row.pixels.f_stop_mhz)
    return request_of_row(request, own_regions(finder.corpus, finder.own_scans(row, None), low, high))


def _answered(
    one: RowAnswer, result: SearchResult | QueryError, answers: Answers, finder: ScanFinder, how: Mapping[str, Any]
) -> RowAnswer:
    """Return the answer of a row. If its file cannot be used, it is searched for by the pixels of its table."""
    if isinstance(result, SearchResult):
        return replace(one, result=result, reason="")
    if one.scan is None or one.row is None or one.row.pixels is None:
        return replace(one, reason=str(result))
    by_pixels = replace(one, scan=None)
    second = next(answers([_request(by_pixels, finder, how)], None))
    return replace(one, reason=str(result)) if isinstance(second, QueryError) else replace(by_pixels, result=second)


class _OwnSignals:
    """Says for the signal of a row itself whether it is also where the telescope pointed elsewhere."""

    def __init__(self, corpus: OpenCorpus) -> None:
        self._corpus, self._sessions = corpus, sessions_in(corpus.root, corpus.manifest)

    def on_off(self, scan: RowScan, result: SearchResult) -> OnOff:
        """Judge the strongest stored window that the row's signal crosses."""
        from pipeline.search.on_off import on_off_of

        corpus, source_id = self._corpus, scan_of(result.description.source)
        entry = corpus.manifest.sources.get(source_id)
        if entry is None or result.encoder not in entry.vectors:
            return OnOff("undecided", reason="the corpus does not hold the scan of the row")
        tiling = corpus.tiling(source_id)
        windows = [tiling.window(source_id, int(number)) for number in self._near(source_id, scan)]
        if not windows:
            return OnOff("undecided", reason="the corpus has kept no window of the row's signal")
        rows = corpus.rows(source_id, np.array([window.number for window in windows]))
        snr = corpus.column(source_id, "snr", rows)
        best = int(np.argmax(snr))
        hit = Hit(0, 1.0, windows[best], source_id, entry.path, entry.header.source_name, entry.header.telescope_id,
                  float(snr[best]))
        return on_off_of(corpus, result.encoder, [hit], self._sessions)[0]

    def _near(self, source_id: str, scan: RowScan) -> Sequence[int]:
        """Return the numbers of the stored windows that share a channel with a row's signal."""
        from pipeline.grid.places import Places

        numbers, tiling = self._corpus.numbers(source_id), self._corpus.tiling(source_id)
        if not len(numbers):
            return ()
        first = Places.of(tiling, numbers).channel
        low, high = (tiling.header.channel_at(f_mhz) for f_mhz in (scan.f_start_mhz, scan.f_stop_mhz))
        near: Sequence[int] = numbers[(first <= high) & (first + tiling.grid.channels > low)].tolist()
        return near
