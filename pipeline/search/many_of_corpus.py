"""The methods of an open corpus that carry out several searches at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from pipeline.errors import QueryError
from pipeline.hit_tables import HitTable
from pipeline.search.answer import Searcher
from pipeline.search.hit_rows import row_answers
from pipeline.search.many import answers_to, request_of, results_of
from pipeline.search.queries import Step
from pipeline.search.request import SearchRequest
from pipeline.search.result import SearchResult
from pipeline.search.row_answer import RowAnswer
from pipeline.search.row_scans import ScanFinder


class ManySearches:
    """The part of :class:`pipeline.search.Corpus` for several searches at once."""

    _searcher: Searcher

    def _answer_by_score(self, request: SearchRequest) -> SearchResult:
        raise NotImplementedError

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
            As for :meth:`Corpus.search`.
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
            As for :meth:`Corpus.search`.
        """
        return row_answers(
            self._searcher.corpus, self.answers, table,
            ScanFinder(self._searcher.corpus, file, folder, how.get("filters")), how, step)
