"""The user's door to a corpus: open it, search it, ask what is in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import Session
from pipeline.errors import QueryError
from pipeline.hit_tables import HitTable
from pipeline.model import Hit
from pipeline.search.answer import Searcher
from pipeline.search.encoder import encoder_key
from pipeline.search.from_file import find_window
from pipeline.search.hit_rows import row_answers
from pipeline.search.many import answers_to, request_of, results_of
from pipeline.search.nearest import Finder, nearest
from pipeline.search.overview import Overview, overview_of
from pipeline.search.queries import Step
from pipeline.search.query import power_of_window
from pipeline.search.request import SearchRequest, with_request_keywords
from pipeline.search.result import SearchResult
from pipeline.search.row_answer import RowAnswer
from pipeline.search.row_scans import ScanFinder
from pipeline.search.session_table import sessions_in
from pipeline.search.snapshot import OpenCorpus
from pipeline.search.status import CorpusStatus, status_of
from pipeline.search.views import through_all_views, views_held


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

    def search_many(self, queries: Iterable[Any], *, step: Step | None = None, **how: Any) -> list[SearchResult]:
        """Carry out several searches together: each part of a file is read once, and the corpus is compared once.

        Parameters
        ----------
        queries : iterable
            Each is a :class:`SearchRequest`; a mapping of its parameters; the name of a window, or a list of names; an
            array of power (two axes) or a vector (one axis); or a ``blimpy.Waterfall``.
        step : callable, optional
            Is told of the progress: what is done, for how many queries it is done, and how many there are.
        **how
            Parameters of all queries, such as ``k``; those of a query itself take precedence.

        Returns
        -------
        list of SearchResult
            One for each query, in their order.

        Raises
        ------
        ParameterError, QueryError
            A query cannot be used; the message begins with its number, from 0.
        EncoderError, CorpusDamaged
            As for :meth:`search`.
        """
        return results_of(self.answers([request_of(query, how) for query in queries], step))

    def answers(
        self, requests: Sequence[SearchRequest], step: Step | None = None
    ) -> Iterator[SearchResult | QueryError]:
        """Carry out searches together, as :meth:`search_many` does, and yield what each gives, in their order.

        A search that cannot be carried out gives its error.
        """
        return answers_to(self._searcher, self._answer_by_score, requests, step)

    def search_rows(
        self, table: HitTable, *, file: str | PathLike[str] | None = None, folder: Path | None = None,
        step: Step | None = None, **how: Any,
    ) -> Iterator[RowAnswer]:
        """Search for all rows of a hit table together; yield what each row gives, in their order.

        Parameters
        ----------
        table : HitTable
            As :func:`lookalike.read_hit_table` reads it.
        file : path, optional
            The file of all rows: a path, or a source of the corpus. Default: each row's own, which is looked for beside
            the table and in the corpus. Without one, a row is searched for by the pixels that its table holds.
        folder : Path, optional
            Folder of the table. Without it, no file is looked for beside the table.
        step : callable, optional
            Is told of the progress, as in :meth:`search_many`.
        **how
            Parameters of the searches, such as ``k`` or ``on_off``.

        Raises
        ------
        ParameterError
            A parameter cannot be used.
        EncoderError, CorpusDamaged
            As for :meth:`search`.
        """
        return row_answers(self._corpus, self.answers, table, ScanFinder(self._corpus, file, folder), how, step)

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
            return [power_of_window(self._corpus, find_window(self._corpus, hit) if isinstance(hit, str)
                                    else hit.window) for hit in hits]

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
