"""The user's door to a corpus: open it, search it, ask what is in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import Session, scans_among
from pipeline.errors import QueryError
from pipeline.model import Hit
from pipeline.plot_reader import PlotReading
from pipeline.search.arranged_hits import with_arrangement
from pipeline.search.encoder import count_vectors, encoder_key
from pipeline.search.expand import expansion_of, note_on_expansion
from pipeline.search.figures import background_of, kept, note_on_left_out, with_chance
from pipeline.search.filters import Filters
from pipeline.search.frequency_range import Range
from pipeline.search.from_file import find_window, query_of_range, query_of_window
from pipeline.search.from_plot import fit_plot
from pipeline.search.from_power import query_of_power
from pipeline.search.hits import hit_of, note_on_no_hits
from pipeline.search.labelled import CorpusLabels, with_labels
from pipeline.search.nearest import Finder, nearest
from pipeline.search.ordered_hits import ordered_hits
from pipeline.search.overview import Overview, overview_of
from pipeline.search.panels import Panels
from pipeline.search.query import Query, power_of_window
from pipeline.search.request import SearchRequest, with_request_keywords
from pipeline.search.result import SearchResult
from pipeline.search.selection_of_request import selection_of
from pipeline.search.session_table import sessions_in
from pipeline.search.snapshot import OpenCorpus
from pipeline.search.status import CorpusStatus, status_of
from pipeline.search.views import through_all_views, view_named, views_held

if TYPE_CHECKING:
    from pipeline.occurrence import Occurrence

MAX_ONE_SHOT_VECTORS = 1_000_000
"""Maximum number of vectors that a process which ends after one search compares one by one.

That takes about a second, as long as loading the library that follows the index."""


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


class Corpus:
    """One generation of a corpus. Threads may share it."""

    def __init__(self, opened: OpenCorpus, encoder: str | None = None, find: Finder = nearest) -> None:
        self._corpus = opened
        self._finder = find
        self._encoder = encoder_key(opened, encoder) if encoder else None

    @property
    def root(self) -> Path:
        """Folder of the corpus."""
        return self._corpus.root

    @property
    def generation(self) -> int:
        """Number of the generation that is searched."""
        return self._corpus.manifest.generation

    @property
    def labels(self) -> CorpusLabels:
        """The user's labels, beside the corpus. What was appended meanwhile counts, too."""
        return CorpusLabels(self._corpus)

    def status(self) -> CorpusStatus:
        """Count what is in the corpus."""
        try:
            default = encoder_key(self._corpus, self._encoder)
        except QueryError:  # the corpus has no vectors that a search would compare
            default = ""
        return status_of(self.root, self._corpus.manifest, default, self._corpus.config.scan.grid)

    def sessions(self) -> list[Session]:
        """Group the scans into sessions (:mod:`pipeline.catalogue.cadences`), with the user's corrections.

        Raises
        ------
        ConfigError
            The file of corrections, ``CORPUS-cadences.csv`` beside the corpus, cannot be used.
        """
        return sessions_in(self.root, self._corpus.manifest)

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
        if request.on_off or request.on_only:
            from pipeline.search.on_off import answer_with_on_off

            return answer_with_on_off(self._corpus, request, self._answer_by_score)
        return self._answer_by_score(request)

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
            return self._answer(request)
        return through_all_views(request, views_held(self._corpus.manifest), self._answer,
                                 lambda text: find_window(self._corpus, text))

    def _answer(self, request: SearchRequest) -> SearchResult:
        """Carry out a search through one view."""
        with self._corpus.outlived():
            key = encoder_key(self._corpus, request.encoder or self._encoder)
            query = self._query(key, request)
            query = query if request.each_window else with_arrangement(query)
            selection = selection_of(self._corpus, key, query, request)
            findable = selection.count_windows()
            if request.one_shot and selection.vector_count <= MAX_ONE_SHOT_VECTORS:
                request = replace(request, exact=True)
            expansion = expansion_of(request, query, selection, self._finder)
            found = ordered_hits(self._corpus, expansion.query if expansion else query, selection, request,
                                 expansion or self._finder)
            background = background_of(selection, query, findable)
            hits = tuple(hit_of(self._corpus, rank, query, merged, match)
                         for rank, (merged, match) in enumerate(found, start=1))
            if expansion:
                hits = expansion.with_both_scores(selection, hits, [merged for merged, _ in found])
            hits, note_on_labels = with_labels(self._corpus, with_chance(hits, found, background))
        if request.near_frequency:
            from pipeline.search.reorder import nearness_of

            hits = tuple(replace(hit, nearness=nearness_of(query, merged))
                         for hit, (merged, _) in zip(hits, found, strict=True))
        best_query = found[0][0].best.query if found else 0
        chosen = kept(hits, request, background.reason)
        left_out = set(count_vectors(self._corpus.manifest, key)) - selection.resolutions
        return SearchResult(
            description=query.description.with_notes(
                note_on_expansion(request, query), note_on_no_hits(hits, findable),
                request.limits.note_on(hits, request.k), note_on_left_out(hits, chosen), note_on_labels),
            request=request,
            encoder=key,
            resolutions=tuple(sorted(selection.resolutions)),
            resolutions_left_out=tuple(sorted(left_out)),
            corpus=self._counts(key, findable),
            hits=chosen,
            background=background,
            query_window=query.window_at(best_query),
            query_power=partial(query.power_of, best_query),
            power_of=self.power_of,
            panels=Panels(self._corpus, self.power_of, query, {
                (one.best.window.source_id, one.best.window.number): one.best.query for one, _ in found}),
        )

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
            return [power_of_window(self._corpus, find_window(self._corpus, hit) if isinstance(hit, str)
                                    else hit.window) for hit in hits]

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

    def _query(self, key: str, request: SearchRequest) -> Query:
        if request.file is not None:
            assert request.f_start_mhz is not None
            assert request.f_stop_mhz is not None
            wanted = Range(request.f_start_mhz, request.f_stop_mhz, request.t_start_s, request.t_stop_s)
            return query_of_range(self._corpus, key, fspath(request.file), wanted, request.polarisation,
                                  view_named(request.view, self._corpus.manifest))
        if request.window is not None:
            return query_of_window(self._corpus, key, request.window)
        return query_of_power(self._corpus, key, request.power)

    def _counts(self, encoder_key: str, findable: int) -> dict[str, int]:
        manifest = self._corpus.manifest
        return {
            "windows": manifest.windows_seen,
            "vectors": count_vectors(manifest, encoder_key).total(),
            "searched": findable,
            "sources": len(scans_among(manifest.sources)),
            "generation": manifest.generation,
        }
