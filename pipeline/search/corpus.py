"""The user's door to a corpus: open it, search it, ask what is in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from pipeline.model import Hit
from pipeline.plot_reader import PlotReading
from pipeline.search.answer import Searcher
from pipeline.search.corpus_lists import CorpusLists
from pipeline.search.encoder import encoder_key
from pipeline.search.filters import Filters
from pipeline.search.from_file import find_window
from pipeline.search.from_plot import fit_plot
from pipeline.search.many_of_corpus import ManySearches
from pipeline.search.nearest import Finder, nearest
from pipeline.search.overview import Overview, overview_of
from pipeline.search.query import power_of_windows
from pipeline.search.request import SearchRequest, with_request_keywords
from pipeline.search.result import SearchResult
from pipeline.search.snapshot import OpenCorpus
from pipeline.search.views import through_all_views, views_held

if TYPE_CHECKING:
    from pipeline.occurrence import Occurrence


def open_corpus(corpus: str | PathLike[str] = "corpus", *, encoder: str | None = None) -> Corpus:
    """Open a corpus for reading, as it is now. What a run adds later is not seen.

    Parameters
    ----------
    corpus : path
        Folder of the corpus.
    encoder : str, optional
        Name or key of the encoder whose vectors are compared unless a search names another. Default: the encoder of
        ``corpus.toml``. If the corpus has several versions of it, the one with most vectors is used.

    Raises
    ------
    QueryError
        The corpus has no vectors of ``encoder``.
    CorpusNotFound
        The folder holds no corpus; the message says how to make one.
    CorpusDamaged, CorpusMismatch
        The corpus was altered, or a newer version of the program wrote it.
    """
    return Corpus(OpenCorpus(Path(corpus)), encoder)


class Corpus(CorpusLists, ManySearches):
    """One generation of a corpus. Threads may share it."""

    def __init__(self, opened: OpenCorpus, encoder: str | None = None, find: Finder = nearest) -> None:
        self._corpus = opened
        self._encoder = encoder_key(opened, encoder) if encoder else None
        self._searcher = Searcher(opened, find, self._encoder, self.power_of)

    @property
    def root(self) -> Path:
        """Folder of the corpus."""
        return self._corpus.root

    @property
    def generation(self) -> int:
        """Number of the generation that is searched."""
        return self._corpus.manifest.generation

    @with_request_keywords(SearchRequest)
    def search(self, request: SearchRequest) -> SearchResult:
        """Find the windows of the corpus that look like a pattern.

        Windows that overlap the query itself are no hits. A pattern of several windows is found where several of them
        are arranged as in the pattern (:mod:`pipeline.search.arranged_hits`). Otherwise, windows that touch each other
        and score alike are one hit (:func:`pipeline.search.merge.merge`). Windows of several sources that hold the same
        pixels are one hit, too (:mod:`pipeline.search.copies`).

        PARAMETERS

        Returns
        -------
        SearchResult
            Hits, best first.

        Raises
        ------
        ParameterError
            A parameter has a value that cannot be used, or a filter leaves nothing to find.
        QueryError
            The query names something that is not there, or shows nothing.
        EncoderError
            The query must be encoded, and the encoder is not available.
        CorpusDamaged
            Something in the corpus is missing or altered.
        """
        return self.answer(request)

    def answer(self, request: SearchRequest) -> SearchResult:
        """Carry out a search, as :meth:`search` does, for a request that is already made.

        Its result and errors are those of :meth:`search`.
        """
        if request.on_off or request.on_only or request.on_off_power:
            from pipeline.search.on_off import answer_with_on_off

            return answer_with_on_off(self._corpus, request, self._answer_by_score)
        return self._answer_by_score(request)

    def with_on_off(self, result: SearchResult) -> SearchResult:
        """Return what the search of a result of this generation gives with ``on_off=True``, without a new search.

        Raises
        ------
        CorpusDamaged
            Something in the corpus is missing or altered.
        """
        from pipeline.search.on_off import answer_with_on_off

        return answer_with_on_off(self._corpus, replace(result.request, on_off=True), lambda request: result)

    def occurrence(
        self, request: SearchRequest | None = None, *, windows: Iterable[str | tuple[str, int]] | None = None,
        filters: Filters | None = None, **settings: Any,
    ) -> Occurrence:
        """Count how often, when and where something occurs, divided by what was searched.

        Parameters
        ----------
        request : SearchRequest, optional
            A search. Its convincing hits count; or those within ``expected_below`` and ``min_score``, if one is given.
        windows : iterable of str or (str, int), optional
            Windows that count instead, as ``SOURCE/NUMBER`` or as id of a source and number, such as those of a family.
            Without them and without ``request``, all windows count that the plain view has kept.
        filters : Filters, optional
            Where to count, without ``request``, which has filters of its own.
        **settings
            How to count: the fields of :class:`pipeline.search.OccurrenceSettings`.

        Returns
        -------
        Occurrence
            Tables by frequency, date, hour of day and target, with intervals.

        Raises
        ------
        ParameterError
            A parameter has a value that cannot be used, or nothing is known about chance.
        QueryError
            A query or window names something that is not there.
        CorpusDamaged
            Something in the corpus is missing or altered.
        """
        from pipeline.search.occurrence import count_occurrence  # loads more than most searches need

        return count_occurrence(self._corpus, self.answer, request, windows, filters, settings)

    def _answer_by_score(self, request: SearchRequest) -> SearchResult:
        """Carry out a search through one view or all of them."""
        if not request.all_views:
            return self._searcher.answer(request)
        return through_all_views(request, views_held(self._corpus.manifest), self._searcher.answer,
                                 lambda text: find_window(self._corpus, text))

    @overload  # a str is an iterable of str, too: the first signature that fits counts
    def power_of(self, hits: str | Hit) -> NDArray[np.float64]: ...  # type: ignore[overload-overlap]
    @overload
    def power_of(self, hits: Iterable[str | Hit]) -> list[NDArray[np.float64]]: ...
    def power_of(
        self, hits: str | Hit | Iterable[str | Hit]
    ) -> NDArray[np.float64] | list[NDArray[np.float64]]:
        """Recover the power of stored windows from their cutouts. No source file is read.

        Parameters
        ----------
        hits : Hit or str, or an iterable of these
            Hits of a search, or windows as ``SOURCE/NUMBER``. The source is named by its id, the beginning of its id,
            or a file name.

        Returns
        -------
        (T, F) array of float64, or a list of these
            Linear power relative to the noise, which is 1, ascending frequency, masked pixels NaN. One array for one
            hit or window; a list for an iterable.

        Raises
        ------
        QueryError
            There is no such window, or the corpus has not kept it.
        CorpusDamaged
            Something in the corpus is missing or altered.
        """
        if isinstance(hits, str | Hit):
            return self.power_of([hits])[0]
        with self._corpus.outlived():
            return power_of_windows(self._corpus, [
                find_window(self._corpus, hit) if isinstance(hit, str) else hit.window for hit in hits])

    def fit_plot(
        self, reading: PlotReading, *, encoder: str | None = None, view: str | None = None
    ) -> tuple[NDArray[np.float64], str]:
        """Return ``power`` and ``view`` of a search for a plot; see :func:`pipeline.search.from_plot.fit_plot`.

        ``encoder`` and ``view`` are as in :meth:`search`. Default view: the one whose windows are about as large as the
        plot, if its width and duration were given; else ``1x``.
        """
        return fit_plot(self._corpus, encoder_key(self._corpus, encoder or self._encoder), reading, view)

    def overview(
        self, source: str, f_start_mhz: float | None = None, f_stop_mhz: float | None = None, width: int = 1024
    ) -> Overview:
        """Return a picture of a scan, or of a range of its frequencies. No source file is read.

        Parameters
        ----------
        source : str
            The scan: its id, the beginning of its id, or a file name.
        f_start_mhz, f_stop_mhz : float, optional
            Ends of the range. Default: those of the band.
        width : int
            Wanted number of columns. The coarsest level that has at least these is returned, or the finest one.

        Returns
        -------
        Overview
            Maximum and mean, with their axes. All columns that overlap the range are in it.

        Raises
        ------
        ParameterError
            The range is empty or beyond the band, or ``width`` is not positive.
        QueryError
            There is no such scan, or the corpus has no overview of it.
        CorpusDamaged
            The overview is missing or altered.
        """
        with self._corpus.outlived():
            return overview_of(self._corpus, source, f_start_mhz, f_stop_mhz, width)
